//! What the look-up answers: JSON, or `{code, message}` with the status that goes with the code.

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use crate::store::StoreError;

/// An answer.
pub(in crate::http) type Answer = Result<Value, Fault>;

/// Why there is none.
#[derive(Debug)]
pub(in crate::http) struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Fault {
    /// A question that cannot be read.
    pub(super) fn bad(code: &'static str, message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message }
    }

    /// A value that breaks its rule.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::bad("invalid_value", message.into())
    }

    /// No such campaign.
    pub(super) fn unknown_campaign(name: &str) -> Self {
        let message = format!("there is no campaign \"{name}\"");
        Self { status: StatusCode::NOT_FOUND, code: "unknown_campaign", message }
    }

    /// No such order.
    pub(super) fn unknown_order(message: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: "unknown_order", message }
    }

    /// No such case.
    pub(super) fn unknown_case(message: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: "unknown_case", message }
    }

    /// A name that is not ours.
    pub(in crate::http) fn not_this_host() -> Self {
        let message = "ask by an address, as localhost, or by the host of http.public_url".to_owned();
        Self { status: StatusCode::MISDIRECTED_REQUEST, code: "not_this_host", message }
    }

    /// A page of another site.
    pub(in crate::http) fn cross_site() -> Self {
        let message = "pages of other sites may not ask".to_owned();
        Self { status: StatusCode::FORBIDDEN, code: "cross_site", message }
    }

    /// Too many ask at once.
    pub(in crate::http) fn busy() -> Self {
        let message = "too many ask at once: come again a little later".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: "busy", message }
    }

    /// Only by looking at every order, which a request does not do.
    pub(super) fn not_indexed(campaign: &str) -> Self {
        let message = format!(
            "the references of {campaign} are not indexed: set orders.index_reference for campaigns to come, or use \
             `remesa campaign orders {campaign} --reference`"
        );
        Self { status: StatusCode::CONFLICT, code: "not_indexed", message }
    }
}

impl From<StoreError> for Fault {
    /// The sentence of the error may name the address; who asks on loopback need not know it.
    fn from(error: StoreError) -> Self {
        tracing::debug!(%error, "a look-up failed");
        let message = "redis is unavailable".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: "redis_unavailable", message }
    }
}

/// The response of an answer. Nobody keeps it: what is asked again may be otherwise.
pub(in crate::http) fn respond(answer: Answer) -> Response {
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(Fault { status, code, message }) => (status, json!({ "code": code, "message": message })),
    };
    let headers = [(CONTENT_TYPE, "application/json"), (axum::http::header::CACHE_CONTROL, "no-store")];
    (status, headers, format!("{body}\n")).into_response()
}
