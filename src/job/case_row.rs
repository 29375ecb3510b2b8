//! One row of an import: from its columns to what it says of a case.
//!
//! A row is written flat, as a table has it (`first_name`, `mobile`, `mobile_2`), or nested, as programs have it (`client`,
//! `contacts`, `vars`), or both; every column that is not known is a variable. What the row gets wrong about the case
//! refuses it; an address that is not valid does not: the case is there without it, and the row is recorded all the same.

use serde_json::{Map, Value};

use super::codes::RowCode;
use super::rejection::shown;
use super::row::{FORGOTTEN_COLUMN, RowRefusal, VARIABLES_MAX_BYTES, is_empty, size_of, text};
use crate::domain::Excerpt;
use crate::domain::case::{Brought, BroughtContact, CaseState, Client, ContactKind, client};
use crate::domain::clock::EpochMs;
use crate::domain::column::{CASES, CONTACT_COLUMNS};
use crate::domain::contact::{Address, AddressError, ContactError, Country, MailError};
use crate::domain::order::check_key;
use chrono::NaiveDate;

/// What stands between two labels of a table's cell.
const BETWEEN_LABELS: [char; 2] = [';', '|'];

/// A row whose every value has been judged.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseRow {
    /// What it says of the case.
    pub case: Brought,
    /// The key of the row that its payment order came from, in the place of the order's number.
    pub order_key: Option<String>,
    /// Addresses that are not valid: the case is imported without them.
    pub refused_contacts: Vec<RowRefusal>,
}

impl CaseRow {
    /// Judges the columns of one row, whose known names are in canonical spelling.
    pub fn decode(mut columns: Map<String, Value>, country: Option<Country>) -> Result<Self, RowRefusal> {
        if columns.contains_key(FORGOTTEN_COLUMN) {
            return Err(RowRefusal::forgotten());
        }
        let missing = || RowRefusal::new(RowCode::MissingId, "the row has no id, by which its case is known again");
        let id = text(&mut columns, "id")?.ok_or_else(missing)?;
        check_key(&id)
            .map_err(|error| RowRefusal::of_code(error.code(), error.to_string().replacen("key", "id", 1)))?;
        let state = match text(&mut columns, "state")? {
            None => None,
            Some(word) => Some(CaseState::parse(&word.to_lowercase()).ok_or_else(|| unknown_state(&word))?),
        };
        let origin = text(&mut columns, "origin")?;
        let order = order(&mut columns)?;
        let order_key = text(&mut columns, "order_key")?;
        if order.is_some() && order_key.is_some() {
            let sentence = "the row names its order by order and by order_key: one of them is enough";
            return Err(RowRefusal::new(RowCode::DuplicateColumn, sentence));
        }
        let country = match text(&mut columns, "country")? {
            None => country,
            Some(code) => {
                Some(Country::parse(&code).map_err(|error| RowRefusal::of_code(error.code(), error.to_string()))?)
            }
        };
        let mut contacts =
            Contacts { country, updated_at: instant(&mut columns, "updated_at")?, ..Contacts::default() };
        contacts.take_list(columns.remove("contacts"))?;
        contacts.take_columns(&mut columns)?;
        let (client, labels) = client_of(&mut columns)?;
        let vars = vars_of(columns)?;
        let size = size_of(&vars).saturating_add(size_of_client(&client, labels.as_deref()));
        if size > VARIABLES_MAX_BYTES {
            let sentence = format!("client and variables take {size} bytes, the maximum is {VARIABLES_MAX_BYTES}");
            return Err(RowRefusal::new(RowCode::VariablesTooBig, sentence));
        }
        let Contacts { is_brought, taken, refused, .. } = contacts;
        let contacts = is_brought.then_some(taken);
        let case = Brought { id, state, origin, order, client, labels, contacts, vars };
        Ok(Self { case, order_key, refused_contacts: refused })
    }
}

