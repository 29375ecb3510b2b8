//! One row of a campaign: from its columns to the values of an order.
//!
//! A row is refused with a code and a sentence that names column, value and rule; the others go on. A phone that is
//! missing or not valid refuses nothing here: the order is generated, and whether that delivery is skipped or the job
//! refused is the gate's question (PO-1, PO-2). Numbers of known columns are read as their text, since a spreadsheet's
//! export may write either.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::codes::RowCode;
use super::rejection::shown;
use crate::domain::contact::{ContactError, Country, Phone};
use crate::domain::money::{Amount, Currency};
use crate::domain::order::{check_concept, check_key, check_reference};

/// Bytes of names and values of a row's variables; they are stored with every order.
pub const VARIABLES_MAX_BYTES: usize = 8 * 1024;

/// The only column of a row whose person was forgotten while its job waited.
pub const FORGOTTEN_COLUMN: &str = "remesa:forgotten";

/// What a campaign and the configuration say about its rows.
#[derive(Debug, Clone)]
pub struct RowRules {
    /// The country of rows that name none.
    pub country: Option<Country>,
    /// The currency of rows that name none.
    pub currency: Option<Currency>,
    /// Currencies the configuration allows; empty allows all.
    pub currencies: Vec<Currency>,
    /// The largest amount.
    pub max_amount_minor: u64,
}

/// A row whose every value has been judged.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderRow {
    /// The producer's key, if the row has one.
    pub key: Option<String>,
    /// Shown to the payer; empty when the row has none.
    pub reference: String,
    /// Shown to the payer; empty when the row has none.
    pub concept: String,
    /// The sum.
    pub amount: Amount,
    /// Its currency.
    pub currency: Currency,
    /// Where the message goes, or why it cannot.
    pub contact: Result<Phone, ContactError>,
    /// All other columns, without the empty ones.
    pub vars: Map<String, Value>,
}

/// Why a row was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct RowRefusal {
    /// The stable code.
    pub code: RowCode,
    /// Column, value and rule.
    pub sentence: String,
}

impl RowRefusal {
    /// A refusal with its sentence.
    pub fn new(code: RowCode, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into() }
    }

    /// A refusal whose code another room gives as text (the source, the message). An unknown text would be a fault
    /// of ours, and becomes `wrong_type` rather than a lost row.
    pub fn of_code(code: &str, sentence: impl Into<String>) -> Self {
        Self::new(RowCode::parse(code).unwrap_or(RowCode::WrongType), sentence)
    }

    /// The refusal of a row that `forget` emptied.
    pub(super) fn forgotten() -> Self {
        Self::new(RowCode::Forgotten, "the person of this row was forgotten while its job waited")
    }
}

impl OrderRow {
    /// Judges the columns of one row, whose known names are in canonical spelling.
    pub fn decode(mut columns: Map<String, Value>, rules: &RowRules) -> Result<Self, RowRefusal> {
        if columns.contains_key(FORGOTTEN_COLUMN) {
            return Err(RowRefusal::forgotten());
        }
        let amount = amount(&mut columns, rules)?;
        let currency = currency(&mut columns, rules)?;
        let key = text(&mut columns, "key")?;
        if let Some(key) = &key {
            check_key(key).map_err(|error| RowRefusal::of_code(error.code(), error.to_string()))?;
        }
        let reference = text(&mut columns, "reference")?.unwrap_or_default();
        check_reference(&reference).map_err(|error| RowRefusal::of_code(error.code(), error.to_string()))?;
        let concept = text(&mut columns, "concept")?.unwrap_or_default();
        check_concept(&concept).map_err(|error| RowRefusal::of_code(error.code(), error.to_string()))?;
        let contact = contact(&mut columns, rules)?;
        columns.retain(|_, value| !is_empty(value));
        let size = size_of(&columns);
        if size > VARIABLES_MAX_BYTES {
            let sentence = format!("the variables take {size} bytes, the maximum is {VARIABLES_MAX_BYTES}");
            return Err(RowRefusal::new(RowCode::VariablesTooBig, sentence));
        }
        Ok(Self { key, reference, concept, amount, currency, contact, vars: columns })
    }
}

/// A known column as text without outer blanks; `None` when there is nothing in it.
pub(super) fn text(columns: &mut Map<String, Value>, name: &str) -> Result<Option<String>, RowRefusal> {
    match columns.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => match text.trim() {
            "" => Ok(None),
            trimmed if trimmed.len() == text.len() => Ok(Some(text)),
            trimmed => Ok(Some(trimmed.to_owned())),
        },
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other @ (Value::Bool(_) | Value::Array(_) | Value::Object(_))) => {
            let sentence = format!("{name} is {}, not a text or a number", shown(&other));
            Err(RowRefusal::new(RowCode::WrongType, sentence))
        }
    }
}

fn amount(columns: &mut Map<String, Value>, rules: &RowRules) -> Result<Amount, RowRefusal> {
    let missing = || RowRefusal::new(RowCode::MissingAmount, "the row has no amount");
    let text = text(columns, "amount")?.ok_or_else(missing)?;
    Amount::parse(&text, rules.max_amount_minor).map_err(|error| RowRefusal::of_code(error.code(), error.to_string()))
}

fn currency(columns: &mut Map<String, Value>, rules: &RowRules) -> Result<Currency, RowRefusal> {
    let currency = match text(columns, "currency")? {
        Some(code) => Currency::parse(&code).map_err(|error| RowRefusal::of_code(error.code(), error.to_string()))?,
        None => rules.currency.ok_or_else(|| {
            RowRefusal::new(RowCode::CurrencyMissing, "neither the row nor the job says the currency")
        })?,
    };
    if rules.currencies.is_empty() || rules.currencies.contains(&currency) {
        return Ok(currency);
    }
    let sentence = format!("currency {currency} is not among those that orders.currencies allows");
    Err(RowRefusal::new(RowCode::CurrencyNotAllowed, sentence))
}

