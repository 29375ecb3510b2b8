//! `POST /receipts/<channel>`: what providers say later of the messages they took.
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

mod body;
mod desk;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::post,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Value, json};

use crate::{
    config::{ReceiptSettings, SignatureSettings},
    domain::{
        clock::EpochMs,
        receipt::Told,
        signature::{self, SignatureError, Standard},
    },
    metrics::ReceiptResult,
    store::receipts::{Arrived, Received},
};

pub use desk::{Committer, Desk};

/// Largest body: a thousand reports of a kilobyte.
const BODY_BYTES: usize = 1024 * 1024;

/// A body that has not come after this does not come.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// A request whose turn to be read has not come after this is told to come again.
const TURN_WITHIN: Duration = Duration::from_secs(10);

/// Most reports of one body.
const MOST_REPORTS: usize = 1000;

/// When a provider that was turned away may come again.
const COME_AGAIN_SECONDS: u64 = 2;

/// The routes.
pub(super) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/receipts/{channel}", post(by_body))
        .route("/receipts/{channel}/{*reference}", post(by_address))
        .with_state(desk)
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

/// Why a request is not answered with a count.
#[derive(Debug)]
enum Refused {
    UnknownChannel,
    Signature(SignatureError),
    Unreadable { code: &'static str, message: String },
    TooSlow,
    TooBig(&'static str),
    Busy,
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
    let bytes = {
        // Bodies wait in their sockets, not in memory.
        let Ok(Ok(_reading)) = tokio::time::timeout(TURN_WITHIN, desk.reading.acquire()).await else {
            count(ReceiptResult::Busy, 1);
            return Err(Refused::Busy);
        };
        let read = Limited::new(incoming, BODY_BYTES).collect();
        match tokio::time::timeout(BODY_WITHIN, read).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(Refused::TooBig("a body has at most 1 MiB"));
            }
            Ok(Err(_)) | Err(_) => return Err(Refused::TooSlow),
        }
    };
    believe(settings, &head.headers, &bytes).map_err(|error| {
        count(ReceiptResult::Unsigned, 1);
        Refused::Signature(error)
    })?;
    let unreadable = |code, message| {
        count(ReceiptResult::Unreadable, 1);
        Refused::Unreadable { code, message }
    };
    let body = body::parse(&head.headers, &bytes).map_err(|error| unreadable("not_json", error))?;
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

/// Looks at the signature, where the channel has secrets.
fn believe(settings: &ReceiptSettings, headers: &HeaderMap, body: &[u8]) -> Result<(), SignatureError> {
    let keys: Vec<_> = settings.secrets.iter().filter_map(|secret| signature::key(secret.expose())).collect();
    if settings.secrets.is_empty() {
        return Ok(());
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).ok_or(SignatureError::Missing);
    match &settings.signature {
        SignatureSettings::Plain { digits, header: name } => {
            signature::check_plain(&keys, *digits, header(name)?, body)
        }
        SignatureSettings::Standard { tolerance } => {
            let standard = Standard {
                id: header("webhook-id")?,
                timestamp: header("webhook-timestamp")?,
                signatures: header("webhook-signature")?,
            };
            standard.check(&keys, body, now(), *tolerance)
        }
    }
}

/// The clock of this machine: minutes of tolerance need no better one.
fn now() -> EpochMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    EpochMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::UnknownChannel => {
                (StatusCode::NOT_FOUND, "unknown_channel", "this daemon serves no such channel".to_owned())
            }
            Self::Signature(error) => (StatusCode::UNAUTHORIZED, error.code(), error.to_string()),
            Self::Unreadable { code, message } => (StatusCode::BAD_REQUEST, code, message),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not come".to_owned()),
            Self::TooBig(message) => (StatusCode::PAYLOAD_TOO_LARGE, "too_big", message.to_owned()),
            Self::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "busy", "nothing is written: come again a little later".to_owned())
            }
        };
        let body: Value = json!({ "error": { "code": code, "message": message } });
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(COME_AGAIN_SECONDS));
        }
        response
    }
}
