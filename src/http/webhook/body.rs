//! The body of what a provider posts: JSON, or the fields of a form as an object of texts.

use axum::http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::{Map, Value};

const FORM: &str = "application/x-www-form-urlencoded";

/// The body as JSON; the error is a sentence without anything of the body.
pub(in crate::http) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Value, String> {
    if is_form(headers, body) {
        let fields = form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into_owned().into()));
        return Ok(Value::Object(fields.collect::<Map<_, _>>()));
    }
    serde_json::from_slice(body)
        .map_err(|error| format!("the body is not JSON (line {}, column {})", error.line(), error.column()))
}

/// Whether the body is a form: it calls itself one, and does not begin as JSON does (`curl -d` calls everything a form).
pub(super) fn is_form(headers: &HeaderMap, body: &[u8]) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let called = kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM);
    called && !body.trim_ascii_start().first().is_some_and(|first| b"{[".contains(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use serde_json::json;

    fn read(kind: &'static str, body: &str) -> Result<Value, String> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        parse(&headers, body.as_bytes())
    }

    #[test]
    fn a_form_is_an_object_of_texts() {
        let body = "MessageStatus=delivered&MessageSid=SM1&To=%2B34600123456&note=a+b";
        let expected = json!({"MessageStatus": "delivered", "MessageSid": "SM1", "To": "+34600123456", "note": "a b"});
        assert_eq!(read("application/x-www-form-urlencoded; charset=utf-8", body), Ok(expected));
    }

    #[test]
    fn anything_else_is_json_whatever_it_calls_itself() {
        assert_eq!(read("text/plain", "[1]"), Ok(json!([1])));
        assert_eq!(read(FORM, " {\"a\":1}"), Ok(json!({"a": 1})));
        assert_eq!(parse(&HeaderMap::new(), b"{}"), Ok(json!({})));
        let error = read("application/json", "{\"to\":\"+34600123456\"").unwrap_err();
        assert!(error.starts_with("the body is not JSON (line 1, column ") && !error.contains("346"), "{error}");
    }
}
