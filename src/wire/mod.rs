//! The wire: sockets to providers, and one HTTP request to one server, with the knowledge whether it left.
//!
//! Channels send messages over it and order providers make orders; both may do a thing twice if they guess.
//! A [`Client`] answers with a whole [`Reply`], with [`DeliverError::NotSent`], which is a promise that not one
//! byte left, or with a failure of the closed table in [`failure`]. It does not retry or pace.

mod client;
pub mod failure;
mod idle;
mod line;
mod pool;
mod reply;
mod secret;
mod shortage;
pub(crate) mod socket;
#[cfg(test)]
mod tls_tests;

pub use client::{Client, ClientError, Patience};
pub use failure::{Rules, Trouble, classify};
pub(crate) use idle::Idle;
pub use reply::Reply;
pub use secret::Secret;
pub(crate) use shortage::shortage;
pub(crate) use socket::{Endpoint, Wire};

use crate::domain::failure::Failure;

/// Why a message was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    /// The deadline passed before the first byte was handed over: release the recipient, count no attempt.
    #[error("the deadline passed before the message was handed over")]
    NotSent,
    /// The attempt was made and failed; the class says what may be done next.
    #[error("the provider did not accept the message")]
    Failure(Failure),
}

impl From<Failure> for DeliverError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}
