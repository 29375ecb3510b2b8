//! The routes of the simulator, and what happens to one message.
//!
//! The order of a message's life is the order that hurts a client most, as with real providers: it is accepted as soon
//! as it is read, and only then do latency, holding and cutting come. A client that goes away in between has sent it.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use axum::extract::Query;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::fate::Dice;
use super::inbox::Message;
use super::payments;
use super::record::{Arrival, Bounds, Entry};
use super::settings::{Fate, RetryAfterForm, SandboxSettings};
use super::state::{State, now_ms};
use super::stats::bump;

/// Largest request that is read.
const BODY_BYTES: usize = 64 * 1024;

/// Most messages of one page of the inbox.
const PAGE: usize = 1000;

/// `GET /`: enough to go on without the manual.
const ABOUT: &str = "\
This is the provider simulator of Remesa.

POST   /messages   {\"to\":\"+34600123456\",\"text\":\"Hi\",\"from\":\"ME\",\"reference\":\"A-1\",\"validity_seconds\":3600}
                   header Idempotency-Key; 202 {\"id\":\"...\"} or {\"error\":{\"code\":\"...\",\"message\":\"...\"}}
GET    /inbox      ?to=+34600123456&after=0&limit=100      DELETE /inbox
GET    /inbox.html the same, for people: order, message and receipt
*      /payments/v1/payment-orders   a payment platform: POST, GET ?q=, GET /{id}, PUT /{id}/cancel, POST /{id}/pay,
                   POST /{id}/refund; header x-api-key: sandbox
GET    /stats      what arrived, what it met, duplicates     DELETE /stats
GET    /settings   how it behaves                            PUT /settings {\"cut_per_mille\":10}
";

/// The inbox for people; it reads `/inbox` and `/stats` by itself.
const INBOX_PAGE: &str = include_str!("inbox.html");

/// The connection ends without an answer; hyper closes it.
#[derive(Debug, thiserror::Error)]
#[error("the simulator ends this connection")]
pub(super) struct HangUp;

pub(super) type Answer = Response<Full<Bytes>>;

/// One connection's view of the simulator.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) state: Arc<State>,
    /// Set when the socket must be reset instead of closed.
    pub(super) reset: Arc<AtomicBool>,
}

#[derive(Debug, Deserialize)]
struct InboxQuery {
    to: Option<String>,
    #[serde(default)]
    after: u64,
    last: Option<usize>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorCode<'a>,
}

#[derive(Serialize)]
struct ErrorCode<'a> {
    code: &'a str,
    message: &'a str,
}

impl Service {
    /// One request.
    pub(super) async fn answer(self, request: Request<Incoming>) -> Result<Answer, HangUp> {
        let state = &self.state;
        let path = request.uri().path();
        match (request.method(), path) {
            (&Method::POST, "/messages") => return self.message(request).await,
            (&Method::GET, "/inbox.html") => Ok(page()),
            (&Method::GET, "/") if asked_by_a_browser(&request) => Ok(page()),
            (_, path) if path.starts_with(payments::BASE) => return self.payment(request).await,
            (&Method::GET, "/") => Ok(text(ABOUT)),
            (&Method::GET, "/stats") => Ok(json(StatusCode::OK, &state.stats())),
            (&Method::DELETE, "/stats") => {
                state.clear_stats();
                Ok(empty())
            }
            (&Method::GET, "/inbox") => Ok(self.inbox(&request)),
            (&Method::DELETE, "/inbox") => {
                state.record().inbox.clear();
                state.tell();
                Ok(empty())
            }
            (&Method::GET, "/settings") => Ok(json(StatusCode::OK, &*state.settings())),
            (&Method::PUT, "/settings") => Ok(self.change(request).await),
            (_, "/messages") => Ok(allowed("POST")),
            (_, "/inbox" | "/stats") => Ok(allowed("GET, DELETE")),
            (_, "/settings") => Ok(allowed("GET, PUT")),
            _ => Ok(error(StatusCode::NOT_FOUND, "not_found", "GET / lists what there is")),
        }
    }

    async fn message(&self, request: Request<Incoming>) -> Result<Answer, HangUp> {
        let state = &self.state;
        let _in_flight = state.in_flight.enter();
        let settings = state.settings();
        let (mut fate, mut dice) = state.draw(&settings);
        if fate == Fate::Reset {
            return self.hang_up_hard();
        }
        let (head, incoming) = request.into_parts();
        let body = match Limited::new(incoming, BODY_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(failed) if failed.is::<http_body_util::LengthLimitError>() => {
                self.turn_away(&state.answers.invalid);
                return Ok(error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a message has at most 64 KiB"));
            }
            Err(_) => {
                self.turn_away(&state.answers.broken);
                return Err(HangUp);
            }
        };
        let message: Message<'_> = match parse(&body) {
            Ok(message) => message,
            Err((code, why)) => {
                self.turn_away(&state.answers.invalid);
                return Ok(error(StatusCode::BAD_REQUEST, code, &why));
            }
        };
        if !settings.recipients.is_empty() {
            fate = settings.recipients.get(message.to.as_ref()).copied().unwrap_or(fate);
        }
        match fate {
            Fate::Accept | Fate::Cut => {
                let key = head.headers.get("idempotency-key").and_then(|key| key.to_str().ok());
                let id = self.accept(&settings, &mut dice, fate, key, &message, &body);
                if settings.hold {
                    state.released().await;
                }
                self.dawdle(&settings, &mut dice).await;
                if fate == Fate::Cut { Err(HangUp) } else { Ok(accepted(&id)) }
            }
            Fate::Hang => {
                self.turn_away(&state.answers.hung);
                pending().await
            }
            Fate::Reset => self.hang_up_hard(),
            Fate::Refuse => {
                self.turn_away(&state.answers.refused);
                self.dawdle(&settings, &mut dice).await;
                Ok(error(status(settings.refuse_status), &settings.refuse_code, "refused by a setting of the sandbox"))
            }
            Fate::Fail => {
                self.turn_away(&state.answers.failed);
                self.dawdle(&settings, &mut dice).await;
                Ok(error(status(settings.fail_status), "simulated_failure", "failed by a setting of the sandbox"))
            }
            Fate::Throttle => {
                self.turn_away(&state.answers.throttled);
                self.dawdle(&settings, &mut dice).await;
                Ok(throttled(&settings))
            }
        }
    }

    fn accept(
        &self,
        settings: &Arc<SandboxSettings>,
        dice: &mut Dice,
        fate: Fate,
        key: Option<&str>,
        message: &Message<'_>,
        body: &[u8],
    ) -> String {
        let (state, now_ms) = (&self.state, now_ms());
        let bounds = Bounds {
            tracked_keys: settings.tracked_keys,
            inbox_messages: settings.inbox_messages,
            idempotency: settings.idempotency,
        };
        let reference = message.reference.as_deref();
        let arrival =
            Arrival { now_ms, to: &message.to, reference: reference.unwrap_or_default(), idempotency_key: key, body };
        let entry = state.record().accept(&arrival, &bounds);
        let id = match entry {
            Entry::New(number) => {
                let id = state.id(number);
                state.reporter.plan(settings, dice, number, now_ms, &id, message);
                id
            }
            Entry::Replayed(number) => state.id(number),
        };
        bump(match (fate, entry) {
            (Fate::Cut, _) => &state.answers.cut,
            (_, Entry::New(_)) => &state.answers.accepted,
            (_, Entry::Replayed(_)) => &state.answers.replayed,
        });
        state.tell();
        id
    }

    fn turn_away(&self, counter: &std::sync::atomic::AtomicU64) {
        self.state.record().turned_away(now_ms());
        bump(counter);
        self.state.tell();
    }

    fn hang_up_hard(&self) -> Result<Answer, HangUp> {
        self.turn_away(&self.state.answers.reset);
        self.reset.store(true, Ordering::Relaxed);
        Err(HangUp)
    }

    async fn dawdle(&self, settings: &SandboxSettings, dice: &mut Dice) {
        let latency_ms = dice.between(settings.latency_min_ms, settings.latency_max_ms);
        if latency_ms > 0 {
            sleep(Duration::from_millis(latency_ms)).await;
        }
    }

    fn inbox(&self, request: &Request<Incoming>) -> Answer {
        let Ok(Query(query)) = Query::<InboxQuery>::try_from_uri(request.uri()) else {
            return error(StatusCode::BAD_REQUEST, "invalid_query", "known: to; after, last, limit (numbers)");
        };
        // A plus sign that was not percent-encoded has become a blank.
        let to = query.to.map(|to| to.replace(' ', "+"));
        let limit = query.limit.unwrap_or(100).min(PAGE);
        let state = &self.state;
        let messages = {
            let inbox = &state.record().inbox;
            let after = query.last.map_or(query.after, |last| query.after.max(inbox.before_last(last.min(limit))));
            inbox.page(to.as_deref(), after, limit, |number| state.id(number))
        };
        let next = messages.last().map_or(query.after, |message| message.number);
        json(StatusCode::OK, &serde_json::json!({ "messages": messages, "next": next }))
    }

    async fn change(&self, request: Request<Incoming>) -> Answer {
        let Ok(body) = Limited::new(request.into_body(), BODY_BYTES).collect().await else {
            return error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "settings have at most 64 KiB");
        };
        match self.state.settings().patched(&body.to_bytes()) {
            Ok(settings) => {
                self.state.change(settings);
                json(StatusCode::OK, &*self.state.settings())
            }
            Err(refused) => error(StatusCode::UNPROCESSABLE_ENTITY, "invalid_settings", &refused.to_string()),
        }
    }
}

