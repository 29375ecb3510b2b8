//! The text of a message: placeholders, and the payment link before or after it
//! (PO-12, PO-13, BM-22).
//!
//! A text is compiled once and rendered for each recipient. `{{ name }}` takes a column of the row
//! or a built-in value; an empty value counts as missing and fails that message, unless the text
//! gives a default or asks with `{% if name %}`. The link stands at the start or the end, with
//! exactly one space between. A text of plain placeholders is rendered from a list of pieces;
//! anything else by minijinja, with bounded fuel, no functions, and the filters `default` (`d`),
//! `upper`, `lower`, `capitalize` and `trim`.

use super::column::canonical_column;
use super::sms;
use super::word::words;
use std::collections::BTreeSet;

mod body;
mod error;
mod grammar;
mod pieces;
mod template;
mod vars;

pub(super) use body::{Body, Escape};
pub use error::MessageError;
pub use vars::Vars;

/// The variable that stands for the payment link.
pub(super) const URL: &str = "url";
/// A rendered text is at most so long; the longest SMS of 255 parts is half of it.
pub(super) const TEXT_BYTES: usize = 64 * 1024;

words! {
    /// Where the payment link stands.
    pub enum UrlPlace {
        /// Before the text.
        Start = "start",
        /// After the text.
        End = "end",
    }
}

/// A compiled text with its place for the link.
#[derive(Debug, Clone)]
pub struct Message {
    body: Body,
    place: UrlPlace,
    variables: BTreeSet<String>,
    /// The known columns among the variables, by their first name.
    columns: BTreeSet<&'static str>,
    transliterate: bool,
}

impl Message {
    /// Compiles a text. The link's place comes from `place`, or from a `{{ url }}` at the very
    /// start or end, or is the end.
    pub fn compile(text: &str, place: Option<UrlPlace>) -> Result<Self, MessageError> {
        let (rest, written) = take_url(text.trim());
        let (body, mut variables) = Body::compile(rest, Escape::None, TEXT_BYTES)?;
        if variables.remove(URL) {
            let twice = written.is_some() || count_url(rest) > 1;
            return Err(if twice { MessageError::UrlTwice } else { MessageError::UrlInMiddle });
        }
        let place = match (place, written) {
            (Some(asked), Some(written)) if asked != written && !rest.is_empty() => {
                return Err(MessageError::UrlConflict { written: written.as_str(), asked: asked.as_str() });
            }
            (asked, written) => asked.or(written).unwrap_or(UrlPlace::End),
        };
        let columns = variables.iter().filter_map(|name| canonical_column(name)).collect();
        Ok(Self { body, place, variables, columns, transliterate: false })
    }

    /// The same text, whose look-alikes are replaced when it is written, or not (PO-14).
    #[must_use]
    pub fn transliterated(self, transliterate: bool) -> Self {
        Self { transliterate, ..self }
    }

    /// Writes the message for one recipient, with exactly one space between text and link and
    /// no blanks around the whole.
    pub fn render(&self, vars: &Vars<'_>, url: &str) -> Result<String, MessageError> {
        self.render_telling(vars, url, |_, _| ())
    }

    /// [`Message::render`], which tells of each look-alike that it replaced; the link is left alone.
    pub fn render_telling(
        &self,
        vars: &Vars<'_>,
        url: &str,
        replaced: impl FnMut(char, &str),
    ) -> Result<String, MessageError> {
        let mut out = String::with_capacity(self.body.capacity() + url.len() + 1);
        let head = match self.place {
            UrlPlace::Start => {
                out.push_str(url);
                out.push(' ');
                out.len()
            }
            UrlPlace::End => 0,
        };
        self.body.render(vars, &mut out)?;
        if self.transliterate {
            sms::transliterate(&mut out, head, replaced);
        }
        trim_tail(&mut out, head);
        trim_head(&mut out, head);
        match self.place {
            // An empty text leaves the link alone, without its space.
            UrlPlace::Start => trim_tail(&mut out, 0),
            UrlPlace::End if out.is_empty() => out.push_str(url),
            UrlPlace::End => {
                out.push(' ');
                out.push_str(url);
            }
        }
        Ok(out)
    }

    /// The names of all placeholders but the link.
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }

    /// Whether the text uses the value of that name, under it or under an alias of its column.
    pub fn wants(&self, name: &str) -> bool {
        self.variables.contains(name) || self.columns.contains(name)
    }

    /// Where the link stands.
    pub const fn place(&self) -> UrlPlace {
        self.place
    }
}

