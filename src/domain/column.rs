//! Names of the columns: the known ones are matched by their aliases, all others keep their spelling.
//!
//! Capitals, accents, blanks, `_`, `-` and `.` do not count in the match. A message may use any of the names, too:
//! whoever writes `Importe` over a column writes `{{ importe }}` in the text.

use std::borrow::Cow;

/// The known columns of an order in their canonical spelling, each with the names it may also have (English and Spanish), written
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

/// The known columns of a case.
const CASE_COLUMNS: &[(&str, &[&str])] = &[
    ("id", &["id", "caseid", "idcaso", "case", "caso", "key", "clave", "identificador"]),
    ("state", &["state", "estado"]),
    ("origin", &["origin", "origen"]),
    ("client", &["client", "cliente"]),
    ("contacts", &["contacts", "contactos"]),
    ("vars", &["vars", "variables"]),
    ("document_type", &["documenttype", "tipodocumento", "tipodedocumento"]),
    ("document_number", &["documentnumber", "document", "documento", "numerodocumento", "numerodedocumento"]),
    ("first_name", &["firstname", "nombre", "nombres", "primernombre"]),
    ("middle_name", &["middlename", "segundonombre"]),
    ("last_name", &["lastname", "surname", "apellido", "apellidos"]),
    ("birth_date", &["birthdate", "birthday", "dateofbirth", "fechanacimiento", "fechadenacimiento"]),
    ("gender", &["gender", "sex", "genero", "sexo"]),
    ("labels", &["labels", "tags", "etiquetas"]),
    ("order", &["order", "orden"]),
    ("order_key", &["orderkey", "claveorden"]),
    ("country", &["country", "pais"]),
    ("updated_at", &["updatedat", "actualizado", "fechaactualizacion"]),
    ("mobile", &["mobile", "movil", "celular", "sms", "smscontact"]),
    ("phone", &["phone", "landline", "telefono", "fijo"]),
    ("email", &["email", "mail", "correo", "correoelectronico"]),
    ("whatsapp", &["whatsapp"]),
];

/// The columns of a case that hold a contact; there may be several of each: `mobile`, `mobile_2`.
pub const CONTACT_COLUMNS: [&str; 4] = ["mobile", "phone", "email", "whatsapp"];

/// Longest known name in its small form; a longer text is a variable.
const LONGEST: usize = 32;

/// The known columns of one kind of rows.
#[derive(Debug)]
pub struct Table {
    /// Canonical spelling, and the names it may have in their small form.
    columns: &'static [(&'static str, &'static [&'static str])],
    /// Those that may stand several times, with a number behind them.
    numbered: &'static [&'static str],
    /// The one without which a header is refused.
    pub required: &'static str,
}

/// The rows of payment orders.
pub static ORDERS: Table = Table { columns: &COLUMNS, numbered: &[], required: "amount" };

/// The rows of cases.
pub static CASES: Table = Table { columns: CASE_COLUMNS, numbered: &CONTACT_COLUMNS, required: "id" };

impl Table {
    /// The canonical spelling of a known column, or `None` when the name is a variable.
    pub fn canonical(&self, name: &str) -> Option<Cow<'static, str>> {
        // The usual case in a program's own rows.
        if let Some((known, _)) = self.columns.iter().find(|(known, _)| *known == name) {
            return Some((*known).into());
        }
        if name.len() > LONGEST {
            return None;
        }
        let small: String = name.chars().filter_map(small).collect();
        let of = |small: &str| self.columns.iter().find(|(_, names)| names.contains(&small)).map(|(known, _)| *known);
        if let Some(known) = of(&small) {
            return Some(known.into());
        }
        let word = small.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = small.get(word.len()..).filter(|number| !number.is_empty())?;
        let known = of(word).filter(|known| self.numbered.contains(known))?;
        Some(format!("{known}_{number}").into())
    }

    /// Which of the columns that may stand several times a canonical name is.
    pub fn numbered(&self, canonical: &str) -> Option<&'static str> {
        let word = canonical.split_once('_').map_or(canonical, |(word, _)| word);
        self.numbered.iter().find(|known| **known == word).copied()
    }
}

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
pub(super) fn small(c: char) -> Option<char> {
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
    fn a_case_has_columns_of_its_own_and_several_contacts_of_a_kind() {
        let cases = [
            ("Móvil", "mobile"),
            ("movil 2", "mobile_2"),
            ("E-mail_3", "email_3"),
            ("WhatsApp", "whatsapp"),
            ("Fecha de nacimiento", "birth_date"),
            ("ID", "id"),
            ("Etiquetas", "labels"),
        ];
        for (written, known) in cases {
            assert_eq!(CASES.canonical(written).as_deref(), Some(known), "{written}");
        }
        for variable in ["name", "id2", "2", "", "amount", "mobile_two"] {
            assert_eq!(CASES.canonical(variable), None, "{variable}");
        }
        assert_eq!((CASES.numbered("mobile_2"), CASES.numbered("mobile")), (Some("mobile"), Some("mobile")));
        assert_eq!((CASES.numbered("birth_date"), ORDERS.numbered("SMScontact")), (None, None));
        assert_eq!(ORDERS.canonical("Importe").as_deref(), canonical_column("Importe"));
    }

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