/// The message, or a code and a sentence.
fn parse(body: &[u8]) -> Result<Message<'_>, (&'static str, String)> {
    // serde would also read a struct from an array.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(("invalid_json", "the body must be a JSON object".to_owned()));
    }
    let message: Message<'_> =
        serde_json::from_slice(body).map_err(|error| ("invalid_json", format!("the body: {error}")))?;
    let digits = message.to.strip_prefix('+').unwrap_or_default();
    if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(("invalid_recipient", "to must be + and 7 to 15 digits (E.164)".to_owned()));
    }
    if message.text.is_empty() {
        return Err(("missing_text", "text must not be empty".to_owned()));
    }
    Ok(message)
}

fn accepted(id: &str) -> Answer {
    let mut body = String::with_capacity(48);
    body.push_str("{\"id\":\"");
    body.push_str(id);
    body.push_str("\"}");
    with_type(StatusCode::ACCEPTED, "application/json", body)
}

fn throttled(settings: &SandboxSettings) -> Answer {
    let answer = error(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "throttled by a setting of the sandbox");
    with_retry_after(answer, settings.retry_after_seconds, settings.retry_after_form)
}

/// The answer with the wait that it asks for.
pub(super) fn with_retry_after(mut answer: Answer, seconds: u64, form: RetryAfterForm) -> Answer {
    let wait = Duration::from_secs(seconds);
    let value = match form {
        RetryAfterForm::None => None,
        RetryAfterForm::Seconds => Some(wait.as_secs().to_string()),
        RetryAfterForm::Date => SystemTime::now().checked_add(wait).map(httpdate::fmt_http_date),
    };
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
        answer.headers_mut().insert(RETRY_AFTER, value);
    }
    answer
}

fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    json(status, &ErrorBody { error: ErrorCode { code, message } })
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    // Our own types always have a JSON form; an empty body would show a mistake at once.
    with_type(status, "application/json", serde_json::to_string(value).unwrap_or_default())
}

fn text(text: &'static str) -> Answer {
    with_type(StatusCode::OK, "text/plain; charset=utf-8", text)
}

fn page() -> Answer {
    with_type(StatusCode::OK, "text/html; charset=utf-8", INBOX_PAGE)
}

fn asked_by_a_browser(request: &Request<Incoming>) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn allowed(methods: &'static str) -> Answer {
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", methods);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

fn empty() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

pub(super) fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// A status that the settings have checked.
fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
