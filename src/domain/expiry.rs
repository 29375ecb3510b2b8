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
            Err(ExpiryError::TooShort { value }) => Err(ExpiryError::TooSoon {
                left: value,
                least: MIN,
            }),
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

    /// Whether an order generated at `at` has expired when the sending ends: the warning
    /// `will_expire_unsent` of acceptance and preview.
    pub fn will_expire_unsent(&self, at: EpochMs, sending_ends: EpochMs) -> bool {
        self.expires_at(at) <= sending_ends
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

/// The time a message may take to arrive, which a provider gets as its validity; refused when the
/// order has less than `floor` left (PO-19).
pub fn validity(
    expires_at: EpochMs,
    now: EpochMs,
    floor: Duration,
) -> Result<Duration, ExpiryError> {
    let left = expires_at.since(now);
    if left.is_zero() || left < floor {
        return Err(ExpiryError::TooSoon { left, least: floor });
    }
    Ok(left)
}
