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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: RetryPolicy = RetryPolicy {
        max_attempts: 5,
        base: Duration::from_secs(2),
        cap: Duration::from_mins(10),
    };
    const NOW: EpochMs = EpochMs(1_763_719_200_000);

    fn attempt(n: u32) -> Attempt {
        Attempt::new(n).unwrap()
    }

    #[test]
    fn da_3_the_longest_wait_doubles_up_to_the_cap() {
        let patient = RetryPolicy {
            max_attempts: 100,
            ..POLICY
        };
        let longest = |n| patient.delay(attempt(n), u64::MAX).unwrap().as_millis();
        assert_eq!([1, 2, 3, 4].map(longest), [2_000, 4_000, 8_000, 16_000]);
        assert_eq!(
            [9, 10, 11, 64, 65, 99].map(longest),
            [512_000, 600_000, 600_000, 600_000, 600_000, 600_000]
        );
    }

    #[test]
    fn da_3_attempts_are_limited() {
        assert!(POLICY.delay(attempt(4), 0).is_some());
        assert_eq!(POLICY.delay(attempt(5), 0), None);
        let failure = Failure::transient("http_503");
        assert_eq!(
            POLICY.plan_next(&failure, attempt(5), NOW, None, 0),
            Next::Exhausted
        );
        let never = RetryPolicy {
            max_attempts: 1,
            ..POLICY
        };
        assert_eq!(never.delay(Attempt::FIRST, 0), None);
    }

    #[test]
    fn da_3_what_is_permanent_denied_or_ambiguous_is_not_tried_again() {
        for failure in [
            Failure::permanent("x"),
            Failure::denied("x"),
            Failure::ambiguous("x"),
        ] {
            assert_eq!(
                POLICY.plan_next(&failure, Attempt::FIRST, NOW, None, 0),
                Next::No
            );
        }
    }

    #[test]
    fn da_3_the_wait_that_a_provider_asks_for_is_never_undercut() {
        let failure = Failure::throttled("http_429", Some(Duration::from_secs(30)));
        let soonest = POLICY.plan_next(&failure, Attempt::FIRST, NOW, None, 0);
        assert_eq!(soonest, Next::At(NOW.plus(Duration::from_secs(30))));
        let latest = POLICY.plan_next(&failure, Attempt::FIRST, NOW, None, u64::MAX);
        assert_eq!(latest, Next::At(NOW.plus(Duration::from_secs(32))));
    }

    #[test]
    fn da_3_nothing_is_tried_when_the_message_has_become_useless() {
        let failure = Failure::throttled("http_429", Some(Duration::from_hours(1)));
        let useful_until = Some(NOW.plus(Duration::from_hours(1)));
        assert_eq!(
            POLICY.plan_next(&failure, Attempt::FIRST, NOW, useful_until, 0),
            Next::TooLate
        );
        let failure = Failure::transient("dns");
        assert_eq!(
            POLICY.plan_next(&failure, Attempt::FIRST, NOW, useful_until, 0),
            Next::At(NOW)
        );
    }

    proptest! {
        #[test]
        fn da_3_a_wait_is_within_base_times_two_to_the_attempt_and_the_cap(
            n in 1..200_u32, base_ms in 0..100_000_u64, cap_ms in 0..1_000_000_u64, jitter: u64,
        ) {
            let policy = RetryPolicy {
                max_attempts: u32::MAX,
                base: Duration::from_millis(base_ms),
                cap: Duration::from_millis(cap_ms),
            };
            let wait = policy.delay(attempt(n), jitter).unwrap().as_millis();
            prop_assert!(wait <= u128::from(cap_ms));
            prop_assert!(wait <= u128::from(base_ms) << (n - 1).min(60));
        }

        #[test]
        fn da_3_more_jitter_never_waits_less(n in 1..5_u32, a: u64, b: u64) {
            let wait = |jitter| POLICY.delay(attempt(n), jitter).unwrap();
            prop_assert!(wait(a.min(b)) <= wait(a.max(b)));
        }
    }
}
