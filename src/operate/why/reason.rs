//! What a reason holds: its code of the closed table, how it binds, who, since and until when, what to type.

use serde::Serialize;
use serde_json::Value;

pub use crate::job::ReasonCode;

use crate::domain::clock::EpochMs;

/// How a reason binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It holds nothing up.
    Tells,
    /// It ends by itself.
    Waits,
    /// Somebody has to act.
    Stops,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What to type.
    pub command: String,
    /// What that does.
    pub does: &'static str,
    /// The same as a control job without its id, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Value>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Which.
    pub code: ReasonCode,
    /// How it binds.
    pub effect: Effect,
    /// What it says here.
    pub sentence: String,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Since when (epoch ms).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<EpochMs>,
    /// Until when, or when it is expected to end (epoch ms).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<EpochMs>,
    /// What to do, the likeliest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

impl Reason {
    /// A reason that holds nothing up.
    pub fn tells(code: ReasonCode, sentence: impl Into<String>) -> Self {
        Self {
            code,
            effect: Effect::Tells,
            sentence: sentence.into(),
            by: None,
            since: None,
            until: None,
            steps: vec![],
        }
    }

    /// One that ends by itself.
    pub fn waits(code: ReasonCode, sentence: impl Into<String>) -> Self {
        Self { effect: Effect::Waits, ..Self::tells(code, sentence) }
    }

    /// One that somebody has to end.
    pub fn stops(code: ReasonCode, sentence: impl Into<String>) -> Self {
        Self { effect: Effect::Stops, ..Self::tells(code, sentence) }
    }

    /// Who did it.
    #[must_use]
    pub fn by(mut self, who: Option<String>) -> Self {
        self.by = who;
        self
    }

    /// Since when.
    #[must_use]
    pub fn since(mut self, at: Option<EpochMs>) -> Self {
        self.since = at;
        self
    }

    /// Until when.
    #[must_use]
    pub fn until(mut self, at: Option<EpochMs>) -> Self {
        self.until = at;
        self
    }

    /// Something to type.
    #[must_use]
    pub fn step(mut self, command: impl Into<String>, does: &'static str) -> Self {
        self.steps.push(Step { command: command.into(), does, job: None });
        self
    }

    /// Something to type that is a control job.
    #[must_use]
    pub fn job(mut self, command: impl Into<String>, does: &'static str, job: Value) -> Self {
        self.steps.push(Step { command: command.into(), does, job: Some(job) });
        self
    }
}
