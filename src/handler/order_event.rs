//! `order_event`: a payment platform says what happened to an order.
//!
//! The change is planned on the order as it reads now and written only if it still reads so: between
//! the sweeper, two webhooks and a cancel, one edge of the table is taken at a time. What is known
//! already is done already; what the edges and the sums do not allow is refused with what they do.

use serde_json::{Value, json};

use crate::{
    domain::{
        clock::EpochMs,
        order::{EventError, Order, OrderEvent, OrderState},
    },
    job::{OrderRef, Outcome, Rejection, RejectionCode},
    store::{StoreError, orders::Change},
};

use super::{Context, trouble};

/// An order that changes under our hands is read again so often.
const TRIES: u32 = 20;

/// What is told of an order.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// What happened.
    pub event: OrderEvent,
    /// The sum of this payment or refund.
    pub amount_minor: Option<u64>,
    /// When; our clock where the platform does not say.
    pub occurred_at: Option<EpochMs>,
}

/// An order under its campaign, as it reads now.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its campaign.
    pub campaign: String,
    /// Its JSON.
    pub text: String,
    /// The same, read.
    pub order: Order,
}

/// Runs the job.
pub async fn run(ctx: &Context, order: &OrderRef, told: Told) -> Outcome {
    match apply(ctx, order, told).await {
        Ok(Ok(result)) => Outcome::done(result),
        Ok(Err(rejection)) => rejection.into(),
        Err(error) => trouble::outcome(&error),
    }
}

/// Tells one order what happened to it.
pub async fn apply(ctx: &Context, order: &OrderRef, told: Told) -> Result<Result<Value, Rejection>, StoreError> {
    for _ in 0..TRIES {
        let found = match find(ctx, order).await? {
            Ok(found) => found,
            Err(rejection) => return Ok(Err(rejection)),
        };
        if is_over_there(order, told.event, &found.order) {
            return Ok(Ok(result(&found.campaign, &found.order, false)));
        }
        let now = EpochMs(ctx.store.now_ms().await?);
        let number = found.order.number;
        let changed = match plan(&found.campaign, found.text, &found.order, told, now) {
            Ok(Some((change, order))) => {
                if !ctx.store.change_orders(&found.campaign, None, &[change]).await?.is_empty() {
                    continue;
                }
                order
            }
            // A webhook repeats itself.
            Ok(None) => return Ok(Ok(result(&found.campaign, &found.order, false))),
            Err(error) => return Ok(Err(refusal(&found.campaign, number, told.event, &error))),
        };
        return Ok(Ok(result(&found.campaign, &changed, true)));
    }
    Err(StoreError::Unavailable("the order changes too fast".to_owned()))
}

/// Whether this is the end of the order as it was under a former link: withdrawn there because it was re-routed, it
/// can still be paid by its present one. What was paid by the former link is paid.
fn is_over_there(named: &OrderRef, event: OrderEvent, order: &Order) -> bool {
    let OrderRef::ShortCode(code) = named else { return false };
    matches!(event, OrderEvent::Cancelled | OrderEvent::Expired)
        && order.short_code.as_ref() != Some(code)
        && order.former.iter().any(|former| former.short_code == *code)
}

/// The order that a job names, as it reads now.
pub async fn find(ctx: &Context, order: &OrderRef) -> Result<Result<Found, Rejection>, StoreError> {
    let unknown = |rule| Ok(Err(Rejection::of_field(RejectionCode::UnknownOrder, "order", rule)));
    let Some((campaign, number)) = locate(ctx, order).await? else {
        return unknown(format!("there is no order {}", shown(order)));
    };
    let text = ctx.store.orders(&campaign, std::iter::once(number)).await?.into_iter().next().flatten();
    match text.and_then(|text| Order::from_json(&text).ok().map(|order| (text, order))) {
        Some((text, order)) => Ok(Ok(Found { campaign, text, order })),
        None => unknown(format!("the campaign \"{campaign}\" has no order {number}")),
    }
}

fn refusal(campaign: &str, number: u64, event: OrderEvent, error: &EventError) -> Rejection {
    match error {
        EventError::Wrong(wrong) => wrong_state(campaign, number, event.as_str(), wrong.state, wrong.allowed),
        EventError::OutOfRange { .. } | EventError::NotAll { .. } => {
            let rule = format!("{error} (order {number} of \"{campaign}\")");
            Rejection::of_field(RejectionCode::InvalidRefund, "amount", rule)
        }
    }
}

