//! Instants and durations as the contract writes them.
//!
//! An instant is epoch milliseconds, UTC (DA-5): on the wire RFC 3339 with an offset, or the
//! number itself. A duration is `"10m"`, `"48h"`, `"1d"`. Nothing here reads a clock: Redis TIME
//! rules, and whoever asks brings it along.

use super::excerpt::Excerpt;
use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// 2000-01-01T00:00:00Z. A smaller number is a time in seconds, not in milliseconds.
const EARLIEST_MS: i64 = 946_684_800_000;
/// 9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can write.
const LATEST_MS: i64 = 253_402_300_799_999;
/// No written time or duration is longer; a longer text is not worth parsing.
const MAX_CHARS: usize = 40;
/// Digits in one number of a duration: a billion hours is not a duration anybody means, and
/// below it no sum of units can overflow inside `humantime`.
const MAX_DIGITS: usize = 9;

/// Why a time or a duration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// Neither RFC 3339 with an offset nor epoch milliseconds.
    #[error(
        "{value} is not a time: RFC 3339 with an offset (2026-11-21T10:00:00+01:00) or epoch milliseconds"
    )]
    Time {
        /// What was written.
        value: Excerpt,
    },
    /// A number, but not between the years 2000 and 9999.
    #[error(
        "{value} is not between the years 2000 and 9999: epoch milliseconds are wanted, not seconds"
    )]
    TimeOutOfRange {
        /// What was written.
        value: i64,
    },
    /// Not a duration.
    #[error("{value} is not a duration: a whole number and a unit, as in 90s, 10m, 48h, 1d")]
    Duration {
        /// What was written.
        value: Excerpt,
    },
}

impl ClockError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Time { .. } | Self::TimeOutOfRange { .. } => "invalid_time",
            Self::Duration { .. } => "invalid_duration",
        }
    }
}

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EpochMs(pub i64);

impl EpochMs {
    /// Reads RFC 3339 with an offset, or the digits of epoch milliseconds.
    pub fn parse(text: &str) -> Result<Self, ClockError> {
        let text = text.trim();
        if !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit()) {
            let number = text.parse().map_err(|_| ClockError::Time {
                value: Excerpt::of(text),
            })?;
            return Self::from_number(number);
        }
        Self::parse_rfc3339(text)
    }

    /// Takes epoch milliseconds between the years 2000 and 9999.
    pub const fn from_number(ms: i64) -> Result<Self, ClockError> {
        if ms < EARLIEST_MS || ms > LATEST_MS {
            return Err(ClockError::TimeOutOfRange { value: ms });
        }
        Ok(Self(ms))
    }

    /// Reads RFC 3339 with an offset; finer than a millisecond is cut off.
    pub fn parse_rfc3339(text: &str) -> Result<Self, ClockError> {
        let refused = || ClockError::Time {
            value: Excerpt::of(text),
        };
        if text.len() > MAX_CHARS {
            return Err(refused());
        }
        let instant = DateTime::parse_from_rfc3339(text).map_err(|_| refused())?;
        Self::from_number(instant.timestamp_millis())
    }

    /// Writes `2026-11-21T09:00:00.000Z`; an instant that no calendar holds, as its number.
    pub fn to_rfc3339(self) -> String {
        DateTime::from_timestamp_millis(self.0).map_or_else(
            || self.0.to_string(),
            |t| t.to_rfc3339_opts(SecondsFormat::Millis, true),
        )
    }

    /// The instant `duration` later, at most the last one there is.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(as_ms(duration)))
    }

    /// The instant `duration` earlier, at least the first one there is.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(as_ms(duration)))
    }

    /// The time from `earlier` to this instant; nothing if it lies after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The time from this instant to `later`; nothing if it lies before it.
    pub fn until(self, later: Self) -> Duration {
        later.since(self)
    }
}

impl fmt::Display for EpochMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_rfc3339())
    }
}

fn as_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Reads `90s`, `10m`, `48h`, `1d`, `1h 30m`; `m` is minutes.
pub fn parse_duration(text: &str) -> Result<Duration, ClockError> {
    let refused = || ClockError::Duration {
        value: Excerpt::of(text),
    };
    let text = text.trim();
    let longest = text
        .split(|c: char| !c.is_ascii_digit())
        .map(str::len)
        .max()
        .unwrap_or(0);
    if text.len() > MAX_CHARS || longest > MAX_DIGITS || !text.is_ascii() || text.contains('.') {
        return Err(refused());
    }
    humantime::parse_duration(text).map_err(|_| refused())
}

