//! `preview`: a generate job as it would be enqueued, and how much a person wants to see of it.
//!
//! The job inside is not judged here: whether it would be accepted is the answer, not a condition of the question.

use serde_json::{Map, Value};

use super::super::Job;
use super::super::codes::RejectionCode;
use super::super::envelope::{Envelope, RawJob};
use super::super::fields::{Fields, wrong_type};
use super::super::generate::GenerateJob;
use super::super::queue_name::QueueName;
use super::super::rejection::Rejection;

/// Messages shown where nobody says how many.
const SAMPLES: usize = 3;
/// The most messages shown.
const SAMPLES_MAX: usize = 20;

/// A preview that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewJob {
    job: Map<String, Value>,
    /// How many messages are shown, beside the longest.
    pub samples: usize,
}

impl PreviewJob {
    /// A preview of the job in this text.
    pub fn of_bytes(bytes: &[u8], samples: usize) -> Result<Self, Rejection> {
        Ok(Self { job: RawJob::parse(bytes)?.into_object(), samples: samples.min(SAMPLES_MAX) })
    }

    /// Decodes the fields that the envelope left.
    pub(super) fn decode(fields: &mut Fields) -> Result<Self, Rejection> {
        let job = fields.take("job");
        let job = match fields.required("job", job)? {
            Value::Object(job) => job,
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                return Err(wrong_type("job", &other, "an object: the generate job as it would be enqueued"));
            }
        };
        let Some(samples) = fields.take("samples") else { return Ok(Self { job, samples: SAMPLES }) };
        match samples.as_u64().map(usize::try_from) {
            Some(Ok(samples)) if samples <= SAMPLES_MAX => Ok(Self { job, samples }),
            Some(_) => {
                let rule = format!("{samples} is more than {SAMPLES_MAX}");
                Err(fields.refuse(RejectionCode::InvalidValue, "samples", rule))
            }
            None => Err(wrong_type("samples", &samples, "a whole number")),
        }
    }

    /// The job inside, as the queue `generate` would read it, or why it would be refused.
    pub fn generate_job(&self) -> Result<(Envelope, GenerateJob), Rejection> {
        match RawJob::of_object(self.job.clone()).decode(QueueName::Generate)? {
            (envelope, Job::Generate(job)) => Ok((envelope, *job)),
            (_, Job::Control(_)) => Err(Rejection::new(RejectionCode::WrongType, "the job is not a generate job")),
        }
    }

    /// The campaign that the job inside names, if it is a name.
    pub fn campaign(&self) -> Option<String> {
        let name = self.job.get("campaign")?.as_str()?;
        crate::domain::name::Name::parse(name).ok().map(|name| name.to_string())
    }

    /// The control job that asks for this preview.
    pub fn to_json(&self, id: &str) -> Value {
        serde_json::json!({ "action": "preview", "id": id, "job": self.job, "samples": self.samples })
    }
}
