//! Names of the columns: the known ones are matched in any case, all others keep their spelling.
//!
//! A producer's export may say `AMOUNT` or `SmsContact`; the rest of the program sees one spelling. Two columns that
//! come to the same name are refused, because nobody could say which of them counts.

use serde_json::{Map, Value};

/// The known columns in their canonical spelling.
pub const CANONICAL_COLUMNS: [&str; 7] = ["key", "reference", "concept", "amount", "currency", "country", "SMScontact"];

/// The canonical spelling of a known column, or `None` when the name is a variable.
pub fn canonical_column(name: &str) -> Option<&'static str> {
    CANONICAL_COLUMNS.into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

/// A column's name as the map carries it.
pub(super) fn column_name(name: &str) -> String {
    canonical_column(name).unwrap_or(name).to_owned()
}

/// Gives a JSON object's known columns their canonical names; `Err` names the column that stands twice.
pub(super) fn canonical_map(columns: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let renamed = |name: &String| canonical_column(name).is_some_and(|known| known != name);
    if !columns.keys().any(renamed) {
        return Ok(columns);
    }
    let mut canonical = Map::new();
    for (name, value) in columns {
        let name = column_name(&name);
        if canonical.contains_key(&name) {
            return Err(name);
        }
        canonical.insert(name, value);
    }
    Ok(canonical)
}
