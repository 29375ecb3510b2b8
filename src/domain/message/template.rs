//! A text with conditions or filters, by minijinja.
//!
//! The template comes from a producer and is not trusted: no function and no other template can
//! be reached from it, the filters are a closed set, and what one message may cost is bounded in steps and bytes.
//! A missing value may be asked for (`{% if name %}`, `default`), but never printed (BM-22).

use super::{Escape, MessageError, Vars, grammar};
use minijinja::value::{Object, Rest, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, UndefinedBehavior};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

/// Instructions that one message may take; a text of ten conditions takes about a hundred.
const FUEL: u64 = 20_000;
/// The longest text that a filter takes; a name has thirty.
const FILTER_BYTES: usize = 4 * 1024;
/// The template's name, and where it stands in the environment.
const NAME: &str = "text";
/// Nested blocks and calls; a message has no use for more.
const MAX_DEPTH: usize = 32;

/// A compiled template with the variables that it may look up.
#[derive(Debug, Clone)]
pub(super) struct Template {
    environment: Arc<Environment<'static>>,
    names: Arc<BTreeSet<String>>,
    most_bytes: usize,
}

impl Template {
    /// Compiles a text that may become `most_bytes` long, and lists the variables it may look up.
    pub(super) fn compile(
        text: &str,
        escape: Escape,
        most_bytes: usize,
    ) -> Result<(Self, BTreeSet<String>), MessageError> {
        grammar::check(text)?;
        let mut environment = environment(escape);
        environment.add_template_owned(NAME, text.to_owned()).map_err(|e| refused(&e))?;
        let template = environment.get_template(NAME).map_err(|e| refused(&e))?;
        let names: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
        // Unknown filters and functions only show when they are reached: try with every variable,
        // and with none.
        for sample in [Some(Value::from("x")), None] {
            let values = names.iter().filter_map(|name| Some((name.clone(), sample.clone()?))).collect();
            let mut tried = Bounded { out: &mut String::new(), left: most_bytes, full: false };
            let ended = template.render_captured_to(Value::from_object(Context::new(values)), &mut tried);
            match ended {
                Err(error) if is_unknown_name(error.kind()) => return Err(refused(&error)),
                Err(error) => over_budget(&error, tried.full).map_or(Ok(()), Err)?,
                Ok(_) => {}
            }
        }
        let template = Self { environment: Arc::new(environment), names: Arc::new(names.clone()), most_bytes };
        Ok((template, names))
    }

    /// Appends the text for one recipient.
    pub(super) fn render(&self, vars: &Vars<'_>, out: &mut String) -> Result<(), MessageError> {
        let values = self.names.iter().filter_map(|name| Some((name.clone(), vars.value(name)?))).collect();
        let context = Arc::new(Context::new(values));
        let mut bounded = Bounded { out, left: self.most_bytes, full: false };
        let rendered = self.environment.get_template(NAME).and_then(|template| {
            template.render_captured_to(Value::from_dyn_object(Arc::clone(&context)), &mut bounded).map(|_| ())
        });
        let Err(error) = rendered else { return Ok(()) };
        Err(match context.missed() {
            Some(name) if error.kind() == ErrorKind::UndefinedError => MessageError::MissingVariable { name },
            _ => over_budget(&error, bounded.full).unwrap_or_else(|| MessageError::Render { reason: sentence(&error) }),
        })
    }
}

/// Where a text is written, as long as there is room.
struct Bounded<'a> {
    out: &'a mut String,
    left: usize,
    full: bool,
}

impl io::Write for Bounded<'_> {
    /// Takes whole pieces of text, as the template language writes them.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(piece).map_err(|_| io::ErrorKind::InvalidData)?;
        let Some(left) = self.left.checked_sub(text.len()) else {
            self.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        };
        self.left = left;
        self.out.push_str(text);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn over_budget(error: &Error, full: bool) -> Option<MessageError> {
    if error.kind() == ErrorKind::OutOfFuel {
        return Some(MessageError::OverBudget { what: "steps" });
    }
    full.then_some(MessageError::OverBudget { what: "bytes" })
}

/// Writes one `{{ .. }}`, the way a plain piece is written.
fn write_value(out: &mut Output<'_>, value: &Value, escape: Escape) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    match (escape, value.as_str()) {
        (Escape::None, Some(text)) => out.write_str(text),
        (Escape::None, None) => write!(out, "{value}"),
        (Escape::Html, _) => {
            let mut text = value.to_string();
            escape.tail(&mut text, 0);
            out.write_str(&text)
        }
    }
    .map_err(Error::from)
}

fn environment(escape: Escape) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(move |out, _, value| write_value(out, value, escape));
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_DEPTH);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("upper", |value: &Value| plain(value).map(|text| text.to_uppercase()));
    environment.add_filter("lower", |value: &Value| plain(value).map(|text| text.to_lowercase()));
    environment.add_filter("trim", |value: &Value| plain(value).map(|text| text.trim().to_owned()));
    environment.add_filter("capitalize", |value: &Value| plain(value).map(|text| capitalize(&text)));
    environment.add_test("defined", |value: &Value| !value.is_undefined());
    environment
}

const fn is_unknown_name(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest | ErrorKind::UnknownMethod
    )
}

/// The values of one recipient, which remembers what was asked for in vain: the error of the
/// template language does not name it.
#[derive(Debug)]
struct Context {
    values: BTreeMap<String, Value>,
    missed: Mutex<Option<String>>,
}

impl Context {
    fn new(values: BTreeMap<String, Value>) -> Self {
        Self { values, missed: Mutex::default() }
    }

    fn missed(&self) -> Option<String> {
        self.missed.lock().ok()?.take()
    }
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let found = self.values.get(name).cloned();
        if found.is_none()
            && let Ok(mut missed) = self.missed.lock()
        {
            *missed = Some(name.to_owned());
        }
        found
    }
}

/// `{{ name | default("you") }}`: what is printed when there is no value.
fn default(value: &Value, arguments: Rest<Value>) -> Value {
    if value.is_undefined() || value.is_none() {
        return arguments.0.into_iter().next().unwrap_or_else(|| Value::from(""));
    }
    value.clone()
}

/// The text that a filter may work on; a step must not cost more than a step.
fn plain(value: &Value) -> Result<Cow<'_, str>, Error> {
    let text = match (value.as_str(), value.kind()) {
        (Some(text), _) => Cow::Borrowed(text),
        (None, ValueKind::Number | ValueKind::Bool) => Cow::Owned(value.to_string()),
        (None, ValueKind::Undefined) => return Err(Error::from(ErrorKind::UndefinedError)),
        (None, _) => return Err(Error::new(ErrorKind::InvalidOperation, "a filter takes a text")),
    };
    if text.len() > FILTER_BYTES {
        return Err(Error::new(ErrorKind::InvalidOperation, "a filter takes no text as long as this"));
    }
    Ok(text)
}

fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect(),
        None => String::new(),
    }
}

/// A text that is no template.
pub(super) fn refused(error: &Error) -> MessageError {
    MessageError::Syntax { reason: sentence(error) }
}

/// What the template language says, without its name for our template.
fn sentence(error: &Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("{what} (line {line})"),
        None => what,
    }
}
