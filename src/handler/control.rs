//! control: an operator pauses, resumes, cancels, retries; a platform reports on an order.
//!
//! An action is judged against the state in the script that takes it (DA-7): one that is not allowed is
//! refused with the state; one that is done already is done.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    domain::{
        clock::EpochMs,
        name::{JobId, Name},
    },
    job::{ControlJob, Next, Outcome, Rejection, RejectionCode, Target},
    store::{StoreError, campaigns::Acted, leases::Lease, runs::Requeued},
};

use super::{
    Context,
    audit::Looked,
    case, creating, export, forget, opt_out,
    order_event::{self, Told},
    preview, receipt, recurring, reply, reroute, send, trouble, withdraw,
};

/// Ledger pages that one script returns to the queue: 40 pages are 5,120 recipients.
const PAGES: u64 = 40;

type Answer = Result<Result<Outcome, Rejection>, StoreError>;

/// Runs the job, and writes into the audit who did what.
pub async fn run(ctx: &Arc<Context>, id: &JobId, job: ControlJob, lease: &Lease) -> Outcome {
    let audited = async {
        let looked = Looked::before(ctx, id, &job).await?;
        let outcome = obey(ctx, id, &job, lease).await;
        if let Some(looked) = looked {
            looked.after(ctx, &job, &outcome).await?;
        }
        Ok::<Outcome, StoreError>(outcome)
    };
    // What is not written down is done again, and is so already.
    audited.await.unwrap_or_else(|error| trouble::outcome(&error))
}

async fn obey(ctx: &Arc<Context>, id: &JobId, job: &ControlJob, lease: &Lease) -> Outcome {
    let answer = match job {
        ControlJob::Pause(target) => act(ctx, id, target, "pause").await,
        ControlJob::Resume(target) => resume(ctx, id, target).await,
        ControlJob::Cancel { target, cancel_orders } => cancel(ctx, id, target, *cancel_orders, lease).await,
        ControlJob::RunNow { campaign, recurring } => {
            recurring::run_now(ctx, id, campaign.as_str(), recurring.as_str()).await
        }
        ControlJob::Retry { campaign, run, states } => retry(ctx, campaign, run.as_str(), states.as_str(), lease).await,
        ControlJob::OrderEvent { order, event, amount_minor, occurred_at } => {
            let told = Told { event: *event, amount_minor: *amount_minor, occurred_at: *occurred_at };
            return order_event::run(ctx, order, told).await;
        }
        ControlJob::ResolveOrders { campaign } => resolve_orders(ctx, campaign).await,
        ControlJob::Reroute { order, payment_point } => return reroute::run(ctx, id, order, payment_point).await,
        ControlJob::Export(job) => return export::run(ctx, id, job, lease).await,
        ControlJob::Preview(asked) => return preview::run(ctx, asked).await,
        ControlJob::Case(job) => return case::run(ctx, job).await,
        ControlJob::Receipt(job) => return receipt::run(ctx, job.clone()).await,
        ControlJob::OptOut(job) => return opt_out::run(ctx, job).await,
        ControlJob::Reply(job) => return reply::run(ctx, job).await,
        ControlJob::Forget(person) => return forget::run(ctx, id, person, lease).await,
    };
    match answer {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(rejection)) => rejection.into(),
        Err(error) => trouble::outcome(&error),
    }
}

/// Orders that waited while the campaign was paused are asked for again at once.
async fn resume(ctx: &Context, id: &JobId, target: &Target) -> Answer {
    let answer = act(ctx, id, target, "resume").await?;
    if let (Target::Campaign(campaign), Ok(_)) = (target, &answer)
        && ctx.store.unsettled_orders(campaign.as_str()).await? > 0
    {
        creating::arm(ctx, campaign.as_str(), Duration::ZERO).await?;
    }
    Ok(answer)
}

async fn act(ctx: &Context, id: &JobId, target: &Target, action: &str) -> Answer {
    let (campaign, run) = match target {
        Target::Campaign(campaign) => (campaign, None),
        Target::Run { campaign, run } => (campaign, Some(run.as_str())),
        Target::Recurring { campaign, recurring } => {
            return recurring::act(ctx, id, campaign.as_str(), recurring.as_str(), action).await;
        }
        Target::Channel(channel) => return act_on_channel(ctx, id, channel, action).await,
    };
    let acted = ctx.store.act(campaign.as_str(), run, action, id.as_str()).await?;
    if let (Acted::Gone, Some(message), "cancel") = (&acted, run, action)
        && let Some(changed) = send::withdraw(ctx, campaign.as_str(), message).await?
    {
        return Ok(Ok(Outcome::done(json!({ "action": action, "changed": changed }))));
    }
    Ok(settle(campaign, run, action, acted))
}

fn settle(campaign: &Name, run: Option<&str>, action: &str, acted: Acted) -> Result<Outcome, Rejection> {
    let what = run
        .map_or_else(|| format!("the campaign \"{campaign}\""), |run| format!("the run \"{run}\" of \"{campaign}\""));
    match acted {
        Acted::Done { wake } => {
            let next = wake.into_iter().map(|run| Next { campaign: campaign.to_string(), run, at: None }).collect();
            Ok(Outcome::Done { result: json!({ "action": action, "changed": true }), next })
        }
        Acted::Same => Ok(Outcome::done(json!({ "action": action, "changed": false }))),
        Acted::Gone => {
            let (code, field) = match run {
                Some(_) => (RejectionCode::UnknownRun, "run"),
                None => (RejectionCode::UnknownCampaign, "campaign"),
            };
            Err(Rejection::of_field(code, field, format!("there is no such thing as {what}")))
        }
        Acted::Wrong { state } => {
            let rule =
                format!("{what} is {state}: {action} is not allowed; allowed: {}", allowed(&state, run.is_some()));
            Err(Rejection::of_field(RejectionCode::WrongState, "action", rule))
        }
    }
}

