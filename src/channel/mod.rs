//! Channels (being written).

pub mod settings;
