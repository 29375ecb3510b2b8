//! One template of a channel: compiled once, rendered for every message.
//!
//! Whatever a message contains, it stays a value: in a body it is escaped for the inside of a JSON string, in an
//! address it is percent-encoded. Templates of plain `{{ name }}` placeholders, which is nearly all of them, become a
//! list of pieces and cost a copy; anything else (`{% if validity_seconds %}`, filters) is rendered by minijinja with
//! the same escaping. Credentials are constants and are written into the pieces when the channel is built.

use std::collections::BTreeMap;

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, context};

use super::Submission;
use super::settings::Secret;

/// Where a rendered text will stand, which decides how values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Inside a JSON text; texts stand between quotes that the template has.
    Body,
    /// In the path or the query of an address, or in a field of a form.
    Address,
    /// The value of a header; control characters are refused later.
    Header,
}

/// What a template may name, besides `credentials.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    To,
    Text,
    Sender,
    Reference,
    IdempotencyKey,
    ValiditySeconds,
    Parts,
    ReceiptUrl,
    Subject,
    Html,
    UnsubscribeUrl,
}

const VARIABLES: [(&str, Variable); 11] = [
    ("to", Variable::To),
    ("text", Variable::Text),
    ("sender", Variable::Sender),
    ("reference", Variable::Reference),
    ("idempotency_key", Variable::IdempotencyKey),
    ("validity_seconds", Variable::ValiditySeconds),
    ("parts", Variable::Parts),
    ("receipt_url", Variable::ReceiptUrl),
    ("subject", Variable::Subject),
    ("html", Variable::Html),
    ("unsubscribe_url", Variable::UnsubscribeUrl),
];

enum Piece {
    Literal(String),
    Variable(Variable),
}

enum Compiled {
    Pieces(Vec<Piece>),
    Jinja { environment: Box<Environment<'static>>, credentials: BTreeMap<String, String> },
}

/// The values of one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) submission: &'a Submission<'a>,
    pub(super) sender: &'a str,
}

/// Why a template cannot be used; the caller adds the channel and the place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TemplateError {
    Syntax { line: usize },
    UnknownVariable { name: String },
}

/// A template that knows where its text will stand.
pub(super) struct Template {
    compiled: Compiled,
    place: Place,
}

impl Template {
    /// Compiles a template; names are checked here, so that rendering can fail only through a filter.
    pub(super) fn compile(
        text: &str,
        place: Place,
        credentials: &BTreeMap<String, Secret>,
    ) -> Result<Self, TemplateError> {
        let compiled = match pieces(text, place, credentials)? {
            Some(pieces) => Compiled::Pieces(pieces),
            None => jinja(text, place, credentials)?,
        };
        Ok(Self { compiled, place })
    }

    /// The text, if it is the same for every message.
    pub(super) fn constant(&self) -> Option<&str> {
        let Compiled::Pieces(pieces) = &self.compiled else { return None };
        match pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the rendered text; `false` if a filter of the template failed on these values.
    #[must_use]
    pub(super) fn render(&self, values: &Values<'_>, out: &mut String) -> bool {
        match &self.compiled {
            Compiled::Pieces(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Literal(text) => out.push_str(text),
                        Piece::Variable(variable) => push_variable(*variable, values, self.place, out),
                    }
                }
                true
            }
            Compiled::Jinja { environment, credentials } => {
                let submission = values.submission;
                let context = context! {
                    to => submission.to,
                    text => submission.text,
                    sender => values.sender,
                    reference => submission.reference,
                    idempotency_key => submission.idempotency_key,
                    validity_seconds => submission.validity_seconds,
                    parts => submission.parts,
                    receipt_url => submission.receipt_url,
                    subject => submission.subject,
                    html => submission.html,
                    unsubscribe_url => submission.unsubscribe_url,
                    credentials => credentials,
                };
                let rendered = environment.get_template("").and_then(|template| template.render(context));
                rendered.is_ok_and(|text| {
                    out.push_str(&text);
                    true
                })
            }
        }
    }
}

