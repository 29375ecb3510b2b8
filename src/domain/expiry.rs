//! When a payment order expires, and whether a message about it is still worth sending
//! (PO-7, PO-8, PO-19).
//!
//! An expiry is a duration from the generation of each order, 48 hours unless the job says
//! otherwise, or an instant for all. Either must leave 10 minutes to 15 days, both inclusive. That
//! is asked when the job is accepted (from the scheduled instant, if it has one) and again for
//! each order, because a long file takes time and the instant does not wait.

use super::clock::{ClockError, EpochMs, format_duration, parse_duration};
use std::{fmt, time::Duration};

/// The expiry of a job that names none (the product's campaign page).
pub const DEFAULT: Duration = Duration::from_hours(48);
/// The shortest expiry, inclusive (the product's campaign page, PO-8).
pub const MIN: Duration = Duration::from_mins(10);
/// The longest expiry, inclusive.
pub const MAX: Duration = Duration::from_hours(15 * 24);

/// Why an expiry was refused, or a message about an order not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpiryError {
    /// Less than 10 minutes.
    #[error("expiry of {} is shorter than {}", format_duration(*.value), format_duration(MIN))]
    TooShort {
        /// The time it leaves.
        value: Duration,
    },
    /// More than 15 days.
    #[error("expiry of {} is longer than {}", format_duration(*.value), format_duration(MAX))]
    TooLong {
        /// The time it leaves.
        value: Duration,
    },
    /// The bound was kept at acceptance, and crossed since.
    #[error("order expires in {}, less than {}", format_duration(*.left), format_duration(*.least))]
    TooSoon {
        /// The time that is left.
        left: Duration,
        /// The least that must be left.
        least: Duration,
    },
}

impl ExpiryError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "expiry_too_short",
            Self::TooLong { .. } => "expiry_too_long",
            Self::TooSoon { .. } => "expires_too_soon",
        }
    }
}

/// When the orders of a job expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// So long after the generation of each order.
    In(Duration),
    /// At this instant, all of them.
    At(EpochMs),
}

impl Default for Expiry {
    fn default() -> Self {
        Self::In(DEFAULT)
    }
}

impl Expiry {
    /// Asks the bounds for a job whose generation starts at `at`: now, or the scheduled instant.
    pub fn check(&self, at: EpochMs) -> Result<(), ExpiryError> {
        let value = self.left(at);
        if value < MIN {
            return Err(ExpiryError::TooShort { value });
        }
        if value > MAX {
            return Err(ExpiryError::TooLong { value });
        }
        Ok(())
    }

    /// The expiry of an order generated at `generated`, or `expires_too_soon` when a long file has
    /// crossed the lower bound meanwhile.
    pub fn for_order(&self, generated: EpochMs) -> Result<EpochMs, ExpiryError> {
        match self.check(generated) {
            Ok(()) => Ok(self.expires_at(generated)),
            Err(ExpiryError::TooShort { value }) => Err(ExpiryError::TooSoon { left: value, least: MIN }),
            Err(error) => Err(error),
        }
    }

    /// The expiry of an order generated at `generated`, unasked.
    pub fn expires_at(&self, generated: EpochMs) -> EpochMs {
        match self {
            Self::In(duration) => generated.plus(*duration),
            Self::At(instant) => *instant,
        }
    }

    /// Reads what `Display` wrote: `in:<milliseconds>` or `at:<epoch ms>`.
    pub fn parse(text: &str) -> Result<Self, ClockError> {
        match text.split_once(':') {
            Some(("at", ms)) => EpochMs::parse(ms).map(Self::At),
            Some(("in", ms)) => match ms.parse() {
                Ok(ms) => Ok(Self::In(Duration::from_millis(ms))),
                Err(_) => parse_duration(ms).map(Self::In),
            },
            _ => parse_duration(text).map(Self::In),
        }
    }

    fn left(&self, at: EpochMs) -> Duration {
        match self {
            Self::In(duration) => *duration,
            Self::At(instant) => instant.since(at),
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(duration) => write!(f, "in:{}", duration.as_millis()),
            Self::At(instant) => write!(f, "at:{}", instant.0),
        }
    }
}

