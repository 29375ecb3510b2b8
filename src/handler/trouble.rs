//! What a handler does when Redis fails it: the same again a little later. No attempt is counted, for
//! the job has done nothing wrong, and nothing is lost.

use crate::{job::Outcome, store::StoreError};

/// The outcome of a job that Redis failed.
pub fn outcome(error: &StoreError) -> Outcome {
    tracing::warn!(%error, "a job waits for redis");
    Outcome::Again
}
