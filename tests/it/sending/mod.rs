//! Sending, with everything alive: counters, commands, the failure table, the governor, the events.

mod commands;
mod counters;
mod events;
mod failures;
mod governor;
mod numbered;
mod results;
