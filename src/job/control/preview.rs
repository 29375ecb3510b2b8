//! `preview`: a job as it would be enqueued, its queue, and how much a person wants to see of it.
//!
//! The job inside is not judged here: whether it would be accepted is the answer, not a condition of the question.

use serde_json::{Map, Value};

use super::super::Job;
use super::super::codes::RejectionCode;
use super::super::envelope::{Envelope, RawJob};
use super::super::fields::{Fields, not_one_of, wrong_type};
use super::super::queue_name::QueueName;
use super::super::rejection::Rejection;

/// Messages shown where nobody says how many.
const SAMPLES: usize = 3;
/// The most messages shown.
const SAMPLES_MAX: usize = 20;

/// The queues whose jobs have a preview.
const PREVIEWED: [QueueName; 4] = [QueueName::Import, QueueName::Generate, QueueName::Send, QueueName::Recurring];

/// A preview that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewJob {
    queue: QueueName,
    job: Map<String, Value>,
    /// How many messages are shown, beside the longest.
    pub samples: usize,
}

impl PreviewJob {
    /// A preview of the job in this text.
    pub fn of_bytes(queue: QueueName, bytes: &[u8], samples: usize) -> Result<Self, Rejection> {
        Ok(Self { queue, job: RawJob::parse(bytes)?.into_object(), samples: samples.min(SAMPLES_MAX) })
    }

    /// The queue whose jobs have a preview and that has this name.
    pub fn queue_of(name: &str) -> Result<QueueName, Rejection> {
        PREVIEWED.into_iter().find(|queue| queue.as_str() == name).ok_or_else(|| {
            let known = PREVIEWED.map(QueueName::as_str);
            not_one_of(RejectionCode::InvalidValue, "queue", name, &known)
        })
    }

    /// Decodes the fields that the envelope left.
    pub(super) fn decode(fields: &mut Fields) -> Result<Self, Rejection> {
        let queue = fields.text("queue")?.map_or(Ok(QueueName::Generate), |name| Self::queue_of(&name))?;
        let job = fields.take("job");
        let job = match fields.required("job", job)? {
            Value::Object(job) => job,
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                return Err(wrong_type("job", &other, "an object: the job as it would be enqueued"));
            }
        };
        let Some(samples) = fields.take("samples") else { return Ok(Self { queue, job, samples: SAMPLES }) };
        match samples.as_u64().map(usize::try_from) {
            Some(Ok(samples)) if samples <= SAMPLES_MAX => Ok(Self { queue, job, samples }),
            Some(_) => {
                let rule = format!("{samples} is more than {SAMPLES_MAX}");
                Err(fields.refuse(RejectionCode::InvalidValue, "samples", rule))
            }
            None => Err(wrong_type("samples", &samples, "a whole number")),
        }
    }

    /// The job inside, as its queue would read it, or why it would be refused.
    pub fn decode_job(&self) -> Result<(Envelope, Job), Rejection> {
        RawJob::of_object(self.job.clone()).decode(self.queue)
    }

    /// The campaign that the job inside names, if it is a name.
    pub fn campaign(&self) -> Option<String> {
        let name = self.job.get("campaign")?.as_str()?;
        crate::domain::name::Name::parse(name).ok().map(|name| name.to_string())
    }

    /// The control job that asks for this preview.
    pub fn to_json(&self, id: &str) -> Value {
        serde_json::json!({
            "action": "preview", "id": id, "queue": self.queue.as_str(), "job": self.job, "samples": self.samples,
        })
    }
}
