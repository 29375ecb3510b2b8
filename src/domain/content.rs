//! What a bulk message says: a text, the subject and HTML of an e-mail, a template that a provider keeps (BM-21, BM-22).
//!
//! [`Content`] is as it is written, in a job, a stored template or a run's hash. [`Compiled`] is made of it once and
//! rendered for each recipient, by the same template language as the text of a payment order
//! ([`message`](super::message)); but nothing is added to it: `{{ url }}` is a variable like any other and may stand
//! once, anywhere, in the text. Values are escaped in the HTML and nowhere else. What stands in one line (the subject,
//! the parameters of a provider's template) has its blanks and line breaks written as single spaces, so that no value
//! can begin another header. A message of which nothing is left is an error, not an empty message.

use super::column::canonical_column;
use super::message::{Body, Escape, MessageError, TEXT_BYTES, URL, Vars, count_url};
use super::sms;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A rendered HTML body is at most so long; readers of mail cut it off at 102 KB.
const HTML_BYTES: usize = 512 * 1024;
/// RFC 5322, section 2.1.1: a line without its end.
const SUBJECT_BYTES: usize = 998;
/// A parameter of a provider's template; the Cloud API of WhatsApp takes 1,024 characters of body text.
const PARAMETER_BYTES: usize = 4 * 1024;
/// Parameters of a provider's template.
const MOST_PARAMETERS: usize = 100;
/// Longest name or language of a provider's template; the Cloud API of WhatsApp takes names of 512.
const NAME_BYTES: usize = 512;

/// A message as it is written; what is not there is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The text of an SMS or chat message, and the plain part of an e-mail.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The subject of an e-mail.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The HTML part of an e-mail.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub html: String,
    /// A template that the provider keeps, instead of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_template: Option<ProviderTemplate>,
}

/// A template that the provider keeps and fills in, as WhatsApp asks for outside of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderTemplate {
    /// Its name at the provider.
    pub name: String,
    /// Its language, as the provider writes it: `es`, `en_US`.
    pub language: String,
    /// What stands in its places, in order; each is a text with variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
}

/// Why a content was refused, and the field it stands in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// One of its texts does not compile.
    #[error("{field}: {error}")]
    Text {
        /// `text`, `subject`, `html`, or `provider_template.parameters`.
        field: &'static str,
        /// What is wrong.
        error: MessageError,
    },
    /// Neither a text, nor HTML, nor a provider's template.
    #[error("there is nothing to send: one of text, html and provider_template is needed")]
    Empty,
    /// A name or language of a provider's template that none has.
    #[error("provider_template.{field}: 1 to {NAME_BYTES} characters of a-z, A-Z, 0-9, '_', '-' and '.' are needed")]
    ProviderTemplate {
        /// `name` or `language`.
        field: &'static str,
    },
    /// More places than any provider's template has.
    #[error("provider_template.parameters: at most {MOST_PARAMETERS} are taken")]
    Parameters,
}

impl ContentError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Text { error, .. } => error.code(),
            Self::Empty => "missing_field",
            Self::ProviderTemplate { .. } | Self::Parameters => "invalid_value",
        }
    }

    /// The field that is refused, from the content on.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Text { field, .. } => field,
            Self::Empty => "text",
            Self::ProviderTemplate { .. } => "provider_template",
            Self::Parameters => "provider_template.parameters",
        }
    }
}

/// A content made ready for any number of recipients.
#[derive(Debug, Clone)]
pub struct Compiled {
    text: Option<Body>,
    subject: Option<Body>,
    html: Option<Body>,
    template: Option<Filled>,
    variables: BTreeSet<String>,
    /// The known columns among the variables, by their first name.
    columns: BTreeSet<&'static str>,
    transliterate: bool,
}

#[derive(Debug, Clone)]
struct Filled {
    name: String,
    language: String,
    parameters: Vec<Body>,
}

