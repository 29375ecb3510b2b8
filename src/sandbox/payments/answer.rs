//! The answers of the simulated payment platform, good and bad.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::book::Wanted;
use super::settings::{PaymentFate, PaymentSettings};
use crate::sandbox::fate::Dice;
use crate::sandbox::service::{Answer, HangUp, Service, json as answer_json, with_retry_after, with_type};

/// Largest request that is read.
const BODY_BYTES: usize = 64 * 1024;

/// A reply that no client should read to its end.
const HUGE_BYTES: usize = 4 * 1024 * 1024;

/// What became of a request: the answer's body, or status, code and sentence.
pub(super) type Done = Result<Value, (u16, &'static str, String)>;

/// The body of a request.
pub(super) async fn body(request: Request<Incoming>) -> Result<Bytes, HangUp> {
    let body = Limited::new(request.into_body(), BODY_BYTES).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|_| HangUp)
}

/// What is wrong with an order, as the platforms judge it.
pub(super) fn judge(wanted: &Wanted) -> Option<&'static str> {
    [
        (wanted.amount > 9_999_999, "amount is over 9999999"),
        (wanted.concept.chars().count() > 100, "concept has more than 100 characters"),
        (wanted.reference.chars().count() > 150, "reference has more than 150 characters"),
        (wanted.currency.len() != 3, "currency is not an ISO 4217 code"),
    ]
    .into_iter()
    .find_map(|(broken, why)| broken.then_some(why))
}

/// The amount of a refund; none means all.
pub(super) fn amount(body: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(body).ok()?.get("amount")?.as_u64()
}

/// The platform's error envelope.
pub(super) fn error(status: u16, code: &str, message: &str, origin: &str) -> Answer {
    let envelope = json!({
        "code": code, "message": message, "status": status, "origin": origin, "details": [{ "message": message }],
    });
    answer_json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &envelope)
}

/// The answer to what was done, unless the fate is that nobody hears of it.
pub(super) async fn after(fate: PaymentFate, done: Done, creates: bool) -> Result<Answer, HangUp> {
    match fate {
        PaymentFate::Cut => Err(HangUp),
        PaymentFate::Silent => pending().await,
        PaymentFate::Unreadable => Ok(with_type(StatusCode::OK, "text/html", "<html>Thank you!</html>")),
        PaymentFate::Huge => Ok(with_type(StatusCode::OK, "application/json", " ".repeat(HUGE_BYTES))),
        PaymentFate::Accept
        | PaymentFate::Refuse
        | PaymentFate::Throttle
        | PaymentFate::Fail
        | PaymentFate::Hang
        | PaymentFate::Reset => Ok(match done {
            Ok(shown) => answer_json(if creates { StatusCode::CREATED } else { StatusCode::OK }, &shown),
            Err((status, code, message)) => error(status, code, &message, "MYMOID"),
        }),
    }
}

impl Service {
    /// The answer to a request that is not done at all.
    pub(super) async fn turn_payment_away(
        &self,
        fate: PaymentFate,
        settings: &PaymentSettings,
        dice: &mut Dice,
    ) -> Option<Answer> {
        let message = "by a setting of the sandbox";
        let answer = match fate {
            PaymentFate::Refuse => error(settings.refuse_status, &settings.refuse_code, message, "MYMOID"),
            PaymentFate::Fail => error(settings.fail_status, "SIMULATED_FAILURE", message, "PROCESSOR"),
            PaymentFate::Throttle => with_retry_after(
                error(429, "RATE_LIMITED", message, "API_GATEWAY"),
                settings.retry_after_seconds,
                settings.retry_after_form,
            ),
            PaymentFate::Hang => pending().await,
            PaymentFate::Accept
            | PaymentFate::Reset
            | PaymentFate::Cut
            | PaymentFate::Silent
            | PaymentFate::Unreadable
            | PaymentFate::Huge => return None,
        };
        self.payment_latency(settings, dice).await;
        Some(answer)
    }

    pub(super) async fn payment_latency(&self, settings: &PaymentSettings, dice: &mut Dice) {
        let latency_ms = dice.between(settings.latency_min_ms, settings.latency_max_ms);
        if latency_ms > 0 {
            sleep(Duration::from_millis(latency_ms)).await;
        }
    }
}