/// Refuses a rendered message of more than `max` parts, and says how many it takes (PO-13).
pub fn check_parts(rendered: &str, max: usize) -> Result<usize, MessageError> {
    match sms::parts(rendered) {
        parts if parts > max => Err(MessageError::TooLong { parts, max }),
        parts => Ok(parts),
    }
}

/// Splits a `{{ url }}` off the start or the end.
fn take_url(text: &str) -> (&str, Option<UrlPlace>) {
    let behind = || text.strip_prefix("{{")?.trim_start().strip_prefix(URL)?.trim_start().strip_prefix("}}");
    let before = || text.strip_suffix("}}")?.trim_end().strip_suffix(URL)?.trim_end().strip_suffix("{{");
    if let Some(rest) = behind() {
        return (rest.trim_start(), Some(UrlPlace::Start));
    }
    match before() {
        Some(rest) => (rest.trim_end(), Some(UrlPlace::End)),
        None => (text, None),
    }
}

/// How often the link is written; only to choose between two sentences.
pub(super) fn count_url(text: &str) -> usize {
    text.split("{{").skip(1).filter(|t| t.trim_start_matches(['-', ' ']).starts_with(URL)).count()
}

pub(super) fn trim_tail(out: &mut String, from: usize) {
    let kept = out.get(from..).map_or(0, |text| text.trim_end().len());
    out.truncate(from + kept);
}

pub(super) fn trim_head(out: &mut String, from: usize) {
    let blanks = out.get(from..).map_or(0, |text| text.len() - text.trim_start().len());
    if blanks > 0 {
        out.drain(from..from + blanks);
    }
}

#[cfg(test)]
mod tests {
    use super::pieces::Pieces;
    use super::template::Template;
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    const LINK: &str = "https://pay.example/?p=aB3dE5gH1j";

    fn row(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    fn rendered(text: &str, place: Option<UrlPlace>, vars: &Value) -> Result<String, MessageError> {
        Message::compile(text, place)?.render(&Vars::new(&row(vars), &[("amount", "12.50")]), LINK)
    }

    fn code(text: &str, place: Option<UrlPlace>) -> &'static str {
        Message::compile(text, place).unwrap_err().code()
    }

    #[test]
    fn po_12_the_link_stands_before_or_after_the_text_with_one_space() {
        let cases = [
            ("Hola", None, "Hola LINK"),
            ("Hola", Some(UrlPlace::End), "Hola LINK"),
            ("Hola", Some(UrlPlace::Start), "LINK Hola"),
            ("  Hola \n", Some(UrlPlace::End), "Hola LINK"),
            ("\n Hola  ", Some(UrlPlace::Start), "LINK Hola"),
            ("Hola {{ url }}", None, "Hola LINK"),
            ("Hola   {{url}}  ", None, "Hola LINK"),
            ("Hola:{{ url }}", None, "Hola: LINK"),
            ("{{ url }}Hola", None, "LINK Hola"),
            (" {{url }}  Hola", Some(UrlPlace::Start), "LINK Hola"),
            ("Hola {{ url }}", Some(UrlPlace::End), "Hola LINK"),
            ("{{ url }}", None, "LINK"),
            ("{{ url }}", Some(UrlPlace::End), "LINK"),
            ("", Some(UrlPlace::Start), "LINK"),
            ("", None, "LINK"),
        ];
        for (text, place, expected) in cases {
            let expected = expected.replace("LINK", LINK);
            assert_eq!(rendered(text, place, &json!({})).unwrap(), expected, "{text:?} {place:?}");
        }
    }

    #[test]
    fn po_12_a_link_in_the_middle_or_twice_is_an_error() {
        for text in ["Paga {{ url }} hoy", "a {{url}}.", "{% if a %}{{ url }}{% endif %}", "Hola {{ url|upper }} x"] {
            assert_eq!(code(text, None), "url_in_middle", "{text}");
            assert_eq!(code(text, Some(UrlPlace::End)), "url_in_middle", "{text}");
        }
        for text in [
            "{{ url }} Hola {{ url }}",
            "a {{ url }} b {{ url }} c",
            "{{ url }}{{ url }}",
            "Hola {{ url }} o {{ url }}",
        ] {
            assert_eq!(code(text, None), "url_twice", "{text}");
        }
        let sentence = Message::compile("Paga {{ url }} hoy", None).unwrap_err().to_string();
        assert!(sentence.contains("{{ url }} in the middle"), "{sentence}");
    }

