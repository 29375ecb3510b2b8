//! Handlers: one job, one file; a job comes in, an `Outcome` goes out.
//!
//! [`generate`] makes the payment orders of a campaign and starts its delivery, [`control`] obeys an
//! operator or a payment platform, [`export`] writes a campaign out, [`forget`] erases a person, [`turn`] sends for one
//! slot of a run, [`expire`] writes down what
//! the clock decided. Nothing here acknowledges or enqueues: the queue settles what is returned.

mod blocking;
pub mod commercial;
pub mod context;
pub mod control;
pub mod creating;
pub mod expire;
pub mod export;
pub mod forget;
pub mod generate;
pub mod intake;
pub mod opt_out;
pub mod order_event;
pub mod preview;
pub mod receipt;
pub mod reply;
pub mod reroute;
pub mod trouble;
pub mod turn;
pub mod withdraw;

use blocking::blocking;
pub use context::{Context, ServedChannel, ServedPoint};
