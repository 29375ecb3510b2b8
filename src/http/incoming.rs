//! What is posted by people and programs: a body that comes in time and is not too big, and its fields.
//!
//! A form or a JSON object and nothing else: what a page of another site may post without asking (`text/plain`) is not
//! read. Nothing of a body is logged.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};

/// A body that has not come after this does not come.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    TooBig,
    TooSlow,
}

/// Reads a body of at most so many bytes.
pub(super) async fn read(incoming: Body, most_bytes: usize) -> Result<Bytes, Unread> {
    match tokio::time::timeout(BODY_WITHIN, Limited::new(incoming, most_bytes).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooBig),
        Ok(Err(_)) | Err(_) => Err(Unread::TooSlow),
    }
}

/// What a body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fields {
    /// Of a form: a name stands once.
    Form(BTreeMap<String, String>),
    /// A JSON object.
    Json(Map<String, Value>),
}

/// Why a body is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Neither a form nor JSON.
    Kind,
    /// Not what it calls itself; a sentence without anything of the body.
    Content(String),
}

impl Fields {
    /// The fields of a body, by what it calls itself.
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, Unreadable> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => {
                let mut fields = BTreeMap::new();
                for (name, value) in form_urlencoded::parse(body) {
                    if fields.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                        return Err(Unreadable::Content("a field of the form stands twice".to_owned()));
                    }
                }
                Ok(Self::Form(fields))
            }
            "application/json" => serde_json::from_slice(body).map(Self::Json).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                Unreadable::Content(format!("the body is not a JSON object (line {line}, column {column})"))
            }),
            _ => Err(Unreadable::Kind),
        }
    }

    /// Takes a text out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        match self {
            Self::Form(fields) => fields.remove(name),
            Self::Json(fields) => fields.remove(name)?.as_str().map(str::to_owned),
        }
    }

    /// Whether a page sent it.
    pub(super) const fn is_form(&self) -> bool {
        matches!(self, Self::Form(_))
    }
}

/// A path on this host: where a browser may be led to. Nothing that a browser could take for another host.
pub(super) fn local_path(text: &str) -> Option<&str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (plain && text.len() <= 2048 && text.starts_with('/') && !text.starts_with("//")).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn parse(kind: &'static str, body: &str) -> Result<Fields, Unreadable> {
        Fields::parse(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]), body.as_bytes())
    }

    #[test]
    fn a_form_and_a_json_object_are_read_and_nothing_else_is() {
        let mut form = parse("application/x-www-form-urlencoded; charset=utf-8", "a=1&b=x+%3Cy").unwrap();
        assert_eq!((form.take("b"), form.take("b"), form.is_form()), (Some("x <y".to_owned()), None, true));
        let mut object = parse("Application/JSON", "{\"a\":1,\"b\":\"x\"}").unwrap();
        assert_eq!((object.take("a"), object.take("b"), object.is_form()), (None, Some("x".into()), false));
        for kind in ["text/plain", "multipart/form-data", "application/jsonx", ""] {
            assert_eq!(parse(kind, "{}"), Err(Unreadable::Kind), "{kind}");
        }
        assert_eq!(Fields::parse(&HeaderMap::new(), b"{}"), Err(Unreadable::Kind));
        for (kind, body) in
            [("application/json", "[1]"), ("application/json", "{"), ("application/x-www-form-urlencoded", "a=1&a=2")]
        {
            assert!(matches!(parse(kind, body), Err(Unreadable::Content(_))), "{body}");
        }
    }

    #[test]
    fn a_browser_is_led_nowhere_else() {
        for fine in ["/", "/campaigns/nov?state=running&x=%2F", "/a//b"] {
            assert_eq!(local_path(fine), Some(fine));
        }
        for other in
            ["", "campaigns", "//evil.example/", "/\\evil.example", "https://evil.example", "/a\r\nb", "/ñ", "/a b"]
        {
            assert_eq!(local_path(other), None, "{other}");
        }
    }
}
