//! `[unsubscribe]`, judged: where the links of commercial messages lead, and what people read there.
//!
//! Without an address of its own the page stands at `/u` of the public address; without either there is none, and
//! nothing commercial is sent.

use super::ConfigError;
use super::raw;
use super::rules::{address_base, show};

/// Characters of the label, and of the company's name.
const MAX_CHARS: usize = 60;

/// The links by which people unsubscribe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubscribeSettings {
    /// What stands before a link's token, without a slash at the end; none: nothing commercial is sent.
    pub url: Option<String>,
    /// Stands before the link at the end of a text; may be empty.
    pub label: String,
    /// Who writes, as the page says it; may be empty.
    pub company: String,
}

/// Judges the table.
pub(super) fn unsubscribe(raw: raw::Unsubscribe, public_url: Option<&str>) -> Result<UnsubscribeSettings, ConfigError> {
    let url = match raw.url.as_str() {
        "" => public_url.map(|url| format!("{url}/u")),
        own => Some(address_base("unsubscribe.url", own)?.trim_end_matches('/').to_owned()),
    };
    Ok(UnsubscribeSettings {
        url,
        label: words("unsubscribe.label", raw.label)?,
        company: words("unsubscribe.company", raw.company)?,
    })
}

fn words(key: &str, text: String) -> Result<String, ConfigError> {
    if text.chars().count() <= MAX_CHARS && !text.chars().any(char::is_control) && text.trim() == text {
        return Ok(text);
    }
    Err(ConfigError::value(key, show(&text), "must be at most 60 characters without blanks around"))
}
