//! One event is one line: time, level, target, message, its fields, and the fields of the [work](super::work) at hand.
//!
//! As text for people, `name=value` with a value in quotes where it is more than one word; or as one flat JSON object.
//! Nothing in a message or a value can end the line or begin another one, whatever it holds: control characters are
//! escaped in both. For the journal a line of text begins with its priority and has no time, which the journal knows; a
//! line of JSON stays as it is everywhere, with its level in it.

use std::fmt::{self, Write as _};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::{journal, work};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// For people.
    Text {
        /// In a terminal.
        coloured: bool,
    },
    /// For people who read the journal.
    Journal,
    /// For programs.
    Json,
}

/// What an event says.
#[derive(Debug, Default)]
struct Said {
    /// From a library that logs in another way: whose it is.
    target: Option<String>,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    fn take(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("log.target", Value::String(text)) => self.target = Some(text),
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.fields.push((name, value)),
        }
    }

    /// Adds what the work at hand is, where the event does not say it itself.
    fn complete(&mut self) {
        for (name, value) in work::fields() {
            if self.fields.iter().all(|(known, _)| *known != name) {
                self.fields.push((name, value.into()));
            }
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}").into());
    }
}

impl<S, N> FormatEvent<S, N> for Look
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        said.complete();
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let line = self.line(event.metadata(), &time, said);
        writeln!(out, "{line}")
    }
}

impl Look {
    fn line(self, metadata: &Metadata<'_>, time: &str, said: Said) -> String {
        let target = said.target.as_deref().unwrap_or(metadata.target()).to_owned();
        let level = *metadata.level();
        match self {
            Self::Json => json(level, time, target, said),
            Self::Journal => format!("{}{}", journal::priority(level), text(&target, &said)),
            Self::Text { coloured: false } => format!("{time} {level:>5} {}", text(&target, &said)),
            Self::Text { coloured: true } => {
                format!("\x1b[2m{time}\x1b[0m {}{level:>5}\x1b[0m {}", colour(level), text(&target, &said))
            }
        }
    }
}

fn json(level: Level, time: &str, target: String, said: Said) -> String {
    let head = [("timestamp", time.into()), ("level", level.as_str().into()), ("message", said.message.into())];
    let mut line = String::from("{");
    for (name, value) in head.into_iter().chain(said.fields).chain([("target", Value::from(target))]) {
        if line.len() > 1 {
            line.push(',');
        }
        // Names of fields are those of the program.
        let _ = write!(line, "\"{name}\":{value}");
    }
    line.push('}');
    line
}

fn text(target: &str, said: &Said) -> String {
    let mut line = format!("{target}: ");
    push_printable(&mut line, &said.message);
    for (name, value) in &said.fields {
        line.push(' ');
        line.push_str(name);
        line.push('=');
        match value.as_str().filter(|text| is_word(text)) {
            Some(word) => line.push_str(word),
            // JSON's way of writing a string escapes what could end the line.
            None => line.push_str(&value.to_string()),
        }
    }
    line
}

/// Whether a value can be read without quotes.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '"' && c != '=')
}

fn push_printable(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

const fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::domain::trace::Trace;
    use crate::telemetry::work::Work;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(in crate::telemetry) fn lines(look: Look, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let layer = tracing_subscriber::fmt::layer().event_format(look).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const HOSTILE: &str = "a\nb <0>\r\u{1b}[31m \"c\"";

    fn say_something() {
        tracing::warn!(target: "remesa::x", queue = "send", error = %HOSTILE, count = 3, late = true, "said {HOSTILE}");
    }

    #[test]
    fn a_line_of_text_is_one_line_whatever_is_in_it() {
        let line = lines(Look::Text { coloured: false }, say_something);
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!(time.len(), "2026-11-26T03:11:53.123456Z".len());
        let said = "a\\nb <0>\\r\\u{1b}[31m \"c\"";
        let value = r#""a\nb <0>\r\u001b[31m \"c\"""#;
        assert_eq!(rest, format!(" WARN remesa::x: said {said} queue=send error={value} count=3 late=true\n"));
    }

    #[test]
    fn the_journal_gets_the_priority_of_each_level_and_no_time() {
        let all = lines(Look::Journal, || {
            tracing::error!(target: "t", "e");
            tracing::warn!(target: "t", "w");
            tracing::info!(target: "t", "i");
            tracing::debug!(target: "t", "d");
            tracing::trace!(target: "t", "t");
        });
        assert_eq!(all, "<3>t: e\n<4>t: w\n<6>t: i\n<7>t: d\n<7>t: t\n");
    }

    #[test]
    fn a_line_of_json_is_flat_and_says_its_level() {
        let line = lines(Look::Json, say_something);
        assert_eq!(line.lines().count(), 1);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["level"], &read["target"]), (&"WARN".into(), &"remesa::x".into()));
        assert_eq!((&read["error"], &read["count"], &read["late"]), (&HOSTILE.into(), &3.into(), &true.into()));
        assert_eq!(read["message"], format!("said {HOSTILE}"));
    }

    #[tokio::test]
    async fn a_line_has_the_job_the_slot_and_the_trace_of_the_work_at_hand() {
        let trace = Trace::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let job = Work::on_job("gen-1".to_owned(), trace);
        let line = job.scope(async { lines(Look::Journal, || tracing::info!(target: "t", "m")) }).await;
        assert_eq!(line, "<6>t: m job=gen-1 trace_id=0af7651916cd43dd8448eb211c80319c\n");
        // What an event says itself stands once.
        let slot = Work::on_slot("c/r/0/1".to_owned());
        let line = slot.scope(async { lines(Look::Journal, || tracing::info!(target: "t", slot = "s", "m")) }).await;
        assert_eq!(line, "<6>t: m slot=s\n");
    }
}
