//! When a failed attempt is tried again (DA-3).
//!
//! Exponential backoff with full jitter: attempt n waits a uniformly random time from nothing to
//! `base * 2^(n-1)`, at most `cap`. A provider's own wait is never undercut. Attempts are limited
//! by their number and by how long the message is of use; what is permanent, denied or ambiguous
//! is not tried again from here. Integers only, randomness comes in as an argument.

use super::clock::EpochMs;
use super::failure::{Attempt, Failure};
use std::time::Duration;

/// How often and how patiently something is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// The longest wait after the first attempt.
    pub base: Duration,
    /// The longest wait after any.
    pub cap: Duration,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again at this instant.
    At(EpochMs),
    /// The kind of failure allows no further attempt.
    No,
    /// It would, but the attempts are used up.
    Exhausted,
    /// It would, but only after the message has become useless.
    TooLate,
}

impl RetryPolicy {
    /// The wait after `attempt` failed, or nothing when it was the last. `jitter` is uniform over
    /// all 64 bits.
    pub fn delay(&self, attempt: Attempt, jitter: u64) -> Option<Duration> {
        if attempt.get() >= self.max_attempts {
            return None;
        }
        let ceiling = u128::from(self.ceiling_ms(attempt));
        // The high half of the product is uniform over 0..=ceiling, without a division's bias.
        let wait = (u128::from(jitter) * (ceiling + 1)) >> 64;
        Some(Duration::from_millis(
            u64::try_from(wait).unwrap_or(u64::MAX),
        ))
    }

    /// The longest wait after `attempt`: `base * 2^(attempt-1)`, at most `cap`.
    fn ceiling_ms(&self, attempt: Attempt) -> u64 {
        let base = u64::try_from(self.base.as_millis()).unwrap_or(u64::MAX);
        let cap = u64::try_from(self.cap.as_millis()).unwrap_or(u64::MAX);
        let factor = 1_u64.checked_shl(attempt.get() - 1).unwrap_or(u64::MAX);
        base.saturating_mul(factor).min(cap)
    }

    /// What follows `failure` of `attempt` at `now`; `useful_until` is when the message stops
    /// being of use (the order's expiry).
    pub fn plan_next(
        &self,
        failure: &Failure,
        attempt: Attempt,
        now: EpochMs,
        useful_until: Option<EpochMs>,
        jitter: u64,
    ) -> Next {
        let asked = match failure {
            Failure::Transient { .. } => Duration::ZERO,
            Failure::Throttled { after, .. } => after.unwrap_or(Duration::ZERO),
            Failure::Denied { .. } | Failure::Permanent { .. } | Failure::Ambiguous { .. } => {
                return Next::No;
            }
        };
        let Some(delay) = self.delay(attempt, jitter) else {
            return Next::Exhausted;
        };
        // The jitter comes on top of the provider's wait, or all would return at the same instant.
        let at = now.plus(asked).plus(delay);
        if useful_until.is_some_and(|end| at >= end) {
            return Next::TooLate;
        }
        Next::At(at)
    }
}
