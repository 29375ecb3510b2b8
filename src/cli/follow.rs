//! Following a job to its end, and then its run.
//!
//! A job's status is looked at a few times a second.

use std::{collections::HashMap, time::Duration};

use anyhow::bail;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    domain::{clock::EpochMs, delivery::DeliveryState},
    job::QueueName,
    operate::{
        jobs::{self, Enqueued, JobEnd, Look},
        pace::Pace,
    },
    store::{Store, StoreError, view::RunView},
};

use super::{format, progress::Progress};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// Looks in vain after which a job's status is gone for good.
const LOOKS_IN_VAIN: u32 = 20;

/// Waits for the end of a job.
pub async fn job(store: &Store, job: &Enqueued, progress: &mut Progress) -> anyhow::Result<JobEnd> {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut in_vain = 0;
    loop {
        looks.tick().await;
        match jobs::look(store, job).await? {
            Look::Ended(end) => return Ok(end),
            Look::Open { settled, status } => {
                in_vain = if settled && status.is_empty() { in_vain + 1 } else { 0 };
                if in_vain > LOOKS_IN_VAIN {
                    bail!("the status of the job \"{}\" is gone: was Redis emptied?", job.id);
                }
                tell(store, job, settled, &status, progress).await?;
            }
        }
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
