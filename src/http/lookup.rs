//! The look-up: campaigns, orders and cases as JSON, for programs on this machine. `docs/lookup.md` is its page.
//!
//! The shapes are those of the commands with `--json`. It only reads, and never more than a page: a filter that finds
//! little answers with what it found so far and where to go on. Contacts are masked and variables left out unless the
//! configuration says otherwise (DA-9) to who may see them ([`super::rights`]).

pub(super) mod cases;
mod question;

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use serde_json::json;

use super::{
    HttpState,
    answer::{Answer, Fault, respond},
    rights::Rights,
};
use crate::{
    domain::{lookup::Filter, name::Name, short_code::ShortCode},
    store::{
        records::{Reader, Runs},
        view::{CampaignDetail, CampaignQuery, Listing},
    },
};

pub(super) use question::Question;

/// Orders that one request looks at, at most.
const LOOKED_AT: u64 = 50_000;

/// Campaigns that one request looks at, at most.
const CAMPAIGNS_LOOKED_AT: usize = 5_000;

/// The paths of the look-up.
pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/campaigns", get(async |State(state), question| respond(campaigns(&state, question).await)))
        .route("/campaigns/{campaign}", get(async |State(state), Path(name)| respond(campaign(&state, name).await)))
        .route(
            "/campaigns/{campaign}/orders",
            get(async |State(state), rights: Rights, Path(name), question| {
                respond(orders(&state, &rights, name, question).await)
            }),
        )
        .route(
            "/campaigns/{campaign}/orders/{number}",
            get(async |State(state), rights: Rights, Path((name, number))| {
                respond(order(&state, &rights, name, number).await)
            }),
        )
        .route(
            "/campaigns/{campaign}/cases",
            get(async |State(state), rights: Rights, Path(name), question| {
                respond(cases::page(&state, &rights, name, question).await)
            }),
        )
        .route(
            "/campaigns/{campaign}/cases/{number}",
            get(async |State(state), rights: Rights, Path((name, number))| {
                respond(cases::one(&state, &rights, name, number).await)
            }),
        )
        .route(
            "/orders/{short_code}",
            get(async |State(state), rights: Rights, Path(code)| respond(order_of_code(&state, &rights, code).await)),
        )
}

async fn campaigns(state: &HttpState, mut question: Question) -> Answer {
    let query = CampaignQuery { look_at: CAMPAIGNS_LOOKED_AT, ..question.campaigns()? };
    let Some(listing) = Listing::load(&state.store, &query).await? else {
        return Err(Fault::unknown_campaign(query.after.as_deref().unwrap_or_default()));
    };
    let mut answer = json!({ "campaigns": listing.campaigns, "next": listing.next });
    if let (1.., Some(fields)) = (listing.offset_left, answer.as_object_mut()) {
        fields.insert("offset".to_owned(), listing.offset_left.into());
    }
    Ok(answer)
}

async fn campaign(state: &HttpState, name: String) -> Answer {
    let name = parsed(&name)?;
    let detail = CampaignDetail::load(&state.store, name.as_str()).await?;
    let detail = detail.ok_or_else(|| Fault::unknown_campaign(name.as_str()))?;
    Ok(serde_json::to_value(detail).unwrap_or_default())
}

/// A page of a campaign's orders.
pub(super) async fn orders(state: &HttpState, rights: &Rights, name: String, mut question: Question) -> Answer {
    let name = parsed(&name)?;
    let wanted = question.orders()?;
    let reader = reader(state, name.as_str()).await?;
    if let Some(key) = &wanted.key {
        let number = state.store.order_number(name.as_str(), key).await?;
        return some(rights, &reader, &wanted.filter, number.as_slice(), false).await;
    }
    if let Some(reference) = &wanted.filter.reference {
        let found = state.store.numbers_of_reference(name.as_str(), reference).await?;
        let found = found.ok_or_else(|| Fault::not_indexed(name.as_str()))?;
        return some(rights, &reader, &wanted.filter, &found.numbers, found.more).await;
    }
    let page = reader.page(&wanted.filter, wanted.after, wanted.limit, LOOKED_AT).await?;
    let orders: Vec<_> =
        page.records.iter().map(|record| record.to_json(&reader.shared, rights.personal_data)).collect();
    Ok(json!({ "campaign": name, "orders": orders, "next": page.next }))
}

/// Orders that were found by an index.
async fn some(rights: &Rights, reader: &Reader, filter: &Filter, numbers: &[u64], more: bool) -> Answer {
    let found = reader.read(numbers).await?.records;
    let passing = found.iter().filter(|record| record.passes(filter));
    let orders: Vec<_> = passing.map(|record| record.to_json(&reader.shared, rights.personal_data)).collect();
    let mut answer = json!({ "campaign": reader.shared.campaign, "orders": orders, "next": null });
    if let (true, Some(fields)) = (more, answer.as_object_mut()) {
        fields.insert("more".to_owned(), true.into());
    }
    Ok(answer)
}

/// One order.
pub(super) async fn order(state: &HttpState, rights: &Rights, name: String, number: String) -> Answer {
    let name = parsed(&name)?;
    let number: u64 = number.parse().map_err(|_| Fault::invalid("the number of an order is a whole number from 1"))?;
    one(state, rights, name.as_str(), number).await
}

async fn order_of_code(state: &HttpState, rights: &Rights, code: String) -> Answer {
    let code = ShortCode::parse(&code).map_err(|error| Fault::bad(error.code(), error.to_string()))?;
    match state.store.order_of_code(&code).await? {
        Some((campaign, number)) => one(state, rights, &campaign, number).await,
        None => Err(Fault::unknown_order(format!("no order has the short code {}", code.as_str()))),
    }
}

async fn one(state: &HttpState, rights: &Rights, campaign: &str, number: u64) -> Answer {
    let reader = reader(state, campaign).await?;
    let found = reader.read(&[number]).await?.records;
    let record = found.first();
    let record = record.ok_or_else(|| Fault::unknown_order(format!("{campaign} has no order {number}")))?;
    Ok(record.to_json(&reader.shared, rights.personal_data))
}

async fn reader(state: &HttpState, campaign: &str) -> Result<Reader, Fault> {
    state.store.reader(campaign, &Runs::All).await?.ok_or_else(|| Fault::unknown_campaign(campaign))
}

fn parsed(name: &str) -> Result<Name, Fault> {
    Name::parse(name).map_err(|error| Fault::bad(error.code(), error.to_string()))
}
