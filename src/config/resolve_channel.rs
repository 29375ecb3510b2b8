//! One `[channels.<name>]` table, judged: [`ChannelSettings`] with its secrets looked up.
//!
//! Refused: `resend` without `idempotent`, a connection that may take longer than the request, an http channel
//! without an address or a body. Templates are compiled by the channel itself, which knows what they may name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::resolve::Surroundings;
use super::resolve_contact::contact_rules;
use super::resolve_smtp::smtp;
use super::rules::{DAY, HOUR, MINUTE, duration, name, number, one_of, show};
use super::{ConfigError, raw};
use crate::channel::settings::{BodyFormat, ChannelKind, ChannelSettings, OnUnknown, Provider, RunsOrder, Secret};
use crate::domain::case::ContactKind;

/// Judges one channel.
pub(super) fn channel(channel: &str, raw: raw::Channel, around: &Surroundings) -> Result<ChannelSettings, ConfigError> {
    let table = format!("channels.{channel}");
    let key = |field: &str| format!("{table}.{field}");
    let kind = kind(&table, &raw)?;
    let (timeout, connect_timeout) = timeouts(&table, &raw.timeout, &raw.connect_timeout)?;
    let (retry_base, retry_cap) = retry(&table, &raw.retry_base, &raw.retry_cap)?;
    Ok(ChannelSettings {
        name: name(&table, channel)?.into(),
        address: address(&key("address"), &raw.address, &kind)?,
        url: url(&table, &kind, raw.url)?,
        method: one_of(&key("method"), &raw.method, &[("POST", "POST"), ("PUT", "PUT")])?.to_owned(),
        headers: raw.headers,
        body: body(&table, &kind, raw.body)?,
        body_format: one_of(
            &key("body_format"),
            &raw.body_format,
            &[("json", BodyFormat::Json), ("form", BodyFormat::Form)],
        )?,
        id_pointer: pointer(&key("id_pointer"), raw.id_pointer)?,
        error_pointer: pointer(&key("error_pointer"), raw.error_pointer)?,
        denied_codes: raw.denied_codes,
        throttled_codes: raw.throttled_codes,
        sender: sender(&key("sender"), &kind, raw.sender)?,
        kind,
        credentials: credentials(&table, raw.credentials, around)?,
        max_validity: duration(&key("max_validity"), &raw.max_validity, MINUTE, 15 * DAY)?,
        rate_per_second: number(&key("rate_per_second"), raw.rate_per_second, 0, 1_000_000)?,
        in_flight: number(&key("in_flight"), raw.in_flight, 1, 10_000)?,
        timeout,
        connect_timeout,
        pool_idle: duration(&key("pool_idle"), &raw.pool_idle, Duration::ZERO, 5 * MINUTE)?,
        idempotent: raw.idempotent,
        on_unknown: on_unknown(&table, &raw.on_unknown, raw.idempotent)?,
        runs: runs(&key("runs"), &raw.runs)?,
        slots: number(&key("slots"), raw.slots, 1, 64)?,
        retry_attempts: number(&key("retry_attempts"), raw.retry_attempts, 1, 100)?,
        retry_base,
        retry_cap,
        breaker_failures: number(&key("breaker_failures"), raw.breaker_failures, 1, 100_000)?,
        breaker_cooldown: duration(&key("breaker_cooldown"), &raw.breaker_cooldown, Duration::from_millis(100), HOUR)?,
        contact: contact_rules(&table, &raw.hours, &raw.cap, &raw.contact_rules_for)?,
    })
}

/// `timeout` and `connect_timeout` of a table.
pub(super) fn timeouts(table: &str, whole: &str, connect: &str) -> Result<(Duration, Duration), ConfigError> {
    let (whole_key, connect_key) = (format!("{table}.timeout"), format!("{table}.connect_timeout"));
    let timeout = duration(&whole_key, whole, Duration::from_millis(100), 5 * MINUTE)?;
    let connect_timeout = duration(&connect_key, connect, Duration::from_millis(50), MINUTE)?;
    if connect_timeout > timeout {
        return Err(ConfigError::Contradiction {
            key: connect_key,
            value: show(connect),
            other_key: whole_key,
            other: show(whole),
            rule: "the connection is a part of the request".to_owned(),
        });
    }
    Ok((timeout, connect_timeout))
}

