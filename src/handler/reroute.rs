//! `reroute`: another payment point and another link for an order that can still be paid (PO-17).
//!
//! The former link stays on the order, with the time and the job that replaced it, and keeps resolving
//! to it: what was sent until then carries the former link, what is sent afterwards the new one, so the
//! ledger's times tell which message had which. Nothing is sent again by itself. An order has at most
//! `LINKS` former links: each of them must be found again, and removed with the campaign.
//!
//! Under a payment point with a platform the new order is made there first, under the same key however
//! often the job is repeated (or looked up by its marker). Then the order changes here, and last the former
//! order is cancelled at its platform, so that a debt cannot be paid twice. If that one turns out to be paid
//! already, the first success has paid: the order reads `paid` and the new one is cancelled instead.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    config::PaymentPoint,
    domain::{
        clock::EpochMs,
        failure::Failure,
        money::Currency,
        name::{JobId, Name},
        order::{FormerLink, Order, OrderState},
        short_code::ShortCode,
    },
    job::{OrderRef, Outcome, Rejection, RejectionCode},
    orders::{
        http::{Wish, marker},
        local::Mint,
    },
    store::{StoreError, orders::Change},
    wire::DeliverError,
};

use super::{
    Context, ServedPoint,
    order_event::{Found, find, order_event, wrong_state},
    trouble, withdraw,
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
            // This very job may have moved it and not come to the rest.
            if let Some(outcome) = close_former(ctx, id, &found, &shared).await? {
                return Ok(Ok(outcome));
            }
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
        let link = match ctx.points.get(point.name.as_str()) {
            None => NewLink { short_code: mint.another(&found.order, nth).await?, platform_id: None },
            Some(served) => match make(ctx, served, &found, nth).await? {
                Ok(link) => link,
                Err(outcome) => return Ok(Ok(outcome)),
            },
        };
        let Some(former) = former(&found.order, id, now) else { continue };
        let next = moved(&found.order, former, point, &shared, link);
        let change = change(&found, &next, &shared, point, now);
        if ctx.store.change_orders(&found.campaign, None, &[change]).await?.is_empty() {
            let moved = Found { campaign: found.campaign.clone(), text: next.to_json(), order: next.clone() };
            if let Some(outcome) = close_former(ctx, id, &moved, &shared).await? {
                return Ok(Ok(outcome));
            }
            return Ok(Ok(Outcome::done(result(&found.campaign, &next, &shared, point, true))));
        }
    }
    Err(StoreError::Unavailable("the order changes too fast".to_owned()))
}

/// Has the platform make the order under its new payment point. An outcome: it did not, or nobody knows yet.
async fn make(
    ctx: &Context,
    served: &ServedPoint,
    found: &Found,
    nth: usize,
) -> Result<Result<NewLink, Outcome>, StoreError> {
    let order = &found.order;
    let field = ctx.store.campaign_fields(&found.campaign, &["currency"]).await?.into_iter().next().flatten();
    let currency = order.currency.or_else(|| Currency::parse(&field?).ok());
    let Some(currency) = currency else { return Ok(Err(not_taken(found, "currency_missing"))) };
    let marker = marker(&ctx.secret, &found.campaign, &order.key, nth);
    let _permit = match withdraw::leave(served).await? {
        Ok(permit) => permit,
        Err(failure) => return Ok(Err(later(served, &failure, EpochMs(0)))),
    };
    let (platform, deadline) = (&served.platform, Instant::now() + served.platform.settings.longest());
    let asked = async {
        // This job may have asked before and not heard: without idempotency only a look tells.
        if !platform.settings.idempotent
            && let Some(made) = platform.look_up(&marker, deadline).await?
        {
            return Ok(made);
        }
        platform.create(&Wish { order, currency, marker: &marker }, deadline).await
    };
    let began = Instant::now();
    let made = match asked.await {
        Ok(made) => Ok(made),
        Err(DeliverError::NotSent) => {
            return Ok(Err(later(served, &Failure::transient("deadline_passed"), EpochMs(0))));
        }
        Err(DeliverError::Failure(failure)) => Err(failure),
    };
    withdraw::noted(served, made.as_ref().map(|_| ()), began).await?;
    let made = match made {
        Ok(made) => made,
        Err(failure @ Failure::Permanent { .. }) => return Ok(Err(not_taken(found, failure.code()))),
        // The platform may have it and not show it yet: seen too early it would be made twice.
        Err(failure @ Failure::Ambiguous { .. }) if !platform.settings.idempotent => {
            let at = EpochMs(ctx.store.now_ms().await?).plus(platform.settings.lookup_after);
            return Ok(Err(later(served, &failure, at)));
        }
        Err(failure) => return Ok(Err(later(served, &failure, EpochMs(0)))),
    };
    let target = format!("{}/{}", found.campaign, order.number);
    ctx.store.link_order(&made.short_code, &target).await?;
    Ok(Ok(NewLink { short_code: made.short_code, platform_id: Some(made.platform_id) }))
}

fn not_taken(found: &Found, code: &str) -> Outcome {
    let rule =
        format!("the payment platform does not take order {} of \"{}\": {code}", found.order.number, found.campaign);
    Rejection::of_field(RejectionCode::ProviderRefused, "payment_point", rule).into()
}

fn later(served: &ServedPoint, failure: &Failure, at: EpochMs) -> Outcome {
    let sentence = format!("the payment platform of \"{}\": {failure}", served.platform.settings.name);
    Outcome::Retry { failure_code: failure.code().to_owned().into(), sentence, at }
}

/// Cancels the order that this job replaced, at its platform. An outcome: not yet. Where it was paid first, it pays.
async fn close_former(
    ctx: &Context,
    id: &JobId,
    found: &Found,
    shared: &Shared,
) -> Result<Option<Outcome>, StoreError> {
    let order = &found.order;
    let Some(former) = order.former.last().filter(|former| former.job == id.to_string()) else { return Ok(None) };
    let Some(platform_id) = &former.platform_id else { return Ok(None) };
    let point = former.payment_point.as_ref().map_or(shared.payment_point.as_str(), Name::as_str);
    let Some(served) = ctx.points.get(point) else { return Ok(None) };
    let state = match withdraw::cancel(served, platform_id).await? {
        Ok(state) => state,
        Err(failure) => return Ok(Some(later(served, &failure, EpochMs(0)))),
    };
    let paid = matches!(state, Some(OrderState::Paid | OrderState::PartiallyRefunded | OrderState::Refunded));
    if !paid && !matches!(state, Some(OrderState::Cancelled | OrderState::Expired)) {
        let state = state.map_or("none of ours", OrderState::as_str);
        tracing::warn!(
            campaign = found.campaign,
            order = order.number,
            state,
            "the former order of a re-routed one is not cancelled at its payment platform: it can be paid there"
        );
    }
    if !paid || order.state != OrderState::Available {
        return Ok(None);
    }
    let present = order.payment_point.as_ref().map_or(shared.payment_point.as_str(), Name::as_str);
    if let (Some(served), Some(new)) = (ctx.points.get(present), &order.platform_id)
        && let Err(failure) = withdraw::cancel(served, new).await?
    {
        return Ok(Some(later(served, &failure, EpochMs(0))));
    }
    // Read again as often as it changes under our hands: this payment must not be lost.
    withdraw::paid_there(ctx, &found.campaign, order, former.until).await?;
    Ok(None)
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
