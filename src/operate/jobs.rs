//! A job judged as the daemon will, put into its queue, and its end.
//!
//! The end is looked for as any program can do it (`jobs/README.md`). It counts only once the job's entry has left the
//! stream: before that, the status may be an earlier job's of the same id.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use crate::{
    domain::name::JobId,
    job::{Job, QueueName, Rejection, decode},
    store::{Store, StoreError},
};

/// A job that may be enqueued.
#[derive(Debug)]
pub struct Checked {
    /// The producer's id, if it gave one.
    pub id: Option<JobId>,
    /// The job's work.
    pub job: Job,
}

/// Judges a job as the daemon will.
pub fn check(queue: QueueName, bytes: &[u8]) -> Result<Checked, Rejection> {
    let (envelope, job) = decode(queue, bytes)?;
    Ok(Checked { id: envelope.id, job })
}

/// A job that was put into a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueued {
    /// The queue.
    pub queue: QueueName,
    /// Redis' entry id.
    pub entry: String,
    /// What the job is called.
    pub id: JobId,
}

/// Puts a judged job into its queue.
pub async fn put(store: &Store, queue: QueueName, bytes: &[u8], id: Option<JobId>) -> Result<Enqueued, StoreError> {
    let entry = store.add_job(queue.as_str(), bytes).await?;
    let id = id.unwrap_or_else(|| JobId::of_entry(queue.as_str(), &entry));
    Ok(Enqueued { queue, entry, id })
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobEnd {
    /// `done`, `dead` or `rejected`.
    pub state: String,
    /// Its campaign, if it has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub campaign: String,
    /// The result of a job that is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The same as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl JobEnd {
    /// The end that a status hash tells of, if it does.
    fn of(hash: &HashMap<String, String>) -> Option<Self> {
        let state = hash.get("state").filter(|s| matches!(s.as_str(), "done" | "dead" | "rejected"))?;
        // An attempt that failed before leaves its error behind.
        let failed = |field: &str| hash.get(field).filter(|_| state != "done").cloned();
        Some(Self {
            state: state.clone(),
            campaign: hash.get("campaign").cloned().unwrap_or_default(),
            result: hash.get("result").and_then(|text| serde_json::from_str(text).ok()),
            error_code: failed("error_code"),
            error: failed("error"),
        })
    }

    /// Whether its work is written.
    pub fn is_done(&self) -> bool {
        self.state == "done"
    }

    /// The run it started, if any.
    pub fn run(&self) -> Option<&str> {
        self.result.as_ref()?.get("run")?.as_str()
    }

    /// `rejected: unknown_channel: ...`.
    pub fn sentence(&self) -> String {
        let error = self.error.as_deref().unwrap_or_default();
        match &self.error_code {
            Some(code) => format!("{}: {code}: {error}", self.state),
            None => self.state.clone(),
        }
    }
}

/// One look at a job.
#[derive(Debug)]
pub enum Look {
    /// It is over.
    Ended(JobEnd),
    /// It is not, or its end is not told yet.
    Open {
        /// Whether its entry has left the stream.
        settled: bool,
        /// Its status, empty while it waits unread.
        status: HashMap<String, String>,
    },
}

/// Looks at a job once.
pub async fn look(store: &Store, job: &Enqueued) -> Result<Look, StoreError> {
    let settled = !store.entry_exists(job.queue.as_str(), &job.entry).await?;
    let status = store.job(job.id.as_str()).await?;
    if settled {
        // A refusal of an id that belongs to another job stands under the entry's name.
        let by_entry = JobId::of_entry(job.queue.as_str(), &job.entry);
        let refused = if by_entry == job.id { HashMap::new() } else { store.job(by_entry.as_str()).await? };
        if let Some(end) = JobEnd::of(&refused).or_else(|| JobEnd::of(&status)) {
            return Ok(Look::Ended(end));
        }
    }
    Ok(Look::Open { settled, status })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(fields: &[(&str, &str)]) -> HashMap<String, String> {
        fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_done_dead_and_rejected_are_ends() {
        for state in ["scheduled", "parked", "running"] {
            assert_eq!(JobEnd::of(&hash(&[("state", state)])), None);
        }
        assert_eq!(JobEnd::of(&hash(&[])), None);
        let fields = [("state", "rejected"), ("error_code", "unknown_channel"), ("error", "channel: ...")];
        assert_eq!(JobEnd::of(&hash(&fields)).unwrap().sentence(), "rejected: unknown_channel: channel: ...");
    }

    #[test]
    fn a_done_job_names_its_run_and_forgets_the_error_of_an_earlier_attempt() {
        let fields = [("state", "done"), ("error", "was away"), ("result", r#"{"run":"delivery@1","orders":3}"#)];
        let end = JobEnd::of(&hash(&fields)).unwrap();
        assert_eq!((end.run(), end.error.as_deref()), (Some("delivery@1"), None));
        assert!(end.is_done());
    }

    #[test]
    fn a_job_is_judged_by_code_and_sentence_before_it_goes() {
        let refused = check(QueueName::Generate, br#"{"campain":"x"}"#).unwrap_err();
        assert_eq!(refused.code.as_str(), "unknown_field");
        assert!(refused.sentence.contains("campaign"), "{}", refused.sentence);
        let good = check(QueueName::Control, br#"{"id":"p-1","action":"pause","campaign":"nov"}"#).unwrap();
        assert_eq!(good.id.unwrap().as_str(), "p-1");
    }
}