/// Writes a duration the way [`parse_duration`] reads it: `15d`, `48h`, `9m 30s`.
///
/// Hours stay hours up to three days, as people say "48h" of an expiry.
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let (days, hours) = match ms / 3_600_000 {
        hours if hours > 72 => (hours / 24, hours % 24),
        hours => (0, hours),
    };
    let parts = [
        (days, "d"),
        (hours, "h"),
        (ms / 60_000 % 60, "m"),
        (ms / 1000 % 60, "s"),
        (ms % 1000, "ms"),
    ];
    let written: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    if written.is_empty() {
        "0s".to_owned()
    } else {
        written.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn da_5_an_instant_of_any_offset_is_utc() {
        let noon = EpochMs::parse("2026-11-21T12:00:00+01:00").unwrap();
        assert_eq!(noon, EpochMs::parse("2026-11-21T11:00:00Z").unwrap());
        assert_eq!(noon.to_rfc3339(), "2026-11-21T11:00:00.000Z");
        assert_eq!(EpochMs::parse("1795258800000").unwrap(), noon);
        assert_eq!(
            EpochMs::parse("2026-11-21T11:00:00.0019Z").unwrap().0,
            noon.0 + 1
        );
    }

    #[test]
    fn a_time_without_offset_or_in_seconds_is_refused() {
        for bad in [
            "2026-11-21T12:00:00",
            "2026-11-21",
            "tomorrow",
            "",
            "2026-02-30T00:00:00Z",
            "-5",
            "1e12",
        ] {
            let error = EpochMs::parse(bad).unwrap_err();
            assert_eq!(error.code(), "invalid_time");
            assert!(error.to_string().contains("is not a time"), "{error}");
        }
        let seconds = EpochMs::parse("1763719200").unwrap_err();
        assert_eq!(seconds.code(), "invalid_time");
        assert!(seconds.to_string().contains("1763719200"), "{seconds}");
        assert!(EpochMs::from_number(i64::MAX).is_err());
        assert!(EpochMs::from_number(-1).is_err());
    }

    #[test]
    fn durations_are_read_and_written_the_same_way() {
        for (text, seconds) in [
            ("90s", 90),
            ("10m", 600),
            ("48h", 172_800),
            ("1d", 86_400),
            ("1h 30m", 5_400),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        for (seconds, text) in [
            (540, "9m"),
            (172_800, "48h"),
            (16 * 86_400, "16d"),
            (0, "0s"),
            (3_661, "1h 1m 1s"),
        ] {
            assert_eq!(format_duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(format_duration(Duration::from_millis(1_500)), "1s 500ms");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let overflow = "18446744073709551615s 1000000000ns";
        for bad in [
            "",
            "48",
            "h",
            "-1h",
            "1.5h",
            "48 hours and a bit",
            "1x",
            overflow,
            "9999999999s",
            "１０m",
        ] {
            let error = parse_duration(bad).unwrap_err();
            assert_eq!(error.code(), "invalid_duration", "{bad}");
        }
    }

    #[test]
    fn arithmetic_stops_at_the_ends_of_time() {
        let (early, late) = (EpochMs(1_000), EpochMs(4_000));
        assert_eq!(late.since(early), Duration::from_secs(3));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early.until(late), Duration::from_secs(3));
        assert_eq!(early.plus(Duration::from_secs(3)), late);
        assert_eq!(late.minus(Duration::from_secs(3)), early);
        assert_eq!(late.plus(Duration::MAX), EpochMs(i64::MAX));
        assert_eq!(EpochMs(i64::MIN).since(EpochMs(i64::MAX)), Duration::ZERO);
        assert_eq!(EpochMs(i64::MAX).to_rfc3339(), i64::MAX.to_string());
    }

    proptest! {
        #[test]
        fn a_written_instant_is_read_back(ms in EARLIEST_MS..=LATEST_MS) {
            let instant = EpochMs(ms);
            prop_assert_eq!(EpochMs::parse(&instant.to_rfc3339()).unwrap(), instant);
            prop_assert_eq!(EpochMs::parse(&ms.to_string()).unwrap(), instant);
        }

        #[test]
        fn a_written_duration_is_read_back(ms in 0_u64..86_400_000 * 3_000) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(duration)).unwrap(), duration);
        }

        #[test]
        fn no_text_of_digits_and_units_panics(text in "([0-9]{1,12}[a-z]{1,4} ?){0,8}") {
            let _ = parse_duration(&text);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,50}") {
            let _ = (parse_duration(&text), EpochMs::parse(&text));
        }
    }
}
