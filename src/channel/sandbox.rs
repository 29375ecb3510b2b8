//! The `sandbox` kind: `http` with the request and the reply of the simulator (`crate::sandbox`) filled in.
//!
//! What a user may still set is kept: address, sender, rate, time-outs, `idempotent`, `on_unknown`. The simulator
//! de-duplicates by `Idempotency-Key` unless it is told not to, so `idempotent = true` is true of it; the default is
//! the product's `false`, because a demo should show the behaviour that most providers get.

use super::http::Known;
use super::settings::{ChannelKind, ChannelSettings};

/// Where `remesa sandbox` listens unless told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:9465";

/// What is known of the simulator.
pub(super) const KNOWN: Known = Known {
    write: None,
    error_pointers: &[],
    refusals: None,
    takes_templates: false,
    account: Some(("/messages", "/stats")),
};

/// The settings of an `http` channel that speaks to the simulator.
pub(super) fn preset(settings: &ChannelSettings) -> ChannelSettings {
    let base = if settings.url.is_empty() { DEFAULT_URL } else { settings.url.trim_end_matches('/') };
    ChannelSettings {
        kind: ChannelKind::Http,
        url: format!("{base}/messages"),
        method: "POST".to_owned(),
        headers: [("idempotency-key".to_owned(), "{{ idempotency_key }}".to_owned())].into(),
        body: String::new(),
        id_pointer: "/id".to_owned(),
        error_pointer: "/error/code".to_owned(),
        ..settings.clone()
    }
}
