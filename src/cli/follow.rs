//! Following a job to its end, and then its run.
//!
//! A job's status is looked at a few times a second, as any program can do it (`jobs/README.md`). Its end
//! counts only once its entry has left the stream: before that, the status may be an earlier job's of
//! the same id.

use std::{collections::HashMap, time::Duration};

use anyhow::bail;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    domain::{clock::EpochMs, delivery::DeliveryState, name::JobId},
    job::QueueName,
    store::{Store, StoreError, view::RunView},
};

use super::{format, pace::Pace, progress::Progress};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// Looks in vain after which a job's status is gone for good.
const LOOKS_IN_VAIN: u32 = 20;

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

/// Waits for the end of a job.
pub async fn job(store: &Store, job: &Enqueued, progress: &mut Progress) -> anyhow::Result<JobEnd> {
    let by_entry = JobId::of_entry(job.queue.as_str(), &job.entry);
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut in_vain = 0;
    loop {
        looks.tick().await;
        let settled = !store.entry_exists(job.queue.as_str(), &job.entry).await?;
        let hash = store.job(job.id.as_str()).await?;
        if settled {
            // A refusal of an id that belongs to another job stands under the entry's name.
            let refused = if by_entry == job.id { HashMap::new() } else { store.job(by_entry.as_str()).await? };
            if let Some(end) = JobEnd::of(&refused).or_else(|| JobEnd::of(&hash)) {
                return Ok(end);
            }
            in_vain = if hash.is_empty() { in_vain + 1 } else { 0 };
            if in_vain > LOOKS_IN_VAIN {
                bail!("the status of the job \"{}\" is gone: was Redis emptied?", job.id);
            }
        }
        tell(store, job, settled, &hash, progress).await?;
    }
}

async fn tell(
    store: &Store,
    job: &Enqueued,
    settled: bool,
    hash: &HashMap<String, String>,
    progress: &mut Progress,
) -> Result<(), StoreError> {
    let field = |name: &str| hash.get(name).map_or("", String::as_str);
    match field("state") {
        "scheduled" if field("error_code").is_empty() => {
            progress.stage("scheduled", &format!("for {}", format::time(field("at"))));
        }
        "scheduled" => {
            let again = format::time(field("at"));
            progress.stage("waiting", &format!("to try again at {again}: {}", field("error")));
        }
        "parked" => progress.stage("parked", "until the jobs it comes after are done"),
        "running" if job.queue == QueueName::Generate => {
            let found = store.campaign_fields(field("campaign"), &["orders", "refused"]).await?;
            let mut counts = found.into_iter().map(|text| text.and_then(|t| t.parse().ok()).unwrap_or(0));
            let (orders, refused) = (counts.next().unwrap_or(0), counts.next().unwrap_or(0));
            let rows = format::counted(refused, "row");
            progress.stage("generating", &format!("{}, {rows} refused", format::counted(orders, "order")));
        }
        "running" => progress.stage("running", job.id.as_str()),
        _ if settled => progress.stage("ending", ""),
        _ => progress.stage("queued", &format!("in {}", job.queue)),
    }
    Ok(())
}

/// Waits for the end of a run.
pub async fn run(store: &Store, campaign: &str, run: &str, progress: &mut Progress) -> anyhow::Result<RunView> {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pace = Pace::default();
    loop {
        looks.tick().await;
        let now = EpochMs(store.now_ms().await?);
        let Some(view) = RunView::load(store, campaign, run, now.0).await? else {
            bail!("the run \"{run}\" of \"{campaign}\" is gone");
        };
        if view.state != "running" {
            return Ok(view);
        }
        let ended = view.ended();
        pace.look(now, ended);
        let rate = pace.speed().map(|speed| format::rate(speed.done, speed.within)).unwrap_or_default();
        progress.part(stage(&view), ended, view.total, &details(&view, &rate));
    }
}

fn stage(view: &RunView) -> &'static str {
    match view.shown.as_str() {
        "paused" => "paused",
        "held" => "held",
        _ => "sending",
    }
}

fn details(view: &RunView, rate: &str) -> String {
    let mut parts = Vec::new();
    if !rate.is_empty() {
        parts.push(rate.to_owned());
    }
    for state in [DeliveryState::Failed, DeliveryState::Skipped, DeliveryState::Unknown, DeliveryState::Retry] {
        let count = view.count(state);
        if count > 0 {
            parts.push(format!("{} {state}", format::count(count)));
        }
    }
    parts.extend(view.reason.clone());
    parts.join(", ")
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
}
