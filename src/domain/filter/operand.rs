//! What a condition compares with, and when a value matches it.
//!
//! The operand is made once, in the form in which it is compared: texts folded, dates and numbers read. What a column
//! cannot be compared with is refused here, with what it could be.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use chrono::{DateTime, Days, NaiveDate};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::column::{Column, Kind};
use super::datum::Datum;
use super::decimal::Decimal;
use super::{FilterError, Operator, TEXT_MAX_CHARS, VALUES_MAX};
use crate::domain::Excerpt;
use crate::domain::case::CaseState;
use crate::domain::clock::EpochMs;

/// What stands beside the operator.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// Nothing.
    Nothing,
    /// One value.
    One(Comparand),
    /// The two ends of a range.
    Range(Comparand, Comparand),
    /// Any of several texts, folded.
    Texts(HashSet<String>),
    /// Any of several other values.
    Several(Vec<Comparand>),
}

/// One value, ready to be compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Comparand {
    /// A text, folded.
    Text(String),
    /// A number.
    Number(Decimal),
    /// A day.
    Date(NaiveDate),
    /// A stretch of time: one moment, or all of a day (UTC). First and last millisecond.
    Span(i64, i64),
}

impl Operand {
    /// Judges what stands beside the operator.
    pub(super) fn new(column: &Column, operator: Operator, value: Option<&Value>) -> Result<Self, FilterError> {
        let refused = |value: &Value, wanted: &'static str| FilterError::Value {
            value: Excerpt::of(value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed).as_ref()),
            column: column.clone(),
            operator,
            wanted,
        };
        let comparand =
            |value: &Value| Comparand::new(column.kind(), operator, value).map_err(|wanted| refused(value, wanted));
        let value = value.filter(|value| !value.is_null());
        let one = || value.ok_or_else(|| refused(&Value::Null, "a value is required"));
        match operator {
            Operator::IsEmpty | Operator::IsNotEmpty => match value {
                None => Ok(Self::Nothing),
                Some(value) => Err(refused(value, "the operator takes no value")),
            },
            Operator::Between => match one()?.as_array().map(Vec::as_slice) {
                Some([from, to]) => {
                    let (from, to) = (comparand(from)?, comparand(to)?);
                    match from.partial_cmp(&to) {
                        Some(Ordering::Less | Ordering::Equal) => Ok(Self::Range(from, to)),
                        _ => Err(refused(one()?, "the first value must not be after the second, and both of one kind")),
                    }
                }
                _ => Err(refused(one()?, "a list of two values is wanted, the least and the greatest")),
            },
            Operator::In => {
                let values = one()?.as_array().filter(|values| (1..=VALUES_MAX).contains(&values.len()));
                let values = values.ok_or_else(|| refused(&Value::Null, "a list of 1 to 1000 values is wanted"));
                let values = values?.iter().map(comparand).collect::<Result<Vec<_>, _>>()?;
                let text = |value: &Comparand| match value {
                    Comparand::Text(text) => Some(text.clone()),
                    Comparand::Number(_) | Comparand::Date(_) | Comparand::Span(..) => None,
                };
                let texts = values.iter().map(text).collect::<Option<HashSet<_>>>();
                Ok(texts.map_or(Self::Several(values), Self::Texts))
            }
            Operator::Equals
            | Operator::NotEquals
            | Operator::Contains
            | Operator::StartsWith
            | Operator::EndsWith
            | Operator::Greater
            | Operator::Less => Ok(Self::One(comparand(one()?)?)),
        }
    }

    /// Whether the value of a case meets the condition.
    pub(super) fn holds(&self, operator: Operator, datum: &Datum<'_>) -> bool {
        match (operator, self) {
            (Operator::IsEmpty, _) => datum.is_empty(),
            (Operator::IsNotEmpty, _) => !datum.is_empty(),
            (Operator::NotEquals, Self::One(value)) => !value.equals(datum),
            (Operator::Equals, Self::One(value)) => value.equals(datum),
            (Operator::Contains, Self::One(value)) => value.is_in(datum, |text, part| text.contains(part)),
            (Operator::StartsWith, Self::One(value)) => value.is_in(datum, |text, part| text.starts_with(part)),
            (Operator::EndsWith, Self::One(value)) => value.is_in(datum, |text, part| text.ends_with(part)),
            (Operator::Greater, Self::One(value)) => value.order(datum) == Some(Ordering::Greater),
            (Operator::Less, Self::One(value)) => value.order(datum) == Some(Ordering::Less),
            (_, Self::Range(from, to)) => {
                matches!(from.order(datum), Some(Ordering::Greater | Ordering::Equal))
                    && matches!(to.order(datum), Some(Ordering::Less | Ordering::Equal))
            }
            (_, Self::Several(values)) => values.iter().any(|value| value.equals(datum)),
            (_, Self::Texts(texts)) => match datum {
                Datum::Set(members) => members.iter().any(|member| texts.contains(fold(member).as_ref())),
                Datum::Number(number) => texts.iter().any(|text| Decimal::parse(text) == Some(*number)),
                Datum::Absent | Datum::Text(_) | Datum::Bool(_) | Datum::Other => {
                    as_text(datum).is_some_and(|text| texts.contains(text.as_ref()))
                }
            },
            // Made together, so these do not meet.
            (_, Self::Nothing | Self::One(_)) => false,
        }
    }
}

