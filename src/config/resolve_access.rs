//! `[http.tokens.<name>]` and who else may look in, judged: every token with its secret looked up.
//!
//! Refused: a token that could be guessed, one that stands twice (two names, one holder), a name that is none.

use std::time::Duration;

use super::resolve::Surroundings;
use super::resolve_channel::credential_text;
use super::rules::{DAY, MINUTE, duration, name, one_of, show};
use super::{ConfigError, raw};
use crate::domain::pass::{Holder, Holders, Role, TOKEN_MAX_CHARS, TOKEN_MIN_CHARS};

/// Who may look up and act over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSettings {
    /// Everybody who has a token.
    pub holders: Holders,
    /// How long a session lasts.
    pub session: Duration,
    /// Names by which we are asked, besides addresses, `localhost` and the public one; in lower case.
    pub hosts: Vec<String>,
}

/// Judges what the table says of it.
pub(super) fn access(raw: &raw::Http, around: &Surroundings) -> Result<AccessSettings, ConfigError> {
    let mut holders: Vec<(Holder, String)> = Vec::with_capacity(raw.tokens.len());
    for (holder, settings) in &raw.tokens {
        let table = format!("http.tokens.{holder}");
        let name = name(&table, holder)?;
        let roles = Role::ALL.iter().map(|role| (role.as_str(), *role)).collect::<Vec<_>>();
        let role = one_of(&format!("{table}.role"), &settings.role, &roles)?;
        let key = format!("{table}.token");
        let token = credential_text(&key, &settings.token, around)?;
        let unusable = |rule: String| ConfigError::Unusable { key: key.clone(), rule };
        if !(TOKEN_MIN_CHARS..=TOKEN_MAX_CHARS).contains(&token.len()) || !token.bytes().all(|b| b.is_ascii_graphic()) {
            let must = format!("must be {TOKEN_MIN_CHARS} to {TOKEN_MAX_CHARS} ASCII characters without blanks");
            return Err(unusable(format!("{must}: `openssl rand -base64 36` makes one")));
        }
        if let Some((other, _)) = holders.iter().find(|(_, taken)| *taken == token) {
            return Err(unusable(format!("is the same as that of {}: each has its own", other.name)));
        }
        holders.push((Holder::new(name, role, &token), token));
    }
    Ok(AccessSettings {
        holders: Holders::new(holders.into_iter().map(|(holder, _)| holder)),
        session: duration("http.session", &raw.session, 5 * MINUTE, 30 * DAY)?,
        hosts: raw.hosts.iter().map(|host| known_host(host)).collect::<Result<_, _>>()?,
    })
}

fn known_host(text: &str) -> Result<String, ConfigError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !text.is_empty() && text.len() <= 253 && text.chars().all(plain) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(ConfigError::value("http.hosts", show(text), "must be names of hosts without a port"))
}
