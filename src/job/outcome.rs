//! The end of a job's turn as a value.
//!
//! A handler returns an [`Outcome`]; only the queue settles it (acks, adds the next entry, arms the alarm, writes the
//! status), in one place and one script. Nothing in a handler acks or enqueues.

use std::borrow::Cow;

use serde_json::Value;

use super::codes::DeadCode;
use super::rejection::Rejection;
use crate::domain::clock::EpochMs;

/// What is to become of a job after one turn of its handler.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "an outcome that nobody settles leaves its job pending"]
pub enum Outcome {
    /// The job's work is written.
    Done {
        /// Its result, shown in the job's status.
        result: Value,
        /// Runs to wake, now or at a time.
        next: Vec<Next>,
    },
    /// There is more to do: a slot's entry goes to the tail of its queue; a job's entry rests a little, or is given
    /// back when the daemon drains. No attempt is counted.
    Again,
    /// A passing trouble: the same job again at that time, with the next attempt.
    Retry {
        /// The failure's short code.
        failure_code: Cow<'static, str>,
        /// The failure as a sentence.
        sentence: String,
        /// When.
        at: EpochMs,
    },
    /// Not now, and nobody's fault: the same job again at that time, no attempt counted.
    Snooze {
        /// When.
        until: EpochMs,
    },
    /// The job cannot be accepted as it is.
    Rejected {
        /// Why.
        rejection: Rejection,
    },
    /// The job was accepted and cannot be finished.
    Dead {
        /// Why.
        code: DeadCode,
        /// The same as a sentence.
        sentence: String,
    },
}

/// A run whose slots are to be put to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// Its campaign.
    pub campaign: String,
    /// Its name.
    pub run: String,
    /// When; at once without.
    pub at: Option<EpochMs>,
}

impl Outcome {
    /// Done, with nothing to follow.
    pub fn done(result: Value) -> Self {
        Self::Done { result, next: Vec::new() }
    }
}

impl From<Rejection> for Outcome {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected { rejection }
    }
}
