//! The columns of a case that a filter can ask, and what each can be asked.
//!
//! Those with a meaning of their own have a name, and the names that people write over them in English and Spanish;
//! capitals, accents and signs do not count. Any other field is `client.<field>` or `vars.<field>`, in its own spelling.

use std::fmt;

use super::Operator;
use crate::domain::column::small;

/// Characters of the name of any other field.
const FIELD_MAX_CHARS: usize = 64;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// One of the states of a case.
    State,
    /// A whole number.
    Number,
    /// A day of the calendar.
    Date,
    /// A moment.
    Instant,
    /// A set of texts.
    Labels,
    /// Whatever the producer put there.
    Free,
}

impl Kind {
    /// What it can be asked.
    pub const fn operators(self) -> &'static [Operator] {
        use Operator::{
            Between, Contains, EndsWith, Equals, Greater, In, IsEmpty, IsNotEmpty, Less, NotEquals, StartsWith,
        };
        match self {
            Self::Text => &[Equals, NotEquals, Contains, StartsWith, EndsWith, In, IsEmpty, IsNotEmpty],
            Self::State => &[Equals, NotEquals, In],
            Self::Number | Self::Date | Self::Instant => {
                &[Equals, NotEquals, Greater, Less, Between, In, IsEmpty, IsNotEmpty]
            }
            Self::Labels => &[Equals, NotEquals, Contains, In, IsEmpty, IsNotEmpty],
            Self::Free => Operator::ALL,
        }
    }

    /// What it is, for a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::State => "a state",
            Self::Number => "a number",
            Self::Date => "a date",
            Self::Instant => "a time",
            Self::Labels => "a set of labels",
            Self::Free => "a field of the producer",
        }
    }
}

/// In which object of a case a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The case itself.
    Case,
    /// `client`.
    Client,
    /// `vars`.
    Vars,
}

/// A column of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    place: Place,
    field: String,
    kind: Kind,
}

/// A column with a name of its own.
struct Known {
    name: &'static str,
    place: Place,
    kind: Kind,
    /// Small and without accents and signs.
    aliases: &'static [&'static str],
}

const fn known(name: &'static str, place: Place, kind: Kind, aliases: &'static [&'static str]) -> Known {
    Known { name, place, kind, aliases }
}

const KNOWN: [Known; 16] = [
    known("id", Place::Case, Kind::Text, &["id", "case", "caseid", "caso", "ticket"]),
    known("number", Place::Case, Kind::Number, &["number", "numero"]),
    known("state", Place::Case, Kind::State, &["state", "status", "estado"]),
    known("origin", Place::Case, Kind::Text, &["origin", "origen"]),
    known("outcome", Place::Case, Kind::Text, &["outcome", "typification", "tipificacion"]),
    known("order", Place::Case, Kind::Number, &["order", "orden", "ordendepago"]),
    known(
        "created_at",
        Place::Case,
        Kind::Instant,
        &["createdat", "created", "creationdate", "fechacreacion", "fechadecreacion"],
    ),
    known(
        "updated_at",
        Place::Case,
        Kind::Instant,
        &["updatedat", "updated", "updatedate", "fechaactualizacion", "fechadeactualizacion"],
    ),
    known("document_type", Place::Client, Kind::Text, &["documenttype", "tipodocumento", "tipodedocumento"]),
    known(
        "document_number",
        Place::Client,
        Kind::Text,
        &["documentnumber", "document", "numerodocumento", "numerodedocumento", "documento", "identificacion"],
    ),
    known("first_name", Place::Client, Kind::Text, &["firstname", "name", "nombre", "primernombre"]),
    known("middle_name", Place::Client, Kind::Text, &["middlename", "segundonombre"]),
    known("last_name", Place::Client, Kind::Text, &["lastname", "surname", "apellido", "apellidos"]),
    known(
        "birth_date",
        Place::Client,
        Kind::Date,
        &["birthdate", "dateofbirth", "fechanacimiento", "fechadenacimiento"],
    ),
    known("gender", Place::Client, Kind::Text, &["gender", "sex", "genero", "sexo"]),
    known("labels", Place::Client, Kind::Labels, &["labels", "label", "tags", "etiquetas", "etiqueta"]),
];

/// Every name that a filter may use; the last two stand for any other field.
pub const NAMES: [&str; 18] = [
    "id",
    "number",
    "state",
    "origin",
    "outcome",
    "order",
    "created_at",
    "updated_at",
    "document_type",
    "document_number",
    "first_name",
    "middle_name",
    "last_name",
    "birth_date",
    "gender",
    "labels",
    "client.<field>",
    "vars.<field>",
];

impl Column {
    /// The column of that name.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        for (prefix, place) in [("client.", Place::Client), ("vars.", Place::Vars)] {
            if let Some(field) = name.strip_prefix(prefix) {
                return Self::of_field(place, field);
            }
        }
        if name.chars().count() > FIELD_MAX_CHARS {
            return None;
        }
        let written: String = name.chars().filter_map(small).collect();
        KNOWN.iter().find(|known| known.aliases.contains(&written.as_str())).map(Self::of_known)
    }

    fn of_known(known: &Known) -> Self {
        Self { place: known.place, field: known.name.to_owned(), kind: known.kind }
    }

    fn of_field(place: Place, field: &str) -> Option<Self> {
        if field.is_empty() || field.chars().count() > FIELD_MAX_CHARS {
            return None;
        }
        let named = KNOWN.iter().find(|known| known.place == place && known.name == field);
        Some(named.map_or_else(|| Self { place, field: field.to_owned(), kind: Kind::Free }, Self::of_known))
    }

    /// What it holds.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) const fn place(&self) -> Place {
        self.place
    }

    pub(super) fn field(&self) -> &str {
        &self.field
    }
}

/// Its own name, as [`Column::parse`] reads it.
impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.place) {
            (Kind::Free, Place::Client) => write!(f, "client.{}", self.field),
            (Kind::Free, _) => write!(f, "vars.{}", self.field),
            _ => f.write_str(&self.field),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_by_the_names_that_people_write() {
        for (written, name) in [
            ("labels", "labels"),
            ("Etiquetas", "labels"),
            ("Fecha de nacimiento", "birth_date"),
            ("FECHA_CREACIÓN", "created_at"),
            ("Tipo de documento", "document_type"),
            ("Género", "gender"),
            ("client.birth_date", "birth_date"),
            ("client.plan", "client.plan"),
            ("vars.Saldo total", "vars.Saldo total"),
            (" estado ", "state"),
        ] {
            assert_eq!(Column::parse(written).unwrap().to_string(), name, "{written}");
        }
        for unknown in ["", "label s!", "vars.", "client.", "saldo", "contacts", "vars", &"a".repeat(1 << 16)] {
            assert_eq!(Column::parse(unknown), None, "{unknown:.20}");
        }
    }

    #[test]
    fn every_name_is_a_column_by_itself_and_no_alias_stands_for_two() {
        let named: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        assert_eq!(named, NAMES[..NAMES.len() - 2]);
        let mut aliases: Vec<&str> = KNOWN.iter().flat_map(|known| known.aliases).copied().collect();
        for name in named {
            let column = Column::parse(name).unwrap();
            assert_eq!(column.to_string(), name);
            assert!(!column.kind().operators().is_empty() && !column.kind().words().is_empty());
        }
        let count = aliases.len();
        aliases.sort_unstable();
        aliases.dedup();
        assert_eq!(aliases.len(), count);
    }
}
