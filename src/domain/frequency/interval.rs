//! `every`: a time that passes, or days on the calendar.
//!
//! `"24h"` is elapsed time: across a change of clocks the local hour moves. `"1d"` is a day on the calendar: the local
//! hour stays. The text alone says which is meant, so a mixture of both is refused.

use std::{fmt, time::Duration};

use crate::domain::{
    clock::{format_duration, parse_duration},
    excerpt::Excerpt,
};

use super::FrequencyError;

/// Most days between two ticks: two years.
const MAX_DAYS: u32 = 731;

/// The time between two ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// Time that passes, in whole milliseconds.
    Elapsed(Duration),
    /// Days on the calendar of the zone.
    Days(u32),
}

impl Interval {
    /// Reads `24h`, `90m` (elapsed), `1d`, `2w` (calendar).
    pub fn parse(text: &str) -> Result<Self, FrequencyError> {
        let refused = || FrequencyError::Interval { value: Excerpt::of(text) };
        let text = text.trim();
        let days = text.strip_suffix('d').map(|n| (n, 1)).or_else(|| text.strip_suffix('w').map(|n| (n, 7)));
        if let Some((number, of)) = days
            && !number.is_empty()
            && number.len() <= 6
            && number.bytes().all(|b| b.is_ascii_digit())
        {
            let days = number.parse::<u32>().map_err(|_| refused())?.saturating_mul(of);
            return if (1..=MAX_DAYS).contains(&days) { Ok(Self::Days(days)) } else { Err(refused()) };
        }
        let elapsed = parse_duration(text).map_err(|_| refused())?;
        let whole = elapsed.subsec_nanos().is_multiple_of(1_000_000);
        if text.contains(['d', 'w', 'y', 'M']) || text.contains("mo") || elapsed.is_zero() || !whole {
            return Err(refused());
        }
        if elapsed > Duration::from_hours(24 * u64::from(MAX_DAYS)) {
            return Err(refused());
        }
        Ok(Self::Elapsed(elapsed))
    }

    /// About how long it is; a day on the calendar may have an hour more or less.
    pub fn about(self) -> Duration {
        match self {
            Self::Elapsed(elapsed) => elapsed,
            Self::Days(days) => Duration::from_hours(24 * u64::from(days)),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elapsed(elapsed) => f.pad(&format_duration(*elapsed)),
            Self::Days(days) => f.pad(&format!("{days}d")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bm_7_hours_pass_and_days_keep_the_wall_clock() {
        assert_eq!(Interval::parse("24h"), Ok(Interval::Elapsed(Duration::from_hours(24))));
        assert_eq!(Interval::parse("1h 30m"), Ok(Interval::Elapsed(Duration::from_mins(90))));
        assert_eq!(Interval::parse("200ms"), Ok(Interval::Elapsed(Duration::from_millis(200))));
        assert_eq!(Interval::parse("1d"), Ok(Interval::Days(1)));
        assert_eq!(Interval::parse("2w"), Ok(Interval::Days(14)));
    }

    #[test]
    fn a_mixture_a_month_and_nothing_are_refused() {
        for bad in
            ["1d 12h", "0s", "0d", "1M", "1 month", "1y", "", "d", "24", "-1h", "1500us", "800d", "99999999h", "1.5h"]
        {
            assert_eq!(Interval::parse(bad).unwrap_err().code(), "invalid_duration", "{bad}");
        }
    }
}
