//! How the known providers write and sign their receipts; what a user may still say are further words and secrets.
//!
//! Twilio calls the message's own address, and signs with the account's auth token, which is looked at wherever a public
//! address is known. Infobip gives our reference back as `callbackData`. WhatsApp tells of all messages of a number, ours
//! and others, in nested lists, and signs with the secret of the app, where `receipts.secrets` has it.

use std::collections::BTreeMap;

use super::resolve_receipts::{ReceiptSettings, SignatureSettings};
use crate::channel::settings::{ChannelSettings, Provider};
use crate::domain::receipt::{Meaning, ReceiptMap};
use crate::domain::signature::Digits;

/// The receipts of a known provider's channel.
pub(super) fn known(
    provider: Provider,
    written: ReceiptSettings,
    channel: &ChannelSettings,
    public_url: Option<&str>,
) -> ReceiptSettings {
    let ReceiptSettings { map, signature, mut secrets, verify_token } = written;
    let (filled, signature) = match provider {
        Provider::Twilio => {
            if let (Some(token), true) = (channel.credentials.get("auth_token"), secrets.is_empty()) {
                secrets.extend(public_url.map(|_| token.clone()));
            }
            (twilio(), SignatureSettings::Twilio { public_url: public_url.unwrap_or_default().to_owned() })
        }
        Provider::Infobip => (infobip(), signature),
        Provider::WhatsappCloud => {
            let header = "x-hub-signature-256".to_owned();
            (whatsapp(), SignatureSettings::Plain { digits: Digits::Hex, header })
        }
    };
    let mut states = filled.states.clone();
    states.extend(map.states);
    ReceiptSettings { map: ReceiptMap { states, ..filled }, signature, secrets, verify_token }
}

/// <https://www.twilio.com/docs/messaging/guides/track-outbound-message-status>
fn twilio() -> ReceiptMap {
    ReceiptMap {
        state: "/MessageStatus".to_owned(),
        reason: "/ErrorCode".to_owned(),
        id: "/MessageSid".to_owned(),
        ..ReceiptMap::default()
    }
}

/// <https://www.infobip.com/docs/api/channels/sms>, delivery reports.
fn infobip() -> ReceiptMap {
    ReceiptMap {
        list: "/results".to_owned(),
        reference: "/callbackData".to_owned(),
        state: "/status/groupName".to_owned(),
        reason: "/error/name".to_owned(),
        id: "/messageId".to_owned(),
        time: "/doneAt".to_owned(),
        ..ReceiptMap::default()
    }
}

/// <https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components>, the object statuses.
fn whatsapp() -> ReceiptMap {
    ReceiptMap {
        list: "/entry/*/changes/*/value/statuses".to_owned(),
        reference: "/biz_opaque_callback_data".to_owned(),
        state: "/status".to_owned(),
        reason: "/errors/0/code".to_owned(),
        id: "/id".to_owned(),
        time: "/timestamp".to_owned(),
        // Deleted by its reader: it had arrived, and that was told.
        states: BTreeMap::from([("deleted".to_owned(), Meaning::NoNews)]),
        shared: true,
    }
}
