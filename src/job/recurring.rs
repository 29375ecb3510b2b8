//! The job `recurring`: a permanent bulk message, which says when it is due and goes on until it is stopped.
//!
//! A [`BulkMessage`] and its [`Times`]. A `send` whose frequency says `every` or `cron` is the same: its fields are put
//! in these places before anything is decoded ([`RawJob::repeated`]). Whether campaign, channel and template exist, and which
//! interval is the shortest allowed, is the handler's question.

use std::time::Duration;

use serde_json::Value;

use super::codes::RejectionCode;
use super::envelope::RawJob;
use super::fields::Fields;
use super::rejection::Rejection;
use super::send::BulkMessage;
use crate::domain::Excerpt;
use crate::domain::clock::{ClockError, EpochMs, parse_duration};
use crate::domain::frequency::crontab::Crontab;
use crate::domain::frequency::interval::Interval;
use crate::domain::frequency::tick::{Misfire, Overlap, default_grace};
use crate::domain::frequency::{Frequency, FrequencyError, Schedule};
use crate::domain::name::Name;
use crate::domain::zone::{Zone, ZoneError};

/// The fields of a definition's times; `send` takes them in its `frequency`.
pub(super) const TIMES_FIELDS: &[&str] =
    &["every", "cron", "timezone", "starts_at", "until", "max_runs", "misfire", "overlap", "grace"];

/// A decoded job of the queue `recurring`.
#[derive(Debug, Clone, PartialEq)]
pub struct RecurringJob {
    /// The definition's name in its campaign.
    pub recurring: Name,
    /// What is sent to whom.
    pub bulk: BulkMessage,
    /// When.
    pub times: Times,
    /// The job's own fields as canonical JSON: a definition is kept as it was written.
    pub written: String,
}

/// When a permanent message is due, and what becomes of due times that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// How often.
    pub frequency: Frequency,
    /// The zone of the wall clock.
    pub zone: Zone,
    /// Nothing is due before it.
    pub starts_at: Option<EpochMs>,
    /// Nothing is due after it.
    pub until: Option<EpochMs>,
    /// Stopped after so many runs.
    pub max_runs: Option<u64>,
    /// What becomes of due times that nobody saw.
    pub misfire: Misfire,
    /// What becomes of a due time while the run before is under way.
    pub overlap: Overlap,
    /// How late a run may be; absent, the smaller of half the interval and 24 h.
    pub grace: Option<Duration>,
}

impl Times {
    /// The schedule, counted from `first`.
    pub fn schedule(&self, first: EpochMs) -> Schedule {
        Schedule { frequency: self.frequency.clone(), zone: self.zone, first, until: self.until }
    }

    /// How late a run may be.
    pub fn grace(&self) -> Duration {
        self.grace.unwrap_or_else(|| default_grace(self.frequency.shortest()))
    }

    fn decode(fields: &mut Fields) -> Result<Self, Rejection> {
        let every = fields.parsed("every", Interval::parse, FrequencyError::code)?;
        let cron = fields.parsed("cron", Crontab::parse, FrequencyError::code)?;
        let frequency = match (every, cron) {
            (Some(every), None) => Frequency::Every(every),
            (None, Some(cron)) => Frequency::Cron(Box::new(cron)),
            (None, None) => {
                let rule = "every (an interval such as 24h or 1d) or cron (a crontab line) must be given";
                return Err(fields.refuse(RejectionCode::MissingField, "every", rule));
            }
            (Some(_), Some(_)) => {
                let rule = "at most one of every and cron may be given";
                return Err(fields.refuse(RejectionCode::ConflictingFields, "cron", rule));
            }
        };
        let zone = fields.parsed("timezone", Zone::parse, ZoneError::code)?.unwrap_or(Zone::UTC);
        let (starts_at, until) = (fields.instant("starts_at")?, fields.instant("until")?);
        if let (Some(starts_at), Some(until)) = (starts_at, until)
            && until < starts_at
        {
            let rule = format!("{until} is before starts_at, {starts_at}: nothing would ever be due");
            return Err(fields.refuse(RejectionCode::ConflictingTimes, "until", rule));
        }
        Ok(Self {
            frequency,
            zone,
            starts_at,
            until,
            max_runs: fields.count("max_runs")?,
            misfire: fields.word("misfire", Misfire::parse, Misfire::ALL)?.unwrap_or_default(),
            overlap: fields.word("overlap", Overlap::parse, Overlap::ALL)?.unwrap_or_default(),
            grace: fields.parsed("grace", parse_duration, ClockError::code)?,
        })
    }
}

impl RecurringJob {
    /// Decodes the fields that the envelope left.
    pub(super) fn decode(mut fields: Fields) -> Result<Self, Rejection> {
        let written = fields.canonical();
        let recurring = fields.name("recurring")?;
        let recurring = fields.required("recurring", recurring)?;
        let times = Times::decode(&mut fields)?;
        Ok(Self { recurring, bulk: BulkMessage::decode(&mut fields)?, times, written })
    }

    /// A definition as it is kept: [`Self::written`] of an earlier job.
    pub fn of_written(written: &str) -> Result<Self, Rejection> {
        let known: Vec<&str> = super::recurring_fields();
        match serde_json::from_str(written) {
            Ok(Value::Object(object)) => Self::decode(Fields::of_job(object, &known)?),
            Ok(_) | Err(_) => Err(Rejection::new(RejectionCode::NotJson, "the definition is not a JSON object")),
        }
    }
}

impl RawJob {
    /// The same job in the words of the queue `recurring`, if a job of `send` says how often. Two words for one thing are
    /// refused as they would be there.
    pub(super) fn repeated(&self) -> Option<Result<Self, Rejection>> {
        let frequency = self.field("frequency")?.as_object()?;
        if !frequency.contains_key("every") && !frequency.contains_key("cron") {
            return None;
        }
        let mut job = self.clone().into_object();
        job.remove("frequency");
        if let Some(message) = job.remove("message") {
            job.insert("recurring".to_owned(), message);
        }
        for (name, value) in frequency {
            if !TIMES_FIELDS.contains(&name.as_str()) {
                let known = TIMES_FIELDS.join(", ");
                let rule = format!("{} is not a field of frequency: known are at, {known}", Excerpt::of(name));
                return Some(Err(Rejection::of_field(RejectionCode::UnknownField, format!("frequency.{name}"), rule)));
            }
            if job.insert(name.clone(), value.clone()).is_some() {
                let rule = "the field stands beside frequency and in it";
                return Some(Err(Rejection::of_field(RejectionCode::ConflictingFields, name.clone(), rule)));
            }
        }
        Some(Ok(Self::of_object(job)))
    }
}
