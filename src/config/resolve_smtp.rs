//! The mail server of one channel, judged: [`SmtpSettings`].
//!
//! Refused: a connection in the clear to anything but this machine, half of the credentials, an address that is none.

use std::net::IpAddr;

use super::rules::{number, one_of, show};
use super::{ConfigError, raw};
use crate::channel::settings::{Security, SmtpSettings};

/// What stands in the credentials of a mail server, both or neither.
const CREDENTIALS: [&str; 2] = ["username", "password"];

/// Judges the mail server of a channel.
pub(super) fn smtp(table: &str, raw: &raw::Channel) -> Result<SmtpSettings, ConfigError> {
    let key = |field: &str| format!("{table}.{field}");
    let words = [("starttls", Security::StartTls), ("tls", Security::Tls), ("none", Security::None)];
    let security = one_of(&key("tls"), &raw.tls, &words)?;
    let host = host(&key("host"), &raw.host)?;
    if security == Security::None && !is_this_machine(&host) {
        return Err(ConfigError::Contradiction {
            key: key("tls"),
            value: show(&raw.tls),
            other_key: key("host"),
            other: show(&host),
            rule: "only a server on this machine may be spoken to in the clear".to_owned(),
        });
    }
    let given = CREDENTIALS.map(|name| raw.credentials.contains_key(name));
    if given == [true, false] || given == [false, true] {
        let rule = "needs username and password, or neither".to_owned();
        return Err(ConfigError::Unusable { key: key("credentials"), rule });
    }
    Ok(SmtpSettings {
        port: match number(&key("port"), raw.port, 0, u32::from(u16::MAX))? {
            0 => usual_port(security),
            port => u16::try_from(port).unwrap_or(u16::MAX),
        },
        host,
        security,
        from: mailbox(&key("from"), &raw.from, true)?,
        reply_to: mailbox(&key("reply_to"), &raw.reply_to, false)?,
    })
}

/// RFC 6409 and RFC 8314; in the clear, a relay of this machine.
const fn usual_port(security: Security) -> u16 {
    match security {
        Security::StartTls => 587,
        Security::Tls => 465,
        Security::None => 25,
    }
}

fn host(key: &str, text: &str) -> Result<String, ConfigError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    if !text.is_empty() && text.len() <= 253 && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err(ConfigError::value(key, show(text), "must be the host name or address of the mail server"))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An address, with or without a name before it; the channel takes it apart.
fn mailbox(key: &str, text: &str, needed: bool) -> Result<String, ConfigError> {
    let empty = text.is_empty() && !needed;
    if empty || (text.contains('@') && !text.chars().any(char::is_control)) {
        return Ok(text.to_owned());
    }
    Err(ConfigError::value(key, show(text), "must be a mail address such as \"Remesa <dues@example.com>\""))
}
