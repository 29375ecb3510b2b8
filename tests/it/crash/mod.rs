//! What holds when something dies: a daemon at any instruction, frozen daemons, a Redis that is killed.
//!
//! Counted at the provider: nobody lost, nobody sent twice, at most what was in flight unknown; and the counters are
//! equal to the ledger.

mod chain;
mod clocks;
mod drain;
mod frozen;
mod phases;
mod redis_down;
mod restarts;
mod shortages;
