//! NDJSON: one JSON object a line.
//!
//! Values keep their JSON type, so that an amount of `12.50` can be told from `1250` later. An object that names a
//! column twice, also by `amount` and `Amount`, is refused: the reader must not choose.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::RowFault;
use super::columns::{column_name, is_added};
use crate::domain::column::Table;

const TWICE: &str = "duplicate column ";

/// Reads the columns of one line under the names of a table.
struct Columns<'a>(&'a Table);

impl<'de> DeserializeSeed<'de> for Columns<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Columns<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut columns = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if is_added(&name) {
                continue;
            }
            let name = column_name(self.0, &name);
            if columns.contains_key(&name) {
                return Err(serde::de::Error::custom(format_args!("{TWICE}{name:?}")));
            }
            columns.insert(name, value);
        }
        Ok(columns)
    }
}

/// The columns of one line.
pub(super) fn columns(table: &Table, line: &[u8]) -> Result<Map<String, Value>, (RowFault, String)> {
    if std::str::from_utf8(line).is_err() {
        return Err((RowFault::NotUtf8, "the line is not UTF-8 text".to_owned()));
    }
    let mut read = serde_json::Deserializer::from_slice(line);
    let columns = Columns(table).deserialize(&mut read).and_then(|columns| read.end().map(|()| columns));
    columns.map_err(|error| {
        let reason = error.to_string();
        if let Some((_, column)) = reason.split_once(TWICE) {
            let column = column.split(" at line").next().unwrap_or(column);
            return (
                RowFault::DuplicateColumn,
                format!("the object has the column {column} twice, perhaps by two names"),
            );
        }
        if error.is_data() {
            return (RowFault::NotAnObject, "the line is JSON, but not an object".to_owned());
        }
        (RowFault::NotJson, format!("the line is not JSON: {}", within_line(&reason)))
    })
}

/// The parser counts lines inside the line; only the column means something to the reader.
fn within_line(reason: &str) -> String {
    reason.replace(" at line 1 column ", " at column ")
}
