//! Names of the columns: the known ones are matched by their aliases, all others keep their spelling.
//!
//! Capitals, accents, blanks, `_`, `-` and `.` do not count in the match. A message may use any of the names, too:
//! whoever writes `Importe` over a column writes `{{ importe }}` in the text.

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
