//! `order_event`: a payment platform says what happened to an order.
//!
//! The change is planned on the order as it reads now and written only if it still reads so: between
//! the sweeper, two webhooks and a cancel, one edge of the table is taken at a time.

use serde_json::{Value, json};

use crate::{
    domain::{
        WrongState,
        clock::EpochMs,
        order::{Order, OrderEvent, OrderState},
    },
    job::{OrderRef, Outcome, Rejection, RejectionCode},
    store::{StoreError, orders::Change},
};

use super::{Context, trouble};

/// An order that changes under our hands is read again so often.
const TRIES: u32 = 20;

/// Runs the job.
pub async fn run(
    ctx: &Context,
    order: &OrderRef,
    event: OrderEvent,
    amount_minor: Option<u64>,
    occurred_at: Option<EpochMs>,
) -> Outcome {
    match apply(ctx, order, event, amount_minor, occurred_at).await {
        Ok(Ok(result)) => Outcome::done(result),
        Ok(Err(rejection)) => rejection.into(),
        Err(error) => trouble::outcome(&error),
    }
}

async fn apply(
    ctx: &Context,
    order: &OrderRef,
    event: OrderEvent,
    amount_minor: Option<u64>,
    occurred_at: Option<EpochMs>,
) -> Result<Result<Value, Rejection>, StoreError> {
    let Some((campaign, number)) = locate(ctx, order).await? else {
        let rule = format!("there is no order {}", shown(order));
        return Ok(Err(Rejection::of_field(RejectionCode::UnknownOrder, "order", rule)));
    };
    for _ in 0..TRIES {
        let text = ctx.store.orders(&campaign, std::iter::once(number)).await?.into_iter().next().flatten();
        let Some((text, found)) = text.and_then(|t| Order::from_json(&t).ok().map(|o| (t, o))) else {
            let rule = format!("the campaign \"{campaign}\" has no order {number}");
            return Ok(Err(Rejection::of_field(RejectionCode::UnknownOrder, "order", rule)));
        };
        let now = EpochMs(ctx.store.now_ms().await?);
        let at = occurred_at.unwrap_or(now);
        // The same event again (a webhook repeats) is no error.
        if found.state == target(event) {
            return Ok(Ok(result(&campaign, number, found.state)));
        }
        let change = match plan_change(&campaign, text, found, event, at.min(now), amount_minor) {
            Ok(change) => change,
            Err(wrong) => {
                let allowed: Vec<&str> = wrong.allowed.iter().map(|e| e.as_str()).collect();
                let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
                let rule = format!(
                    "order {number} of \"{campaign}\" is {}: {} is not allowed, only {allowed}",
                    wrong.state.as_str(),
                    event.as_str(),
                );
                return Ok(Err(Rejection::of_field(RejectionCode::WrongState, "event", rule)));
            }
        };
        if ctx.store.change_orders(&campaign, None, &[change]).await?.is_empty() {
            return Ok(Ok(result(&campaign, number, target(event))));
        }
    }
    Err(StoreError::Unavailable("the order changes too fast".to_owned()))
}

/// The campaign and number of an order.
async fn locate(ctx: &Context, order: &OrderRef) -> Result<Option<(String, u64)>, StoreError> {
    Ok(match order {
        OrderRef::Number { campaign, number } => Some((campaign.to_string(), *number)),
        OrderRef::Key { campaign, key } => {
            ctx.store.order_number(campaign.as_str(), key).await?.map(|n| (campaign.to_string(), n))
        }
        OrderRef::ShortCode(code) => {
            let (first, rest) = code.split();
            let target = ctx.store.resolve_link(first, rest).await?;
            target.and_then(|t| t.rsplit_once('/').and_then(|(c, n)| Some((c.to_owned(), n.parse().ok()?))))
        }
    })
}

fn shown(order: &OrderRef) -> String {
    match order {
        OrderRef::Number { campaign, number } => format!("{number} in \"{campaign}\""),
        OrderRef::Key { campaign, key } => format!("with the key \"{key}\" in \"{campaign}\""),
        OrderRef::ShortCode(code) => format!("with the short code \"{}\"", code.as_str()),
    }
}

/// The state an event leads to.
const fn target(event: OrderEvent) -> OrderState {
    match event {
        OrderEvent::Paid => OrderState::Paid,
        OrderEvent::Cancelled => OrderState::Cancelled,
        OrderEvent::Expired => OrderState::Expired,
        OrderEvent::PartiallyRefunded => OrderState::PartiallyRefunded,
        OrderEvent::Refunded => OrderState::Refunded,
    }
}

fn result(campaign: &str, number: u64, state: OrderState) -> Value {
    json!({ "campaign": campaign, "order": number, "state": state.as_str() })
}

/// Plans one change with its event.
pub fn plan_change(
    campaign: &str,
    before: String,
    mut order: Order,
    event: OrderEvent,
    at: EpochMs,
    amount_minor: Option<u64>,
) -> Result<Change, WrongState<OrderState, OrderEvent>> {
    let from = order.state;
    let to = order.after(event, at)?;
    order.state = to;
    let mut told = json!({
        "event": format!("{campaign}/{}/{}", order.number, to.as_str()), "type": "order", "campaign": campaign,
        "order": order.number, "key": order.key, "reference": order.reference, "state": to.as_str(), "at": at.0,
    });
    if let (Some(fields), Some(amount)) = (told.as_object_mut(), amount_minor) {
        fields.insert("amount".to_owned(), amount.into());
    }
    Ok(Change {
        number: order.number,
        before,
        after: order.to_json(),
        states: (from.as_str(), to.as_str()),
        event: told.to_string(),
    })
}
