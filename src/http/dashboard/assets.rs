//! The style, the script and the icon: from addresses that hold their digest, so that browsers keep them for ever.

use std::sync::LazyLock;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::{Value, json};

use crate::store::script::digest;

/// Name, type, content.
const FILES: [(&str, &str, &str); 3] = [
    ("style", "text/css; charset=utf-8", include_str!("assets/remesa.css")),
    ("script", "text/javascript; charset=utf-8", include_str!("assets/remesa.js")),
    ("icon", "image/svg+xml", include_str!("assets/icon.svg")),
];

static ADDRESSES: LazyLock<Value> = LazyLock::new(|| {
    let each = FILES.iter().map(|(name, _, content)| ((*name).to_owned(), Value::from(address(name, content))));
    json!(each.collect::<serde_json::Map<_, _>>())
});

fn address(name: &str, content: &str) -> String {
    let digest: String = digest(content.as_bytes()).chars().take(16).collect();
    format!("/dashboard/assets/{digest}/{name}")
}

/// Where they lie, by name.
pub(super) fn addresses() -> &'static Value {
    &ADDRESSES
}

/// Their paths; an address of an older version leads nowhere.
pub(super) fn routes() -> Router {
    FILES.iter().fold(Router::new(), |router, (name, kind, content)| {
        router.route(&address(name, content), get(move || async move { serve(kind, content) }))
    })
}

fn serve(kind: &'static str, content: &'static str) -> Response {
    let mut response = (StatusCode::OK, content).into_response();
    for (name, value) in [
        ("content-type", kind),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}
