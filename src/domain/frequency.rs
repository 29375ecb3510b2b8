//! When a permanent message is due (BM-7): an interval or a crontab, from a first time on, in a zone.
//!
//! Pure: [`Schedule::after`] says the next due time after an instant, [`Schedule::due`] what came due while nobody
//! looked. Elapsed time is counted from the first due time and knows no zone; days on the calendar and crontabs are
//! counted on local time, and [`Zone`] decides what a local time is that does not exist or occurs twice: each runs
//! once. What is done about what came due is [`tick`]'s.

pub mod crontab;
pub mod interval;
pub mod tick;

use std::{fmt, time::Duration};

use chrono::TimeDelta;

use super::{
    clock::{EpochMs, format_duration},
    excerpt::Excerpt,
    zone::Zone,
};

use crontab::Crontab;
use interval::Interval;

/// Missed times that are counted; of more it is said that they are at least so many.
pub const COUNTED_MAX: u64 = 10_000;

/// Why a frequency was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrequencyError {
    /// Not an interval.
    #[error(
        "{value} is not an interval: hours and minutes that pass, as in 24h or 90m, or days on the calendar, as in 1d \
         or 2w; not both, from 1 to 731 days at most"
    )]
    Interval {
        /// What was written.
        value: Excerpt,
    },
    /// Not a crontab line.
    #[error("{value} is not a crontab line: {rule}")]
    Crontab {
        /// What was written.
        value: Excerpt,
        /// What is wrong with it.
        rule: String,
    },
    /// No date of the calendar matches.
    #[error("{value} never fires: no date of the calendar matches it")]
    NeverFires {
        /// What was written.
        value: Excerpt,
    },
    /// More often than allowed.
    #[error("{written} comes every {}, and the shortest interval allowed here is {} (recurring.min_interval)", format_duration(*.shortest), format_duration(*.min))]
    TooOften {
        /// The frequency.
        written: Excerpt,
        /// The shortest time between two ticks.
        shortest: Duration,
        /// The minimum.
        min: Duration,
    },
}

impl FrequencyError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Interval { .. } => "invalid_duration",
            Self::Crontab { .. } => "invalid_crontab",
            Self::NeverFires { .. } => "crontab_never_fires",
            Self::TooOften { .. } => "interval_too_short",
        }
    }
}

/// How often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frequency {
    /// So long after each other, the first at the first time.
    Every(Interval),
    /// Whenever the crontab matches, from the first time on.
    Cron(Box<Crontab>),
}

impl Frequency {
    /// The shortest time between two due times; days on the calendar count as 24 hours.
    pub fn shortest(&self) -> Duration {
        match self {
            Self::Every(interval) => interval.about(),
            Self::Cron(crontab) => crontab.shortest(),
        }
    }

    /// Refuses what comes more often than every `min`.
    pub fn check(&self, min: Duration) -> Result<(), FrequencyError> {
        let shortest = self.shortest();
        if shortest >= min {
            return Ok(());
        }
        Err(FrequencyError::TooOften { written: Excerpt::of(&self.to_string()), shortest, min })
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(interval) => interval.fmt(f),
            Self::Cron(crontab) => crontab.fmt(f),
        }
    }
}

/// A frequency with its first time, its last one and its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// How often.
    pub frequency: Frequency,
    /// Where the wall clock hangs.
    pub zone: Zone,
    /// Nothing is due before it; intervals are counted from it.
    pub first: EpochMs,
    /// Nothing is due after it.
    pub until: Option<EpochMs>,
}

/// What came due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The earliest.
    pub first: EpochMs,
    /// The latest.
    pub last: EpochMs,
    /// How many, at most [`COUNTED_MAX`].
    pub count: u64,
}

impl Schedule {
    /// The first due time after an instant.
    pub fn after(&self, at: EpochMs) -> Option<EpochMs> {
        let next = match &self.frequency {
            Frequency::Every(_) if at < self.first => Some(self.first),
            Frequency::Every(Interval::Elapsed(elapsed)) => self.elapsed(*elapsed, at),
            Frequency::Every(Interval::Days(days)) => self.days(*days, at),
            Frequency::Cron(crontab) => self.matching(crontab, at),
        };
        next.filter(|next| self.until.is_none_or(|until| *next <= until))
    }

    /// The due times from `next`, itself one, to `now`.
    pub fn due(&self, next: EpochMs, now: EpochMs) -> Option<Due> {
        if next > now {
            return None;
        }
        let (mut last, mut count) = (next, 1);
        while let Some(later) = self.after(last).filter(|later| *later <= now) {
            if count >= COUNTED_MAX {
                return Some(Due { first: next, last: self.latest(last, now), count });
            }
            (last, count) = (later, count + 1);
        }
        Some(Due { first: next, last, count })
    }

    /// The coming due times.
    pub fn coming(&self, after: EpochMs) -> impl Iterator<Item = EpochMs> {
        std::iter::successors(self.after(after), |at| self.after(*at))
    }

    /// The latest due time in `known..=now`, without going through all of them.
    fn latest(&self, known: EpochMs, now: EpochMs) -> EpochMs {
        // Halving: whether anything is due after a time, up to now, is answered by one look.
        let (mut due, mut none_after) = (known, now);
        while due < none_after {
            let middle = EpochMs(due.0 + (none_after.0 - due.0) / 2);
            match self.after(middle).filter(|later| *later <= now) {
                Some(later) => due = later,
                None if middle == due => break,
                None => none_after = middle,
            }
        }
        self.after(due).filter(|later| *later <= now).unwrap_or(due)
    }

    fn elapsed(&self, elapsed: Duration, at: EpochMs) -> Option<EpochMs> {
        let step = i64::try_from(elapsed.as_millis()).ok().filter(|step| *step > 0)?;
        let passed = at.0.checked_sub(self.first.0)?.div_euclid(step);
        self.first.0.checked_add(passed.checked_add(1)?.checked_mul(step)?).map(EpochMs)
    }

    fn days(&self, days: u32, at: EpochMs) -> Option<EpochMs> {
        let (first, days) = (self.zone.local(self.first), i64::from(days));
        let passed = self.zone.local(at).signed_duration_since(first).num_days() / days;
        // One earlier to begin with: an odd hour may have put the due time after the local time asked for.
        (passed.saturating_sub(1).max(0)..).take(4).find_map(|n| {
            let local = first.checked_add_signed(TimeDelta::try_days(n.checked_mul(days)?)?)?;
            // The first one is the instant that was said, also in an hour that occurs twice.
            let due = if n == 0 { Some(self.first) } else { self.zone.instant(local) };
            due.filter(|due| *due > at)
        })
    }

    fn matching(&self, crontab: &Crontab, at: EpochMs) -> Option<EpochMs> {
        // A match at the first time itself counts.
        let at = at.max(EpochMs(self.first.0.saturating_sub(1)));
        let mut local = self.zone.local(at);
        // Behind an hour that occurs twice, its matches lie in the past: they ran the first time.
        loop {
            local = crontab.after(local)?;
            let due = self.zone.instant(local)?;
            if due > at {
                return Some(due);
            }
        }
    }
}

#[cfg(test)]
mod tests;
