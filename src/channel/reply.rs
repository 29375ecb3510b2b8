//! From a provider's reply to an acceptance or a [`Trouble`].
//!
//! Two JSON pointers (RFC 6901) say where the message id and the error code stand. An id in a 2xx is an acceptance,
//! whatever else the body says; without one, an error code is a refusal; with neither, nobody knows.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use serde_json::Value;

use super::Accepted;
use super::failure::{LONGEST_WAIT, Rules, Trouble, classify};
use crate::domain::failure::Failure;

/// Longest id that is kept; it is stored once for every message.
const ID_BYTES: usize = 128;

/// A whole answer. `body` is `None` where it did not arrive whole or is over the limit.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

/// How a channel reads its provider's replies.
#[derive(Debug)]
pub(super) struct ReplyMap {
    pub(super) id_pointer: String,
    pub(super) error_pointer: String,
    pub(super) rules: Rules,
}

impl ReplyMap {
    /// What the reply means for the message.
    pub(super) fn read(&self, reply: &Reply) -> Result<Accepted, Failure> {
        let json: Option<Value> = reply.body.as_ref().and_then(|body| serde_json::from_slice(body).ok());
        let at = |pointer: &str| json.as_ref().and_then(|value| value.pointer(pointer));
        let code = at(&self.error_pointer).and_then(error_code);
        let trouble = if reply.status.is_success() {
            match (&json, at(&self.id_pointer).and_then(message_id), &code) {
                (None, _, _) => Trouble::AnswerUnreadable,
                (Some(_), Some(provider_id), _) => return Ok(Accepted { provider_id }),
                (Some(_), None, Some(code)) => Trouble::RefusedWith200 { code },
                (Some(_), None, None) => Trouble::AnswerWithoutId,
            }
        } else {
            Trouble::Status {
                status: reply.status.as_u16(),
                code: code.as_deref(),
                retry_after: retry_after(&reply.headers, SystemTime::now()),
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

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), at most [`LONGEST_WAIT`]. A date is compared
/// with the server's own `Date` where it sends one, so that two clocks that disagree do not matter.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let asked = text(RETRY_AFTER)?;
    let wait = if asked.bytes().all(|b| b.is_ascii_digit()) && !asked.is_empty() {
        // A number beyond u64 is a long wait too.
        Duration::from_secs(asked.parse().unwrap_or(u64::MAX))
    } else {
        let until = httpdate::parse_http_date(asked).ok()?;
        let from = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
        until.duration_since(from).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn wait(value: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        retry_after(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_read_in_seconds_and_as_a_date() {
        // 784111777 is the RFC's own example, Sun, 06 Nov 1994 08:49:37 GMT.
        assert_eq!(wait("120", None), Some(120));
        assert_eq!(wait(" 0 ", None), Some(0));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:47 GMT", None), Some(10));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:47 GMT", Some("Sun, 06 Nov 1994 08:49:42 GMT")), Some(5));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT", None), Some(0), "a date that has passed");
        assert_eq!(wait("99999999999999999999999", None), Some(86_400));
        for nonsense in ["soon", "", "-1", "1.5"] {
            assert_eq!(wait(nonsense, None), None, "{nonsense:?}");
        }
    }

    fn read(body: &str) -> Result<String, String> {
        let map = ReplyMap {
            id_pointer: "/messages/0/id".to_owned(),
            error_pointer: "/error/code".to_owned(),
            rules: Rules::default(),
        };
        let body = Some(Bytes::copy_from_slice(body.as_bytes()));
        let reply = Reply { status: StatusCode::OK, headers: HeaderMap::new(), body };
        map.read(&reply).map(|accepted| accepted.provider_id).map_err(|failure| format!("{failure:?}"))
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
