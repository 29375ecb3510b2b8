//! The rules of single values: a duration in a range, a number in a range, one of some words, a name, an address.
//!
//! Each takes the key for its sentence and returns the typed value. None of them reads anything.

use std::fmt::Display;
use std::time::Duration;

use super::ConfigError;
use crate::domain::clock::{format_duration, parse_duration};
use crate::domain::name::Name;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_mins(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);

/// A text in quotes, cut to what fits a sentence.
pub(super) fn show(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// `"5s"`, `"10m"`, `"48h"`, inside the range, both ends included.
pub(super) fn duration(key: &str, text: &str, least: Duration, most: Duration) -> Result<Duration, ConfigError> {
    let parsed = parse_duration(text)
        .map_err(|_| ConfigError::value(key, show(text), "must be a duration such as \"250ms\", \"5s\" or \"48h\""))?;
    if parsed < least || parsed > most {
        let (least, most) = (format_duration(least), format_duration(most));
        return Err(ConfigError::value(key, show(text), format!("must be from {least} to {most}")));
    }
    Ok(parsed)
}

/// A number inside the range, both ends included.
pub(super) fn number<T: Copy + PartialOrd + Display>(key: &str, value: T, least: T, most: T) -> Result<T, ConfigError> {
    if value < least || value > most {
        return Err(ConfigError::value(key, value.to_string(), format!("must be from {least} to {most}")));
    }
    Ok(value)
}

/// A number that counts things in memory.
pub(super) fn size(key: &str, value: u64, least: u64, most: u64) -> Result<usize, ConfigError> {
    let value = number(key, value, least, most)?;
    usize::try_from(value).map_err(|_| ConfigError::value(key, value.to_string(), "is too large for this machine"))
}

/// One of the words, as what it means.
pub(super) fn one_of<T: Copy>(key: &str, text: &str, words: &[(&str, T)]) -> Result<T, ConfigError> {
    words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        ConfigError::value(key, show(text), format!("must be {}", words.join(" or ")))
    })
}

/// A name that jobs may use.
pub(super) fn name(key: &str, text: &str) -> Result<Name, ConfigError> {
    let rule = "must be a name: a letter or digit, then up to 63 of A-Z a-z 0-9 . _ -";
    Name::parse(text).map_err(|_| ConfigError::value(key, show(text), rule))
}

/// The beginning of a link: `?p=<short code>` is put behind it.
pub(super) fn address_base(key: &str, text: &str) -> Result<String, ConfigError> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic() && !"?#".contains(c));
    if host.is_some_and(plain) {
        return Ok(text.to_owned());
    }
    Err(ConfigError::value(key, show(text), "must be an http or https address without \"?\", \"#\" and blanks"))
}
