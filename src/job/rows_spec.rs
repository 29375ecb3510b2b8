//! Where the rows of a job are: in it, in a file, in a Redis list, behind an address.
//!
//! Exactly one of them, judged by its text alone; whether the file is there, the list has rows and the address is allowed
//! is the handler's question.

use serde_json::{Map, Value};

use super::codes::RejectionCode;
use super::fields::{Fields, not_one_of, wrong_type};
use super::rejection::Rejection;

/// Rows that may stand in the job itself; more belong into a file.
pub const INLINE_ROWS_MAX: usize = 1000;
/// The longest address.
pub const URL_MAX_BYTES: usize = 4096;

pub(super) const ROWS_FROM_FIELDS: [&str; 4] = ["file", "format", "list", "url"];

/// Where the rows are.
#[derive(Debug, Clone, PartialEq)]
pub enum RowsSpec {
    /// In the job.
    Inline(Vec<Map<String, Value>>),
    /// In a file of the spool folder.
    File {
        /// Its path below the spool folder, not judged yet.
        path: String,
        /// Its format, where the name does not tell it.
        format: Option<FileFormat>,
    },
    /// In a Redis list: one JSON object an element. Read, never consumed.
    List {
        /// Its key.
        key: String,
    },
    /// Behind an address, whose host is judged by the configuration.
    Url {
        /// The address.
        url: String,
        /// Its format, where neither its path nor the server tells it.
        format: Option<FileFormat>,
    },
}

/// The formats a job can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma, semicolon or tab separated, with a header.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

pub(super) fn rows(fields: &mut Fields) -> Result<RowsSpec, Rejection> {
    if fields.has("rows") && fields.has("rows_from") {
        let rule = "rows and rows_from exclude each other";
        return Err(fields.refuse(RejectionCode::RowsAndRowsFrom, "rows_from", rule));
    }
    if let Some(value) = fields.take("rows_from") {
        return rows_from(Fields::of_value(value, "rows_from".to_owned(), &ROWS_FROM_FIELDS)?);
    }
    let values = fields.list("rows")?;
    let Some(values) = values else {
        return Err(fields.refuse(RejectionCode::MissingField, "rows", "one of rows and rows_from is required"));
    };
    if values.is_empty() {
        return Err(fields.refuse(RejectionCode::SourceEmpty, "rows", "the list is empty"));
    }
    if values.len() > INLINE_ROWS_MAX {
        let rule = format!(
            "{} rows, the maximum in a job is {INLINE_ROWS_MAX}: put them into a file and name it in rows_from",
            values.len()
        );
        return Err(fields.refuse(RejectionCode::TooManyRows, "rows", rule));
    }
    let object = |(index, value): (usize, Value)| match value {
        Value::Object(row) => Ok(row),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(wrong_type(&format!("rows[{index}]"), &other, "an object"))
        }
    };
    values.into_iter().enumerate().map(object).collect::<Result<_, _>>().map(RowsSpec::Inline)
}

fn rows_from(mut fields: Fields) -> Result<RowsSpec, Rejection> {
    let given: Vec<&str> = ["file", "list", "url"].into_iter().filter(|name| fields.has(name)).collect();
    let [only] = given.as_slice() else {
        if let [first, second, ..] = given.as_slice() {
            let rule = format!("\"{first}\" and \"{second}\" exclude each other");
            return Err(fields.refuse(RejectionCode::ConflictingFields, second, rule));
        }
        return Err(fields.refuse(RejectionCode::MissingField, "file", "one of file, list and url is required"));
    };
    let text = fields.text(only)?;
    let text = fields.required(only, text)?;
    let format = format(&mut fields)?;
    match *only {
        "list" if format.is_some() => {
            let rule = "a list holds JSON objects; the field goes with file and url";
            Err(fields.refuse(RejectionCode::ConflictingFields, "format", rule))
        }
        "list" if text.is_empty() => Err(fields.refuse(RejectionCode::InvalidValue, "list", "the key is empty")),
        "list" => Ok(RowsSpec::List { key: text }),
        "url" => {
            let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
            if !matches!(scheme.as_deref(), Some("https" | "http")) || text.len() > URL_MAX_BYTES {
                let rule = format!("only https:// addresses of at most {URL_MAX_BYTES} bytes are fetched");
                return Err(fields.refuse(RejectionCode::UrlNotAllowed, "url", rule));
            }
            Ok(RowsSpec::Url { url: text, format })
        }
        _ => Ok(RowsSpec::File { path: text, format }),
    }
}

fn format(fields: &mut Fields) -> Result<Option<FileFormat>, Rejection> {
    match fields.text("format")?.as_deref() {
        None => Ok(None),
        Some("csv") => Ok(Some(FileFormat::Csv)),
        Some("ndjson") => Ok(Some(FileFormat::Ndjson)),
        Some(other) => Err(not_one_of(RejectionCode::InvalidValue, "rows_from.format", other, &["csv", "ndjson"])),
    }
}
