//! Hostile input for everything in Remesa that reads what strangers wrote: jobs, files of rows, templates, webhooks.
//!
//! ```text
//!  seeds ──▶ corpus ──▶ mutator ──▶ target ──▶ told something new? ──▶ corpus
//!                                     │
//!                                     ▼
//!                     a panic, too long, too much memory: a finding, kept as a file
//! ```
//!
//! It runs on stable Rust and needs no other program. [`targets`] say what is read and what must hold; [`mutator`] makes
//! new input from old; [`driver`] runs one through the other and measures each input by [`meter`]: the processor time of
//! its thread, whatever else the machine does, and the most memory that was in use at once. An input is kept in the corpus
//! when the target told something new of it (another code, another kind of row) or, built by `make fuzz`, when it reached
//! code that none had reached ([`coverage`]).
//!
//! `make test` runs each target over a fixed number of inputs of a fixed seed; `make fuzz` runs for minutes or hours.

pub mod coverage;
pub mod driver;
pub mod meter;
pub mod mutator;
pub mod targets;
