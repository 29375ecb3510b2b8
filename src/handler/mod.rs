//! Handlers: one job, one file; a job comes in, an `Outcome` goes out.
//!
//! [`import`] brings the cases of a campaign, [`generate`] makes its payment orders and starts its delivery (both read
//! their rows by [`intake`]), [`control`] obeys an
//! operator or a payment platform, [`export`] writes a campaign out, [`forget`] erases a person, [`turn`] sends for one
//! slot of a run, [`expire`] writes down what
//! the clock decided. Nothing here acknowledges or enqueues: the queue settles what is returned.

mod audit;
mod blocking;
pub mod case;
pub mod commercial;
pub mod contact_rules;
pub mod context;
pub mod control;
pub mod creating;
pub mod expire;
pub mod export;
pub mod forget;
pub mod generate;
pub mod import;
pub mod intake;
pub mod opt_out;
pub mod order_event;
pub mod preview;
pub mod receipt;
pub mod recurring;
pub mod reply;
pub mod reroute;
pub mod send;
pub mod tally;
pub mod trouble;
pub mod turn;
pub mod withdraw;

use blocking::blocking;
pub use context::{Context, ServedChannel, ServedPoint};