/// A message for one recipient; what the content does not have is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendered {
    /// The text, without blanks around it.
    pub text: String,
    /// The subject, in one line.
    pub subject: String,
    /// The HTML.
    pub html: String,
    /// What stands in the places of the provider's template, each in one line.
    pub parameters: Vec<String>,
}

impl Compiled {
    /// Compiles every text of a content.
    pub fn compile(content: &Content) -> Result<Self, ContentError> {
        let mut names = BTreeSet::new();
        let mut body = |field: &'static str, text: &str, escape, most_bytes| {
            let refused = |error| ContentError::Text { field, error };
            let (body, variables) = Body::compile(text, escape, most_bytes).map_err(refused)?;
            names.extend(variables);
            Ok(body)
        };
        let mut written = |field, text: &str, escape, most_bytes| match text.trim() {
            "" => Ok(None),
            text => body(field, text, escape, most_bytes).map(Some),
        };
        let text = written("text", &content.text, Escape::None, TEXT_BYTES)?;
        let subject = written("subject", &content.subject, Escape::None, SUBJECT_BYTES)?;
        let html = written("html", &content.html, Escape::Html, HTML_BYTES)?;
        if count_url(&content.text) > 1 {
            return Err(ContentError::Text { field: "text", error: MessageError::UrlTwice });
        }
        let template = match &content.provider_template {
            None => None,
            Some(template) => {
                template.check()?;
                let place =
                    |text: &String| body("provider_template.parameters", text.trim(), Escape::None, PARAMETER_BYTES);
                Some(Filled {
                    name: template.name.clone(),
                    language: template.language.clone(),
                    parameters: template.parameters.iter().map(place).collect::<Result<_, _>>()?,
                })
            }
        };
        if text.is_none() && html.is_none() && template.is_none() {
            return Err(ContentError::Empty);
        }
        let columns = names.iter().filter_map(|name| canonical_column(name)).collect();
        Ok(Self { text, subject, html, template, variables: names, columns, transliterate: false })
    }

    /// The same content, in whose text look-alikes are replaced when it is written, or not (PO-14).
    #[must_use]
    pub fn transliterated(self, transliterate: bool) -> Self {
        Self { transliterate, ..self }
    }

    /// Writes the message for one recipient.
    pub fn render(&self, vars: &Vars<'_>) -> Result<Rendered, MessageError> {
        let write = |body: &Option<Body>| {
            let mut out = String::with_capacity(body.as_ref().map_or(0, Body::capacity));
            if let Some(body) = body {
                body.render(vars, &mut out)?;
            }
            Ok(out)
        };
        let mut text = write(&self.text)?;
        if self.transliterate {
            sms::transliterate(&mut text, 0, |_, _| ());
        }
        let rendered = Rendered {
            text: trimmed(text),
            subject: one_line(&write(&self.subject)?),
            html: trimmed(write(&self.html)?),
            parameters: self
                .template
                .iter()
                .flat_map(|template| &template.parameters)
                .map(|body| {
                    let mut out = String::with_capacity(body.capacity());
                    body.render(vars, &mut out).map(|()| one_line(&out))
                })
                .collect::<Result<_, _>>()?,
        };
        // A part that was meant to be there and is empty would be a hole: the other one does not say the same.
        let hole = |body: &Option<Body>, text: &str| body.is_some() && text.is_empty();
        if hole(&self.text, &rendered.text)
            || hole(&self.html, &rendered.html)
            || rendered.parameters.iter().any(String::is_empty)
        {
            return Err(MessageError::Nothing);
        }
        Ok(rendered)
    }

    /// The provider's template: its name and language.
    pub fn provider_template(&self) -> Option<(&str, &str)> {
        self.template.as_ref().map(|template| (template.name.as_str(), template.language.as_str()))
    }

    /// Whether there is HTML.
    pub const fn has_html(&self) -> bool {
        self.html.is_some()
    }

    /// Whether there is a text.
    pub const fn has_text(&self) -> bool {
        self.text.is_some()
    }

    /// The names of all placeholders, the link's `url` among them.
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }

    /// Whether the content uses the value of that name, under it or under an alias of its column.
    pub fn wants(&self, name: &str) -> bool {
        self.variables.contains(name) || self.columns.contains(name)
    }

    /// Whether the content uses the payment link.
    pub fn wants_url(&self) -> bool {
        self.variables.contains(URL)
    }
}

