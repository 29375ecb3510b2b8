//! From a provider's reply to an acceptance or a [`Trouble`].
//!
//! Two JSON pointers (RFC 6901) say where the message id and the error code stand. An id in a 2xx is an acceptance,
//! whatever else the body says; without one, an error code is a refusal; with neither, nobody knows.

use std::collections::HashSet;
use std::time::SystemTime;

use serde_json::Value;

use super::Accepted;
use crate::domain::failure::Failure;
use crate::wire::{Reply, Rules, Trouble, classify};

/// Longest id that is kept; it is stored once for every message.
const ID_BYTES: usize = 128;

/// How a channel reads its provider's replies.
#[derive(Debug)]
pub(super) struct ReplyMap {
    pub(super) id_pointer: String,
    pub(super) error_pointers: Vec<String>,
    pub(super) refusals: Option<Refusals>,
    pub(super) rules: Rules,
}

/// How a provider says in a good answer, with an id, that it will not send the message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusals {
    /// Where the word stands.
    pub(super) pointer: &'static str,
    /// Words that mean it.
    pub(super) words: &'static [&'static str],
    /// Where the reason stands, as a code.
    pub(super) code: &'static str,
}

impl ReplyMap {
    /// What the reply means for the message that says `told`.
    pub(super) fn read(&self, reply: &Reply, told: &[&str], now: SystemTime) -> Result<Accepted, Failure> {
        let json: Option<Value> = reply.body.as_ref().and_then(|body| serde_json::from_slice(body).ok());
        let at = |pointer: &str| json.as_ref().and_then(|value| value.pointer(pointer));
        let configured = [&self.rules.denied_codes, &self.rules.throttled_codes];
        let error_code = |value: &Value| {
            let code = error_code(value)?;
            Some(if configured.iter().any(|codes| codes.contains(&code)) { code } else { without_echo(&code, told) })
        };
        let code = self.error_pointers.iter().find_map(|pointer| at(pointer).and_then(error_code));
        let refused = self.refusals.filter(|refusals| {
            at(refusals.pointer).and_then(Value::as_str).is_some_and(|word| refusals.words.contains(&word))
        });
        let refusal = refused.map(|refusals| at(refusals.code).and_then(error_code).unwrap_or_default());
        let trouble = if reply.status.is_success() {
            match (&json, at(&self.id_pointer).and_then(message_id), &code) {
                (None, _, _) => Trouble::AnswerUnreadable,
                (Some(_), Some(_), _) if refusal.is_some() => {
                    Trouble::RefusedWith200 { code: refusal.as_deref().unwrap_or_default() }
                }
                (Some(_), Some(provider_id), _) => return Ok(Accepted { provider_id }),
                (Some(_), None, Some(code)) => Trouble::RefusedWith200 { code },
                (Some(_), None, None) => Trouble::AnswerWithoutId,
            }
        } else {
            Trouble::Status {
                status: reply.status.as_u16(),
                code: code.as_deref(),
                retry_after: reply.retry_after(now),
            }
        };
        Err(classify(&trouble, &self.rules))
    }
}

fn message_id(value: &Value) -> Option<String> {
    let text = scalar(value)?;
    let mut id: String = text.chars().filter(|c| !c.is_control()).collect();
    let end = (0..=ID_BYTES.min(id.len())).rev().find(|at| id.is_char_boundary(*at)).unwrap_or(0);
    id.truncate(end);
    Some(id).filter(|id| !id.is_empty())
}

/// The provider's error code; the ways in which providers say "no error" are none.
fn error_code(value: &Value) -> Option<String> {
    let text = scalar(value)?;
    let none = text.is_empty() || text == "0" || text.eq_ignore_ascii_case("ok");
    (!none).then_some(text)
}

/// Some providers write a sentence where a code belongs, with words of the message or the name of its recipient: of a
/// sentence no word is kept that stands in the message. A provider knows of a person what it was told.
fn without_echo(code: &str, told: &[&str]) -> String {
    if !code.contains(char::is_whitespace) {
        return code.to_owned();
    }
    let told: HashSet<String> = told.iter().flat_map(|text| words(text)).collect();
    let kept: Vec<&str> =
        code.split_whitespace().filter(|piece| words(piece).all(|word| !told.contains(&word))).collect();
    kept.join(" ")
}

/// Words that may be a name.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2).map(str::to_lowercase)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::StatusCode;
    use hyper::header::HeaderMap;

    use super::*;

    fn read(body: &str) -> Result<String, String> {
        let map = ReplyMap {
            id_pointer: "/messages/0/id".to_owned(),
            error_pointers: vec!["/error/code".to_owned()],
            refusals: None,
            rules: Rules::default(),
        };
        let body = Some(Bytes::copy_from_slice(body.as_bytes()));
        let reply = Reply { status: StatusCode::OK, headers: HeaderMap::new(), body };
        map.read(&reply, &["Hola Ana María, su cuota: https://x.example/?p=1"], SystemTime::now())
            .map(|accepted| accepted.provider_id)
            .map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn an_id_is_found_by_its_pointer_as_text_or_number_and_is_kept_short_and_clean() {
        assert_eq!(read(r#"{"messages":[{"id":"a,b"}]}"#), Ok("a,b".to_owned()));
        assert_eq!(read(r#"{"messages":[{"id":18446744073709551615}]}"#), Ok("18446744073709551615".to_owned()));
        assert_eq!(read(r#"{"messages":[{"id":"a\r\nb"}],"error":{"code":7}}"#), Ok("ab".to_owned()));
        let long = "é".repeat(100);
        assert_eq!(read(&format!(r#"{{"messages":[{{"id":"{long}"}}]}}"#)), Ok("é".repeat(64)));
    }

    #[test]
    fn a_sentence_in_the_place_of_a_code_says_no_word_of_the_message() {
        for (said, code) in [
            ("no number of ANA (maría)", "refused:no_number_of"),
            ("bad text 'Hola Ana María, su cuota'", "refused:bad_text_su"),
            ("cuota", "refused:cuota"),
            ("mailbox full", "refused:mailbox_full"),
        ] {
            let body = format!(r#"{{"error":{{"code":"{said}"}}}}"#);
            assert_eq!(read(&body), Err(format!("Permanent {{ code: \"{code}\" }}")));
        }
    }

    #[test]
    fn without_an_id_an_error_code_is_a_refusal_and_nothing_at_all_is_ambiguous() {
        for (body, expected) in [
            (r#"{"error":{"code":7}}"#, "Permanent { code: \"refused:7\" }"),
            (r#"{"messages":[{"id":""}],"error":{"code":"x"}}"#, "Permanent { code: \"refused:x\" }"),
            (r#"{"error":{"code":0}}"#, "Ambiguous { code: \"answer_without_id\" }"),
            (r#"{"error":{"code":null}}"#, "Ambiguous { code: \"answer_without_id\" }"),
            (r#"{"messages":[{"id":true}]}"#, "Ambiguous { code: \"answer_without_id\" }"),
            ("<html>", "Ambiguous { code: \"answer_unreadable\" }"),
            ("", "Ambiguous { code: \"answer_unreadable\" }"),
        ] {
            assert_eq!(read(body), Err(expected.to_owned()), "{body}");
        }
    }
}
