//! Permanent messages: all of them with their next due times, and one with what it says and the coming ones.

use serde_json::{Value, json};

use super::{
    Desk,
    campaigns::{address, parsed},
    page::{Page, Shown, Title},
    runs, show,
};
use crate::{
    domain::{clock::EpochMs, name::Name},
    http::answer::Fault,
    job::RecurringJob,
    operate::why::Subject,
    store::{Store, StoreError, recurring::Definition, view::RunView},
};

/// Campaigns that are looked through for permanent messages, the newest.
const CAMPAIGNS: usize = 2_000;

/// Campaigns asked by one round trip.
const AT_ONCE: usize = 500;

/// Permanent messages that are shown.
const SHOWN: usize = 300;

/// Due times that are shown of one.
const COMING: usize = 10;

/// Runs that are shown of one.
const RUNS: usize = 12;

/// The list, what is due next first.
pub(super) async fn list(desk: &Desk) -> Shown {
    let store = &desk.state.store;
    let now = store.now_ms().await?;
    let (mut rows, mut offset, mut is_cut) = (Vec::new(), 0, false);
    loop {
        let names = store.campaign_names(offset, AT_ONCE).await?;
        offset += names.len();
        for campaign in store.with_definitions(&names).await? {
            rows.extend(of_campaign(store, &campaign).await?);
        }
        is_cut |= rows.len() > SHOWN || (offset >= CAMPAIGNS && names.len() == AT_ONCE);
        if names.len() < AT_ONCE || is_cut {
            break;
        }
    }
    rows.sort_by_key(|row| {
        let next = row.get("next_at").and_then(Value::as_i64).unwrap_or(i64::MAX);
        (row.get("state").and_then(Value::as_str) == Some("stopped"), next)
    });
    rows.truncate(SHOWN);
    let context = json!({ "now": now, "definitions": rows, "is_cut": is_cut });
    Ok(Page::live("recurring.html", "recurring", Title::Word("recurring"), context))
}

/// Those of a campaign.
pub(super) async fn of_campaign(store: &Store, campaign: &str) -> Result<Vec<Value>, StoreError> {
    let definitions = store.definitions(campaign).await?;
    Ok(definitions.iter().take(SHOWN).map(|(name, definition)| row(campaign, name, definition)).collect())
}

fn row(campaign: &str, name: &str, definition: &Definition) -> Value {
    let job = RecurringJob::of_written(&definition.definition).ok();
    json!({
        "campaign": campaign,
        "up": address(campaign),
        "name": name,
        "to": format!("{}/recurring/{}", address(campaign), show::in_address(name)),
        "state": definition.state,
        "reason": definition.reason,
        "frequency": job.as_ref().map(|job| job.times.frequency.to_string()),
        "timezone": job.as_ref().map(|job| job.times.zone.name()),
        "channel": job.as_ref().map(|job| job.bulk.channel.to_string()),
        "next_at": definition.next_at.map(|at| at.0),
        "runs": definition.runs,
        "missed": definition.missed,
        "overlapped": definition.overlapped,
        "last_run": definition.last_run,
        "last_run_to": definition.last_run.as_ref().map(|run| runs::address(campaign, run)),
    })
}

/// One of them.
pub(super) async fn one(desk: &Desk, campaign: &str, name: &str) -> Shown {
    let (store, campaign, name) = (&desk.state.store, parsed(campaign)?, parsed(name)?);
    let (campaign, name): (&str, &Name) = (campaign.as_str(), &name);
    let definition = store.definition(campaign, name.as_str()).await?;
    let definition = definition.ok_or_else(|| Fault::unknown_definition(campaign, name.as_str()))?;
    let now = store.now_ms().await?;
    let job = RecurringJob::of_written(&definition.definition).ok();
    let mine = format!("{name}@");
    let names = store.run_names(campaign).await?;
    let newest = names.into_iter().filter(|run| run.starts_with(&mine)).take(RUNS);
    let newest: Vec<_> = newest.map(|run| (campaign.to_owned(), run)).collect();
    let runs = RunView::load_all(store, &newest, now).await?;
    let why = super::why::of(desk, &Subject::Recurring { campaign: campaign.to_owned(), recurring: name.to_string() })
        .await?;
    let context = json!({ "why": why,
        "now": now,
        "definition": row(campaign, name.as_str(), &definition),
        "version": definition.version,
        "written_by": definition.job,
        "facts": job.as_ref().map(facts),
        "coming": job.as_ref().map(|job| coming(job, &definition, now)),
        "runs": runs.iter().map(runs::row).collect::<Vec<_>>(),
    });
    Ok(Page::live("definition.html", "recurring", Title::Name(format!("{campaign} · {name}")), context))
}

/// The coming due times, as the zone's clocks show them and as an instant.
fn coming(job: &RecurringJob, definition: &Definition, now: i64) -> Vec<Value> {
    let after = definition.next_at.map_or(EpochMs(now), |next| EpochMs(next.0 - 1));
    let left = match definition.state.as_str() {
        "stopped" => 0,
        _ => job.times.max_runs.map_or(u64::MAX, |most| most.saturating_sub(definition.runs)),
    };
    let most = COMING.min(usize::try_from(left).unwrap_or(COMING));
    let schedule = job.times.schedule(definition.first);
    let local = |at: EpochMs| job.times.zone.to_rfc3339(at).replacen('T', " ", 1);
    schedule.coming(after).take(most).map(|at| json!({ "at": at.0, "local": local(at) })).collect()
}

/// What it is told, beside its words: those are in its definition, which may name people.
fn facts(job: &RecurringJob) -> Value {
    json!({
        "audience": job.bulk.audience.to_string(),
        "only_active": job.bulk.only_active,
        "close_cases": job.bulk.close_cases,
        "until": job.times.until.map(|at| at.0),
        "starts_at": job.times.starts_at.map(|at| at.0),
        "max_runs": job.times.max_runs,
        "is_filtered": job.bulk.filter.is_some(),
        "grace_seconds": job.times.grace().as_secs(),
    })
}
