//! Templates: the texts of messages, compiled and written with hostile values.
//!
//! The first line of an input are the values, as JSON; the rest is the text. It is tried as the text of a payment order,
//! with the link at either end, and as text, subject and HTML of a bulk message. What is written has no placeholder of
//! its own left, a subject is one line, and the parts of it can be counted.

use remesa::domain::content::{Compiled, Content};
use remesa::domain::message::{Message, UrlPlace, Vars, check_parts};
use serde_json::{Map, Value};

use super::Target;

const URL: &str = "https://pay.example/?p=aB3dE6gH9k";

/// Longest text that may be written of one template, with HTML the longest.
const WRITTEN_BYTES: usize = 512 * 1024;

pub(super) const TARGET: Target = Target {
    name: "templates",
    seeds,
    words: &[
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{{ name }}",
        "{{ url }}",
        "{{ amount }}",
        "{{ name | upper }}",
        "{% if name %}",
        "{% else %}",
        "{% endif %}",
        "{% for a in name %}",
        "{% endfor %}",
        "{% set a = name %}",
        "{% for a in range(100000) %}",
        "{{ name ~ name }}",
        "{{ name * 1000000 }}",
        "| default('x')",
        "| truncate(3)",
        "| replace('a','aaaaaaaa')",
        "| join(',')",
        "{% include 'x' %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ name.a.b.c }}",
        "{{ name[0] }}",
        "{{ loop.index }}",
        "{% raw %}",
        "{% endraw %}",
        "\u{20ac}",
        "\u{1f600}",
        "\u{e9}",
        "\n",
        "\0",
        "null",
        "[",
        "]",
        "{\"name\":",
        "\"",
    ],
    read,
};

fn seeds() -> Vec<Vec<u8>> {
    [
        "{\"name\":\"Ana\"}\nHola {{ name }}, tu cuota: {{ url }}",
        "{\"name\":\"Ana\",\"debt\":12.5}\n{% if debt > 10 %}{{ name | upper }}{% else %}nada{% endif %}",
        "{\"name\":[\"a\",\"b\"]}\n{% for a in name %}{{ a }}, {% endfor %}fin",
        "{\"name\":{\"first\":\"Ana\"}}\n<p>{{ name.first | default('x') }}</p> {{ amount }} {{ currency }}",
        "{}\nSin nada: \u{20ac}uro [a] {b} ~^ \u{f1}",
    ]
    .iter()
    .map(|seed| seed.as_bytes().to_vec())
    .collect()
}

fn read(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let (values, text) = text.split_once('\n').unwrap_or(("", &text));
    let row: Map<String, Value> = serde_json::from_str(values).unwrap_or_default();
    let built_in = [("amount", "12.50"), ("currency", "EUR"), ("url", URL), ("key", "k-1")];
    let vars = Vars::new(&row, &built_in);
    let mut told = Vec::new();
    for place in [None, Some(UrlPlace::Start), Some(UrlPlace::End)] {
        told.push(match Message::compile(text, place).map(|message| message.transliterated(place.is_some())) {
            Err(error) => error.reason(),
            Ok(message) => match message.render(&vars, URL) {
                Err(error) => error.reason(),
                Ok(written) => {
                    assert!(written.contains(URL), "the link is lost: {written:?}");
                    assert!(written.len() <= WRITTEN_BYTES, "{} bytes are written", written.len());
                    format!("{:?}", check_parts(&written, 4).is_ok())
                }
            },
        });
    }
    let content =
        Content { text: text.to_owned(), subject: text.to_owned(), html: text.to_owned(), ..Content::default() };
    told.push(match Compiled::compile(&content) {
        Err(error) => error.code().to_owned(),
        Ok(compiled) => match compiled.render(&vars) {
            Err(error) => error.reason(),
            Ok(written) => {
                assert!(!written.subject.contains(['\r', '\n']), "a subject of two lines: {:?}", written.subject);
                assert!(written.html.len() <= WRITTEN_BYTES, "{} bytes are written", written.html.len());
                "written".to_owned()
            }
        },
    });
    // A reason may name the variable; which one makes no difference.
    for reason in &mut told {
        reason.truncate(reason.find(':').unwrap_or(reason.len()));
    }
    told.join(" ")
}
