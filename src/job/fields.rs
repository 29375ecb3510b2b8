//! Taking a JSON object apart, one typed field at a time.
//!
//! The wire contract promises sentences that name field, value and rule, which a derived decoder cannot give. Here
//! every field is asked for by name and type; what nobody knows is refused with the nearest known name. `null` means
//! absent, because many languages write it for a field that is not set.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::codes::RejectionCode;
use super::rejection::{Rejection, shown};
use crate::domain::Excerpt;
use crate::domain::clock::{ClockError, EpochMs};
use crate::domain::name::{Name, NameError};

/// How unlike a known name may be that is still suggested: one edit per three characters.
const CHARS_PER_EDIT: usize = 3;

/// An object whose fields are being taken.
#[derive(Debug)]
pub(super) struct Fields {
    object: Map<String, Value>,
    path: String,
}

impl Fields {
    /// The job itself. Fields outside `known` are refused.
    pub(super) fn of_job(object: Map<String, Value>, known: &[&str]) -> Result<Self, Rejection> {
        Self::checked(object, String::new(), known)
    }

    /// An object inside the job at `path`.
    pub(super) fn of_value(value: Value, path: String, known: &[&str]) -> Result<Self, Rejection> {
        match value {
            Value::Object(object) => Self::checked(object, path, known),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                Err(wrong_type(&path, &other, "an object"))
            }
        }
    }

    fn checked(object: Map<String, Value>, path: String, known: &[&str]) -> Result<Self, Rejection> {
        let fields = Self { object, path };
        match fields.object.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(fields),
            Some(unknown) => {
                let unknown = Excerpt::of(unknown);
                let advice = advice(&unknown.to_string(), known);
                let place = if fields.path.is_empty() { "this queue" } else { fields.path.as_str() };
                let mut rejection = Rejection::new(
                    RejectionCode::UnknownField,
                    format!("{unknown} is not a field of {place}: {advice}"),
                );
                rejection.field = Some(fields.at(unknown.to_string().trim_matches('"')));
                Err(rejection)
            }
        }
    }

    /// All of it as canonical JSON: names sorted, no blanks, nothing that is null.
    pub(super) fn canonical(&self) -> String {
        let fields = self.object.iter().filter(|(_, value)| !value.is_null());
        let mut value = Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect());
        value.sort_all_objects();
        value.to_string()
    }

    /// The path of a field for sentences: `message.url`.
    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The refusal of one field.
    pub(super) fn refuse(&self, code: RejectionCode, name: &str, rule: impl Display) -> Rejection {
        Rejection::of_field(code, self.at(name), rule)
    }

    /// Whether the field is present and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
    }

    /// The field's value, unless absent or null.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    /// Turns an absent field into a refusal.
    pub(super) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, Rejection> {
        value.ok_or_else(|| self.refuse(RejectionCode::MissingField, name, "the field is required"))
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Rejection> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(&self.at(name), &other, "a text")),
        }
    }

    /// A text that a rule of the domain reads; its error names value and rule, and brings its code.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
        code: impl FnOnce(&E) -> &'static str,
    ) -> Result<Option<T>, Rejection> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let field = self.at(name);
        parse(&text).map(Some).map_err(|error| Rejection::of_code(code(&error), Some(&field), &error))
    }

    /// The name of something.
    pub(super) fn name(&mut self, name: &str) -> Result<Option<Name>, Rejection> {
        self.parsed(name, Name::parse, NameError::code)
    }

    /// One of some words.
    pub(super) fn word<T: Copy + Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        known: &[T],
    ) -> Result<Option<T>, Rejection> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse(&text).map(Some).ok_or_else(|| {
            let known: Vec<String> = known.iter().map(T::to_string).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            not_one_of(RejectionCode::InvalidValue, &self.at(name), &text, &known)
        })
    }

    /// A truth value, false when absent.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Rejection> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(wrong_type(&self.at(name), &other, "true or false")),
        }
    }

    /// A whole number from 1.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, Rejection> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_u64() {
            Some(0) => Err(self.refuse(RejectionCode::InvalidValue, name, "0 is not a whole number from 1")),
            Some(count) => Ok(Some(count)),
            None => Err(wrong_type(&self.at(name), &value, "a whole number from 1")),
        }
    }

    /// A time: RFC 3339 or epoch milliseconds, as text or number.
    pub(super) fn instant(&mut self, name: &str) -> Result<Option<EpochMs>, Rejection> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let read = match &value {
            Value::String(text) => EpochMs::parse(text),
            Value::Number(number) => match number.as_i64() {
                Some(ms) => EpochMs::from_number(ms),
                None => Err(ClockError::Time { value: Excerpt::of(&number.to_string()) }),
            },
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return Err(wrong_type(
                    &self.at(name),
                    &value,
                    "a time: RFC 3339 with an offset, or epoch milliseconds",
                ));
            }
        };
        read.map(Some).map_err(|error| Rejection::of_code(error.code(), Some(&self.at(name)), &error))
    }

    /// A list.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, Rejection> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(other) => Err(wrong_type(&self.at(name), &other, "a list")),
        }
    }

    /// Refuses every field that is still there because `what` has no use for it.
    pub(super) fn nothing_else(self, what: &str) -> Result<(), Rejection> {
        match self.object.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((name, _)) => {
                Err(self.refuse(RejectionCode::ConflictingFields, name, format!("the field does not go with {what}")))
            }
        }
    }
}

/// The refusal of a value of another type.
pub(super) fn wrong_type(field: &str, value: &Value, wanted: &str) -> Rejection {
    Rejection::of_field(RejectionCode::WrongType, field, format!("{} is not {wanted}", shown(value)))
}

/// The refusal of a word that is not one of the known ones.
pub(super) fn not_one_of(code: RejectionCode, field: &str, word: &str, known: &[&str]) -> Rejection {
    let word = Excerpt::of(word);
    Rejection::of_field(code, field, format!("{word} is not known: {}", advice(&word.to_string(), known)))
}

/// `did you mean "campaign"?`, or all there is.
fn advice(unknown: &str, known: &[&str]) -> String {
    let unknown = unknown.trim_matches('"').to_lowercase();
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&unknown, &name.to_lowercase()), name))
        .min()
        .filter(|(edits, name)| edits.saturating_mul(CHARS_PER_EDIT) <= name.chars().count().max(CHARS_PER_EDIT));
    match nearest {
        Some((_, name)) => format!("did you mean \"{name}\"?"),
        None => format!("known are {}", known.join(", ")),
    }
}
