//! `POST /receipts/<channel>`: what providers say later of the messages they took; `GET`: whether the address is ours.
//!
//! A report is believed (its signature, where the channel has secrets), read (as the channel's configuration says),
//! found (our reference is signed and names its cell of the ledger) and written, many at once; only then it is
//! answered. Without secrets our signed reference is the only protection: who knows it, as the provider and everybody
//! on its way does, can report on that one message and on nothing else. Nothing that is personal is logged or kept.
//!
//! | Answer | Meaning |
//! |---|---|
//! | 200 `{"applied":1,"old":0,"unknown":0,"ignored":0}` | written; what is written already counts as `old` |
//! | 202, the same | understood, and nothing to write: old news, an unknown reference, a state that says nothing new |
//! | 400 | not JSON, or one of the reports cannot be understood; what could be was written |
//! | 401 | the signature is missing, wrong or too old |
//! | 404 | no such channel |
//! | 408, 413 | the body came too slowly; it is too big |
//! | 503 with `Retry-After` | not written: too many at once, or Redis is away |

mod desk;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;

use super::webhook::{self, Refused};
use crate::{
    domain::{
        receipt::Told,
        signature::{SignatureError, equal},
    },
    metrics::labels::ReceiptResult,
    store::receipts::{Arrived, Received},
};

pub use desk::{Committer, Desk};

/// Longest challenge; WhatsApp sends ten digits.
const CHALLENGE_BYTES: usize = 128;

/// Most reports of one body.
const MOST_REPORTS: usize = 1000;

/// The routes.
pub(super) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/receipts/{channel}", post(by_body).get(verify))
        .route("/receipts/{channel}/{*reference}", post(by_address))
        .with_state(desk)
}

/// What a provider asks before it posts to an address: is it yours? The names are WhatsApp's.
#[derive(Debug, serde::Deserialize)]
struct Asked {
    #[serde(rename = "hub.mode", default)]
    mode: String,
    #[serde(rename = "hub.verify_token", default)]
    token: String,
    #[serde(rename = "hub.challenge", default)]
    challenge: String,
}

/// Gives the challenge back to whom names our word.
async fn verify(State(desk): State<Arc<Desk>>, Path(channel): Path<String>, Query(asked): Query<Asked>) -> Response {
    let Some(settings) = desk.settings.get(&channel) else { return Refused::UnknownChannel.into_response() };
    let Some(token) = &settings.verify_token else { return StatusCode::METHOD_NOT_ALLOWED.into_response() };
    let ours = equal(token.expose(), &asked.token);
    let plain = asked.challenge.len() <= CHALLENGE_BYTES && asked.challenge.bytes().all(|b| b.is_ascii_alphanumeric());
    if ours && asked.mode == "subscribe" && plain {
        return asked.challenge.into_response();
    }
    Refused::Signature(SignatureError::Wrong).into_response()
}

async fn by_body(State(desk): State<Arc<Desk>>, Path(channel): Path<String>, request: Request) -> Response {
    answer(&desk, &channel, None, request).await
}

async fn by_address(
    State(desk): State<Arc<Desk>>,
    Path((channel, reference)): Path<(String, String)>,
    request: Request,
) -> Response {
    answer(&desk, &channel, Some(&reference), request).await
}

/// What became of the reports of one request.
#[derive(Debug, Default)]
struct Tally {
    applied: u64,
    old: u64,
    unknown: u64,
    ignored: u64,
}

async fn answer(desk: &Desk, channel: &str, reference: Option<&str>, request: Request) -> Response {
    match receive(desk, channel, reference, request).await {
        Ok(Tally { applied, old, unknown, ignored }) => {
            let status = if applied > 0 { StatusCode::OK } else { StatusCode::ACCEPTED };
            let counts = json!({ "applied": applied, "old": old, "unknown": unknown, "ignored": ignored });
            (status, Json(counts)).into_response()
        }
        Err(refused) => refused.into_response(),
    }
}

async fn receive(desk: &Desk, channel: &str, reference: Option<&str>, request: Request) -> Result<Tally, Refused> {
    let settings = desk.settings.get(channel).ok_or(Refused::UnknownChannel)?;
    let count = |result, n| desk.metrics.received(channel, result, n);
    let (head, incoming) = request.into_parts();
    let bytes = webhook::read(&desk.reading, incoming).await.inspect_err(|refused| {
        if matches!(refused, Refused::Busy) {
            count(ReceiptResult::Busy, 1);
        }
    })?;
    webhook::believe(settings, &head, &bytes).map_err(|error| {
        count(ReceiptResult::Unsigned, 1);
        Refused::Signature(error)
    })?;
    let unreadable = |code, message| {
        count(ReceiptResult::Unreadable, 1);
        Refused::Unreadable { code, message }
    };
    let body = webhook::parse(&head.headers, &bytes).map_err(|error| unreadable("not_json", error))?;
    let reports = settings.map.reports(&body).map_err(|error| unreadable(error.code(), error.to_string()))?;
    if reports.len() > MOST_REPORTS {
        return Err(Refused::TooBig("a body has at most 1000 reports"));
    }
    let (mut tally, mut arrived, mut first_unreadable) = (Tally::default(), Vec::new(), None);
    for (index, report) in reports.iter().enumerate() {
        match settings.map.read(&desk.secret, report, reference) {
            Ok(Told::News(receipt)) => arrived.push(Arrived { channel: channel.to_owned(), receipt }),
            Ok(Told::NoNews) => tally.ignored += 1,
            Ok(Told::Foreign) => tally.unknown += 1,
            Err(error) => {
                let refused = unreadable(error.code(), format!("report {index}: {error}"));
                first_unreadable.get_or_insert(refused);
            }
        }
    }
    count(ReceiptResult::Ignored, tally.ignored);
    count(ReceiptResult::Unknown, tally.unknown);
    if !arrived.is_empty() {
        let news = u64::try_from(arrived.len()).unwrap_or(u64::MAX);
        let Some(received) = desk.commit(arrived).await else {
            count(ReceiptResult::Busy, news);
            return Err(Refused::Busy);
        };
        for received in received {
            count(received.into(), 1);
            match received {
                Received::Applied => tally.applied += 1,
                Received::Old { .. } => tally.old += 1,
                Received::Unknown => tally.unknown += 1,
            }
        }
    }
    match first_unreadable {
        // What could be understood is written; told again, it is old.
        Some(refused) => Err(refused),
        None => Ok(tally),
    }
}
