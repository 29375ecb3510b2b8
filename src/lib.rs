//! Remesa: payment orders by SMS and bulk messages, from jobs in Redis. Never twice, never lost.
//!
//! ```text
//!  any program ── XADD ──▶ jobs:<queue> ──▶ handler ──▶ runs, slots ──▶ channel ──▶ provider
//!                             │               │   ▲         │  ▲
//!                          rejected           ▼   │         ▼  │
//!                                          domain (pure)  store: the ledger
//!                                                              │
//!  other systems ◀── results stream, campaign / order / run keys
//! ```
//!
//! Numbers of rules (PO-17, BM-3, DA-1) in the code and in names of tests are those of `docs/rules.md`.
//!
//! Where to read, in this order:
//!
//! 1. [`domain`]: the rules of the field, pure: amounts, phones, SMS parts, expiry, states, retries.
//! 2. [`job`]: the wire contract; bytes in, a judged job or a rejection out; how a job ends.
//! 3. [`store`]: every key of Redis and every script; [`store::runs`] is the ledger, the heart.
//! 4. [`queue`]: apalis over our own streams backend; who reads, renews, adopts, settles, repairs.
//! 5. [`handler`]: what a job does; [`handler::turn`] is how a message leaves.
//! 6. [`channel`]: the way to a provider, the table of its failures, the governor of its rate.
//! 7. [`journal`]: what a daemon did in the last minute, for when Redis is away, or has lost it.
//! 8. [`app`]: how a daemon is put together, started and stopped.
//!
//! Beside the way: [`wire`] is one HTTP request that knows whether it left, [`source`] reads files of rows, [`orders`]
//! mints orders and links, [`export`] writes campaigns out, [`config`] says what this process is told to be,
//! [`metrics`] and [`telemetry`] tell what it does, [`lifecycle`] hears signals and systemd, [`operate`] is what
//! operators see and do, [`http`] answers health, metrics and the look-up of campaigns and orders, [`sandbox`] is a
//! provider to test against, [`mod@bench`] measures, [`cli`] is what a person types.

pub mod app;
pub mod bench;
pub mod channel;
pub mod cli;
pub mod config;
pub mod domain;
pub mod export;
pub mod handler;
pub mod http;
pub mod job;
pub mod journal;
pub mod lifecycle;
pub mod metrics;
pub mod operate;
pub mod orders;
pub mod queue;
pub mod sandbox;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod wire;
