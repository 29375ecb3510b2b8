//! Contact hours: when messages may leave, in the local time of a zone (BM-1, BM-2, BM-3, PO-23).
//!
//! A weekday has one or two blocks, half open, or is closed, or says nothing and is unrestricted (BM-2). Dates and holidays
//! are closed with a reason, whatever their weekday says. Wall clocks count, also on the days they are changed: an hour
//! that occurs twice is inside twice, one that does not exist is inside never. [`spec`] reads what is written, from the
//! configuration, a job or a run; [`holidays`] knows the calendars; [`windows`] puts the hours of a channel and those of a
//! message together: both bind.

use chrono::{Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};

use super::clock::EpochMs;
use super::word::words;
use super::zone::Zone;

pub mod holidays;
pub mod spec;
pub mod windows;

use holidays::Calendar;
pub use spec::HoursError;
pub use windows::{ContactHours, Moment};

/// Days looked ahead for an opening. Whoever has none by then is asked again.
const AHEAD_DAYS: u64 = 400;
/// Days looked ahead for the end of what is open: further ahead nobody needs to know.
const CLOSES_DAYS: u64 = 8;
/// Zones are at most so far from UTC.
const OFFSET_MAX_MS: i64 = 15 * 3_600_000;
const SECONDS_A_DAY: u32 = 24 * 3600;

words! {
    /// What becomes of a message that may not leave now.
    pub enum Otherwise {
        /// It waits until it may. The default.
        Hold = "hold",
        /// It is not sent.
        Skip = "skip",
    }
}

/// Seconds of a day from which on, and up to which, messages may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    from: u32,
    to: u32,
}

/// What a weekday says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Day {
    /// Nothing: any time.
    Unrestricted,
    /// No time.
    Closed,
    /// Inside one of these, which do not overlap.
    Blocks(Vec<Block>),
}

/// Dates on which nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedDates {
    first: NaiveDate,
    last: NaiveDate,
    reason: String,
}

/// The hours of one channel, or of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    zone: Zone,
    /// From Monday on.
    week: [Day; 7],
    dates: Vec<ClosedDates>,
    holidays: Option<Calendar>,
    otherwise: Option<Otherwise>,
}

impl Hours {
    /// Where the wall clock hangs.
    pub const fn zone(&self) -> Zone {
        self.zone
    }

    /// What becomes of what may not leave, if they say so.
    pub const fn otherwise(&self) -> Option<Otherwise> {
        self.otherwise
    }

    /// Why messages may not leave now; nothing where they may.
    pub fn closed(&self, at: EpochMs) -> Option<String> {
        let local = self.zone.local(at);
        if let Some(reason) = self.closed_date(local.date()) {
            return Some(reason);
        }
        match self.day(local.date()) {
            Day::Unrestricted => None,
            Day::Closed => Some("closed".to_owned()),
            Day::Blocks(blocks) => {
                let second = local.num_seconds_from_midnight();
                let inside = blocks.iter().any(|block| (block.from..block.to).contains(&second));
                (!inside).then(|| "outside_hours".to_owned())
            }
        }
    }

    /// The first instant from `at` on at which messages may leave; where there is none within a year, the end of it.
    pub fn opens(&self, at: EpochMs) -> EpochMs {
        if self.closed(at).is_none() {
            return at;
        }
        let today = self.zone.local(at).date();
        let coming = (0..AHEAD_DAYS).filter_map(|n| today.checked_add_days(Days::new(n)));
        let opening = coming
            .filter(|date| self.may_open(*date))
            .find_map(|date| self.changes(date).into_iter().filter(|t| *t >= at && self.closed(*t).is_none()).min());
        opening.unwrap_or_else(|| at.plus(std::time::Duration::from_hours(24 * AHEAD_DAYS)))
    }

    /// The first instant after `at` at which they may not; nothing where that is more than a week ahead.
    pub fn closes(&self, at: EpochMs) -> Option<EpochMs> {
        let today = self.zone.local(at).date();
        (0..CLOSES_DAYS)
            .filter_map(|n| today.checked_add_days(Days::new(n)))
            .find_map(|date| self.changes(date).into_iter().filter(|t| *t > at && self.closed(*t).is_some()).min())
    }

    fn day(&self, date: NaiveDate) -> &Day {
        let weekday = usize::try_from(date.weekday().num_days_from_monday()).unwrap_or(0);
        self.week.get(weekday).unwrap_or(&Day::Unrestricted)
    }

    fn closed_date(&self, date: NaiveDate) -> Option<String> {
        let named = self.dates.iter().find(|dates| (dates.first..=dates.last).contains(&date));
        named.map(|dates| dates.reason.clone()).or_else(|| Some(self.holidays?.name_of(date)?.to_owned()))
    }

    fn may_open(&self, date: NaiveDate) -> bool {
        *self.day(date) != Day::Closed && self.closed_date(date).is_none()
    }

    /// Instants at which inside may become outside, or outside inside, on a date: its ends, those of its blocks, each
    /// under both offsets where clocks are changed, and the change itself. Others may be among them.
    fn changes(&self, date: NaiveDate) -> Vec<EpochMs> {
        let mut seconds = vec![0, SECONDS_A_DAY];
        if let Day::Blocks(blocks) = self.day(date) {
            seconds.extend(blocks.iter().flat_map(|block| [block.from, block.to]));
        }
        let midnight = EpochMs(NaiveDateTime::new(date, NaiveTime::MIN).and_utc().timestamp_millis());
        let (early, late) = (EpochMs(midnight.0 - OFFSET_MAX_MS), EpochMs(midnight.0 + 86_400_000 + OFFSET_MAX_MS));
        let offset_ms = |at: EpochMs| i64::from(self.zone.offset_seconds(at)) * 1000;
        let offsets = [offset_ms(early), offset_ms(late)];
        let mut changes: Vec<EpochMs> = seconds
            .into_iter()
            .flat_map(|second| offsets.map(|offset| EpochMs(midnight.0 + i64::from(second) * 1000 - offset)))
            .collect();
        if let [before, after] = offsets
            && before != after
        {
            let (mut low, mut high) = (early.0, late.0);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if offset_ms(EpochMs(middle)) == before {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            changes.push(EpochMs(high));
        }
        changes
    }
}

#[cfg(test)]
mod tests;
