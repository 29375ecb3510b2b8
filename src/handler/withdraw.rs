//! Orders withdrawn because we say so: at the payment platform first, then here.
//!
//! An order of a platform is cancelled there before it reads `cancelled` here; one that turns out to be paid
//! there reads `paid`. What could not be asked stays available and is asked again: cancelling twice is as
//! good as once. Orders that Remesa made itself are cancelled at once, stretch by stretch (PO-20).

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};

use crate::{
    channel::governor::{Grant, Pace},
    domain::{
        clock::EpochMs,
        failure::Failure,
        name::Name,
        order::{Order, OrderEvent, OrderState},
    },
    job::{OrderRef, Outcome},
    store::{StoreError, leases::Lease},
    wire::DeliverError,
};

use super::{
    Context, ServedPoint,
    order_event::{Told, apply, plan},
};

/// Orders looked at by one script.
const STRETCH: u64 = 500;

/// A payment point that is held for longer is not waited for.
const HELD_AT_MOST: Duration = Duration::from_secs(10);

/// A job that gets on comes back after this.
const SOON: Duration = Duration::from_secs(5);

/// What came of withdrawing orders.
#[derive(Debug, Default)]
pub struct Withdrawn {
    /// Cancelled now.
    pub cancelled: u64,
    /// Still available: their payment point is not configured any more, or the platform has them in a state of its own.
    pub left: u64,
    /// Why some could not be asked for.
    pub failed: Option<Failure>,
}

