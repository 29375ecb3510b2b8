//! WhatsApp: the Cloud API of Meta, messages of text and of templates.
//!
//! A message is posted to `/<version>/<phone number id>/messages` with a bearer token; the phone number id is the
//! sender. Outside of a conversation that the recipient began, only a template may be sent: its name, its language, and
//! what stands in the places of its body. The answer is `{"messages":[{"id":"wamid..."}]}` or
//! `{"error":{"code":131026,...}}`. Our reference goes as `biz_opaque_callback_data` and comes back with the report.
//! <https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages>, codes:
//! <https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes>

use super::FilledTemplate;
use super::http::Known;
use super::settings::ChannelSettings;
use super::template::{Values, push_json};

/// Token expired or refused, permission missing, account blocked or locked, no payment method, number not registered.
const DENIED: [&str; 10] = ["190", "3", "10", "200", "368", "131005", "131031", "131042", "131045", "133010"];

/// Calls of the app, of the account; messages a second; too many of them marked as spam; too many to one recipient.
const THROTTLED: [&str; 5] = ["4", "80007", "130429", "131048", "131056"];

/// What is known of the Cloud API.
pub(super) const KNOWN: Known = Known {
    write: Some(write),
    error_pointers: &[],
    refusals: None,
    takes_templates: true,
    // The phone number itself: <https://developers.facebook.com/docs/whatsapp/cloud-api/reference/phone-numbers>
    account: Some(("/messages", "?fields=id")),
};

/// The settings filled in; the base address holds the version and may be another one.
pub(super) fn settings(settings: &ChannelSettings, base: &str) -> ChannelSettings {
    ChannelSettings {
        url: format!("{base}/{{{{ sender }}}}/messages"),
        headers: [("authorization".to_owned(), "Bearer {{ credentials.access_token }}".to_owned())].into(),
        id_pointer: "/messages/0/id".to_owned(),
        error_pointer: "/error/code".to_owned(),
        denied_codes: super::known::with(&settings.denied_codes, &DENIED),
        throttled_codes: super::known::with(&settings.throttled_codes, &THROTTLED),
        ..settings.clone()
    }
}

fn write(values: &Values<'_>, out: &mut String) {
    let message = values.submission;
    out.push_str("{\"messaging_product\":\"whatsapp\",\"recipient_type\":\"individual\",\"to\":\"");
    push_json(message.to, out);
    if let Some(template) = &message.template {
        write_template(template, out);
    } else {
        out.push_str("\",\"type\":\"text\",\"text\":{\"preview_url\":false,\"body\":\"");
        push_json(message.text, out);
        out.push_str("\"}");
    }
    out.push_str(",\"biz_opaque_callback_data\":\"");
    push_json(message.reference, out);
    out.push_str("\"}");
}

fn write_template(template: &FilledTemplate<'_>, out: &mut String) {
    out.push_str("\",\"type\":\"template\",\"template\":{\"name\":\"");
    push_json(template.name, out);
    out.push_str("\",\"language\":{\"code\":\"");
    push_json(template.language, out);
    out.push_str("\"}");
    for (index, parameter) in template.parameters.iter().enumerate() {
        let before = if index == 0 { ",\"components\":[{\"type\":\"body\",\"parameters\":[" } else { "," };
        out.push_str(before);
        out.push_str("{\"type\":\"text\",\"text\":\"");
        push_json(parameter, out);
        out.push_str("\"}");
    }
    if !template.parameters.is_empty() {
        out.push_str("]}]");
    }
    out.push('}');
}
