//! What a handler does when Redis fails it: the job is tried again later, nothing is lost.

use crate::{domain::clock::EpochMs, job::Outcome, store::StoreError};

/// The outcome of a job that Redis failed. The queue chooses the time.
pub fn outcome(error: &StoreError) -> Outcome {
    let failure_code = match error {
        StoreError::OutOfMemory(_) => "redis_full",
        StoreError::Unavailable(_) | StoreError::UnknownScript => "redis_unavailable",
        StoreError::Refused(_) => "redis_refused",
    };
    Outcome::Retry { failure_code: failure_code.into(), sentence: error.to_string(), at: EpochMs(0) }
}
