//! What a daemon writes to standard error: for the journal, under whose trace, and about nobody.

mod journal;
mod nobody;
mod trace;