impl ProviderTemplate {
    fn check(&self) -> Result<(), ContentError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        let named = |text: &str| (1..=NAME_BYTES).contains(&text.len()) && text.bytes().all(plain);
        match self {
            Self { name, .. } if !named(name) => Err(ContentError::ProviderTemplate { field: "name" }),
            Self { language, .. } if !named(language) => Err(ContentError::ProviderTemplate { field: "language" }),
            Self { parameters, .. } if parameters.len() > MOST_PARAMETERS => Err(ContentError::Parameters),
            Self { .. } => Ok(()),
        }
    }
}

fn trimmed(text: String) -> String {
    if text.trim().len() == text.len() { text } else { text.trim().to_owned() }
}

/// Blanks, line breaks and control characters in a row become one space.
fn one_line(text: &str) -> String {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    let mut pieces = text.split(blank).filter(|piece| !piece.is_empty());
    let Some(first) = pieces.next() else { return String::new() };
    let mut line = String::with_capacity(text.len());
    line.push_str(first);
    for piece in pieces {
        line.push(' ');
        line.push_str(piece);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    fn content(value: Value) -> Content {
        serde_json::from_value(value).unwrap()
    }

    fn rendered(written: Value, vars: &Value) -> Result<Rendered, MessageError> {
        let compiled = Compiled::compile(&content(written)).unwrap();
        let row: Map<String, Value> = vars.as_object().cloned().unwrap_or_default();
        compiled.render(&Vars::new(&row, &[("url", "https://pay.example/?p=aB3&x=1"), ("amount", "12.50")]))
    }

    fn refused(written: Value) -> (&'static str, &'static str) {
        let error = Compiled::compile(&content(written)).unwrap_err();
        (error.code(), error.field())
    }

    #[test]
    fn every_part_is_written_with_the_values_of_the_recipient() {
        let whole = json!({
            "text": " Hola {{ name }}: {{ amount }} {{ url }} ", "subject": "Su cuota, {{ name }}",
            "html": "<p>{{ name }}</p><a href=\"{{ url }}\">pagar</a>",
            "provider_template": {"name": "reminder", "language": "es", "parameters": ["{{ name }}", "{{ amount }}"]},
        });
        let message = rendered(whole.clone(), &json!({"name": "Ana"})).unwrap();
        assert_eq!(message.text, "Hola Ana: 12.50 https://pay.example/?p=aB3&x=1");
        assert_eq!(message.subject, "Su cuota, Ana");
        assert_eq!(message.html, "<p>Ana</p><a href=\"https://pay.example/?p=aB3&amp;x=1\">pagar</a>");
        assert_eq!(message.parameters, ["Ana", "12.50"]);
        let compiled = Compiled::compile(&content(whole)).unwrap();
        assert_eq!(compiled.provider_template(), Some(("reminder", "es")));
        assert!(compiled.wants("name") && compiled.wants_url() && !compiled.wants("concept"));
    }

    #[test]
    fn html_in_a_name_is_escaped_in_the_html_part_and_nowhere_else() {
        let name = "<b onclick='x'>&\"Ana\"</b>";
        let escaped = "&lt;b onclick=&#39;x&#39;&gt;&amp;&quot;Ana&quot;&lt;/b&gt;";
        for html in ["<p>{{ name }}</p>", "<p>{{ name | trim }}</p>"] {
            let message =
                rendered(json!({"html": html, "text": "{{ name }}", "subject": "{{ name }}"}), &json!({"name": name}));
            let message = message.unwrap();
            assert_eq!(message.html, format!("<p>{escaped}</p>"), "{html}");
            assert_eq!((message.text.as_str(), message.subject.as_str()), (name, name));
        }
    }

    #[test]
    fn a_value_with_line_breaks_stays_in_the_line_where_it_stands() {
        let written = json!({
            "text": "{{ name }}", "subject": "Hola {{ name }}",
            "provider_template": {"name": "n", "language": "es", "parameters": ["{{ name }}"]},
        });
        let message = rendered(written, &json!({"name": "Ana\r\nBcc: x@example.com\u{85}\u{2028} \t y"})).unwrap();
        assert_eq!(message.subject, "Hola Ana Bcc: x@example.com y");
        assert_eq!(message.parameters, ["Ana Bcc: x@example.com y"]);
    }

    #[test]
    fn bm_22_a_missing_or_empty_variable_fails_the_message_wherever_it_stands() {
        for written in [
            json!({"text": "Hola {{ name }}"}),
            json!({"text": "Hola", "subject": "{{ name }}"}),
            json!({"text": "Hola", "html": "<p>{{ name }}</p>"}),
            json!({"provider_template": {"name": "n", "language": "es", "parameters": ["{{ name }}"]}}),
        ] {
            for vars in [json!({}), json!({"name": " "}), json!({"name": null})] {
                let error = rendered(written.clone(), &vars).unwrap_err();
                assert_eq!(error.reason(), "missing_variable:name", "{written}");
            }
        }
        let given = rendered(json!({"text": "Hola {{ name | default('cliente') }}"}), &json!({})).unwrap();
        assert_eq!(given.text, "Hola cliente");
    }

    #[test]
    fn bm_22_a_message_of_which_nothing_is_left_is_not_sent() {
        for written in [
            json!({"text": "{% if name %}{{ name }}{% endif %}"}),
            json!({"text": "x", "html": "{% if name %}{{ name }}{% endif %}"}),
            json!({"provider_template": {"name": "n", "language": "es", "parameters": ["{{ name | default('') }}"]}}),
        ] {
            assert_eq!(rendered(written.clone(), &json!({})).unwrap_err().reason(), "message_empty", "{written}");
        }
    }

    #[test]
    fn a_content_that_cannot_be_sent_is_refused_with_its_field() {
        assert_eq!(refused(json!({"text": "{{ name"})), ("template_syntax", "text"));
        assert_eq!(refused(json!({"text": "x", "subject": "{% if %}"})), ("template_syntax", "subject"));
        assert_eq!(refused(json!({"text": "{{ url }} {{url}}"})), ("url_twice", "text"));
        assert_eq!(refused(json!({"subject": "x", "text": " "})), ("missing_field", "text"));
        let named = |name, language| json!({"provider_template": {"name": name, "language": language}});
        assert_eq!(refused(named("", "es")), ("invalid_value", "provider_template"));
        assert_eq!(refused(named("a", "es\r\n")), ("invalid_value", "provider_template"));
        let many = vec!["x"; 101];
        let many = json!({"provider_template": {"name": "n", "language": "es", "parameters": many}});
        assert_eq!(refused(many), ("invalid_value", "provider_template.parameters"));
        assert!(serde_json::from_value::<Content>(json!({"txt": "x"})).is_err());
    }

    #[test]
    fn a_content_comes_back_from_its_json() {
        let written = json!({"text": "x", "provider_template": {"name": "n", "language": "es", "parameters": ["y"]}});
        assert_eq!(serde_json::to_value(content(written.clone())).unwrap(), written);
    }

    proptest! {
        #[test]
        fn no_value_writes_a_tag_a_quote_or_a_second_line(name in "\\PC{0,20}|[<>&\"'\r\n a]{0,12}") {
            let written = json!({"text": "x", "html": "<p>{{ name | d('-') }}{{ other }}</p>", "subject": "s {{ name | d('-') }}"});
            let message = rendered(written, &json!({"name": name, "other": format!("{name}.")})).unwrap();
            let inside = message.html.strip_prefix("<p>").and_then(|text| text.strip_suffix("</p>")).unwrap();
            prop_assert!(!inside.contains(['<', '>', '"', '\'']), "{}", inside);
            prop_assert!(!message.subject.contains(char::is_control));
        }
    }
}
