//! `generate`, from the job to what other systems read: rows, deliveries and their gates, orders and their lives.

mod bad_input;
mod deliveries;
mod error_file;
mod estimates;
mod layout;
mod lives;
mod orders;
mod rows;
mod sources;
