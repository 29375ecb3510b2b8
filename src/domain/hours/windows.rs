//! The hours that bind a run: those of its channel and those of its message, all at once.
//!
//! They are captured when the run is made, so that a later change of the configuration does not reach it.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::{Hours, Otherwise};
use crate::domain::clock::EpochMs;

/// Steps from one opening to the next that are taken; two sets of hours that never meet end here.
const STEPS_MAX: usize = 2_000;

/// How an instant lies to the hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// Messages may leave.
    Open {
        /// Until then; nothing where that is far ahead.
        until: Option<EpochMs>,
    },
    /// They may not.
    Closed {
        /// Until then.
        opens: EpochMs,
        /// Why: `outside_hours`, `closed`, or the reason of a date.
        reason: String,
    },
}

/// Sets of hours that all bind; none at all binds nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactHours(Vec<Hours>);

impl ContactHours {
    /// The hours of a channel and of a message, as far as there are any.
    pub fn of(channel: Option<&Hours>, message: Option<&Hours>) -> Self {
        Self(channel.into_iter().chain(message).cloned().collect())
    }

    /// Whether nothing binds.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What becomes of what may not leave: as the message says, else its channel.
    pub fn otherwise(&self) -> Otherwise {
        self.0.iter().rev().find_map(Hours::otherwise).unwrap_or(Otherwise::Hold)
    }

    /// How an instant lies.
    pub fn at(&self, now: EpochMs) -> Moment {
        match self.0.iter().find_map(|hours| hours.closed(now)) {
            None => Moment::Open { until: self.0.iter().filter_map(|hours| hours.closes(now)).min() },
            Some(reason) => Moment::Closed { opens: self.opens(now), reason },
        }
    }

    /// The first instant from `now` on at which messages may leave.
    pub fn opens(&self, now: EpochMs) -> EpochMs {
        let mut at = now;
        for _ in 0..STEPS_MAX {
            let next = self.0.iter().fold(at, |at, hours| hours.opens(at));
            if next == at {
                break;
            }
            at = next;
        }
        at
    }

    /// When work that takes so long is done if it begins at `from` and rests outside the hours.
    pub fn done(&self, from: EpochMs, work: Duration) -> EpochMs {
        let (mut at, mut left) = (from, work);
        for _ in 0..STEPS_MAX {
            match self.at(at) {
                Moment::Closed { opens, .. } => at = opens,
                Moment::Open { until: Some(until) } if until.since(at) < left => {
                    left = left.saturating_sub(until.since(at));
                    at = until;
                }
                Moment::Open { .. } => break,
            }
        }
        at.plus(left)
    }

    /// The form in which a run keeps them; empty where nothing binds.
    pub fn to_json(&self) -> String {
        if self.is_empty() { String::new() } else { serde_json::to_string(self).unwrap_or_default() }
    }
}

impl Serialize for ContactHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.iter().map(Hours::to_json).collect::<Vec<Value>>().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ContactHours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sets = Vec::<Value>::deserialize(deserializer)?;
        sets.iter().map(Hours::parse).collect::<Result<_, _>>().map(Self).map_err(de::Error::custom)
    }
}
