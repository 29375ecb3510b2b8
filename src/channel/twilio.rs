//! Twilio: Programmable Messaging, the resource Message of API version 2010-04-01.
//!
//! A form is posted with the account's credentials (or an API key's, `credentials.api_key` and `api_secret`), and
//! answered with `{"sid":"SM...","status":"queued"}` or with `{"code":21211,"message":...,"more_info":...,"status":400}`.
//! A sender `MG...` is a messaging service. Twilio has no field for a reference, so reports come to an address of the
//! message's own. <https://www.twilio.com/docs/messaging/api/message-resource>, codes: <https://www.twilio.com/docs/api/errors>

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::http::Known;
use super::reply::Refusals;
use super::settings::{BodyFormat, ChannelSettings};
use super::template::{Values, push_percent};

/// Wrong credentials, account not active, access denied, no such account, no sender, account suspended, daily limit.
const DENIED: [&str; 7] = ["20003", "20005", "20006", "20404", "21603", "30002", "63038"];

/// Too many requests; rate exceeded; the sender's queue is full.
const THROTTLED: [&str; 3] = ["20429", "14107", "21611"];

/// Longest `ValidityPeriod`, in seconds.
const LONGEST_VALIDITY: u64 = 36_000;

/// A messaging service, in place of a number.
const SERVICE: &str = "MG";

/// What is known of Twilio.
pub(super) const KNOWN: Known = Known {
    write: Some(write),
    error_pointers: &["/error_code"],
    refusals: Some(Refusals { pointer: "/status", words: &["failed", "undelivered", "canceled"], code: "/error_code" }),
    takes_templates: false,
    // <https://www.twilio.com/docs/iam/api/account>
    account: Some(("/Messages.json", ".json")),
};

/// The settings filled in; the base address may be another one.
pub(super) fn settings(settings: &ChannelSettings, base: &str) -> ChannelSettings {
    let secret = |name: &str| settings.credentials.get(name).map_or("", |secret| secret.expose());
    let (user, password) = match secret("api_key") {
        "" => (secret("account_sid"), secret("auth_token")),
        key => (key, secret("api_secret")),
    };
    let basic = BASE64_STANDARD.encode(format!("{user}:{password}"));
    ChannelSettings {
        url: format!("{base}/Accounts/{{{{ credentials.account_sid }}}}/Messages.json"),
        headers: [("authorization".to_owned(), format!("Basic {basic}"))].into(),
        body_format: BodyFormat::Form,
        id_pointer: "/sid".to_owned(),
        error_pointer: "/code".to_owned(),
        denied_codes: super::known::with(&settings.denied_codes, &DENIED),
        throttled_codes: super::known::with(&settings.throttled_codes, &THROTTLED),
        ..settings.clone()
    }
}

fn write(values: &Values<'_>, out: &mut String) {
    let message = values.submission;
    let sender = if values.sender.starts_with(SERVICE) { "MessagingServiceSid" } else { "From" };
    let validity = message.validity_seconds.map(|seconds| seconds.clamp(1, LONGEST_VALIDITY).to_string());
    let fields = [
        ("To", message.to),
        (sender, values.sender),
        ("Body", message.text),
        ("StatusCallback", message.receipt_url),
        ("ValidityPeriod", validity.as_deref().unwrap_or_default()),
    ];
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        push_percent(value, out);
    }
}
