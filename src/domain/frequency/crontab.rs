//! A crontab line, five fields, as POSIX and the usual cron read it.
//!
//! Minute, hour, day of the month, month, day of the week: `*`, numbers, ranges, lists, steps, and the English names
//! of months and weekdays. Sunday is 0 or 7. Where both day fields are restricted a day has to match **one** of them;
//! a field that begins with `*` restricts nothing in this sense, steps or not, as in the usual cron.
//!
//! The crate `cron` finds the next match. It reads another dialect (seconds first, weekdays 1 to 7 from Sunday, both
//! day fields at once), so it is given lists of plain numbers, and two schedules where one would mean *and*. It sees
//! local times without a zone; the zone's odd hours are [`Zone`](crate::domain::zone::Zone)'s.

use std::{collections::BTreeSet, fmt, str::FromStr as _, time::Duration};

use chrono::{Datelike as _, NaiveDate, NaiveDateTime};

use crate::domain::excerpt::Excerpt;

use super::FrequencyError;

/// A longer line means nothing that a shorter one could not say.
const MAX_CHARS: usize = 200;

/// The calendar repeats itself after so many years, until 2100.
const CYCLE_YEARS: i32 = 28;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One of the five fields.
struct Field {
    name: &'static str,
    lowest: u32,
    highest: u32,
    /// Its names, the first of which stands for `lowest`.
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", lowest: 0, highest: 59, names: &[] };
const HOUR: Field = Field { name: "hour", lowest: 0, highest: 23, names: &[] };
const DAY: Field = Field { name: "day of the month", lowest: 1, highest: 31, names: &[] };
const MONTH: Field = Field { name: "month", lowest: 1, highest: 12, names: &MONTHS };
const WEEKDAY: Field = Field { name: "day of the week", lowest: 0, highest: 7, names: &WEEKDAYS };

/// Which days match: both fields at once where one of them is open, else either.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Days {
    of_month: BTreeSet<u32>,
    /// 0 to 6 from Sunday.
    of_week: BTreeSet<u32>,
    either: bool,
}

/// A crontab line that fires.
#[derive(Debug, Clone)]
pub struct Crontab {
    text: String,
    minutes: BTreeSet<u32>,
    hours: BTreeSet<u32>,
    days: Days,
    months: BTreeSet<u32>,
    schedules: Vec<cron::Schedule>,
}

