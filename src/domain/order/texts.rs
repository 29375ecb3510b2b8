//! What a payer is shown, and the key of a row: how long they may be (PO-11).

use crate::domain::excerpt::Excerpt;

/// Most characters of a concept (PO-11; Unicode scalar values).
pub const CONCEPT_MAX_CHARS: usize = 100;
/// Most characters of a reference (PO-11; Unicode scalar values).
pub const REFERENCE_MAX_CHARS: usize = 150;
/// Most characters of a row key; holds `<job id>:<row>` of the longest job id.
pub const KEY_MAX_CHARS: usize = 150;

/// Why a field of an order was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Over 100 characters.
    #[error("concept {value} has {chars} characters, more than {CONCEPT_MAX_CHARS}")]
    ConceptTooLong {
        /// What was written.
        value: Excerpt,
        /// How long it is.
        chars: usize,
    },
    /// Over 150 characters.
    #[error("reference {value} has {chars} characters, more than {REFERENCE_MAX_CHARS}")]
    ReferenceTooLong {
        /// What was written.
        value: Excerpt,
        /// How long it is.
        chars: usize,
    },
    /// Over 150 characters.
    #[error("key {value} has {chars} characters, more than {KEY_MAX_CHARS}")]
    KeyTooLong {
        /// What was written.
        value: Excerpt,
        /// How long it is.
        chars: usize,
    },
    /// Empty or with control characters.
    #[error("key {value} is empty or has control characters")]
    InvalidKey {
        /// What was written.
        value: Excerpt,
    },
}

impl OrderError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ConceptTooLong { .. } => "concept_too_long",
            Self::ReferenceTooLong { .. } => "reference_too_long",
            Self::KeyTooLong { .. } => "key_too_long",
            Self::InvalidKey { .. } => "invalid_key",
        }
    }
}

/// Refuses a concept of more than 100 characters (PO-11).
pub fn check_concept(text: &str) -> Result<(), OrderError> {
    match longer_than(text, CONCEPT_MAX_CHARS) {
        Some(chars) => Err(OrderError::ConceptTooLong { value: Excerpt::of(text), chars }),
        None => Ok(()),
    }
}

/// Refuses a reference of more than 150 characters (PO-11).
pub fn check_reference(text: &str) -> Result<(), OrderError> {
    match longer_than(text, REFERENCE_MAX_CHARS) {
        Some(chars) => Err(OrderError::ReferenceTooLong { value: Excerpt::of(text), chars }),
        None => Ok(()),
    }
}

/// Refuses a row key that is empty, longer than 150 characters, or holds control characters.
pub fn check_key(text: &str) -> Result<(), OrderError> {
    if let Some(chars) = longer_than(text, KEY_MAX_CHARS) {
        return Err(OrderError::KeyTooLong { value: Excerpt::of(text), chars });
    }
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(OrderError::InvalidKey { value: Excerpt::of(text) });
    }
    Ok(())
}

/// The number of characters, when it is over `max`. Bytes are never fewer than characters.
fn longer_than(text: &str, max: usize) -> Option<usize> {
    if text.len() <= max {
        return None;
    }
    Some(text.chars().count()).filter(|chars| *chars > max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn po_11_lengths_are_counted_in_characters_and_refused_not_cut() {
        assert!(check_concept(&"ñ".repeat(100)).is_ok());
        let error = check_concept(&"ñ".repeat(101)).unwrap_err();
        assert_eq!(error.code(), "concept_too_long");
        assert!(error.to_string().contains("101 characters, more than 100"), "{error}");
        assert!(check_reference(&"😀".repeat(150)).is_ok());
        let error = check_reference(&"😀".repeat(151)).unwrap_err();
        assert_eq!(error.code(), "reference_too_long");
        assert!(error.to_string().contains("151 characters, more than 150"), "{error}");
        assert!(check_concept("").is_ok());
    }

    #[test]
    fn a_row_key_is_short_and_printable() {
        assert!(check_key(&format!("{}:5000000", "j".repeat(128))).is_ok());
        assert_eq!(check_key("").unwrap_err().code(), "invalid_key");
        assert_eq!(check_key("a\tb").unwrap_err().code(), "invalid_key");
        assert_eq!(check_key(&"k".repeat(151)).unwrap_err().code(), "key_too_long");
    }

    proptest! {
        #[test]
        fn po_11_the_limits_are_exact_for_any_characters(text in "\\PC{0,160}") {
            let chars = text.chars().count();
            prop_assert_eq!(check_concept(&text).is_ok(), chars <= 100);
            prop_assert_eq!(check_reference(&text).is_ok(), chars <= 150);
        }
    }
}
