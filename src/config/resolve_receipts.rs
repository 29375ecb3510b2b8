//! The receipts of one channel, judged: [`ReceiptSettings`] with its secrets looked up.
//!
//! Refused: a word that means nothing, a secret whose base64 is broken, a header that is none, and `{{ receipt_url }}`
//! in a template while no public address is known.

use std::time::Duration;

use super::resolve::Surroundings;
use super::resolve_channel::{credential_text, pointer};
use super::rules::{DAY, duration, one_of, show};
use super::{ConfigError, raw};
use crate::channel::settings::Secret;
use crate::domain::receipt::{Meaning, ReceiptMap};
use crate::domain::signature::{self, Digits};

/// How the receipts of a channel are read and believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptSettings {
    /// Where in a report things stand.
    pub map: ReceiptMap,
    /// How they are signed.
    pub signature: SignatureSettings,
    /// Secrets that may sign; none: signatures are not looked at.
    pub secrets: Vec<Secret>,
    /// What a provider names when it asks whether this address is ours (`GET`, WhatsApp); none: nobody may ask.
    pub verify_token: Option<Secret>,
}

/// How receipts are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureSettings {
    /// Standard Webhooks.
    Standard {
        /// A receipt that was signed longer ago is not believed.
        tolerance: Duration,
    },
    /// The way of Twilio, which signs the address that it calls.
    Twilio {
        /// What stands before the path in that address.
        public_url: String,
    },
    /// HMAC-SHA256 of the body in a header.
    Plain {
        /// How it is written.
        digits: Digits,
        /// The header, in lower case.
        header: String,
    },
}

#[derive(Clone, Copy)]
enum Form {
    Standard,
    Plain(Digits),
}

/// Judges the receipts of one channel.
pub(super) fn receipts(table: &str, raw: raw::Receipts, around: &Surroundings) -> Result<ReceiptSettings, ConfigError> {
    let table = format!("{table}.receipts");
    let key = |field: &str| format!("{table}.{field}");
    let required = |field: &str, text: String| match text.as_str() {
        "" => Err(ConfigError::value(key(field), "\"\"", "is needed: a JSON pointer such as /status")),
        _ => pointer(&key(field), text),
    };
    let mut states = std::collections::BTreeMap::new();
    for (word, means) in raw.states {
        let rule =
            "must be \"delivered\", \"undelivered\", \"expired\", \"failed\", \"sent\", \"skipped\" or \"ignore\"";
        let meaning = Meaning::parse(&means);
        let meaning =
            meaning.ok_or_else(|| ConfigError::value(format!("{table}.states.{word}"), show(&means), rule))?;
        states.insert(word.to_lowercase(), meaning);
    }
    let map = ReceiptMap {
        list: pointer(&key("list_pointer"), raw.list_pointer)?,
        reference: required("reference_pointer", raw.reference_pointer)?,
        state: required("state_pointer", raw.state_pointer)?,
        reason: pointer(&key("reason_pointer"), raw.reason_pointer)?,
        id: pointer(&key("id_pointer"), raw.id_pointer)?,
        time: pointer(&key("time_pointer"), raw.time_pointer)?,
        states,
        shared: false,
    };
    let forms =
        [("standard", Form::Standard), ("hex", Form::Plain(Digits::Hex)), ("base64", Form::Plain(Digits::Base64))];
    let tolerance = duration(&key("tolerance"), &raw.tolerance, Duration::from_secs(10), DAY)?;
    let signature = match one_of(&key("signature"), &raw.signature, &forms)? {
        Form::Standard => SignatureSettings::Standard { tolerance },
        Form::Plain(digits) => {
            SignatureSettings::Plain { digits, header: header(&key("signature_header"), &raw.signature_header)? }
        }
    };
    let mut secrets = Vec::with_capacity(raw.secrets.len());
    for (index, text) in raw.secrets.iter().enumerate() {
        let key = format!("{table}.secrets[{index}]");
        let secret = credential_text(&key, text, around)?;
        if signature::key(&secret).is_none() {
            return Err(ConfigError::Unusable { key, rule: "is empty, or not base64 behind whsec_".to_owned() });
        }
        secrets.push(Secret::new(secret));
    }
    let verify_token = match raw.verify_token.as_str() {
        "" => None,
        text => Some(Secret::new(credential_text(&key("verify_token"), text, around)?)),
    };
    Ok(ReceiptSettings { map, signature, secrets, verify_token })
}

fn header(key: &str, text: &str) -> Result<String, ConfigError> {
    // A token of RFC 9110, section 5.6.2, as far as anybody names headers.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(ConfigError::value(key, show(text), "must be the name of a header, such as x-signature"))
}

/// `http.public_url`: an address without a query, or nothing.
pub(super) fn public_url(text: &str) -> Result<Option<String>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    super::rules::address_base("http.public_url", text).map(|url| Some(url.trim_end_matches('/').to_owned()))
}

/// A message can only be given its own address where one is known.
pub(super) fn needs_public_url(channel: &str, raw: &raw::Channel, public_url: Option<&str>) -> Result<(), ConfigError> {
    let mut templates = [&raw.url, &raw.body].into_iter().chain(raw.headers.values());
    if public_url.is_some() || !templates.any(|template| template.contains("receipt_url")) {
        return Ok(());
    }
    Err(ConfigError::Contradiction {
        key: "http.public_url".to_owned(),
        value: show(""),
        other_key: format!("channels.{channel}"),
        other: "{{ receipt_url }}".to_owned(),
        rule: "the provider must know where receipts go".to_owned(),
    })
}