fn unknown_state(word: &str) -> RowRefusal {
    let known = CaseState::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
    RowRefusal::new(RowCode::UnknownState, format!("state {} is none of {known}", Excerpt::of(word)))
}

fn order(columns: &mut Map<String, Value>) -> Result<Option<u64>, RowRefusal> {
    let Some(written) = text(columns, "order")? else { return Ok(None) };
    let number = written.parse().ok().filter(|number| *number > 0);
    let refusal = || {
        let sentence = format!("order {} is not the number of an order, a whole number from 1", Excerpt::of(&written));
        RowRefusal::new(RowCode::UnknownOrder, sentence)
    };
    number.ok_or_else(refusal).map(Some)
}

fn instant(columns: &mut Map<String, Value>, name: &str) -> Result<Option<EpochMs>, RowRefusal> {
    let Some(written) = text(columns, name)? else { return Ok(None) };
    let read = EpochMs::parse(&written);
    read.map(Some).map_err(|error| RowRefusal::new(RowCode::InvalidTime, format!("{name}: {error}")))
}

/// The contacts of a row, as far as they are read.
#[derive(Debug, Default)]
struct Contacts {
    country: Option<Country>,
    /// Of those that have no time of their own.
    updated_at: Option<EpochMs>,
    /// Whether the row says anything of contacts: then those it does not bring are gone.
    is_brought: bool,
    taken: Vec<BroughtContact>,
    refused: Vec<RowRefusal>,
}

impl Contacts {
    /// `contacts` of a nested row.
    fn take_list(&mut self, contacts: Option<Value>) -> Result<(), RowRefusal> {
        let contacts = match contacts {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Array(contacts)) => contacts,
            Some(other) => return Err(wrong_type("contacts", &other, "a list")),
        };
        self.is_brought = true;
        for (index, contact) in contacts.into_iter().enumerate() {
            let at = format!("contacts[{index}]");
            let Value::Object(mut fields) = contact else { return Err(wrong_type(&at, &contact, "an object")) };
            let kind = text(&mut fields, "kind")?.unwrap_or_default();
            let kind = ContactKind::parse(&kind).ok_or_else(|| unknown_kind(&at, &kind))?;
            let value = text_of_contact(&mut fields, "value")?;
            let updated_at = instant(&mut fields, "updated_at")?.or(self.updated_at);
            if let Some((name, _)) = fields.iter().find(|(_, value)| !value.is_null()) {
                let sentence = format!("{at} has a field {} beside kind, value and updated_at", Excerpt::of(name));
                return Err(RowRefusal::new(RowCode::WrongType, sentence));
            }
            self.take(kind, &value, updated_at);
        }
        Ok(())
    }

    /// `mobile`, `mobile_2`, `email` ... of a flat row, in the order of their kinds and numbers.
    fn take_columns(&mut self, columns: &mut Map<String, Value>) -> Result<(), RowRefusal> {
        let mut names: Vec<(usize, u64, String)> = Vec::new();
        for name in columns.keys() {
            if let Some(kind) = CASES.numbered(name)
                && let Some(place) = CONTACT_COLUMNS.iter().position(|known| *known == kind)
            {
                let number = name.get(kind.len() + 1..).and_then(|number| number.parse().ok()).unwrap_or(0);
                names.push((place, number, name.clone()));
            }
        }
        names.sort_unstable();
        for (place, _, name) in names {
            let Some(kind) = CONTACT_COLUMNS.get(place).and_then(|kind| ContactKind::parse(kind)) else { continue };
            if columns.get(&name).is_some_and(Value::is_null) {
                columns.remove(&name);
                continue;
            }
            self.is_brought = true;
            let value = text_of_contact(columns, &name)?;
            if !value.trim_matches([' ', '\t', '\u{A0}']).is_empty() {
                self.take(kind, &value, self.updated_at);
            }
        }
        Ok(())
    }

    fn take(&mut self, kind: ContactKind, written: &str, updated_at: Option<EpochMs>) {
        match Address::parse_as(kind.address(), written, self.country) {
            Ok(value) => self.taken.push(BroughtContact { kind, value, updated_at }),
            Err(error) => self.refused.push(refused_contact(kind, &error)),
        }
    }
}

