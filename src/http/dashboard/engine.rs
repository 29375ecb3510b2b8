//! The templates: files of this folder, compiled in, every value escaped, a value or word that is missing an error.
//!
//! A page is drawn first, then the frame round it. `part("name", key=value)` draws a piece that several pages share. What
//! is drawn here and not in a template (badges, bars, times) is marked safe here and nowhere else.

use std::{collections::BTreeMap, sync::LazyLock};

use minijinja::{
    Environment, Error, ErrorKind, State, UndefinedBehavior, Value,
    value::{Kwargs, Serde, ValueKind},
};

use super::{super::language::Language, show, words};
use crate::domain::html::escaped;

/// The files.
const FILES: &[(&str, &str)] = &[
    ("frame.html", include_str!("pages/frame.html")),
    ("overview.html", include_str!("pages/overview.html")),
    ("campaigns.html", include_str!("pages/campaigns.html")),
    ("campaign.html", include_str!("pages/campaign.html")),
    ("run.html", include_str!("pages/run.html")),
    ("orders.html", include_str!("pages/orders.html")),
    ("order.html", include_str!("pages/order.html")),
    ("cases.html", include_str!("pages/cases.html")),
    ("case.html", include_str!("pages/case.html")),
    ("recurring.html", include_str!("pages/recurring.html")),
    ("definition.html", include_str!("pages/definition.html")),
    ("channels.html", include_str!("pages/channels.html")),
    ("letters.html", include_str!("pages/letters.html")),
    ("letter.html", include_str!("pages/letter.html")),
    ("workers.html", include_str!("pages/workers.html")),
    ("audit.html", include_str!("pages/audit.html")),
    ("job.html", include_str!("pages/job.html")),
    ("find.html", include_str!("pages/find.html")),
    ("login.html", include_str!("pages/login.html")),
    ("fault.html", include_str!("pages/fault.html")),
    ("part/act.html", include_str!("pages/part/act.html")),
    ("part/why.html", include_str!("pages/part/why.html")),
    ("part/run_row.html", include_str!("pages/part/run_row.html")),
    ("part/channel_row.html", include_str!("pages/part/channel_row.html")),
    ("part/deliveries.html", include_str!("pages/part/deliveries.html")),
    ("part/counts.html", include_str!("pages/part/counts.html")),
    ("part/chart.html", include_str!("pages/part/chart.html")),
    ("part/times.html", include_str!("pages/part/times.html")),
];

/// What a piece sees of its page, beside what it is given.
const FOR_ALL: [&str; 4] = ["now", "lang", "here", "rights"];

static ENGLISH: LazyLock<Result<Environment<'static>, Error>> = LazyLock::new(|| environment(Language::English));
static SPANISH: LazyLock<Result<Environment<'static>, Error>> = LazyLock::new(|| environment(Language::Spanish));

/// Draws a template.
pub(super) fn draw(language: Language, name: &str, context: &serde_json::Value) -> Result<String, Error> {
    let environment = match language {
        Language::English => &*ENGLISH,
        Language::Spanish => &*SPANISH,
    };
    let environment = environment.as_ref().map_err(|error| Error::new(error.kind(), error.to_string()))?;
    environment.get_template(name)?.render(Value::from(Serde(context)))
}

fn environment(language: Language) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    for (name, text) in FILES {
        environment.add_template(name, text)?;
    }
    add_filters(&mut environment, language);
    add_functions(&mut environment, language);
    Ok(environment)
}