/// The pieces of a template without blocks, filters and comments; `None` if it needs the engine.
fn pieces(
    text: &str,
    place: Place,
    credentials: &BTreeMap<String, Secret>,
) -> Result<Option<Vec<Piece>>, TemplateError> {
    if text.contains("{%") || text.contains("{#") {
        return Ok(None);
    }
    let mut found = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        literal.push_str(before);
        let Some((inside, behind)) = after.split_once("}}") else { return Ok(None) };
        let name = inside.trim();
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')) || name.is_empty() {
            return Ok(None);
        }
        if let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == name) {
            if !literal.is_empty() {
                found.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            found.push(Piece::Variable(*variable));
        } else if let Some(secret) = name.strip_prefix("credentials.").and_then(|key| credentials.get(key)) {
            push_text(secret.expose(), place, &mut literal);
        } else {
            return Err(TemplateError::UnknownVariable { name: name.to_owned() });
        }
        rest = behind;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        found.push(Piece::Literal(literal));
    }
    Ok(Some(found))
}

fn jinja(text: &str, place: Place, credentials: &BTreeMap<String, Secret>) -> Result<Compiled, TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(move |out, state, value| write_value(out, state, value, place));
    environment
        .add_template_owned("", text.to_owned())
        .map_err(|error| TemplateError::Syntax { line: error.line().unwrap_or(1) })?;
    let named = environment
        .get_template("")
        .map(|template| template.undeclared_variables(true))
        .map_err(|_| TemplateError::Syntax { line: 1 })?;
    let unknown = named.into_iter().find(|name| match name.strip_prefix("credentials.") {
        Some(key) => !credentials.contains_key(key),
        None => !VARIABLES.iter().any(|(known, _)| known == name),
    });
    if let Some(name) = unknown {
        return Err(TemplateError::UnknownVariable { name });
    }
    let credentials = credentials.iter().map(|(name, secret)| (name.clone(), secret.expose().to_owned())).collect();
    Ok(Compiled::Jinja { environment: Box::new(environment), credentials })
}

/// Writes one `{{ .. }}` of the engine the way a piece is written.
fn write_value(out: &mut Output<'_>, _state: &mut State<'_, '_>, value: &Value, place: Place) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let mut text = String::new();
    match (value.kind(), value.as_str()) {
        (_, Some(string)) => push_text(string, place, &mut text),
        (ValueKind::None, _) => text.push_str(nothing(place)),
        _ => push_text(&value.to_string(), place, &mut text),
    }
    out.write_str(&text).map_err(Error::from)
}

fn push_variable(variable: Variable, values: &Values<'_>, place: Place, out: &mut String) {
    let submission = values.submission;
    match variable {
        Variable::To => push_text(submission.to, place, out),
        Variable::Text => push_text(submission.text, place, out),
        Variable::Sender => push_text(values.sender, place, out),
        Variable::Reference => push_text(submission.reference, place, out),
        Variable::IdempotencyKey => push_text(submission.idempotency_key, place, out),
        Variable::Parts => out.push_str(&submission.parts.to_string()),
        Variable::ReceiptUrl => push_text(submission.receipt_url, place, out),
        Variable::Subject => push_text(submission.subject, place, out),
        Variable::Html => push_text(submission.html, place, out),
        Variable::UnsubscribeUrl => push_text(submission.unsubscribe_url, place, out),
        Variable::ValiditySeconds => match submission.validity_seconds {
            Some(seconds) => out.push_str(&seconds.to_string()),
            None => out.push_str(nothing(place)),
        },
    }
}

fn nothing(place: Place) -> &'static str {
    match place {
        Place::Body => "null",
        Place::Address | Place::Header => "",
    }
}

fn push_text(text: &str, place: Place, out: &mut String) {
    match place {
        Place::Body => push_json(text, out),
        Place::Address => push_percent(text, out),
        Place::Header => out.push_str(text),
    }
}

/// Appends `text` as it stands between the quotes of a JSON string (RFC 8259, section 7).
pub(super) fn push_json(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| b < 0x20 || b == b'"' || b == b'\\') {
        // What is escaped is one byte of ASCII, so `at` and `at + 1` are boundaries.
        let (clean, tail) = rest.split_at(at);
        out.push_str(clean);
        let mut chars = tail.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some(control) => {
                out.push_str("\\u00");
                push_hex(u32::from(control), out);
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// Appends `text` with everything but the unreserved characters of RFC 3986 percent-encoded.
pub(super) fn push_percent(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            push_hex(u32::from(byte), out);
        }
    }
}