impl PartialEq for Crontab {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Crontab {}

impl Crontab {
    /// Reads a line; refuses one that fires on no day of the calendar.
    pub fn parse(text: &str) -> Result<Self, FrequencyError> {
        let refused = |rule: String| FrequencyError::Crontab { value: Excerpt::of(text), rule };
        if text.len() > MAX_CHARS {
            return Err(refused(format!("it has more than {MAX_CHARS} characters")));
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            let wanted = "minute, hour, day of the month, month, day of the week";
            return Err(refused(format!("it has {} fields, and 5 are wanted: {wanted}", fields.len())));
        };
        let read = |field: &Field, text: &str| field.read(text).map_err(&refused);
        let days = Days {
            of_month: read(&DAY, day)?,
            of_week: read(&WEEKDAY, weekday)?.into_iter().map(|weekday| weekday % 7).collect(),
            either: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        let mut crontab = Self {
            text: fields.join(" "),
            minutes: read(&MINUTE, minute)?,
            hours: read(&HOUR, hour)?,
            days,
            months: read(&MONTH, month)?,
            schedules: Vec::new(),
        };
        if !cycle().any(|date| crontab.matches(date)) {
            return Err(FrequencyError::NeverFires { value: Excerpt::of(text) });
        }
        crontab.schedules = crontab.translated().map_err(|error| refused(error.to_string()))?;
        Ok(crontab)
    }

    /// The first match after a local time; `None` after the year 2100.
    pub fn after(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let next = |schedule: &cron::Schedule| schedule.after(&local.and_utc()).next();
        self.schedules.iter().filter_map(next).min().map(|found| found.naive_utc())
    }

    /// The shortest time between two matches, by local time.
    pub fn shortest(&self) -> Duration {
        let times: Vec<u32> = self.hours.iter().flat_map(|h| self.minutes.iter().map(move |m| h * 60 + m)).collect();
        let within = times.iter().zip(times.iter().skip(1)).map(|(earlier, later)| later - earlier).min();
        let dates: Vec<i32> = cycle().filter(|date| self.matches(*date)).map(|date| date.num_days_from_ce()).collect();
        let days = dates.iter().zip(dates.iter().skip(1)).map(|(earlier, later)| later - earlier).min();
        let across = match (days, times.first(), times.last()) {
            (Some(days), Some(first), Some(last)) => Some(days.unsigned_abs() * 1440 + first - last),
            _ => None,
        };
        Duration::from_mins(within.into_iter().chain(across).min().unwrap_or(u32::MAX).into())
    }

    fn matches(&self, date: NaiveDate) -> bool {
        let of_month = self.days.of_month.contains(&date.day());
        let of_week = self.days.of_week.contains(&date.weekday().num_days_from_sunday());
        let day = if self.days.either { of_month || of_week } else { of_month && of_week };
        day && self.months.contains(&date.month())
    }

    /// The same in the dialect of the crate: seconds first, plain numbers, weekdays from 1.
    fn translated(&self) -> Result<Vec<cron::Schedule>, cron::error::Error> {
        let list = |set: &BTreeSet<u32>| set.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let of_month = list(&self.days.of_month);
        let of_week = list(&self.days.of_week.iter().map(|weekday| weekday + 1).collect());
        let (minutes, hours, months) = (list(&self.minutes), list(&self.hours), list(&self.months));
        let line = |of_month: &str, of_week: &str| format!("0 {minutes} {hours} {of_month} {months} {of_week}");
        let lines = if self.days.either {
            vec![line(&of_month, "*"), line("*", &of_week)]
        } else {
            vec![line(&of_month, &of_week)]
        };
        lines.iter().map(|line| cron::Schedule::from_str(line)).collect()
    }
}

impl fmt::Display for Crontab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Every date until the calendar repeats itself: each weekday with each date, leap years too.
fn cycle() -> impl Iterator<Item = NaiveDate> {
    let first = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default();
    first.iter_days().take_while(move |date| date.year() < first.year() + CYCLE_YEARS)
}

impl Field {
    fn read(&self, text: &str) -> Result<BTreeSet<u32>, String> {
        let mut numbers = BTreeSet::new();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                None => (part, None),
                Some((range, step)) => (range, Some(self.step(step)?)),
            };
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (self.lowest, self.highest_open()),
                Some((from, to)) => self.range(from, to)?,
                None if step.is_some() => {
                    return Err(format!(
                        "{part} in the {}: a step follows * or a range, as in */5 or 10-50/5",
                        self.name
                    ));
                }
                None => {
                    let number = self.number(range)?;
                    (number, number)
                }
            };
            numbers.extend((from..=to).step_by(step.unwrap_or(1)));
        }
        Ok(numbers)
    }

    /// Seven is Sunday where it is written, and is not a day more in `*`.
    const fn highest_open(&self) -> u32 {
        if self.highest == 7 { 6 } else { self.highest }
    }

    fn range(&self, from: &str, to: &str) -> Result<(u32, u32), String> {
        let from = self.number(from)?;
        // Until Sunday, by name, is until the end of the week.
        let to = match self.number(to)? {
            0 if self.highest == 7 && from > 0 && !to.starts_with('0') => 7,
            to => to,
        };
        if from > to {
            return Err(format!("the range {from}-{to} in the {} ends before it begins", self.name));
        }
        Ok((from, to))
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(at) = self.names.iter().position(|name| *name == lower) {
            return Ok(self.lowest + u32::try_from(at).unwrap_or(0));
        }
        let number = self.digits(text)?;
        if (self.lowest..=self.highest).contains(&number) {
            return Ok(number);
        }
        Err(format!("{number} is no {}: {} to {} are", self.name, self.lowest, self.highest))
    }

    fn step(&self, text: &str) -> Result<usize, String> {
        let step = self.digits(text)?;
        if step == 0 || step > self.highest {
            return Err(format!("{step} is no step in the {}: 1 to {} are", self.name, self.highest));
        }
        usize::try_from(step).map_err(|error| error.to_string())
    }

    fn digits(&self, text: &str) -> Result<u32, String> {
        let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let number = if is_number { text.parse().ok() } else { None };
        number.ok_or_else(|| format!("{} is not understood in the {}", Excerpt::of(text), self.name))
    }
}

#[cfg(test)]
mod tests;