/// An address as it was written, blanks and line breaks included: those are judged.
fn text_of_contact(columns: &mut Map<String, Value>, name: &str) -> Result<String, RowRefusal> {
    match columns.remove(name) {
        Some(Value::String(text)) => Ok(text),
        other => {
            let mut one: Map<String, Value> = other.into_iter().map(|value| (name.to_owned(), value)).collect();
            Ok(text(&mut one, name)?.unwrap_or_default())
        }
    }
}

fn refused_contact(kind: ContactKind, error: &AddressError) -> RowRefusal {
    let sentence = match error {
        AddressError::Phone(ContactError::Empty) | AddressError::Mail(MailError::Empty) => {
            format!("a contact of the kind {kind} is empty")
        }
        AddressError::Phone(_) | AddressError::Mail(_) => error.to_string(),
    };
    RowRefusal::of_code(error.code(), format!("{sentence}; the case is imported without it"))
}

fn unknown_kind(at: &str, kind: &str) -> RowRefusal {
    let known = ContactKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    RowRefusal::new(RowCode::UnknownContactKind, format!("{at}.kind {} is none of {known}", Excerpt::of(kind)))
}

/// What the row says of the client, and the labels: nested, then flat.
fn client_of(columns: &mut Map<String, Value>) -> Result<(Client, Option<Vec<String>>), RowRefusal> {
    let mut fields = match columns.remove("client") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(fields)) => fields,
        Some(other) => return Err(wrong_type("client", &other, "an object")),
    };
    for name in client::FIELDS {
        let Some(flat) = columns.remove(name).filter(|value| !is_empty(value)) else { continue };
        if fields.get(name).is_some_and(|nested| !is_empty(nested)) {
            let sentence = format!("the row has {name} twice, inside client and beside it");
            return Err(RowRefusal::new(RowCode::DuplicateColumn, sentence));
        }
        fields.insert(name.to_owned(), flat);
    }
    let mut client = Client::default();
    for (name, known) in client.texts_mut() {
        *known = text(&mut fields, name)?;
    }
    client.birth_date = match text(&mut fields, "birth_date")? {
        None => None,
        Some(written) => Some(NaiveDate::parse_from_str(&written, client::DATE_FORMAT).map_err(|_| {
            let sentence = format!("birth_date {} is no date of the form 1990-02-28", Excerpt::of(&written));
            RowRefusal::new(RowCode::InvalidDate, sentence)
        })?),
    };
    let labels = labels(fields.remove("labels"))?;
    fields.retain(|_, value| !is_empty(value));
    client.other = fields;
    Ok((client, labels))
}

/// A list, or a text with `;` or `|` between them. Each label stands once.
fn labels(written: Option<Value>) -> Result<Option<Vec<String>>, RowRefusal> {
    let texts: Vec<String> = match written {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.split(BETWEEN_LABELS).map(str::to_owned).collect(),
        Some(Value::Array(labels)) => {
            let text = |label: Value| match label {
                Value::String(text) => Ok(text),
                Value::Number(number) => Ok(number.to_string()),
                other @ (Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
                    Err(wrong_type("labels", &other, "a text"))
                }
            };
            labels.into_iter().map(text).collect::<Result<_, _>>()?
        }
        Some(other) => return Err(wrong_type("labels", &other, "a list or a text")),
    };
    let mut labels: Vec<String> = Vec::with_capacity(texts.len());
    for label in texts.iter().map(|label| label.trim()).filter(|label| !label.is_empty()) {
        if !labels.iter().any(|known| known == label) {
            labels.push(label.to_owned());
        }
    }
    Ok(Some(labels))
}

