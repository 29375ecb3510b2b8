//! A tick: the alarm clock rings for a definition.
//!
//! What rings may be early, late or a repetition: the definition says what is due, Redis' clock says whether. Each round
//! reads it anew, does one thing, and goes on until nothing is left to do; any number of daemons may do so at once.
//! Nothing is decided on a server before everybody has written again there what it lost: a run that was lost is made
//! again first, and the ones after it know whom it reached.

use std::time::Duration;

use futures_util::FutureExt as _;

use crate::{
    domain::{
        clock::EpochMs,
        frequency::tick::{Plan, plan},
    },
    metrics::labels::DueResult,
    store::{StoreError, recurring::Decided},
};

use super::{Context, LOOKS, decoded, finish, rings_at};

/// A run that stands in line, or is to be made again, is looked at so often: the run before it ends in some turn of some
/// daemon.
pub(super) const LINE: Duration = Duration::from_millis(500);

/// While what a server lost is written again, the alarm rings again after so long.
const BARRIER: Duration = Duration::from_millis(100);

/// Does what is due. Returns when the alarm is to ring again (epoch ms), if ever.
pub async fn tick(ctx: &Context, campaign: &str, name: &str) -> Result<Option<i64>, StoreError> {
    let Some((store, _)) = ctx.barrier.to_claim(&ctx.store).now_or_never() else {
        return Ok(Some(EpochMs(ctx.store.now_ms().await?).plus(BARRIER).0));
    };
    for _ in 0..LOOKS {
        let Some(definition) = store.definition(campaign, name).await? else { return Ok(None) };
        if definition.pending.is_some() {
            finish(ctx, campaign, name, &definition).await?;
            if store.definition(campaign, name).await?.is_some_and(|after| after.pending == definition.pending) {
                // The campaign was cancelled, or the definition cannot be read: it will not be made.
                return Ok(None);
            }
            continue;
        }
        let now = EpochMs(store.now_ms().await?);
        if let (Some(lost), "active") = (&definition.lost, definition.state.as_str()) {
            let Some(job) = decoded(campaign, name, &definition) else { return Ok(None) };
            let due = lost.split(',').filter_map(|due| due.parse().ok()).min().map(EpochMs).unwrap_or_default();
            let next = job.times.schedule(definition.first).after(due);
            if store.tick_lost(campaign, name, lost, (due, next)).await? {
                tracing::warn!(campaign, recurring = name, due = due.0, "a run that redis lost is made again");
                continue;
            }
            return Ok(rings_at(&definition, now).map(|at| at.0));
        }
        if let (Some(next_at), "active") = (definition.next_at, definition.state.as_str())
            && next_at <= now
        {
            let Some(job) = decoded(campaign, name, &definition) else { return Ok(None) };
            let schedule = job.times.schedule(definition.first);
            if let Some(plan) = plan(&schedule, next_at, now, job.times.misfire, job.times.grace()) {
                if plan.missed_count > 0 {
                    let (missed, trace_id) = (plan.missed_count, definition.trace.map(|trace| trace.id()));
                    tracing::warn!(campaign, recurring = name, missed, trace_id, "due times were missed");
                }
                if let Some(decided) = store.tick(campaign, name, &definition, &plan).await? {
                    count(ctx, &plan, decided, next_at, now);
                }
                continue;
            }
        }
        if let (Some(queued), "active") = (definition.queued, definition.state.as_str())
            && store.tick_queued(campaign, name, queued).await?
        {
            continue;
        }
        return Ok(rings_at(&definition, now).map(|at| at.0));
    }
    // It changes faster than it can be read: let others breathe.
    Ok(Some(EpochMs(store.now_ms().await?).plus(LINE).0))
}

/// Counts what was decided, and how late.
fn count(ctx: &Context, plan: &Plan, decided: Decided, first: EpochMs, now: EpochMs) {
    ctx.metrics.due_late(now.since(plan.run.unwrap_or(first)));
    ctx.metrics.due(DueResult::Missed, plan.missed_count);
    if let Some(result) = decided.due {
        ctx.metrics.due(result, 1);
    }
}