impl Comparand {
    /// Reads a value for a column of that kind, or says what is wanted.
    fn new(kind: Kind, operator: Operator, value: &Value) -> Result<Self, &'static str> {
        let text = value.as_str();
        let whole = |value: &Value| value.as_number().and_then(Decimal::of_json);
        match kind {
            Kind::Text | Kind::Labels => text.ok_or("a text is wanted").and_then(Self::of_text),
            Kind::State => {
                let state = text.map(fold).and_then(|state| CaseState::parse(&state));
                state
                    .map(|state| Self::Text(state.as_str().to_owned()))
                    .ok_or("one of new, open, transferred, escalated, closed is wanted")
            }
            Kind::Number => {
                whole(value).or_else(|| text.and_then(Decimal::parse)).map(Self::Number).ok_or("a number is wanted")
            }
            Kind::Date => {
                let read = text.and_then(date);
                read.map(Self::Date).ok_or("a date as 1990-02-28 is wanted")
            }
            Kind::Instant => {
                let wanted = "a date as 2026-11-25 (UTC), or a time: RFC 3339 with an offset, or epoch milliseconds";
                span(value).ok_or(wanted)
            }
            Kind::Free if matches!(operator, Operator::Greater | Operator::Less | Operator::Between) => {
                let number = whole(value).or_else(|| text.and_then(Decimal::parse)).map(Self::Number);
                number
                    .or_else(|| text.and_then(date).map(Self::Date))
                    .ok_or("a number, or a date as 2026-11-25, is wanted")
            }
            Kind::Free => match value {
                Value::String(text) => Self::of_text(text),
                Value::Bool(truth) => Ok(Self::Text(truth.to_string())),
                Value::Number(_) if matches!(operator, Operator::Equals | Operator::NotEquals | Operator::In) => {
                    whole(value).map(Self::Number).ok_or("a number of at most 18 digits is wanted")
                }
                Value::Number(number) => Ok(Self::Text(number.to_string())),
                Value::Null | Value::Array(_) | Value::Object(_) => Err("a text, a number or a truth value is wanted"),
            },
        }
    }

    fn of_text(text: &str) -> Result<Self, &'static str> {
        let folded = fold(text);
        match folded.chars().count() {
            0 => Err("an empty text is asked for by is_empty"),
            chars if chars > TEXT_MAX_CHARS => Err("a text of at most 200 characters is wanted"),
            _ => Ok(Self::Text(folded.into_owned())),
        }
    }

    fn equals(&self, datum: &Datum<'_>) -> bool {
        match (self, datum) {
            (Self::Text(wanted), Datum::Text(text)) => same(text, wanted),
            (Self::Text(wanted), Datum::Set(members)) => members.iter().any(|member| same(member, wanted)),
            (Self::Text(wanted), Datum::Number(number)) => Decimal::parse(wanted) == Some(*number),
            (Self::Text(wanted), Datum::Bool(truth)) => *wanted == truth.to_string(),
            (Self::Number(wanted), Datum::Set(members)) => {
                members.iter().any(|member| Decimal::parse(member) == Some(*wanted))
            }
            _ => self.order(datum) == Some(Ordering::Equal),
        }
    }

    /// `test(text, part)`; of a set, membership.
    fn is_in(&self, datum: &Datum<'_>, test: impl Fn(&str, &str) -> bool) -> bool {
        let Self::Text(part) = self else { return false };
        if matches!(datum, Datum::Set(_)) {
            return self.equals(datum);
        }
        as_text(datum).is_some_and(|text| test(&text, part))
    }

    /// How the value of a case stands to this one: `Greater` if it is greater.
    fn order(&self, datum: &Datum<'_>) -> Option<Ordering> {
        match (self, datum) {
            (Self::Number(wanted), Datum::Number(number)) => Some(number.cmp(wanted)),
            (Self::Number(wanted), Datum::Text(text)) => Some(Decimal::parse(text)?.cmp(wanted)),
            (Self::Date(wanted), Datum::Text(text)) => Some(date(text)?.cmp(wanted)),
            (Self::Span(first, last), Datum::Number(number)) => {
                let at = number.whole()?;
                Some(if at < *first {
                    Ordering::Less
                } else if at > *last {
                    Ordering::Greater
                } else {
                    Ordering::Equal
                })
            }
            _ => None,
        }
    }
}

