//! `generate`, from the job to what other systems read: rows, deliveries and their gates, orders and their lives.

mod deliveries;
mod layout;
mod lives;
mod orders;
mod rows;
