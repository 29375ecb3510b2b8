//! Which cases a bulk message reaches: conditions on their columns, judged while the cases stream by (BM-20).
//!
//! All conditions of `all` hold, and, where there are any in `any`, at least one of those. A condition is a column, an
//! operator and what it compares with, all of it judged when it is made: whoever holds a [`Filter`] has one that every
//! case can be asked. A case is read once, from its stored JSON, and only the columns that the filter names;
//! [`mod@column`] says which there are and what each can be asked.
//!
//! Capitals, and blanks at the ends of a text, do not count; accents do. A column without a value is empty, equals
//! nothing, and is neither greater nor less than anything; so `not_equals` is true of it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};

use super::Excerpt;
use super::word::words;

pub mod column;
mod datum;
mod decimal;
mod operand;
mod reading;

pub use column::{Column, Kind, NAMES};
use datum::Datum;
use operand::Operand;

/// Conditions in each of the two groups at most.
pub const CONDITIONS_MAX: usize = 50;
/// Values that `in` compares with at most.
pub const VALUES_MAX: usize = 1_000;
/// Characters of a text that is compared with at most.
pub const TEXT_MAX_CHARS: usize = 200;

words! {
    /// How a column is compared.
    pub enum Operator {
        /// Is that value; of labels: it is among them.
        Equals = "equals",
        /// Is not that value, or has none.
        NotEquals = "not_equals",
        /// The text stands in it; of labels: it is among them.
        Contains = "contains",
        /// Begins with the text.
        StartsWith = "starts_with",
        /// Ends with the text.
        EndsWith = "ends_with",
        /// Is greater, or later.
        Greater = "greater",
        /// Is less, or earlier.
        Less = "less",
        /// Lies between two values, either of them included.
        Between = "between",
        /// Is one of several values; of labels: one of them is among them.
        In = "in",
        /// Has no value.
        IsEmpty = "is_empty",
        /// Has a value.
        IsNotEmpty = "is_not_empty",
    }
}

/// Why a filter is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No column has this name.
    #[error("{value} is not a column")]
    UnknownColumn {
        /// What was written.
        value: Excerpt,
    },
    /// No operator has this name.
    #[error("{value} is not an operator")]
    UnknownOperator {
        /// What was written.
        value: Excerpt,
    },
    /// The column cannot be asked this.
    #[error("{column} is {kind}, which has no operator {operator}: it has {}", allowed.iter().map(|o| o.as_str()).collect::<Vec<_>>().join(", "))]
    Operator {
        /// The column.
        column: Column,
        /// What it is, with its article.
        kind: &'static str,
        /// What it was asked.
        operator: Operator,
        /// What it can be asked.
        allowed: &'static [Operator],
    },
    /// The value cannot be compared with the column.
    #[error("{value} cannot be compared with {column} by {operator}: {wanted}")]
    Value {
        /// What was written.
        value: Excerpt,
        /// The column.
        column: Column,
        /// How it is compared.
        operator: Operator,
        /// What is wanted.
        wanted: &'static str,
    },
    /// Too many conditions in a group.
    #[error("{count} conditions, the maximum is {CONDITIONS_MAX}")]
    TooMany {
        /// How many.
        count: usize,
    },
}

impl FilterError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownColumn { .. } => "unknown_column",
            Self::UnknownOperator { .. } => "unknown_operator",
            Self::Operator { .. } | Self::Value { .. } | Self::TooMany { .. } => "invalid_filter",
        }
    }
}

/// One condition on one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    column: Column,
    operator: Operator,
    /// As it was written, for the stored form.
    value: Option<Value>,
    operand: Operand,
}

impl Condition {
    /// Judges a condition; `value` is what stands beside the operator.
    pub fn new(column: &str, operator: &str, value: Option<Value>) -> Result<Self, FilterError> {
        let column = Column::parse(column).ok_or_else(|| FilterError::UnknownColumn { value: Excerpt::of(column) })?;
        let operator =
            Operator::parse(operator).ok_or_else(|| FilterError::UnknownOperator { value: Excerpt::of(operator) })?;
        let (kind, allowed) = (column.kind(), column.kind().operators());
        if !allowed.contains(&operator) {
            return Err(FilterError::Operator { column, kind: kind.words(), operator, allowed });
        }
        let operand = Operand::new(&column, operator, value.as_ref())?;
        Ok(Self { column, operator, value, operand })
    }

    fn holds(&self, datum: &Datum<'_>) -> bool {
        self.operand.holds(self.operator, datum)
    }

    fn to_json(&self) -> Value {
        let mut written = json!({"column": self.column.to_string(), "operator": self.operator});
        if let (Some(value), Some(object)) = (&self.value, written.as_object_mut()) {
            object.insert("value".to_owned(), value.clone());
        }
        written
    }
}

/// Conditions that a case meets or not. Its JSON is that of the job, with the columns in their own names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    all: Vec<(usize, Condition)>,
    any: Vec<(usize, Condition)>,
    /// The columns that the conditions name, each once; the number beside a condition is the place of its column.
    columns: Vec<Column>,
}

impl Filter {
    /// Puts conditions together.
    pub fn new(all: Vec<Condition>, any: Vec<Condition>) -> Result<Self, FilterError> {
        if let Some(count) = [all.len(), any.len()].into_iter().find(|count| *count > CONDITIONS_MAX) {
            return Err(FilterError::TooMany { count });
        }
        let mut filter = Self::default();
        filter.all = all.into_iter().map(|condition| filter.placed(condition)).collect();
        filter.any = any.into_iter().map(|condition| filter.placed(condition)).collect();
        Ok(filter)
    }

    fn placed(&mut self, condition: Condition) -> (usize, Condition) {
        let known = self.columns.iter().position(|column| *column == condition.column);
        let place = known.unwrap_or_else(|| {
            self.columns.push(condition.column.clone());
            self.columns.len() - 1
        });
        (place, condition)
    }

    /// Whether it lets everything through.
    pub const fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Whether the case in this stored JSON meets it.
    pub fn matches(&self, case: &str) -> Result<bool, serde_json::Error> {
        if self.is_empty() {
            return Ok(true);
        }
        let data = reading::read(&self.columns, case)?;
        let absent = Datum::Absent;
        let holds = |(place, condition): &(usize, Condition)| condition.holds(data.get(*place).unwrap_or(&absent));
        Ok(self.all.iter().all(holds) && (self.any.is_empty() || self.any.iter().any(holds)))
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let group = |group: &[(usize, Condition)]| group.iter().map(|(_, c)| c.to_json()).collect::<Vec<_>>();
        let mut written = serde_json::Map::new();
        for (name, conditions) in [("all", &self.all), ("any", &self.any)] {
            if !conditions.is_empty() {
                written.insert(name.to_owned(), group(conditions).into());
            }
        }
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let group = |conditions: Vec<StoredCondition>| {
            conditions.into_iter().map(|c| Condition::new(&c.column, &c.operator, c.value)).collect::<Result<_, _>>()
        };
        group(stored.all)
            .and_then(|all| Self::new(all, group(stored.any)?))
            .map_err(|error: FilterError| de::Error::custom(error))
    }
}

#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    all: Vec<StoredCondition>,
    #[serde(default)]
    any: Vec<StoredCondition>,
}

#[derive(Deserialize)]
struct StoredCondition {
    column: String,
    operator: String,
    value: Option<Value>,
}

#[cfg(test)]
mod tests;
