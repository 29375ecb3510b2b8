//! What all webhooks of providers have in common: a body that comes in time and is not too big, a signature that is looked
//! at, an answer that says why not.
//!
//! Receipts and replies are signed alike: by the secrets of `[channels.<name>.receipts]`. Nothing of a body is logged.

mod body;

use std::time::Duration;

use axum::{
    Json,
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header::RETRY_AFTER, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    incoming::{self, Unread},
    now,
};
use crate::{
    config::{ReceiptSettings, SignatureSettings},
    domain::signature::{self, SignatureError, Standard},
};

pub(super) use body::parse;

/// Largest body: a thousand reports of a kilobyte.
const BODY_BYTES: usize = 1024 * 1024;

/// A request whose turn to be read has not come after this is told to come again.
const TURN_WITHIN: Duration = Duration::from_secs(10);

/// When a provider that was turned away may come again.
const COME_AGAIN_SECONDS: u64 = 2;

/// Why a request is not answered with a count.
#[derive(Debug)]
pub(super) enum Refused {
    UnknownChannel,
    Signature(SignatureError),
    Unreadable { code: &'static str, message: String },
    TooSlow,
    TooBig(&'static str),
    Busy,
}

/// Reads a body, when it is its turn.
pub(super) async fn read(reading: &Semaphore, body: Body) -> Result<Bytes, Refused> {
    // Bodies wait in their sockets, not in memory.
    let Ok(Ok(_reading)) = tokio::time::timeout(TURN_WITHIN, reading.acquire()).await else {
        return Err(Refused::Busy);
    };
    incoming::read(body, BODY_BYTES).await.map_err(|unread| match unread {
        Unread::TooBig => Refused::TooBig("a body has at most 1 MiB"),
        Unread::TooSlow => Refused::TooSlow,
    })
}

/// Looks at the signature, where the channel has secrets.
pub(super) fn believe(settings: &ReceiptSettings, head: &Parts, body: &[u8]) -> Result<(), SignatureError> {
    let headers = &head.headers;
    let keys: Vec<_> = settings.secrets.iter().filter_map(|secret| signature::key(secret.expose())).collect();
    if settings.secrets.is_empty() {
        return Ok(());
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).ok_or(SignatureError::Missing);
    match &settings.signature {
        SignatureSettings::Plain { digits, header: name } => {
            signature::check_plain(&keys, *digits, header(name)?, body)
        }
        SignatureSettings::Twilio { public_url } => {
            let called = head.uri.path_and_query().map_or("", |path| path.as_str());
            let url = format!("{public_url}{called}");
            signature::check_twilio(&keys, header("x-twilio-signature")?, &url, body, body::is_form(headers, body))
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