impl PartialOrd for Comparand {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(b),
            (Self::Date(a), Self::Date(b)) => a.partial_cmp(b),
            (Self::Span(a, _), Self::Span(b, _)) => a.partial_cmp(b),
            _ => None,
        }
    }
}

/// A text without what does not count: capitals, blanks at the ends, how an accented letter is composed.
fn fold(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.is_ascii() {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        }
    } else {
        Cow::Owned(text.nfc().flat_map(char::to_lowercase).collect())
    }
}

/// Whether a text is the folded one.
fn same(text: &str, folded: &str) -> bool {
    let text = text.trim();
    if text.is_ascii() { text.eq_ignore_ascii_case(folded) } else { fold(text) == folded }
}

/// A single value as folded text.
fn as_text<'a>(datum: &'a Datum<'_>) -> Option<Cow<'a, str>> {
    match datum {
        Datum::Text(text) => Some(fold(text)),
        Datum::Number(number) => Some(Cow::Owned(number.to_string())),
        Datum::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Datum::Absent | Datum::Set(_) | Datum::Other => None,
    }
}

/// A day: `1990-02-28`, alone or at the head of a time.
fn date(text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    let (day, rest) = text.split_at_checked(10)?;
    let fits = rest.is_empty() || rest.starts_with(['T', ' ']);
    fits.then(|| NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()).flatten()
}

/// A moment, or a day from its first to its last millisecond, UTC.
fn span(value: &Value) -> Option<Comparand> {
    let moment = match value {
        Value::Number(number) => EpochMs::from_number(number.as_i64()?).ok(),
        Value::String(text) if text.trim().len() == 10 => {
            let day = date(text)?;
            let start = |day: NaiveDate| day.and_hms_opt(0, 0, 0).map(|t| DateTime::timestamp_millis(&t.and_utc()));
            let next = day.checked_add_days(Days::new(1))?;
            return Some(Comparand::Span(start(day)?, start(next)? - 1));
        }
        Value::String(text) => EpochMs::parse(text).ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    moment.map(|at| Comparand::Span(at.0, at.0))
}