/// The refusal that names the state and what it allows (DA-7).
pub fn wrong_state(campaign: &str, number: u64, wanted: &str, state: OrderState, allowed: &[OrderEvent]) -> Rejection {
    let allowed: Vec<&str> = allowed.iter().map(|e| e.as_str()).collect();
    let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
    let rule = format!("order {number} of \"{campaign}\" is {state}: {wanted} is not allowed, only {allowed}");
    Rejection::of_field(RejectionCode::WrongState, "event", rule)
}

/// The campaign and number of an order.
async fn locate(ctx: &Context, order: &OrderRef) -> Result<Option<(String, u64)>, StoreError> {
    Ok(match order {
        OrderRef::Number { campaign, number } => Some((campaign.to_string(), *number)),
        OrderRef::Key { campaign, key } => {
            ctx.store.order_number(campaign.as_str(), key).await?.map(|n| (campaign.to_string(), n))
        }
        OrderRef::ShortCode(code) => ctx.store.order_of_code(code).await?,
    })
}

fn shown(order: &OrderRef) -> String {
    match order {
        OrderRef::Number { campaign, number } => format!("{number} in \"{campaign}\""),
        OrderRef::Key { campaign, key } => format!("with the key \"{key}\" in \"{campaign}\""),
        OrderRef::ShortCode(code) => format!("with the short code \"{}\"", code.as_str()),
    }
}

fn result(campaign: &str, order: &Order, changed: bool) -> Value {
    let mut result =
        json!({ "campaign": campaign, "order": order.number, "state": order.state.as_str(), "changed": changed });
    if let Some(fields) = result.as_object_mut()
        && order.paid_minor > 0
    {
        fields.insert("paid_minor".to_owned(), order.paid_minor.into());
        fields.insert("refunded_minor".to_owned(), order.refunded_minor.into());
    }
    result
}

/// Plans one change with its event, and the order after it. `None`: it is known already.
pub fn plan(
    campaign: &str,
    before: String,
    order: &Order,
    told: Told,
    now: EpochMs,
) -> Result<Option<(Change, Order)>, EventError> {
    let at = told.occurred_at.unwrap_or(now);
    let is_told = told.occurred_at.is_some();
    let Some(after) = order.happen(told.event, at, is_told, told.amount_minor, now)? else { return Ok(None) };
    let sum = after.history.last().filter(|_| told.event != OrderEvent::Expired).and_then(|h| h.amount_minor);
    // A second partial refund is another change: its event has another id.
    let nth = if after.refunded_minor > 0 { format!("/{}", after.refunded_minor) } else { String::new() };
    let mut event = order_event(campaign, &after, &format!("{}{nth}", after.state), now);
    if let Some(fields) = event.as_object_mut() {
        if let Some(sum) = sum {
            fields.insert("amount".to_owned(), sum.into());
            fields.insert("paid".to_owned(), after.paid_minor.into());
            fields.insert("refunded".to_owned(), after.refunded_minor.into());
        }
        if is_told {
            fields.insert("occurred_at".to_owned(), at.0.into());
        }
    }
    let change = Change {
        number: order.number,
        before,
        after: after.to_json(),
        states: (order.state.as_str(), after.state.as_str()),
        event: event.to_string(),
    };
    Ok(Some((change, after)))
}

/// The event of a change of one order; `id` tells its changes apart.
pub fn order_event(campaign: &str, order: &Order, id: &str, now: EpochMs) -> Value {
    json!({
        "event": format!("{campaign}/{}/{id}", order.number), "type": "order", "campaign": campaign,
        "order": order.number, "key": order.key, "reference": order.reference, "state": order.state.as_str(),
        "at": now.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        order::{FormerLink, tests as sample},
        short_code::ShortCode,
    };

    #[test]
    fn po_17_a_cancellation_under_a_former_link_is_none_of_the_order_and_a_payment_is() {
        let code = |text: &str| ShortCode::parse(text).unwrap();
        let mut order = sample::order();
        order.former.push(FormerLink {
            short_code: code("former1"),
            payment_point: None,
            link_base: None,
            platform_id: None,
            until: EpochMs(1),
            job: "reroute-1".to_owned(),
        });
        let former = OrderRef::ShortCode(code("former1"));
        let present = OrderRef::ShortCode(code("aB3dE5gH1j"));
        assert!(is_over_there(&former, OrderEvent::Cancelled, &order));
        assert!(!is_over_there(&former, OrderEvent::Paid, &order));
        assert!(!is_over_there(&present, OrderEvent::Cancelled, &order));
    }
}
