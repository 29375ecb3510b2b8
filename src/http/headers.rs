//! Headers of every answer: what a browser may do with it, unless its page says so itself.
//!
//! Nothing of ours is shown in another page, sniffed for another type, or told to another site; and nothing loads or
//! runs anything, unless the page that needs it brings a policy of its own.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::Response,
};

/// Of every answer that does not bring its own.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // A form's page is named to ourselves: without it a browser says the origin "null" of what it posts.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Gives an answer the headers that it does not have.
pub(super) async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