/// What may be done in a state, for the sentence of a refusal.
fn allowed(state: &str, is_run: bool) -> &'static str {
    match (state, is_run) {
        ("running", true) => "pause, cancel, retry",
        ("running" | "scheduled", false) => "pause, cancel",
        ("paused", _) => "resume, cancel",
        ("finished", true) => "retry",
        ("generated" | "delivered" | "failed", false) => "cancel",
        _ => "nothing",
    }
}

async fn act_on_channel(ctx: &Context, id: &JobId, channel: &Name, action: &str) -> Answer {
    let is_ours = ctx.channels.contains_key(channel.as_str());
    if !is_ours && !ctx.store.is_channel_served(channel.as_str(), ctx.store.now_ms().await?).await? {
        let rule = format!("no daemon seen in the last 10 minutes serves \"{channel}\"");
        return Ok(Err(Rejection::of_field(RejectionCode::UnknownChannel, "channel", rule)));
    }
    let changed = match action {
        "pause" => ctx.store.pause_channel(channel.as_str(), id.as_str(), ctx.store.now_ms().await?).await?,
        _ => ctx.store.resume_channel(channel.as_str()).await?,
    };
    Ok(Ok(Outcome::done(json!({ "action": action, "changed": changed }))))
}

async fn cancel(ctx: &Context, id: &JobId, target: &Target, cancel_orders: bool, lease: &Lease) -> Answer {
    match act(ctx, id, target, "cancel").await? {
        Ok(Outcome::Done { next, mut result }) => {
            if cancel_orders
                && let Target::Campaign(campaign) = target
                && let Some(fields) = result.as_object_mut()
            {
                let withdrawn = withdraw::all_available(ctx, campaign.as_str(), lease).await?;
                if let Some(failure) = &withdrawn.failed {
                    let now = EpochMs(ctx.store.now_ms().await?);
                    return Ok(Ok(withdraw::again(campaign.as_str(), &withdrawn, failure, now)));
                }
                fields.insert("orders_cancelled".to_owned(), withdrawn.cancelled.into());
                if withdrawn.left > 0 {
                    fields.insert("orders_left".to_owned(), withdrawn.left.into());
                }
            }
            Ok(Ok(Outcome::Done { next, result }))
        }
        other => Ok(other),
    }
}

/// Has orders that a payment platform has not confirmed looked at again as soon as that is safe, and not at their time.
async fn resolve_orders(ctx: &Context, campaign: &Name) -> Answer {
    if ctx.store.campaign_fields(campaign.as_str(), &["state"]).await?.into_iter().flatten().next().is_none() {
        let rule = format!("there is no campaign \"{campaign}\"");
        return Ok(Err(Rejection::of_field(RejectionCode::UnknownCampaign, "campaign", rule)));
    }
    let unsettled = ctx.store.unsettled_orders(campaign.as_str()).await?;
    if unsettled > 0 {
        if let Some(creator) = creating::Creator::of(ctx, campaign.as_str()).await? {
            creator.hurry().await?;
        }
        creating::arm(ctx, campaign.as_str(), Duration::ZERO).await?;
    }
    Ok(Ok(Outcome::done(json!({ "action": "resolve_orders", "unsettled": unsettled }))))
}

/// Returns failed or unknown recipients to the queue, stretch by stretch.
async fn retry(ctx: &Context, campaign: &Name, run: &str, states: &str, lease: &Lease) -> Answer {
    let hash = ctx.store.run(campaign.as_str(), run).await?;
    let number = |field: &str| hash.get(field).and_then(|text| text.parse::<u64>().ok());
    let (Some(first), Some(last)) = (number("first"), number("end")) else {
        let rule = format!("the campaign \"{campaign}\" has no run \"{run}\"");
        return Ok(Err(Rejection::of_field(RejectionCode::UnknownRun, "run", rule)));
    };
    let keep_key = hash.get("idempotent").is_some_and(|flag| flag == "1");
    let now = ctx.store.now_ms().await?;
    ctx.store.touch_active(campaign.as_str(), run, now).await?;
    let (mut page, end) = (first / 128, last / 128);
    let mut moved = 0;
    while page <= end {
        let upto = end.min(page + PAGES - 1);
        match ctx.store.requeue(campaign.as_str(), run, states, (page, upto), keep_key).await? {
            Requeued::Moved(count) => moved += count,
            Requeued::Gone => {
                let rule = format!("the campaign \"{campaign}\" has no run \"{run}\"");
                return Ok(Err(Rejection::of_field(RejectionCode::UnknownRun, "run", rule)));
            }
            Requeued::Wrong(state) => {
                let rule = format!("the run \"{run}\" of \"{campaign}\" is {state}: retry is not allowed");
                return Ok(Err(Rejection::of_field(RejectionCode::WrongState, "action", rule)));
            }
        }
        lease.progressed();
        page = upto + 1;
    }
    let next = Next { campaign: campaign.to_string(), run: run.to_owned(), at: None };
    let result: Value = json!({ "action": "retry", "states": states, "queued": moved });
    Ok(Ok(Outcome::Done { result, next: vec![next] }))
}