    #[test]
    fn po_12_a_placeholder_and_another_place_contradict_each_other() {
        assert_eq!(code("{{ url }} Hola", Some(UrlPlace::End)), "url_conflict");
        assert_eq!(code("Hola {{ url }}", Some(UrlPlace::Start)), "url_conflict");
    }

    #[test]
    fn po_12_blanks_that_a_value_brings_along_are_trimmed_too() {
        let vars = || json!({"a": "  Ana  "});
        assert_eq!(rendered("{{ a }}", Some(UrlPlace::End), &vars()).unwrap(), format!("Ana {LINK}"));
        assert_eq!(rendered("{{ a }}", Some(UrlPlace::Start), &vars()).unwrap(), format!("{LINK} Ana"));
        assert_eq!(rendered("Hola {{ a }}!", None, &vars()).unwrap(), format!("Hola   Ana  ! {LINK}"));
    }

    #[test]
    fn values_come_from_the_row_first_and_then_from_the_order() {
        let text = "{{ name }} {{ amount }} {{ n }} {{ vip }}";
        let vars = json!({"name": "Ana", "n": 7, "vip": true});
        assert_eq!(rendered(text, None, &vars).unwrap(), format!("Ana 12.50 7 true {LINK}"));
        assert_eq!(rendered("{{ amount }}", None, &json!({"amount": "9"})).unwrap(), format!("9 {LINK}"));
    }

    #[test]
    fn bm_22_a_missing_or_empty_value_fails_the_message_and_is_named() {
        for vars in [&json!({}), &json!({"name": ""}), &json!({"name": "  "}), &json!({"name": null})] {
            for text in
                ["Hola {{ name }}", "Hola {{ name|upper }}", "{% if amount %}{{ name }}{% endif %}", "{{ name.first }}"]
            {
                let error = rendered(text, None, vars).unwrap_err();
                assert_eq!(error, MessageError::MissingVariable { name: "name".to_owned() }, "{text}");
                assert_eq!(error.code(), "missing_variable");
                assert_eq!(error.reason(), "missing_variable:name");
            }
        }
        let error = rendered("{{ amount }}", None, &json!({"amount": ""})).unwrap_err();
        assert_eq!(error.reason(), "missing_variable:amount");
    }

    #[test]
    fn bm_22_a_default_or_a_condition_stands_in_for_a_missing_value() {
        for vars in [json!({}), json!({"name": ""}), json!({"name": null})] {
            let with_default = rendered("Hola {{ name|default('cliente') }}", None, &vars).unwrap();
            assert_eq!(with_default, format!("Hola cliente {LINK}"));
            let asked = rendered("Hola{% if name %} {{ name }}{% endif %}", None, &vars).unwrap();
            assert_eq!(asked, format!("Hola {LINK}"));
            let defined = rendered("Hola{% if name is defined %} x{% endif %}", None, &vars).unwrap();
            assert_eq!(defined, format!("Hola {LINK}"));
        }
        let given = rendered("{{ name|d('x')|upper }}", None, &json!({"name": "Ana"})).unwrap();
        assert_eq!(given, format!("ANA {LINK}"));
    }

    #[test]
    fn values_are_never_read_as_templates_nor_escaped() {
        let vars = json!({"name": "{{ amount }} <b>&amp;"});
        for text in ["{{ name }}", "{{ name }}{% if false %}{% endif %}"] {
            assert_eq!(rendered(text, None, &vars).unwrap(), format!("{{{{ amount }}}} <b>&amp; {LINK}"));
        }
    }

    #[test]
    fn the_variables_of_a_text_are_listed_without_the_link() {
        let names =
            |text| -> Vec<String> { Message::compile(text, None).unwrap().variables().iter().cloned().collect() };
        assert_eq!(names("{{ b }} {{a}} {{ b }} {{ url }}"), ["a", "b"]);
        assert_eq!(names("{% if vip %}{{ name|upper }}{% endif %}"), ["name", "vip"]);
        assert_eq!(names("Año {{ año }}"), ["año"]);
        assert!(names("Hola {{ url }}").is_empty());
    }

