//! Remesa (being written).
#![warn(missing_docs)]

pub mod app;
pub mod bench;
pub mod channel;
pub mod cli;
pub mod config;
pub mod domain;
pub mod handler;
pub mod http;
pub mod job;
pub mod lifecycle;
pub mod metrics;
pub mod orders;
pub mod queue;
pub mod sandbox;
pub mod source;
pub mod store;
pub mod telemetry;