fn add_filters(environment: &mut Environment<'static>, language: Language) {
    let safe = Value::from_safe_string;
    environment.add_filter("count", move |number: u64| show::count(number, language));
    environment.add_filter("tenths", move |number: u64| show::tenths(number, language));
    environment.add_filter("bytes", move |number: u64| show::bytes(number, language));
    environment.add_filter("millis", |ms: u64| show::duration(std::time::Duration::from_millis(ms)));
    environment.add_filter("seconds", |seconds: u64| show::duration(std::time::Duration::from_secs(seconds)));
    environment.add_filter("percent", move |part: u64, whole: u64| show::percent(part, whole, language));
    environment.add_filter("url", |text: Value| show::in_address(&text.to_string()));
    environment.add_filter("badge", move |state: String| safe(show::badge(&state, language)));
    environment.add_filter("tone", |state: String| show::tone(&state));
    environment.add_filter("length", |list: Value| list.len().unwrap_or(0));
    environment.add_filter("clock", move |at: i64| safe(show::time(at, &show::utc(at), " data-local")));
    environment.add_filter("told", move |state: &State<'_, '_>, reason: String| {
        let now = state.lookup("now").and_then(|now| i64::try_from(now).ok()).unwrap_or(0);
        safe(show::told(&reason, now, language))
    });
    environment.add_filter("when", move |state: &State<'_, '_>, at: i64| {
        let now = state.lookup("now").and_then(|now| i64::try_from(now).ok()).unwrap_or(at);
        safe(show::time(at, &show::relative(at, now, language), &show::exactly(at)))
    });
}

fn add_functions(environment: &mut Environment<'static>, language: Language) {
    let safe = Value::from_safe_string;
    environment.add_function("t", move |key: String, places: Kwargs| {
        let mut is_one = false;
        let mut fill = Vec::new();
        for name in places.args() {
            let value: Value = places.get(name)?;
            let number = u64::try_from(value.clone()).ok().filter(|_| value.kind() == ValueKind::Number);
            is_one |= name == "n" && number == Some(1);
            fill.push((name, number.map_or_else(|| value.to_string(), |number| show::count(number, language))));
        }
        let said = words::say(language, &key, is_one, fill.into_iter());
        said.ok_or_else(|| Error::new(ErrorKind::UndefinedError, format!("no words for {key}")))
    });
    // A word of a closed set that a newer daemon may have added to: shown as it is where there is no text.
    environment.add_function("word", move |set: String, word: String| {
        words::plain(language, &format!("{set}.{word}")).map_or(word, str::to_owned)
    });
    environment.add_function("bar", move |by_state: Value, total: u64| {
        let count = |state: &str| by_state.get_attr(state).ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let counts = show::IN_BAR.map(|state| (state, count(state)));
        let said = counts.iter().filter(|(_, number)| *number > 0).map(|(state, number)| {
            let word = words::plain(language, &format!("state.{state}")).unwrap_or(state);
            format!("{} {}", show::count(*number, language), word.to_lowercase())
        });
        safe(show::bar(&counts, total, &said.collect::<Vec<_>>().join(", ")))
    });
    environment.add_function("part", move |state: &State<'_, '_>, name: String, given: Kwargs| {
        let mut context: BTreeMap<String, Value> = BTreeMap::new();
        for name in FOR_ALL {
            context.extend(state.lookup(name).map(|value| (name.to_owned(), value)));
        }
        for name in given.args() {
            context.insert(name.to_owned(), given.get(name)?);
        }
        let drawn = state.env().get_template(&format!("part/{name}.html"))?.render(Value::from(context))?;
        Ok::<_, Error>(safe(drawn))
    });
    // Text with a link in it, and nothing else.
    environment.add_function("link", move |to: String, text: Value| {
        safe(format!("<a href=\"{}\">{}</a>", escaped(&to), escaped(&text.to_string())))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_template_compiles_in_both_languages() {
        for language in Language::ALL {
            assert!(environment(language).is_ok(), "{:?}", environment(language).err());
        }
    }

    #[test]
    fn a_file_is_marked_safe_only_where_we_drew_it() {
        for (name, text) in FILES {
            for (at, _) in text.match_indices("|safe") {
                let before = &text[..at];
                let value = before.rsplit("{{").next().unwrap_or_default().trim();
                assert!(matches!(value, "body" | "chart.svg"), "{name}: {value}|safe");
            }
            for inline in ["<style", " style=", "onclick", "onload", "onsubmit", "javascript:", "<script>"] {
                assert!(!text.contains(inline), "{name} has {inline}, which our policy stops");
            }
        }
    }

    #[test]
    fn what_people_wrote_is_shown_as_text() {
        let hostile = "\"><script>alert(1)</script>'";
        let context =
            json!({ "code": hostile, "message": hostile, "status": 404, "now": 0, "lang": "en", "here": "/" });
        let page = draw(Language::English, "fault.html", &context).unwrap();
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"), "{page}");
    }
}