/// `retry_base` and `retry_cap` of a table.
pub(super) fn retry(table: &str, base: &str, cap: &str) -> Result<(Duration, Duration), ConfigError> {
    let least = Duration::from_millis(10);
    let base_key = format!("{table}.retry_base");
    let cap_key = format!("{table}.retry_cap");
    let resolved = (duration(&base_key, base, least, HOUR)?, duration(&cap_key, cap, least, 24 * HOUR)?);
    if resolved.0 > resolved.1 {
        return Err(ConfigError::Contradiction {
            key: base_key,
            value: show(base),
            other_key: cap_key,
            other: show(cap),
            rule: "the first wait is at most the longest one".to_owned(),
        });
    }
    Ok(resolved)
}

/// The words of `kind`.
#[derive(Clone, Copy)]
enum Kind {
    Http,
    Sandbox,
    Smtp,
}

fn kind(table: &str, raw: &raw::Channel) -> Result<ChannelKind, ConfigError> {
    let key = |field: &str| format!("{table}.{field}");
    let words = [("http", Kind::Http), ("sandbox", Kind::Sandbox), ("smtp", Kind::Smtp)];
    let kind = one_of(&key("kind"), &raw.kind, &words)?;
    let provider = known_provider(&key("provider"), &raw.provider)?;
    match (kind, provider) {
        (Kind::Http, None) => Ok(ChannelKind::Http),
        (Kind::Sandbox, None) => Ok(ChannelKind::Sandbox),
        (Kind::Smtp, None) => Ok(ChannelKind::Smtp(smtp(table, raw)?)),
        (Kind::Http, Some(provider)) => {
            let missing = provider.credentials().iter().find(|name| !raw.credentials.contains_key(**name));
            match missing {
                Some(name) => {
                    let rule = format!("is needed by {}", provider.as_str());
                    Err(ConfigError::Unusable { key: format!("{table}.credentials.{name}"), rule })
                }
                None => Ok(ChannelKind::Known(provider)),
            }
        }
        (Kind::Sandbox | Kind::Smtp, Some(_)) => Err(ConfigError::Contradiction {
            key: key("provider"),
            value: show(&raw.provider),
            other_key: key("kind"),
            other: show(&raw.kind),
            rule: "a known provider is one of kind \"http\"".to_owned(),
        }),
    }
}

/// `provider`: the word of a known one, or none.
pub(super) fn known_provider(key: &str, text: &str) -> Result<Option<Provider>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let known = [Provider::Twilio, Provider::Infobip, Provider::WhatsappCloud].map(|known| (known.as_str(), known));
    one_of(key, text, &known).map(Some)
}

/// What a channel writes to; nothing said: what its kind is for.
fn address(key: &str, text: &str, kind: &ChannelKind) -> Result<ContactKind, ConfigError> {
    if text.is_empty() {
        return Ok(match kind {
            ChannelKind::Known(Provider::WhatsappCloud) => ContactKind::Whatsapp,
            ChannelKind::Http | ChannelKind::Sandbox | ChannelKind::Known(_) => ContactKind::Mobile,
            ChannelKind::Smtp(_) => ContactKind::Email,
        });
    }
    let kinds = [ContactKind::Mobile, ContactKind::Email, ContactKind::Whatsapp].map(|kind| (kind.as_str(), kind));
    one_of(key, text, &kinds)
}

fn url(table: &str, kind: &ChannelKind, text: String) -> Result<String, ConfigError> {
    // The channel knows where the simulator and most known providers listen; a mail server has a host and a port.
    let known = match kind {
        ChannelKind::Sandbox | ChannelKind::Smtp(_) => true,
        ChannelKind::Known(provider) => provider.url().is_some(),
        ChannelKind::Http => false,
    };
    if text.is_empty() && known {
        return Ok(text);
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text);
    }
    let rule = "must be an http or https address: where the provider takes messages";
    Err(ConfigError::value(format!("{table}.url"), show(&text), rule))
}