/// Two upper-case hexadecimal digits of a value below 256.
fn push_hex(value: u32, out: &mut String) {
    for nibble in [value >> 4 & 0xf, value & 0xf] {
        out.extend(char::from_digit(nibble, 16).map(|digit| digit.to_ascii_uppercase()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn render(
        template: &str,
        place: Place,
        text: &str,
        validity_seconds: Option<u64>,
    ) -> Result<String, TemplateError> {
        let credentials = BTreeMap::from([("key".to_owned(), Secret::new("k\"1 &"))]);
        let submission = Submission {
            to: "+34600123456",
            text,
            subject: "",
            html: "",
            template: None,
            unsubscribe_url: "",
            reference: "r-1",
            idempotency_key: "i-1",
            validity_seconds,
            parts: 2,
            receipt_url: "https://x.example/receipts/sms/r-1",
            trace: None,
            deadline: Instant::now(),
        };
        let mut out = String::new();
        let template = Template::compile(template, place, &credentials)?;
        assert!(template.render(&Values { submission: &submission, sender: "REMESA" }, &mut out));
        Ok(out)
    }

    #[test]
    fn values_are_written_for_the_place_where_they_stand() {
        let all = "{{to}} {{ text }} {{ sender }} {{ parts }} {{ validity_seconds }} {{ credentials.key }}";
        let table = [
            (Place::Body, "+34600123456 a\\\"b\\u0009é REMESA 2 null k\\\"1 &"),
            (Place::Address, "%2B34600123456 a%22b%09%C3%A9 REMESA 2  k%221%20%26"),
            (Place::Header, "+34600123456 a\"b\té REMESA 2  k\"1 &"),
        ];
        for (place, expected) in table {
            assert_eq!(render(all, place, "a\"b\té", None).unwrap(), expected, "{place:?}");
            let by_engine = format!("{{# a comment wakes the engine #}}{all}");
            assert_eq!(render(&by_engine, place, "a\"b\té", None).unwrap(), expected, "{place:?} by the engine");
        }
    }

    #[test]
    fn a_block_may_leave_the_validity_out() {
        let template = r#"{"t":"{{ text }}"{% if validity_seconds %},"v":{{ validity_seconds }}{% endif %}}"#;
        assert_eq!(render(template, Place::Body, "x", None).unwrap(), r#"{"t":"x"}"#);
        assert_eq!(render(template, Place::Body, "x", Some(60)).unwrap(), r#"{"t":"x","v":60}"#);
    }

    #[test]
    fn an_unknown_name_and_a_syntax_error_are_found_when_the_channel_is_built() {
        let unknown = |name: &str| Err(TemplateError::UnknownVariable { name: name.to_owned() });
        assert_eq!(render("{{ too }}", Place::Body, "", None), unknown("too"));
        assert_eq!(render("{{ credentials.pin }}", Place::Body, "", None), unknown("credentials.pin"));
        assert_eq!(render("{% if too %}{% endif %}", Place::Body, "", None), unknown("too"));
        assert_eq!(render("{{ credentials.pin }}{# x #}", Place::Body, "", None), unknown("credentials.pin"));
        assert_eq!(render("\n{% if %}", Place::Body, "", None), Err(TemplateError::Syntax { line: 2 }));
        assert_eq!(render("{{ to ", Place::Body, "", None), Err(TemplateError::Syntax { line: 1 }));
    }

    proptest! {
        #[test]
        fn whatever_the_text_it_comes_back_from_json_and_from_a_query(text in any::<String>()) {
            let body = render(r#"["{{ text }}"]"#, Place::Body, &text, None).unwrap();
            let parsed: Vec<String> = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(&parsed, &vec![text.clone()]);
            let query = render("{{ text }}", Place::Address, &text, None).unwrap();
            prop_assert!(query.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        }
    }
}
