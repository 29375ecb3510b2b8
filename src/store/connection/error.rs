//! What goes wrong between us and Redis, told apart by what helps: another connection, waiting, or nothing.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What went wrong between us and Redis.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Redis could not be reached, or answered that it cannot serve now; a later try may succeed.
    #[error("redis is unavailable: {0}")]
    Unavailable(String),
    /// Redis is over `maxmemory` and refused a write.
    #[error("redis is out of memory: {0}")]
    OutOfMemory(String),
    /// Redis does not know the script of this digest; [`crate::store::script`] loads it and asks again.
    #[error("redis does not know the script")]
    UnknownScript,
    /// Redis answered something this version does not understand, or refused a command.
    #[error("redis refused a command: {0}")]
    Refused(String),
}

impl StoreError {
    /// Whether waiting and trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::OutOfMemory(_) | Self::UnknownScript => true,
            Self::Refused(_) => false,
        }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) {
            Self::UnknownScript
        } else if says(&error, &["OOM"]) {
            Self::OutOfMemory(error.to_string())
        } else if breaks_connection(&error) || says(&error, &PASSING) {
            Self::Unavailable(error.to_string())
        } else {
            Self::Refused(error.to_string())
        }
    }
}

/// Codes of a server that is not the master to talk to, or cannot be one now: a replica, one that loads its data, a
/// master that lost its replicas (`min-replicas-to-write`). Another one may have taken its place.
const NOT_THE_MASTER: [&str; 4] = ["READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS"];

/// Codes of troubles that pass on the same server: a script that runs for long, a disk that takes no snapshot, a slot of
/// a cluster that is without a master or on its way to another.
const PASSING: [&str; 4] = ["BUSY", "MISCONF", "CLUSTERDOWN", "TRYAGAIN"];

/// Whether Redis refused a command, or one of a pipeline, with one of these codes.
fn says(error: &RedisError, codes: &[&str]) -> bool {
    error
        .clone()
        .into_server_errors()
        .is_some_and(|errors| errors.iter().any(|(_, error)| codes.contains(&error.code())))
}

/// Whether the connection behind this error is of no more use.
pub(super) fn breaks_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
        || error.is_timeout()
        || error.is_unrecoverable_error()
        || says(error, &NOT_THE_MASTER)
}