/// The time a message may take to arrive, which a provider gets as its validity: what the order has
/// left to live, at most `longest` (what the provider takes), at least a second (PO-19).
pub fn validity(expires_at: EpochMs, now: EpochMs, longest: Duration) -> Duration {
    expires_at.since(now).min(longest).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: EpochMs = EpochMs(1_763_719_200_000);
    const MS: Duration = Duration::from_millis(1);

    /// Both forms of an expiry that leaves `left` at `NOW`.
    fn both(left: Duration) -> [Expiry; 2] {
        [Expiry::In(left), Expiry::At(NOW.plus(left))]
    }

    #[test]
    fn po_7_the_default_is_48_hours_from_the_generation_of_each_order() {
        let expiry = Expiry::default();
        assert_eq!(expiry.check(NOW), Ok(()));
        assert_eq!(expiry.for_order(NOW).unwrap(), NOW.plus(Duration::from_hours(48)));
        let later = NOW.plus(Duration::from_mins(7));
        assert_eq!(expiry.for_order(later).unwrap(), later.plus(Duration::from_hours(48)));
    }

    #[test]
    fn po_7_ten_minutes_and_fifteen_days_are_inside() {
        for left in [MIN, MAX, Duration::from_hours(24)] {
            for expiry in both(left) {
                assert_eq!(expiry.check(NOW), Ok(()));
                assert_eq!(expiry.for_order(NOW), Ok(NOW.plus(left)));
            }
        }
    }

    #[test]
    fn po_7_a_millisecond_beyond_either_bound_is_refused() {
        for expiry in both(MIN.saturating_sub(MS)) {
            assert_eq!(expiry.check(NOW).unwrap_err().code(), "expiry_too_short");
        }
        for expiry in both(MAX + MS) {
            assert_eq!(expiry.check(NOW).unwrap_err().code(), "expiry_too_long");
        }
        assert_eq!(Expiry::At(EpochMs(NOW.0 - 1)).check(NOW).unwrap_err().code(), "expiry_too_short");
    }

    #[test]
    fn po_7_the_sentence_names_value_and_bound() {
        let short = Expiry::In(Duration::from_mins(9)).check(NOW).unwrap_err();
        assert_eq!(short.to_string(), "expiry of 9m is shorter than 10m");
        let long = Expiry::In(Duration::from_hours(16 * 24)).check(NOW).unwrap_err();
        assert_eq!(long.to_string(), "expiry of 16d is longer than 15d");
    }

    #[test]
    fn po_7_an_instant_is_judged_from_the_scheduled_start() {
        let expiry = Expiry::At(NOW.plus(Duration::from_hours(20 * 24)));
        assert!(expiry.check(NOW).is_err());
        assert_eq!(expiry.check(NOW.plus(Duration::from_hours(10 * 24))), Ok(()));
    }

    #[test]
    fn po_7_a_bound_crossed_while_a_long_file_is_generated_gets_its_own_code() {
        let expiry = Expiry::At(NOW.plus(MIN));
        assert!(expiry.for_order(NOW).is_ok());
        let error = expiry.for_order(NOW.plus(MS)).unwrap_err();
        assert_eq!(error.code(), "expires_too_soon");
        assert!(Expiry::In(MIN).for_order(NOW.plus(MAX)).is_ok());
    }

    #[test]
    fn po_8_less_than_a_day_is_allowed() {
        assert_eq!(Expiry::In(Duration::from_mins(10)).check(NOW), Ok(()));
    }

    #[test]
    fn po_19_the_validity_is_the_life_left_and_no_more_than_a_provider_takes() {
        let (minutes, day) = (Duration::from_mins, Duration::from_hours(24));
        assert_eq!(validity(NOW.plus(minutes(20)), NOW.plus(minutes(3)), day), minutes(17));
        assert_eq!(validity(NOW.plus(MAX), NOW, day), day);
        assert_eq!(validity(NOW, NOW, day), Duration::from_secs(1));
    }

    #[test]
    fn po_7_a_crossed_bound_says_what_is_left() {
        let expiry = Expiry::At(NOW.plus(MIN));
        let error = expiry.for_order(NOW.plus(MS)).unwrap_err();
        assert_eq!(error.to_string(), "order expires in 9m 59s 999ms, less than 10m");
    }

    proptest! {
        #[test]
        fn po_7_both_forms_are_judged_alike_at_the_same_instant(left_ms in 0..2 * 1_296_000_000_u64) {
            let [within, until] = both(Duration::from_millis(left_ms));
            prop_assert_eq!(within.check(NOW), until.check(NOW));
            prop_assert_eq!(within.check(NOW).is_ok(), (600_000..=1_296_000_000).contains(&left_ms));
            prop_assert_eq!(within.for_order(NOW), until.for_order(NOW));
        }

        #[test]
        fn a_written_expiry_is_read_back(left_ms in 0..1_296_000_000_u64) {
            for expiry in both(Duration::from_millis(left_ms)) {
                prop_assert_eq!(Expiry::parse(&expiry.to_string()).unwrap(), expiry);
            }
        }
    }
}
