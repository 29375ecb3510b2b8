//! A definition is written: new, changed, or the same once more.
//!
//! Its words are taken now (BM-21), so a template that changes later changes nothing; a changed definition is a new
//! version and takes effect at its next due time (BM-23). Whoever was stopped by a command stays stopped: a program that
//! writes its definitions again at each start must not undo what an operator did.

use serde_json::json;

use crate::{
    domain::{clock::EpochMs, name::JobId, trace::Trace},
    job::{Outcome, RecurringJob, Rejection, RejectionCode},
    store::{
        StoreError,
        recurring::{Defined, Definition, NewDefinition, alarm},
    },
};

use super::{
    super::{send, trouble},
    Context, LOOKS, decoded, finish,
};

/// Runs the job of that id and trace.
pub async fn run(ctx: &Context, of: (&JobId, Option<Trace>), job: &RecurringJob) -> Outcome {
    match define(ctx, of, job).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(rejection)) => rejection.into(),
        Err(error) => trouble::outcome(&error),
    }
}

async fn define(
    ctx: &Context,
    of: (&JobId, Option<Trace>),
    job: &RecurringJob,
) -> Result<Result<Outcome, Rejection>, StoreError> {
    if let Err(error) = job.times.frequency.check(ctx.config.recurring_min_interval) {
        return Ok(Err(Rejection::of_code(error.code(), Some("every"), &error)));
    }
    let (campaign, name) = (job.bulk.campaign.as_str(), job.recurring.as_str());
    let mut now = EpochMs(ctx.store.now_ms().await?);
    let content = match send::check(&ctx.config, &ctx.store, &job.bulk, now).await? {
        Ok(content) => serde_json::to_string(&content).unwrap_or_default(),
        Err(rejection) => return Ok(Err(rejection)),
    };
    for _ in 0..LOOKS {
        let known = ctx.store.definition(campaign, name).await?;
        if let Some(known) = &known {
            if known.is_stopped_by_command {
                return Ok(Err(stopped(campaign, name)));
            }
            if known.pending.is_some() {
                finish(ctx, campaign, name, known).await?;
            }
            if known.definition == job.written && known.content == content {
                return unchanged(ctx, campaign, name, known).await.map(Ok);
            }
        }
        now = EpochMs(ctx.store.now_ms().await?);
        let first = first(campaign, name, known.as_ref(), job, now);
        // What was due before the definition was written was not missed.
        let schedule = job.times.schedule(first);
        let Some(next_at) = schedule.after(EpochMs(now.0.saturating_sub(1))) else {
            return Ok(Err(nothing_due()));
        };
        let replaces = known.map_or(0, |known| known.version);
        match ctx.store.define(&written(job, of, &content, first, next_at, replaces)).await? {
            Defined::Written { version } => {
                ctx.store.arm(&alarm(campaign, name), next_at.0).await?;
                return Ok(Ok(Outcome::done(result(campaign, name, version, Some(next_at), true))));
            }
            Defined::Refused { state } => return Ok(Err(send::not_in_state(campaign, &state))),
            Defined::Stale => {}
        }
    }
    Ok(Ok(Outcome::Snooze { until: now.plus(super::tick::LINE) }))
}

/// The refusal of a definition that is never due again.
pub(in crate::handler) fn nothing_due() -> Rejection {
    let rule = "nothing is due any more: it lies in the past, or no due time comes before it";
    Rejection::of_field(RejectionCode::ConflictingTimes, "until", rule)
}

/// The first due time: what the job says, else what it was, else now.
fn first(campaign: &str, name: &str, known: Option<&Definition>, job: &RecurringJob, now: EpochMs) -> EpochMs {
    let was = known.filter(|known| {
        // A definition that had an explicit start and now has none begins anew; else its count goes on.
        decoded(campaign, name, known).is_some_and(|earlier| earlier.times.starts_at.is_none())
    });
    job.times.starts_at.or_else(|| was.map(|known| known.first)).unwrap_or(now)
}

fn written<'a>(
    job: &'a RecurringJob,
    (id, trace): (&JobId, Option<Trace>),
    content: &str,
    first: EpochMs,
    next_at: EpochMs,
    replaces: u64,
) -> NewDefinition<'a> {
    let mut fields = vec![
        ("campaign", job.bulk.campaign.to_string()),
        ("definition", job.written.clone()),
        ("content", content.to_owned()),
        ("job", id.to_string()),
        ("first", first.0.to_string()),
        ("overlap", job.times.overlap.as_str().to_owned()),
    ];
    let mut absent = Vec::new();
    match job.times.max_runs {
        Some(max_runs) => fields.push(("max_runs", max_runs.to_string())),
        None => absent.push("max_runs"),
    }
    match trace {
        Some(trace) => fields.push(("traceparent", trace.to_string())),
        None => absent.push("traceparent"),
    }
    let (campaign, name) = (job.bulk.campaign.as_str(), job.recurring.as_str());
    NewDefinition { campaign, name, replaces, next_at, fields, absent }
}

/// The same definition again: its alarm is set once more, which costs nothing and repairs a clock that lost it.
async fn unchanged(ctx: &Context, campaign: &str, name: &str, known: &Definition) -> Result<Outcome, StoreError> {
    if let (Some(next_at), "active") = (known.next_at, known.state.as_str()) {
        ctx.store.arm(&alarm(campaign, name), next_at.0).await?;
    }
    Ok(Outcome::done(result(campaign, name, known.version, known.next_at, false)))
}

fn result(campaign: &str, name: &str, version: u64, next: Option<EpochMs>, changed: bool) -> serde_json::Value {
    json!({
        "campaign": campaign,
        "recurring": name,
        "version": version,
        "next": next.map(|at| at.0),
        "changed": changed,
    })
}

fn stopped(campaign: &str, name: &str) -> Rejection {
    let rule = format!("\"{name}\" of \"{campaign}\" was stopped, which is for good: use another name");
    Rejection::of_field(RejectionCode::WrongState, "recurring", rule)
}
