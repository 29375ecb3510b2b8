//! The columns of a row under the names the rest of the program knows.
//!
//! A producer's export may say `AMOUNT`, `Importe` or `SmsContact`; what follows sees one spelling. Two columns that come
//! to the same name are refused, because nobody could say which of them counts. The columns that an error file adds are
//! passed over, so that a mended one can be a source again.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::domain::column::Table;

/// The columns an error file puts before those of the source.
pub const ERROR_COLUMNS: [&str; 3] = ["error_line", "error_code", "error_sentence"];

/// A column's name as the map carries it.
pub(super) fn column_name(table: &Table, name: &str) -> String {
    table.canonical(name).map_or_else(|| name.to_owned(), Cow::into_owned)
}

/// Whether a column was added by an error file.
pub(super) fn is_added(name: &str) -> bool {
    ERROR_COLUMNS.contains(&name)
}

/// Gives a JSON object's known columns their canonical names; `Err` names the column that stands twice.
pub(super) fn canonical_map(table: &Table, columns: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let renamed = |name: &String| is_added(name) || table.canonical(name).is_some_and(|known| known != *name);
    if !columns.keys().any(renamed) {
        return Ok(columns);
    }
    let mut canonical = Map::new();
    for (name, value) in columns {
        if is_added(&name) {
            continue;
        }
        let name = column_name(table, &name);
        if canonical.contains_key(&name) {
            return Err(name);
        }
        canonical.insert(name, value);
    }
    Ok(canonical)
}
