//! Names of the columns: the known ones are matched by their aliases, all others keep their spelling.
//!
//! A producer's export may say `AMOUNT`, `Importe` or `SmsContact`; the rest of the program sees one spelling. Capitals,
//! accents, blanks, `_`, `-` and `.` do not count in the match. Two columns that come to the same name are refused,
//! because nobody could say which of them counts. The columns that an error file adds are passed over, so that a mended
//! one can be a source again.

use serde_json::{Map, Value};

/// The known columns in their canonical spelling, each with the names it may also have (English and Spanish), written
/// small and without accents and signs.
pub const COLUMNS: [(&str, &[&str]); 7] = [
    ("key", &["key", "rowkey", "id", "clave", "identificador"]),
    ("reference", &["reference", "ref", "referencia"]),
    ("concept", &["concept", "concepto"]),
    ("amount", &["amount", "importe", "monto"]),
    ("currency", &["currency", "moneda", "divisa"]),
    ("country", &["country", "pais"]),
    ("SMScontact", &["smscontact", "sms", "phone", "mobile", "telefono", "movil", "celular"]),
];

/// The columns an error file puts before those of the source.
pub const ERROR_COLUMNS: [&str; 3] = ["error_line", "error_code", "error_sentence"];

/// Longest known name in its small form; a longer text is a variable.
const LONGEST: usize = 32;

/// The canonical spelling of a known column, or `None` when the name is a variable.
pub fn canonical_column(name: &str) -> Option<&'static str> {
    // The usual case in a program's own rows.
    if let Some((known, _)) = COLUMNS.iter().find(|(known, _)| *known == name) {
        return Some(known);
    }
    if name.len() > LONGEST {
        return None;
    }
    let small: String = name.chars().filter_map(small).collect();
    COLUMNS.iter().find(|(_, aliases)| aliases.contains(&small.as_str())).map(|(known, _)| *known)
}

/// A character without what does not count.
fn small(c: char) -> Option<char> {
    match c {
        ' ' | '\u{A0}' | '_' | '-' | '.' => None,
        'á' | 'Á' => Some('a'),
        'é' | 'É' => Some('e'),
        'í' | 'Í' => Some('i'),
        'ó' | 'Ó' => Some('o'),
        'ú' | 'Ú' | 'ü' | 'Ü' => Some('u'),
        other => Some(other.to_ascii_lowercase()),
    }
}

/// A column's name as the map carries it.
pub(super) fn column_name(name: &str) -> String {
    canonical_column(name).unwrap_or(name).to_owned()
}

/// Whether a column was added by an error file.
pub(super) fn is_added(name: &str) -> bool {
    ERROR_COLUMNS.contains(&name)
}

/// Gives a JSON object's known columns their canonical names; `Err` names the column that stands twice.
pub(super) fn canonical_map(columns: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let renamed = |name: &String| is_added(name) || canonical_column(name).is_some_and(|known| known != name);
    if !columns.keys().any(renamed) {
        return Ok(columns);
    }
    let mut canonical = Map::new();
    for (name, value) in columns {
        if is_added(&name) {
            continue;
        }
        let name = column_name(&name);
        if canonical.contains_key(&name) {
            return Err(name);
        }
        canonical.insert(name, value);
    }
    Ok(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_accents_and_signs_do_not_count() {
        let cases = [
            ("Importe", "amount"),
            ("MONTO ", "amount"),
            ("Teléfono", "SMScontact"),
            ("MÓVIL", "SMScontact"),
            ("sms_contact", "SMScontact"),
            ("SMScontact", "SMScontact"),
            ("País", "country"),
            ("Row-Key", "key"),
            ("Ref.", "reference"),
        ];
        for (written, known) in cases {
            assert_eq!(canonical_column(written), Some(known), "{written}");
        }
        for variable in ["name", "total", "amounts", "", &"a".repeat(1 << 16)] {
            assert_eq!(canonical_column(variable), None, "{variable:.20}");
        }
    }
}
