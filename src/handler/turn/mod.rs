//! One turn of a slot: reserve, claim, send, record, for two seconds; then the slot goes to the tail.
//!
//! The order of the steps is the guarantee. A permit and the rate come first, then exactly that many
//! recipients are claimed, then they are sent at once, each with a deadline of half the lease that is
//! looked at directly before the bytes leave, then the outcome is recorded, and only then the permit
//! goes back. What was claimed and certainly not sent is released. What a dead owner left in flight
//! is judged first: asked again under the same key where the provider is idempotent, else `unknown`.
//!
//! `plan` holds what a run needs compiled, `prepare` makes messages of recipients, `gate` turns away those
//! that may not leave (`cap`: for now), `hours` says whether anything may, `sift` looks ahead at whom a message over cases
//! is for, `landing` decides what a provider's answer means (pure), `work` is the loop.

pub mod cap;
pub mod claiming;
pub mod gate;
pub mod hours;
pub mod landing;
pub mod plan;
pub mod prepare;
pub mod recording;
pub mod sift;
pub mod work;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    domain::clock::EpochMs,
    job::{Next, Outcome},
    metrics::labels::Recovered,
    store::{
        StoreError,
        leases::Lease,
        reassert::Origin,
        runs::{InDoubt, Leaving, SlotRef, Take},
    },
    telemetry,
};

use super::Context;
use landing::recover;
use plan::{Loaded, RunPlan};
use work::{End, Turn};

/// After this time a turn claims nothing more, so that runs share a channel.
const CLAIMS_FOR: Duration = Duration::from_secs(2);

/// Longest sleep of a slot whose channel is held: a resume binds within it.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A slot whose channel this daemon does not serve rests so long.
const FOREIGN: Duration = Duration::from_secs(10);

/// A slot that an older turn of ours still works on rests so long.
const OWN_TURN: Duration = Duration::from_secs(1);

/// Runs one turn.
pub async fn run(ctx: &Arc<Context>, slot: SlotRef, lease: Arc<Lease>) -> Outcome {
    match turn(ctx, &slot, &lease).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::warn!(%slot, %error, "a turn waits for redis");
            // Its slot may still be ours: the same entry takes it again.
            Outcome::Retry { failure_code: "redis".into(), sentence: error.to_string(), at: EpochMs(0) }
        }
    }
}

async fn turn(ctx: &Arc<Context>, slot: &SlotRef, lease: &Arc<Lease>) -> Result<Outcome, StoreError> {
    let plan = match RunPlan::load(ctx, &slot.campaign, &slot.run).await? {
        Loaded::Plan(plan) => {
            telemetry::work::is_of(&plan.made.1, plan.trace);
            plan
        }
        Loaded::Gone => return Ok(Outcome::done(serde_json::Value::Null)),
        Loaded::Foreign { channel } => {
            tracing::warn!(%slot, channel, "this slot is another channel's: left for its daemons");
            let now = EpochMs(ctx.store.now_ms().await?);
            return Ok(Outcome::Snooze { until: now.plus(FOREIGN) });
        }
        Loaded::Broken { code } => {
            ctx.store.act(&slot.campaign, Some(&slot.run), "fail", code).await?;
            return Ok(Outcome::done(serde_json::Value::Null));
        }
    };
    if ctx.registry.works_on((&slot.campaign, &slot.run, slot.slot), None) {
        // An older turn of ours, whose entry a server lost: it still waits for answers, and is not to be taken for dead.
        let now = EpochMs(ctx.store.now_ms().await?);
        return Ok(Outcome::Snooze { until: now.plus(OWN_TURN) });
    }
    let lease_for = ctx.config.leases.lease;
    // What others did before stands there first: whoever seems to be in doubt may be known to somebody.
    let store = tokio::select! {
        () = ctx.drain.cancelled() => return Err(StoreError::Unavailable("nobody may be claimed yet".into())),
        (store, _) = ctx.barrier.to_claim(&ctx.store) => store,
    };
    let (fence, in_doubt) = match store.take_slot(slot, &ctx.incarnation, lease_for, &ctx.dead).await? {
        Take::Taken { fence, in_doubt } => (fence, in_doubt),
        Take::Over | Take::Paused => return Ok(Outcome::done(serde_json::Value::Null)),
        Take::Busy { until_ms } => return Ok(Outcome::Snooze { until: EpochMs(until_ms) }),
    };
    // Renewed until the turn ends, however it ends.
    let hold = ctx.registry.hold_slot(slot, fence);
    let turn = Turn {
        ctx: Arc::clone(ctx),
        slot: slot.clone(),
        fence,
        origin: Arc::new(Origin {
            campaign: slot.campaign.clone(),
            run: slot.run.clone(),
            made: plan.made.0.clone(),
            job: plan.made.1.clone(),
            closes: plan.closes_cases,
            slot: slot.slot,
            fence,
        }),
        plan,
        lease: Arc::clone(lease),
        lost: hold.lost(),
        until: Instant::now() + CLAIMS_FOR,
        closes: None,
    };
    turn.run(in_doubt).await
}

impl Turn {
    /// What a dead owner left comes first.
    async fn run(mut self, in_doubt: Vec<InDoubt>) -> Result<Outcome, StoreError> {
        if !in_doubt.is_empty() {
            tracing::warn!(slot = %self.slot, recipients = in_doubt.len(), "a dead owner left recipients in flight");
            self.ctx.metrics.recovered(Recovered::Recipient, in_doubt.len());
            recover(&self, in_doubt).await?;
            self.lease.progressed();
        }
        let end = match self.look_at_hours().await? {
            Some(end) => end,
            None => self.work().await,
        };
        self.plan.tell_parts(&self.ctx, &self.slot.campaign, &self.slot.run).await;
        self.leave(end).await
    }

    /// Frees the slot and says how its entry goes on.
    async fn leave(&self, end: End) -> Result<Outcome, StoreError> {
        let (leaving, outcome) = match end {
            End::Lost => return Ok(Outcome::done(serde_json::Value::Null)),
            End::Stopped => (Leaving::WhenDone, Outcome::done(serde_json::Value::Null)),
            End::TimeUp => (Leaving::GoesOn, Outcome::Again),
            End::Held { after } => {
                let now = EpochMs(self.ctx.store.now_ms().await?);
                (Leaving::GoesOn, Outcome::Snooze { until: now.plus(after.min(LOOK_AGAIN)) })
            }
            End::Closed { opens } => {
                let (campaign, run) = (self.slot.campaign.clone(), self.slot.run.clone());
                let next = vec![Next { campaign, run, at: Some(opens) }];
                (Leaving::Idle, Outcome::Done { result: serde_json::Value::Null, next })
            }
            End::Exhausted { next_retry_ms } => {
                let next = next_retry_ms.map(|at| Next {
                    campaign: self.slot.campaign.clone(),
                    run: self.slot.run.clone(),
                    at: Some(EpochMs(at)),
                });
                (Leaving::WhenDone, Outcome::Done { result: serde_json::Value::Null, next: next.into_iter().collect() })
            }
        };
        let left = self.ctx.store.leave_slot(&self.slot, self.fence, &self.ctx.incarnation, leaving).await?;
        Ok(match left {
            Some(true) if leaving == Leaving::WhenDone => Outcome::Again,
            _ => outcome,
        })
    }
}
