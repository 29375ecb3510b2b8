//! What a handler does when Redis fails it.
//!
//! A Redis that is away or full is nobody's fault: the same again a little later, no attempt counted.
//! A Redis that refuses a command will refuse it again: that is a failed attempt.

use crate::{domain::clock::EpochMs, job::Outcome, store::StoreError};

/// The outcome of a job that Redis failed.
pub fn outcome(error: &StoreError) -> Outcome {
    if error.is_transient() {
        tracing::warn!(%error, "a job waits for redis");
        return Outcome::Again;
    }
    // The queue chooses the time.
    Outcome::Retry { failure_code: "redis_refused".into(), sentence: error.to_string(), at: EpochMs(0) }
}
