//! Infobip: the SMS API, version 3.
//!
//! One message to one destination is posted with an API key, and answered with
//! `{"messages":[{"messageId":"...","status":{"groupName":"PENDING","name":"PENDING_ACCEPTED"}}]}`, where a group
//! `REJECTED` means that it is not sent, or with `{"requestError":{"serviceException":{"messageId":"UNAUTHORIZED"}}}`.
//! Our reference goes as `callbackData` and comes back with the report. Every account has an address of its own.
//! <https://www.infobip.com/docs/api/channels/sms>

use super::http::Known;
use super::reply::Refusals;
use super::settings::ChannelSettings;
use super::template::{Values, push_json};

/// The account or its key may not; it has no credit left; its sender may not.
const DENIED: [&str; 6] = [
    "UNAUTHORIZED",
    "FORBIDDEN",
    "REJECTED_NOT_ENOUGH_CREDITS",
    "REJECTED_PREPAID_PACKAGE_EXPIRED",
    "REJECTED_SOURCE",
    "REJECTED_SENDER",
];

const THROTTLED: [&str; 1] = ["TOO_MANY_REQUESTS"];

/// Longest validity, in minutes: 48 hours.
const LONGEST_VALIDITY: u64 = 2_880;

/// What is known of Infobip.
pub(super) const KNOWN: Known = Known {
    write: Some(write),
    error_pointers: &["/errorCode"],
    refusals: Some(Refusals {
        pointer: "/messages/0/status/groupName",
        words: &["REJECTED", "UNDELIVERABLE", "EXPIRED"],
        code: "/messages/0/status/name",
    }),
    takes_templates: false,
    // <https://www.infobip.com/docs/api/platform/account-management>
    account: Some(("/sms/3/messages", "/account/1/balance")),
};

/// The settings filled in.
pub(super) fn settings(settings: &ChannelSettings, base: &str) -> ChannelSettings {
    ChannelSettings {
        url: format!("{base}/sms/3/messages"),
        headers: [("authorization".to_owned(), "App {{ credentials.api_key }}".to_owned())].into(),
        id_pointer: "/messages/0/messageId".to_owned(),
        error_pointer: "/requestError/serviceException/messageId".to_owned(),
        denied_codes: super::known::with(&settings.denied_codes, &DENIED),
        throttled_codes: super::known::with(&settings.throttled_codes, &THROTTLED),
        ..settings.clone()
    }
}

fn write(values: &Values<'_>, out: &mut String) {
    let message = values.submission;
    let fields = [
        ("{\"messages\":[{\"sender\":\"", values.sender),
        ("\",\"destinations\":[{\"to\":\"", message.to.trim_start_matches('+')),
        ("\"}],\"content\":{\"text\":\"", message.text),
    ];
    for (before, value) in fields {
        out.push_str(before);
        push_json(value, out);
    }
    out.push_str("\"}");
    if let Some(seconds) = message.validity_seconds {
        out.push_str(",\"options\":{\"validityPeriod\":{\"amount\":");
        out.push_str(&(seconds / 60).clamp(1, LONGEST_VALIDITY).to_string());
        out.push_str(",\"timeUnit\":\"MINUTES\"}}");
    }
    out.push_str(",\"webhooks\":{");
    // Reports of several messages come together, so their address is the channel's.
    let address = message.receipt_url.strip_suffix(message.reference).unwrap_or_default().trim_end_matches('/');
    if !address.is_empty() {
        out.push_str("\"delivery\":{\"url\":\"");
        push_json(address, out);
        out.push_str("\"},\"contentType\":\"application/json\",");
    }
    out.push_str("\"callbackData\":\"");
    push_json(message.reference, out);
    out.push_str("\"}}]}");
}