fn body(table: &str, kind: &ChannelKind, text: String) -> Result<String, ConfigError> {
    if text.is_empty() && *kind == ChannelKind::Http {
        return Err(ConfigError::value(format!("{table}.body"), "\"\"", "must be the template of a JSON body"));
    }
    Ok(text)
}

pub(super) fn pointer(key: &str, text: String) -> Result<String, ConfigError> {
    if text.is_empty() || text.starts_with('/') {
        return Ok(text);
    }
    Err(ConfigError::value(key, show(&text), "must be a JSON pointer such as /messages/0/id"))
}

fn sender(key: &str, kind: &ChannelKind, text: String) -> Result<String, ConfigError> {
    if let ChannelKind::Known(provider) = kind {
        // An id of theirs, which is longer; WhatsApp knows no other.
        let number = *provider != Provider::WhatsappCloud || text.bytes().all(|b| b.is_ascii_digit());
        let plain = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if (1..=64).contains(&text.len()) && plain && number {
            return Ok(text);
        }
        let rule = "must be what the provider knows us by: a number, a name, or its id (WhatsApp: the phone number id)";
        return Err(ConfigError::value(key, show(&text), rule));
    }
    // 15 digits (E.164) or 11 characters (GSM 03.40); which of the two is the provider's matter.
    if (1..=15).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        return Ok(text);
    }
    Err(ConfigError::value(key, show(&text), "must be 1 to 15 characters"))
}

fn on_unknown(table: &str, text: &str, idempotent: bool) -> Result<OnUnknown, ConfigError> {
    if text.is_empty() {
        return Ok(if idempotent { OnUnknown::Resend } else { OnUnknown::Keep });
    }
    let words = [("keep", OnUnknown::Keep), ("resend", OnUnknown::Resend), ("fail", OnUnknown::Fail)];
    let on_unknown = one_of(&format!("{table}.on_unknown"), text, &words)?;
    if on_unknown == OnUnknown::Resend && !idempotent {
        return Err(ConfigError::Contradiction {
            key: format!("{table}.on_unknown"),
            value: show(text),
            other_key: format!("{table}.idempotent"),
            other: "false".to_owned(),
            rule: "asking again would send twice unless the provider knows the key".to_owned(),
        });
    }
    Ok(on_unknown)
}

fn runs(key: &str, text: &str) -> Result<RunsOrder, ConfigError> {
    if text == "sequential" {
        return Err(ConfigError::value(key, show(text), "is not available yet; must be \"fair\""));
    }
    one_of(key, text, &[("fair", RunsOrder::Fair)])
}

/// The secrets of a table, looked up.
pub(super) fn credentials(
    table: &str,
    raw: BTreeMap<String, String>,
    around: &Surroundings,
) -> Result<BTreeMap<String, Secret>, ConfigError> {
    let mut found = BTreeMap::new();
    for (credential, text) in raw {
        let key = format!("{table}.credentials.{credential}");
        let secret = credential_text(&key, &text, around)?;
        if secret.is_empty() || secret.chars().any(char::is_control) {
            return Err(ConfigError::Unusable { key, rule: "is empty or holds control characters".to_owned() });
        }
        found.insert(credential, Secret::new(secret));
    }
    Ok(found)
}

pub(super) fn credential_text(key: &str, text: &str, around: &Surroundings) -> Result<String, ConfigError> {
    let missing = |rule: String| ConfigError::Unusable { key: key.to_owned(), rule };
    if let Some(variable) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        return around
            .variable(variable)
            .map(str::to_owned)
            .ok_or_else(|| missing(format!("the environment variable {variable} is not set")));
    }
    let Some(file) = text.strip_prefix("file:") else {
        return Ok(text.to_owned());
    };
    let mut path = around.path(key, file)?;
    if path.is_relative() {
        let folder = around.variable("CREDENTIALS_DIRECTORY").ok_or_else(|| {
            missing(format!("{file} is looked up in CREDENTIALS_DIRECTORY, which systemd sets; it is not set"))
        })?;
        path = PathBuf::from(folder).join(path);
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|error| missing(format!("cannot read {}: {}", path.display(), error.kind())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