fn contact(columns: &mut Map<String, Value>, rules: &RowRules) -> Result<Result<Phone, ContactError>, RowRefusal> {
    let country = match text(columns, "country")? {
        None => rules.country,
        Some(code) => {
            Some(Country::parse(&code).map_err(|error| RowRefusal::of_code(error.code(), error.to_string()))?)
        }
    };
    let written = text(columns, "SMScontact")?;
    Ok(Phone::parse(written.as_deref().unwrap_or_default(), country))
}

pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Bytes of names and values.
pub(super) fn size_of(columns: &Map<String, Value>) -> usize {
    let size = columns.iter().map(|(name, value)| name.len().saturating_add(size_of_value(value)));
    size.fold(0, usize::saturating_add)
}

fn size_of_value(value: &Value) -> usize {
    let text: Cow<'_, str> = match value {
        Value::String(text) => text.into(),
        Value::Array(_) | Value::Object(_) => value.to_string().into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => return 8,
    };
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules() -> RowRules {
        RowRules {
            country: Country::parse("ES").ok(),
            currency: Currency::parse("EUR").ok(),
            currencies: Vec::new(),
            max_amount_minor: 9_999_999,
        }
    }

    fn decode(row: &Value) -> Result<OrderRow, RowRefusal> {
        OrderRow::decode(row.as_object().unwrap().clone(), &rules())
    }

    fn code(row: &Value) -> &'static str {
        decode(row).unwrap_err().code.as_str()
    }

    #[test]
    fn a_row_of_texts_and_a_row_of_numbers_mean_the_same() {
        let texts = json!({"amount":" 1250 ","reference":"17","SMScontact":"600 123 456","name":"Ana","note":""});
        let numbers = json!({"amount":1250,"reference":17,"SMScontact":600_123_456,"name":"Ana","note":null});
        let row = decode(&texts).unwrap();
        assert_eq!(row, decode(&numbers).unwrap());
        assert_eq!((row.amount.minor(), row.reference.as_str(), row.currency.code()), (1250, "17", "EUR"));
        assert_eq!(row.contact.unwrap().as_e164(), "+34600123456");
        assert_eq!(Value::Object(row.vars), json!({"name":"Ana"}));
    }

    #[test]
    fn po_9_an_amount_that_is_not_whole_minor_units_is_never_guessed() {
        for amount in [json!("12.50"), json!("12,50"), json!(12.5), json!(1250.0), json!("1e3"), json!("EUR 5")] {
            assert_eq!(code(&json!({"amount": amount})), "amount_not_an_integer", "{amount}");
        }
        for amount in [json!(0), json!(-5), json!(10_000_000), json!("99999999999999999999999")] {
            assert_eq!(code(&json!({"amount": amount})), "amount_out_of_range", "{amount}");
        }
        for row in [json!({}), json!({"amount":null}), json!({"amount":" "})] {
            assert_eq!(code(&row), "missing_amount");
        }
        assert_eq!(code(&json!({"amount":[1]})), "wrong_type");
    }

    #[test]
    fn po_10_a_currency_comes_from_the_row_or_the_job_and_must_be_allowed() {
        let row = |currency: &str| json!({"amount":1,"currency":currency}).as_object().unwrap().clone();
        let decode =
            |currency, rules: &RowRules| OrderRow::decode(row(currency), rules).map_err(|refusal| refusal.code);
        assert_eq!(decode("MXN", &rules()).unwrap().currency.code(), "MXN");
        assert_eq!(decode("EURO", &rules()), Err(RowCode::UnknownCurrency));
        let none = RowRules { currency: None, ..rules() };
        assert_eq!(decode("", &none), Err(RowCode::CurrencyMissing));
        let few = RowRules { currencies: vec![Currency::parse("EUR").unwrap()], ..rules() };
        assert_eq!(decode("MXN", &few), Err(RowCode::CurrencyNotAllowed));
        assert!(decode("", &few).is_ok());
    }

    #[test]
    fn po_11_lengths_count_characters_and_nothing_is_cut() {
        assert!(decode(&json!({"amount":1,"concept":"ñ".repeat(100),"reference":"ñ".repeat(150)})).is_ok());
        assert_eq!(code(&json!({"amount":1,"concept":"ñ".repeat(101)})), "concept_too_long");
        assert_eq!(code(&json!({"amount":1,"reference":"ñ".repeat(151)})), "reference_too_long");
        assert_eq!(code(&json!({"amount":1,"key":"k".repeat(151)})), "key_too_long");
        assert_eq!(code(&json!({"amount":1,"key":"a\nb"})), "invalid_key");
        assert_eq!(code(&json!({"amount":1,"v":"x".repeat(9000)})), "variables_too_big");
        assert_eq!(code(&json!({"amount":1,"country":"Spain"})), "unknown_country");
    }

    #[test]
    fn po_1_a_phone_that_is_not_valid_does_not_refuse_the_row() {
        for phone in [json!("12"), json!("call me"), json!(""), json!(null)] {
            assert!(decode(&json!({"amount":1,"SMScontact":phone})).unwrap().contact.is_err(), "{phone}");
        }
    }

    #[test]
    fn the_codes_of_the_domain_are_codes_of_a_row() {
        for code in [
            "concept_too_long",
            "reference_too_long",
            "key_too_long",
            "invalid_key",
            "amount_not_an_integer",
            "amount_out_of_range",
            "unknown_currency",
            "unknown_country",
            "expires_too_soon",
        ] {
            assert!(RowCode::parse(code).is_some(), "{code}");
        }
    }
}
