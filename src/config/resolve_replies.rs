//! Replies, judged: what counts for all of them, and how each channel's are read.
//!
//! A reply can unsubscribe somebody and open a case, and unlike a receipt it carries nothing that we signed. So a channel
//! takes replies by its webhook only where its provider's signature is looked at (the secrets of `receipts`), or where
//! the configuration says that somebody else sees to it.

use std::time::Duration;

use super::resolve_channel::pointer;
use super::rules::{DAY, duration, show};
use super::{ConfigError, ReceiptSettings, raw};
use crate::domain::reply::{ReplyMap, Words};

/// Characters of a word.
const WORD_CHARS: usize = 40;

/// Longest memory of what an address got.
const WITHIN_MOST: Duration = Duration::from_hours(365 * 24);

/// What counts for all replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplySettings {
    /// A message is answered within this time.
    pub within: Duration,
    /// Whether a closed case is opened again.
    pub reopen: bool,
    /// Words that are a wish.
    pub words: Words,
}

/// Judges `[replies]`.
pub(super) fn replies(raw: raw::Replies) -> Result<ReplySettings, ConfigError> {
    Ok(ReplySettings {
        within: duration("replies.within", &raw.within, DAY, WITHIN_MOST)?,
        reopen: raw.reopen,
        words: Words {
            stop: words("replies.stop_words", raw.stop_words)?,
            start: words("replies.start_words", raw.start_words)?,
        },
    })
}

fn words(key: &str, words: Vec<String>) -> Result<Vec<String>, ConfigError> {
    let plain = |word: &String| !word.is_empty() && word.trim() == word && word.chars().count() <= WORD_CHARS;
    match words.iter().find(|word| !plain(word)) {
        None => Ok(words),
        Some(word) => Err(ConfigError::value(key, show(word), "must be 1 to 40 characters without blanks around")),
    }
}

/// Judges the replies of one channel; none where it takes none.
pub(super) fn of_channel(
    table: &str,
    raw: raw::ChannelReplies,
    receipts: &ReceiptSettings,
) -> Result<Option<ReplyMap>, ConfigError> {
    let table = format!("{table}.replies");
    let key = |field: &str| format!("{table}.{field}");
    let required = |field: &str, text: String| match text.as_str() {
        "" => Err(ConfigError::value(key(field), "\"\"", "is needed: a JSON pointer such as /text")),
        _ => pointer(&key(field), text),
    };
    let map = ReplyMap {
        list: pointer(&key("list_pointer"), raw.list_pointer)?,
        from: required("from_pointer", raw.from_pointer)?,
        text: required("text_pointer", raw.text_pointer)?,
        id: pointer(&key("id_pointer"), raw.id_pointer)?,
        time: pointer(&key("time_pointer"), raw.time_pointer)?,
        reference: pointer(&key("reference_pointer"), raw.reference_pointer)?,
    };
    if raw.enabled && !raw.unsigned && receipts.secrets.is_empty() {
        return Err(ConfigError::Contradiction {
            key: key("enabled"),
            value: "true".to_owned(),
            other_key: key("unsigned"),
            other: "false".to_owned(),
            rule:
                "whoever reaches the listener could unsubscribe people: set receipts.secrets, or unsigned = true where \
                   your proxy lets only the provider through"
                    .to_owned(),
        });
    }
    Ok(raw.enabled.then_some(map))
}
