//! What is answered: JSON, or a fault with the status that goes with its code: `{code, message}` where something was
//! looked up, `{error, sentence}` where something was asked to be done.

use std::borrow::Cow;

use axum::{
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::{
    incoming::{Unread, Unreadable},
    turned_away::TurnedAway,
};
use crate::{
    job::Rejection,
    operate::{jobs::JobEnd, replay::NotReplayed},
    store::StoreError,
};

/// An answer.
pub(super) type Answer = Result<Value, Fault>;

/// Why there is none.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    status: StatusCode,
    code: Cow<'static, str>,
    message: String,
}

impl Fault {
    /// A question that cannot be read.
    pub(super) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: code.into(), message: message.into() }
    }

    /// No such thing.
    pub(super) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: code.into(), message: message.into() }
    }

    /// A value that breaks its rule.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::bad("invalid_value", message.into())
    }

    /// No such campaign.
    pub(super) fn unknown_campaign(name: &str) -> Self {
        Self::not_found("unknown_campaign", format!("there is no campaign \"{name}\""))
    }

    /// No such order.
    pub(super) fn unknown_order(message: String) -> Self {
        Self::not_found("unknown_order", message)
    }

    /// No such case.
    pub(super) fn unknown_case(message: String) -> Self {
        Self::not_found("unknown_case", message)
    }

    /// No such run.
    pub(super) fn unknown_run(campaign: &str, run: &str) -> Self {
        Self::not_found("unknown_run", format!("{campaign} has no run \"{run}\""))
    }

    /// No such permanent message.
    pub(super) fn unknown_definition(campaign: &str, name: &str) -> Self {
        Self::not_found("unknown_recurring", format!("{campaign} has no permanent message \"{name}\""))
    }

    /// No such job.
    pub(super) fn unknown_job(id: &str) -> Self {
        Self::not_found("unknown_job", format!("no job \"{id}\" is known"))
    }

    /// No such letter.
    pub(super) fn unknown_letter(which: &str, entry: &str) -> Self {
        Self::not_found("unknown_letter", format!("no {which} job has the entry \"{entry}\""))
    }

    /// No such page.
    pub(super) fn no_page() -> Self {
        Self::not_found("unknown_page", "there is no such page".to_owned())
    }

    /// The status of its answer.
    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    /// A name that is not ours.
    pub(super) fn not_this_host() -> Self {
        let message = "ask by an address, as localhost, or by the host of http.public_url".to_owned();
        Self { status: StatusCode::MISDIRECTED_REQUEST, code: "not_this_host".into(), message }
    }

    /// A page of another site.
    pub(super) fn cross_site() -> Self {
        Self::forbidden("cross_site", "pages of other sites may not ask")
    }

    /// Nobody has this token.
    pub(super) fn unknown_token() -> Self {
        Self::unauthorized("unknown_token", "nobody has this token")
    }

    /// No token came.
    pub(super) fn token_needed() -> Self {
        Self::unauthorized("token_needed", "say who you are: Authorization: Bearer <token>, or log in at /login")
    }

    /// A session that has ended, or never was one.
    pub(super) fn session_over() -> Self {
        Self::unauthorized("session_over", "the session is over: log in again")
    }

    fn unauthorized(code: &'static str, message: &str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, code: code.into(), message: message.to_owned() }
    }

    /// Nobody has a token, and the listener is not on loopback.
    pub(super) fn nobody_may() -> Self {
        Self::forbidden(
            "nobody_may",
            "nothing is shown on an address that is not loopback until somebody has a token: see [http.tokens] in the \
             configuration",
        )
    }

    /// Not allowed, whoever asks.
    pub(super) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, code: code.into(), message: message.into() }
    }

    /// Notes on a response that this is why it is no other one.
    pub(super) fn note(&self, mut response: Response) -> Response {
        response.extensions_mut().insert(TurnedAway(self.code.clone()));
        response
    }

    /// Its stable code.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// Why not, for people.
    pub(super) fn sentence(&self) -> &str {
        &self.message
    }

    /// Whether it is not known who asks.
    pub(super) fn is_about_who(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// A job that was refused, or died.
    pub(super) fn of_end(end: &JobEnd) -> Self {
        let message = end.error.clone().unwrap_or_else(|| end.state.clone());
        let code = end.error_code.clone().unwrap_or_else(|| end.state.clone());
        let status = if end.state == "dead" { StatusCode::INTERNAL_SERVER_ERROR } else { status_of(&code) };
        Self { status, code: code.into(), message }
    }

    /// Not by this method.
    pub(super) fn wrong_method() -> Self {
        let message = "this path is not asked by this method".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, code: "wrong_method".into(), message }
    }

    /// Too many ask at once.
    pub(super) fn busy() -> Self {
        let message = "too many ask at once: come again a little later".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: "busy".into(), message }
    }

    /// Only by looking at every order, which a request does not do.
    pub(super) fn not_indexed(campaign: &str) -> Self {
        let message = format!(
            "the references of {campaign} are not indexed: set orders.index_reference for campaigns to come, or use \
             `remesa campaign orders {campaign} --reference`"
        );
        Self { status: StatusCode::CONFLICT, code: "not_indexed".into(), message }
    }
}

impl From<StoreError> for Fault {
    /// The sentence of the error may name the address; who asks on loopback need not know it.
    fn from(error: StoreError) -> Self {
        tracing::debug!(%error, "a look-up failed");
        let message = "redis is unavailable".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: "redis_unavailable".into(), message }
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        Self::bad(rejection.code.as_str(), rejection.sentence)
    }
}

impl From<NotReplayed> for Fault {
    fn from(not: NotReplayed) -> Self {
        if let NotReplayed::Store(error) = not {
            return error.into();
        }
        Self { status: StatusCode::CONFLICT, code: not.code().into(), message: not.to_string() }
    }
}

/// The status of a refusal by its code.
fn status_of(code: &str) -> StatusCode {
    match code {
        "wrong_state" => StatusCode::CONFLICT,
        "unknown_campaign"
        | "unknown_run"
        | "unknown_recurring"
        | "unknown_order"
        | "unknown_case"
        | "unknown_channel"
        | "unknown_payment_point" => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl From<Unread> for Fault {
    fn from(unread: Unread) -> Self {
        let (status, code, message) = match unread {
            Unread::TooBig => (StatusCode::PAYLOAD_TOO_LARGE, "too_big", "the body is too big"),
            Unread::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not come"),
        };
        Self { status, code: code.into(), message: message.to_owned() }
    }
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Kind => Self {
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                code: "unsupported_media_type".into(),
                message: "the body must be application/json or application/x-www-form-urlencoded".to_owned(),
            },
            Unreadable::Content(message) => Self::bad("unreadable", message),
        }
    }
}

/// The response where something was asked to be done and is not.
pub(super) fn refused(fault: &Fault) -> Response {
    fault.note(said(fault.status, &json!({ "error": fault.code, "sentence": fault.message })))
}

/// The response of an answer. Nobody keeps it: what is asked again may be otherwise.
pub(super) fn respond(answer: Answer) -> Response {
    match answer {
        Ok(body) => said(StatusCode::OK, &body),
        Err(fault) => fault.note(said(fault.status, &json!({ "code": fault.code, "message": fault.message }))),
    }
}

fn said(status: StatusCode, body: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (status, headers, format!("{body}\n")).into_response()
}
