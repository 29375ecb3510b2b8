//! The values that a message is rendered with.
//!
//! A row's own columns come first, then the built-in values (amount, concept, ...), which have the aliases
//! of their columns. An empty value, a blank one and null are the same as none (BM-22).

use super::super::{column::canonical_column, unsubscribe::PLACEHOLDER};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Borrowed values of one recipient: its row's columns and the built-in ones.
#[derive(Debug, Clone, Copy)]
pub struct Vars<'a> {
    /// The other columns of the row.
    pub row: &'a Map<String, Value>,
    /// Further such columns, asked after those.
    pub beside: &'a [&'a Map<String, Value>],
    /// Values that every order has, by name.
    pub built_in: &'a [(&'a str, &'a str)],
}

impl<'a> Vars<'a> {
    /// The columns of a row and the built-in values.
    pub const fn new(row: &'a Map<String, Value>, built_in: &'a [(&'a str, &'a str)]) -> Self {
        Self { row, beside: &[], built_in }
    }

    /// The same with further columns behind those of the row.
    #[must_use]
    pub const fn beside(self, beside: &'a [&'a Map<String, Value>]) -> Self {
        Self { beside, ..self }
    }

    /// Writes the value of `name`; false when there is none or it is empty.
    pub(super) fn write(&self, name: &str, out: &mut String) -> bool {
        match self.own(name) {
            Some(value) => write_value(value, out),
            None => self.text(name).is_some_and(|text| {
                out.push_str(text);
                true
            }),
        }
    }

    /// The value of `name` for a template; `None` when there is none or it is empty.
    pub(super) fn value(&self, name: &str) -> Option<minijinja::Value> {
        match self.own(name) {
            Some(Value::Null) => None,
            Some(Value::String(text)) if text.trim().is_empty() => None,
            Some(value) => Some(minijinja::Value::from(minijinja::value::Serde(value))),
            None => self.text(name).map(minijinja::Value::from),
        }
    }

    /// The row's own value; where there is an unsubscribe link, no column takes its place (BM-19).
    fn own(&self, name: &str) -> Option<&'a Value> {
        let reserved = name == PLACEHOLDER && self.text(name).is_some();
        if reserved {
            return None;
        }
        self.row.get(name).or_else(|| self.beside.iter().find_map(|columns| columns.get(name)))
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        let named = |name: &str| self.built_in.iter().find(|(key, _)| *key == name);
        let found = named(name).or_else(|| canonical_column(name).and_then(named));
        found.map(|(_, text)| *text).filter(|text| !text.trim().is_empty())
    }
}

fn write_value(value: &Value, out: &mut String) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) if text.trim().is_empty() => false,
        Value::String(text) => {
            out.push_str(text);
            true
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => write!(out, "{value}").is_ok(),
    }
}