/// `vars`, and every column that is not known.
fn vars_of(mut columns: Map<String, Value>) -> Result<Map<String, Value>, RowRefusal> {
    let nested = match columns.remove("vars") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(vars)) => vars,
        Some(other) => return Err(wrong_type("vars", &other, "an object")),
    };
    for (name, value) in nested {
        if columns.contains_key(&name) {
            let sentence = format!("the row has {} twice, inside vars and beside it", Excerpt::of(&name));
            return Err(RowRefusal::new(RowCode::DuplicateColumn, sentence));
        }
        columns.insert(name, value);
    }
    columns.retain(|_, value| !is_empty(value));
    Ok(columns)
}

fn size_of_client(client: &Client, labels: Option<&[String]>) -> usize {
    let texts = client.texts().into_iter().filter_map(|(_, text)| text.as_ref()).map(String::len);
    let labels = labels.unwrap_or_default().iter().map(String::len);
    texts.chain(labels).fold(size_of(&client.other), usize::saturating_add)
}

fn wrong_type(name: &str, value: &Value, wanted: &str) -> RowRefusal {
    RowRefusal::new(RowCode::WrongType, format!("{name} is {}, not {wanted}", shown(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decode(row: &Value) -> Result<CaseRow, RowRefusal> {
        CaseRow::decode(row.as_object().unwrap().clone(), Country::parse("ES").ok())
    }

    fn code(row: &Value) -> &'static str {
        decode(row).unwrap_err().code.as_str()
    }

    #[test]
    fn a_nested_row_and_a_flat_row_mean_the_same() {
        let nested = json!({
            "id": "c-1", "state": "open",
            "client": {"first_name": "Ana", "birth_date": "1990-02-28", "labels": ["vip", "north"]},
            "contacts": [
                {"kind": "mobile", "value": "600 12 34 56", "updated_at": "2026-11-01T09:00:00Z"},
                {"kind": "email", "value": "ana@Example.com", "updated_at": "2026-11-01T09:00:00Z"},
            ],
            "vars": {"plan": "gold"},
        });
        let flat = json!({
            "id": "c-1", "state": "Open", "first_name": " Ana ", "birth_date": "1990-02-28", "labels": "vip; north|vip",
            "email": "ana@Example.com", "mobile": 600_123_456, "updated_at": "2026-11-01T09:00:00Z", "plan": "gold",
            "note": "",
        });
        let row = decode(&nested).unwrap();
        assert_eq!(row, decode(&flat).unwrap());
        assert_eq!(row.case.contacts.unwrap()[0].value.as_str(), "+34600123456");
        assert_eq!(row.case.labels.unwrap(), ["vip", "north"]);
        assert_eq!(Value::Object(row.case.vars), json!({"plan": "gold"}));
    }

    #[test]
    fn the_contacts_of_a_flat_row_stand_in_the_order_of_their_kinds_and_numbers() {
        let row = json!({"id": "c", "email_2": "b@example.com", "mobile_10": "600000010", "mobile_2": "600000002",
            "email": "a@example.com", "mobile": "600000001", "whatsapp": ""});
        let contacts = decode(&row).unwrap().case.contacts.unwrap();
        let shown: Vec<&str> = contacts.iter().map(|contact| contact.value.as_str()).collect();
        let expected = ["+34600000001", "+34600000002", "+34600000010", "a@example.com", "b@example.com"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_row_without_contact_columns_says_nothing_of_contacts_and_an_empty_one_that_there_are_none() {
        assert_eq!(decode(&json!({"id": "c"})).unwrap().case.contacts, None);
        assert_eq!(decode(&json!({"id": "c", "mobile": null, "contacts": null})).unwrap().case.contacts, None);
        for row in [json!({"id": "c", "mobile": " "}), json!({"id": "c", "contacts": []})] {
            assert_eq!(decode(&row).unwrap().case.contacts, Some(Vec::new()), "{row}");
        }
    }

    #[test]
    fn an_address_that_is_not_valid_does_not_refuse_the_case() {
        for (kind, value, code) in [
            ("email", "ana@example.com\nBcc: all@example.com", "invalid_email"),
            ("email", "ana", "invalid_email"),
            ("email", "", "invalid_email"),
            ("mobile", "12", "invalid_phone"),
            ("whatsapp", "3.46E+10", "phone_in_scientific_notation"),
        ] {
            let row = json!({"id": "c", "contacts": [{"kind": kind, "value": value}, {"kind": "phone", "value": "910000001"}]});
            let row = decode(&row).unwrap();
            assert_eq!(row.refused_contacts[0].code.as_str(), code, "{value}");
            assert!(row.refused_contacts[0].sentence.ends_with("imported without it"));
            assert_eq!(row.case.contacts.unwrap().len(), 1);
        }
        let flat = decode(&json!({"id": "c", "email": "ana@example.com\nBcc: all@example.com"})).unwrap();
        assert_eq!(flat.refused_contacts[0].code.as_str(), "invalid_email");
    }

    #[test]
    fn what_a_row_gets_wrong_about_its_case_refuses_it() {
        for (row, refusal) in [
            (json!({}), "missing_id"),
            (json!({"id": " "}), "missing_id"),
            (json!({"id": "a\nb"}), "invalid_key"),
            (json!({"id": "k".repeat(151)}), "key_too_long"),
            (json!({"id": "c", "state": "done"}), "unknown_state"),
            (json!({"id": "c", "order": "x"}), "unknown_order"),
            (json!({"id": "c", "order": 0}), "unknown_order"),
            (json!({"id": "c", "order": 1, "order_key": "k"}), "duplicate_column"),
            (json!({"id": "c", "country": "Spain"}), "unknown_country"),
            (json!({"id": "c", "birth_date": "28/02/1990"}), "invalid_date"),
            (json!({"id": "c", "birth_date": "1990-02-30"}), "invalid_date"),
            (json!({"id": "c", "updated_at": "yesterday"}), "invalid_time"),
            (json!({"id": "c", "client": "Ana"}), "wrong_type"),
            (json!({"id": "c", "client": {"first_name": ["Ana"]}}), "wrong_type"),
            (json!({"id": "c", "labels": {"a": 1}}), "wrong_type"),
            (json!({"id": "c", "vars": []}), "wrong_type"),
            (json!({"id": "c", "first_name": "Ana", "client": {"first_name": "Eva"}}), "duplicate_column"),
            (json!({"id": "c", "plan": "a", "vars": {"plan": "b"}}), "duplicate_column"),
            (json!({"id": "c", "contacts": {}}), "wrong_type"),
            (json!({"id": "c", "contacts": ["+34600123456"]}), "wrong_type"),
            (json!({"id": "c", "contacts": [{"kind": "fax", "value": "1"}]}), "unknown_contact_kind"),
            (json!({"id": "c", "contacts": [{"value": "1"}]}), "unknown_contact_kind"),
            (json!({"id": "c", "contacts": [{"kind": "mobile", "valve": "1"}]}), "wrong_type"),
            (json!({"id": "c", "v": "x".repeat(9000)}), "variables_too_big"),
            (json!({"id": "c", "first_name": "x".repeat(9000)}), "variables_too_big"),
        ] {
            assert_eq!(code(&row), refusal, "{row:.80}");
        }
    }

    #[test]
    fn html_in_a_name_is_a_name() {
        let row = decode(&json!({"id": "c", "first_name": "<b>Ana</b>"})).unwrap();
        assert_eq!(row.case.client.first_name.as_deref(), Some("<b>Ana</b>"), "escaped where it is HTML");
    }

    #[test]
    fn the_codes_of_the_domain_are_codes_of_a_row() {
        for code in ["invalid_email", "invalid_phone", "phone_in_scientific_notation", "too_many_contacts", "forgotten"]
        {
            assert!(RowCode::parse(code).is_some(), "{code}");
        }
    }
}
