//! The refusal of a job: a code for programs, a sentence for people.
//!
//! The sentence names the field, its value and the rule, so that whoever wrote the job can mend it from the sentence
//! alone. Values are cut and escaped; what may be personal data (rows, phones) is named by its place, not by its text.

use serde::Serialize;
use serde_json::Value;

use super::codes::RejectionCode;
use crate::domain::Excerpt;
use crate::domain::clock::EpochMs;

/// Why a job was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{sentence}")]
pub struct Rejection {
    /// The stable code.
    pub code: RejectionCode,
    /// Field, value and rule.
    pub sentence: String,
    /// The field's path in the job, such as `message.url`, if one field is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Rejection {
    /// A refusal that no single field is to blame for.
    pub fn new(code: RejectionCode, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), field: None }
    }

    /// A refusal of one field. `rule` says value and rule: `"x{y" is not a name: ...`.
    pub fn of_field(code: RejectionCode, field: impl Into<String>, rule: impl std::fmt::Display) -> Self {
        let field = named(field.into());
        Self { code, sentence: format!("{field}: {rule}"), field: Some(field) }
    }

    /// A refusal whose code another room gives as text (a source, a domain rule). An unknown text would be a fault of
    /// ours, and becomes `invalid_value` rather than a lost job.
    pub fn of_code(code: &str, field: Option<&str>, rule: impl std::fmt::Display) -> Self {
        let code = RejectionCode::parse(code).unwrap_or(RejectionCode::InvalidValue);
        match field {
            Some(field) => Self::of_field(code, field, rule),
            None => Self::new(code, rule.to_string()),
        }
    }

    /// The refusal of a job that comes too late.
    pub fn expired(not_after: EpochMs, now: EpochMs) -> Self {
        let rule = format!("{} has passed: it is {}", not_after.to_rfc3339(), now.to_rfc3339());
        Self::of_field(RejectionCode::Expired, "not_after", rule)
    }

    /// The refusal of a job of that size.
    pub fn too_big(length_bytes: usize, max_bytes: usize) -> Self {
        let sentence = format!(
            "the job has {length_bytes} bytes, the maximum is {max_bytes}: put many rows into a file and name it in rows_from"
        );
        Self::new(RejectionCode::JobTooBig, sentence)
    }
}

/// Characters of a field's path that are shown.
const FIELD_CHARS: usize = 128;

/// The path of a field as a sentence names it: an unknown field is called whatever its producer likes, and a sentence is
/// shown on terminals.
fn named(field: String) -> String {
    if field.len() <= FIELD_CHARS && !field.chars().any(char::is_control) {
        return field;
    }
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    field.chars().take(FIELD_CHARS).map(plain).collect()
}

/// A JSON value as a sentence shows it: its text if short, else its kind.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => Excerpt::of(text).to_string(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_shortly_and_without_what_moves_a_cursor() {
        let long = format!("frequency.\u{1b}[2J\n{}", "x".repeat(1_000));
        let refused = Rejection::of_field(RejectionCode::UnknownField, long, "is not a field");
        let field = refused.field.unwrap();
        assert_eq!(field.chars().count(), FIELD_CHARS);
        assert!(field.starts_with("frequency.\u{fffd}[2J\u{fffd}xx"), "{field}");
        assert!(!refused.sentence.chars().any(char::is_control), "{}", refused.sentence);
        assert_eq!(named("message.url".to_owned()), "message.url");
    }
}