    #[test]
    fn a_text_that_is_no_template_is_refused_with_a_reason() {
        let bad = [
            "Hola {{ name",
            "Hola {{ }}",
            "{% if %}",
            "{% if a %}",
            "{{ a b }}",
            "{% for %}",
            "{{ a|nosuch }}",
            "{{ nosuch() }}",
            "{% include 'x' %}",
            "{% raw %}",
            "{{ a is nosuch }}",
            "{% if a %}{{ b|nosuch }}{% endif %}",
        ];
        for text in bad {
            let error = Message::compile(text, None).unwrap_err();
            assert_eq!(error.code(), "template_syntax", "{text}");
            assert!(error.to_string().len() > "text is not a valid template: ".len());
        }
    }

    #[test]
    fn a_greedy_template_runs_out_of_fuel_and_harms_nothing() {
        let text = "{% for a in x %}{% for b in x %}{% for c in x %}{{ c }}{% endfor %}{% endfor %}{% endfor %}";
        let error = rendered(text, None, &json!({"x": vec![1; 200]})).unwrap_err();
        assert_eq!(error, MessageError::OverBudget { what: "steps" });
        assert_eq!(error.reason(), "template_over_budget");
    }

    #[test]
    fn a_text_that_grows_over_its_bytes_is_given_up_plain_or_not() {
        let long = json!({"x": vec![1; 200], "y": "y".repeat(60_000)});
        for text in ["{{ y }}{{ y }}", "{% for a in x %}{{ y }}{% endfor %}", "{{ y }}{% if true %}{{ y }}{% endif %}"]
        {
            assert_eq!(rendered(text, None, &long), Err(MessageError::OverBudget { what: "bytes" }), "{text}");
        }
    }

    #[test]
    fn po_13_a_message_over_the_parts_allowed_is_refused_with_its_link_counted() {
        let url = "u".repeat(30);
        let text = |letters: usize| format!("{} {url}", "a".repeat(letters));
        assert_eq!(check_parts(&text(129), 1), Ok(1));
        assert_eq!(check_parts(&text(130), 1), Err(MessageError::TooLong { parts: 2, max: 1 }));
        assert_eq!(check_parts(&text(4 * 153 - 31), 4), Ok(4));
        let error = check_parts(&text(4 * 153 - 30), 4).unwrap_err();
        assert_eq!(error.code(), "text_too_long");
        assert_eq!(error.to_string(), "text takes 5 parts, more than 4");
    }

    /// The same text through the template language, for comparison with the list of pieces.
    fn by_template(text: &str, vars: &Vars<'_>) -> Result<String, MessageError> {
        let mut out = String::new();
        Template::compile(text, Escape::None, TEXT_BYTES)?.0.render(vars, &mut out)?;
        Ok(out)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn plain_placeholders_read_as_in_the_template_language(
            text in "([a-z{}%# .\n]|\\{\\{ ?(a|b|url|true|not|ñ) ?\\}\\}|\\{%|\\{#|\\PC){0,12}", a in "\\PC{0,3}",
        ) {
            let row = row(&json!({"a": a, "ñ": 1}));
            let vars = Vars::new(&row, &[("b", "x")]);
            if let Some(pieces) = Pieces::compile(&text) {
                let mut out = String::new();
                let ours = pieces.render(&vars, Escape::None, TEXT_BYTES, &mut out).map(|()| out);
                // The template language drops one newline at the end; the whole is trimmed anyway.
                let trimmed = |result: Result<String, MessageError>| result.map(|text| text.trim().to_owned());
                prop_assert_eq!(trimmed(ours), trimmed(by_template(&text, &vars)), "{:?}", text);
            }
        }

        #[test]
        fn po_12_a_message_is_text_one_space_and_link(text in "[a-z ]{0,20}", name in "[a-z ]{0,9}[a-z]", start: bool) {
            let place = if start { UrlPlace::Start } else { UrlPlace::End };
            let message = rendered(&format!("{text}{{{{ name }}}}"), Some(place), &json!({"name": name})).unwrap();
            let body = format!("{text}{name}");
            let body = body.trim();
            let expected = if start { format!("{LINK} {body}") } else { format!("{body} {LINK}") };
            prop_assert_eq!(message, expected);
        }

        #[test]
        fn no_text_panics(text in "[a-z{}%#|()'.\\-+*\\[\\]0-9 \n]{0,40}|\\PC{0,40}") {
            if let Ok(message) = Message::compile(&text, None) {
                let _ = message.render(&Vars::new(&Map::new(), &[]), LINK);
            }
        }
    }
}
