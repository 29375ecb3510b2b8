//! `reroute`: another payment point and another link for an order that can still be paid (PO-17).
//!
//! The former link stays on the order, with the time and the job that replaced it, and keeps resolving
//! to it: what was sent until then carries the former link, what is sent afterwards the new one, so the
//! ledger's times tell which message had which. Nothing is sent again by itself. An order has at most
//! [`LINKS`] former links: each of them must be found again, and removed with the campaign.

use serde_json::{Value, json};

use crate::{
    config::PaymentPoint,
    domain::{
        clock::EpochMs,
        name::{JobId, Name},
        order::{FormerLink, Order, OrderState},
        short_code::ShortCode,
    },
    job::{OrderRef, Outcome, Rejection, RejectionCode},
    orders::local::Mint,
    store::{StoreError, orders::Change},
};

use super::{
    Context,
    order_event::{Found, find, order_event, wrong_state},
    trouble,
};

/// Most former links of an order.
const LINKS: usize = 10;

/// An order that changes under our hands is read again so often.
const TRIES: u32 = 20;

/// What an order's campaign shares.
#[derive(Debug)]
struct Shared {
    payment_point: String,
    link_base: String,
}

/// The end of a link, and the order's id at the platform that made it.
#[derive(Debug, Clone)]
struct NewLink {
    short_code: ShortCode,
    platform_id: Option<String>,
}

/// Runs the job.
pub async fn run(ctx: &Context, id: &JobId, order: &OrderRef, payment_point: &Name) -> Outcome {
    match reroute(ctx, id, order, payment_point).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(rejection)) => rejection.into(),
        Err(error) => trouble::outcome(&error),
    }
}

async fn reroute(
    ctx: &Context,
    id: &JobId,
    order: &OrderRef,
    payment_point: &Name,
) -> Result<Result<Outcome, Rejection>, StoreError> {
    let Some(point) = ctx.config.payment_point(payment_point.as_str()) else {
        let known: Vec<&str> = ctx.config.payment_points.keys().map(String::as_str).collect();
        let rule = format!("\"{payment_point}\" is not configured; there are: {}", known.join(", "));
        return Ok(Err(Rejection::of_field(RejectionCode::UnknownPaymentPoint, "payment_point", rule)));
    };
    for _ in 0..TRIES {
        let found = match find(ctx, order).await? {
            Ok(found) => found,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let shared = shared(ctx, &found).await?;
        let now = EpochMs(ctx.store.now_ms().await?);
        let present = found.order.payment_point.as_ref().map_or(shared.payment_point.as_str(), Name::as_str);
        if present == point.name.as_str() {
            return Ok(Ok(Outcome::done(result(&found.campaign, &found.order, &shared, point, false))));
        }
        if let Some(refused) = refuse(&found, now) {
            return Ok(Err(refused));
        }
        let nth = found.order.former.len() + 1;
        let mint = Mint {
            store: &ctx.store,
            secret: &ctx.secret,
            campaign: &found.campaign,
            code_length: ctx.config.orders.short_code_length,
        };
        let link = NewLink { short_code: mint.another(&found.order, nth).await?, platform_id: None };
        let Some(former) = former(&found.order, id, now) else { continue };
        let next = moved(&found.order, former, point, &shared, link);
        let change = change(&found, &next, &shared, point, now);
        if ctx.store.change_orders(&found.campaign, None, &[change]).await?.is_empty() {
            return Ok(Ok(Outcome::done(result(&found.campaign, &next, &shared, point, true))));
        }
    }
    Err(StoreError::Unavailable("the order changes too fast".to_owned()))
}

async fn shared(ctx: &Context, found: &Found) -> Result<Shared, StoreError> {
    let fields = ctx.store.campaign_fields(&found.campaign, &["payment_point", "link_base"]).await?;
    let mut fields = fields.into_iter().map(Option::unwrap_or_default);
    let mut next = || fields.next().unwrap_or_default();
    Ok(Shared { payment_point: next(), link_base: next() })
}

/// Only what can still be paid, by the clock, gets another link; and not without end.
fn refuse(found: &Found, now: EpochMs) -> Option<Rejection> {
    let (campaign, order) = (&found.campaign, &found.order);
    let state = order.state_at(now);
    if state != OrderState::Available {
        return Some(wrong_state(campaign, order.number, "reroute", state, state.allowed()));
    }
    (order.former.len() >= LINKS).then(|| {
        let rule =
            format!("order {} of \"{campaign}\" was re-routed {LINKS} times: reroute is not allowed", order.number);
        Rejection::of_field(RejectionCode::WrongState, "action", rule)
    })
}

/// The present link, as the order remembers it. An available order has one.
fn former(order: &Order, id: &JobId, now: EpochMs) -> Option<FormerLink> {
    Some(FormerLink {
        short_code: order.short_code.clone()?,
        payment_point: order.payment_point.clone(),
        link_base: order.link_base.clone(),
        platform_id: order.platform_id.clone(),
        until: now,
        job: id.to_string(),
    })
}

/// The order under its new payment point; what the campaign says already is left out.
fn moved(order: &Order, former: FormerLink, point: &PaymentPoint, shared: &Shared, link: NewLink) -> Order {
    let mut next = order.clone();
    next.former.push(former);
    next.short_code = Some(link.short_code);
    next.platform_id = link.platform_id;
    next.payment_point = Some(point.name.clone()).filter(|name| name.as_str() != shared.payment_point);
    next.link_base = Some(point.link_base.clone()).filter(|base| *base != shared.link_base);
    next
}

fn change(found: &Found, next: &Order, shared: &Shared, point: &PaymentPoint, now: EpochMs) -> Change {
    let mut event = order_event(&found.campaign, next, &format!("rerouted/{}", next.former.len()), now);
    if let Some(fields) = event.as_object_mut() {
        fields.insert("payment_point".to_owned(), point.name.as_str().into());
        fields.insert("link".to_owned(), next.link(&shared.link_base).into());
    }
    Change {
        number: next.number,
        before: found.text.clone(),
        after: next.to_json(),
        states: (found.order.state.as_str(), next.state.as_str()),
        event: event.to_string(),
    }
}

fn result(campaign: &str, order: &Order, shared: &Shared, point: &PaymentPoint, changed: bool) -> Value {
    json!({
        "campaign": campaign, "order": order.number, "payment_point": point.name.as_str(),
        "link": order.link(&shared.link_base), "changed": changed,
    })
}