/// Cancels the orders of a campaign that are still available.
pub async fn all_available(ctx: &Context, campaign: &str, lease: &Lease) -> Result<Withdrawn, StoreError> {
    let found = ctx.store.campaign_fields(campaign, &["next", "payment_point"]).await?;
    let mut found = found.into_iter();
    let end: u64 = found.next().flatten().and_then(|n| n.parse().ok()).unwrap_or(1);
    let point = found.next().flatten().unwrap_or_default();
    let (mut from, mut withdrawn) = (1, Withdrawn::default());
    while from < end {
        let upto = end.min(from + STRETCH);
        let texts = ctx.store.orders(campaign, from..upto).await?;
        let orders = texts.into_iter().flatten().filter_map(|text| Order::from_json(&text).ok().map(|o| (text, o)));
        let asked = stream::iter(orders.filter(|(_, order)| order.state == OrderState::Available))
            .map(|(text, order)| async {
                let event = at_platform(ctx, &order, &point).await;
                (text, order, event)
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let now = EpochMs(ctx.store.now_ms().await?);
        let (mut changes, left_before) = (Vec::with_capacity(asked.len()), withdrawn.left);
        for (text, order, event) in asked {
            match event? {
                Ok(Some(OrderEvent::Paid)) => {
                    paid_there(ctx, campaign, &order, now).await?;
                }
                Ok(Some(event)) => {
                    let told = Told { event, amount_minor: None, occurred_at: None };
                    if let Ok(Some((change, _))) = plan(campaign, text, &order, told, now) {
                        changes.push(change);
                    }
                }
                Ok(None) => withdrawn.left += 1,
                Err(failure) => {
                    withdrawn.left += 1;
                    withdrawn.failed = Some(failure);
                }
            }
        }
        let missed = ctx.store.change_orders(campaign, None, &changes).await?;
        let taken = changes.iter().filter(|c| !missed.contains(&c.number) && c.states.1 == "cancelled").count();
        withdrawn.cancelled += taken as u64;
        lease.progressed();
        if missed.is_empty() {
            from = upto;
        } else {
            // The stretch is looked at again: what is left of it is counted then.
            withdrawn.left = left_before;
        }
    }
    Ok(withdrawn)
}

/// Records that a platform has an order as paid. It does not say when; in time, or it would not have been taken.
pub async fn paid_there(ctx: &Context, campaign: &str, order: &Order, now: EpochMs) -> Result<(), StoreError> {
    let Ok(campaign) = Name::parse(campaign) else { return Ok(()) };
    let last = order.expires_at.minus(Duration::from_millis(1));
    let told = Told { event: OrderEvent::Paid, amount_minor: None, occurred_at: Some(now.min(last)) };
    let named = OrderRef::Number { campaign, number: order.number };
    if let Err(refused) = apply(ctx, &named, told).await? {
        tracing::warn!(order = order.number, %refused, "the payment platform has an order as paid that cannot be");
    }
    Ok(())
}

/// Orders withdrawn at once; the payment point has its own, smaller number.
const AT_ONCE: usize = 64;

/// The job again, for the orders that could not be asked for.
/// They cost it no attempt as long as it gets on.
pub fn again(campaign: &str, withdrawn: &Withdrawn, failure: &Failure, now: EpochMs) -> Outcome {
    if withdrawn.cancelled > 0 {
        return Outcome::Snooze { until: now.plus(SOON) };
    }
    let left = withdrawn.left;
    let sentence =
        format!("{left} orders of \"{campaign}\" could not be cancelled at the payment platform yet: {failure}");
    Outcome::Retry { failure_code: failure.code().to_owned().into(), sentence, at: EpochMs(0) }
}

/// What happens to an available order that we withdraw: cancelled, or what the platform says it is. `None`: it is left.
async fn at_platform(
    ctx: &Context,
    order: &Order,
    campaign_point: &str,
) -> Result<Result<Option<OrderEvent>, Failure>, StoreError> {
    let Some(platform_id) = &order.platform_id else { return Ok(Ok(Some(OrderEvent::Cancelled))) };
    let point = order.payment_point.as_ref().map_or(campaign_point, Name::as_str);
    let Some(served) = ctx.points.get(point) else { return Ok(Ok(None)) };
    Ok(cancel(served, platform_id).await?.map(|state| state.and_then(event_of)))
}

/// Cancels one order at its platform. Returns the state it has there then; none for a state that is none of ours.
pub async fn cancel(
    served: &ServedPoint,
    platform_id: &str,
) -> Result<Result<Option<OrderState>, Failure>, StoreError> {
    let _permit = match leave(served).await? {
        Ok(permit) => permit,
        Err(failure) => return Ok(Err(failure)),
    };
    let deadline = Instant::now() + served.platform.settings.longest();
    let began = Instant::now();
    let answer = match served.platform.cancel(platform_id, deadline).await {
        Ok(state) => Ok(state),
        // Our own doing; the governor hears nothing of it.
        Err(DeliverError::NotSent) => return Ok(Err(Failure::transient("deadline_passed"))),
        Err(DeliverError::Failure(failure)) => Err(failure),
    };
    noted(served, answer.as_ref().map(|_| ()), began).await?;
    Ok(answer)
}

/// Tells the governor; a platform that refuses us is the job's affair.
pub async fn noted(served: &ServedPoint, outcome: Result<(), &Failure>, began: Instant) -> Result<(), StoreError> {
    match outcome {
        Err(Failure::Denied { .. }) => Ok(()),
        outcome => served.governor.note(outcome, began).await,
    }
}

/// A permit and a place in the rate of a payment point; waits a little for them.
pub async fn leave(served: &ServedPoint) -> Result<Result<tokio::sync::OwnedSemaphorePermit, Failure>, StoreError> {
    let until = Instant::now() + HELD_AT_MOST;
    let Ok(permit) = std::sync::Arc::clone(&served.governor.in_flight).acquire_owned().await else {
        return Ok(Err(Failure::transient("payment_point_held")));
    };
    let mut pace = Pace::default();
    loop {
        match served.governor.reserve(1, &mut pace).await? {
            Grant::Parts(_) => break,
            Grant::Wait { after, .. } if Instant::now() + after < until => tokio::time::sleep(after).await,
            Grant::Wait { .. } => return Ok(Err(Failure::transient("payment_point_held"))),
        }
    }
    if let Some(at) = served.governor.slot(1, &mut pace).await? {
        tokio::time::sleep_until(at.into()).await;
    }
    Ok(Ok(permit))
}

/// What has happened to an order that the platform shows in this state.
const fn event_of(state: OrderState) -> Option<OrderEvent> {
    match state {
        OrderState::Cancelled => Some(OrderEvent::Cancelled),
        OrderState::Expired => Some(OrderEvent::Expired),
        // Of what was given back the platform tells separately.
        OrderState::Paid | OrderState::PartiallyRefunded | OrderState::Refunded => Some(OrderEvent::Paid),
        OrderState::Available | OrderState::Creating | OrderState::InDoubt => None,
    }
}
