//! CSV: where a record ends, and what its fields are (RFC 4180, with `,`, `;`, tab or `|`).
//!
//! A quote opens a field only at its beginning; elsewhere it is a character like any other. A closing quote must be
//! followed by a delimiter or the end of the record. Empty fields beyond the header are passed over, as spreadsheets
//! leave them behind; anything else beyond it refuses the row. A record without quotes, the usual case, is cut with one
//! search a field and copied once.

use std::borrow::Cow;

use memchr::memchr;
use serde_json::{Map, Value};

use super::columns::{column_name, is_added};
use super::latin1::{self, Encoding};
use super::{RowFault, SourceError};
use crate::domain::cell::unguarded;
use crate::domain::column::Table;

/// Column names in file order, and the delimiter they were separated by. An unnamed column is `None`.
#[derive(Debug)]
pub(super) struct Header {
    names: Vec<Option<Column>>,
    delimiter: char,
    /// The line as it was written, by which it is known again further down.
    text: String,
    /// Whether it is UTF-8.
    pub(super) is_utf8: bool,
    /// Whether it is that of an error file, whose formulas have a guard before them.
    guarded: bool,
}

/// A column that has a name.
#[derive(Debug)]
struct Column {
    name: String,
    /// An empty cell says something: that there is no contact any more.
    keeps_empty: bool,
}

/// Between two bytes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Quoting {
    /// At the beginning of a field.
    #[default]
    FieldStart,
    /// Inside a field without quotes.
    Plain,
    /// Inside quotes: a line end belongs to the field.
    Open,
    /// Behind a quote that closes the field, unless another one follows.
    Closing,
    /// Text stands behind a closing quote.
    Broken,
}

impl Quoting {
    /// The state after some more bytes of the record.
    pub(super) fn after(self, bytes: &[u8], delimiter: char) -> Self {
        bytes.iter().fold(self, |state, &byte| {
            let delimits = u32::from(byte) == u32::from(delimiter) || byte == b'\n';
            match (state, byte) {
                (Self::Open, b'"') => Self::Closing,
                (Self::Open, _) | (Self::FieldStart | Self::Closing, b'"') => Self::Open,
                (Self::FieldStart | Self::Plain | Self::Closing, _) if delimits => Self::FieldStart,
                (Self::Closing, b'\r') => Self::Closing,
                (Self::Closing | Self::Broken, _) => Self::Broken,
                (Self::FieldStart | Self::Plain, _) => Self::Plain,
            }
        })
    }
}

/// A record without its line end.
pub(super) fn line_of(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// A record without its line end, as text; what is not UTF-8 is Windows-1252 unless the source is known to be UTF-8.
fn text_of(record: &[u8], encoding: Option<Encoding>) -> Option<Cow<'_, str>> {
    let line = line_of(record);
    let text = match encoding {
        Some(Encoding::Latin1) => Some(latin1::decode(line)),
        Some(Encoding::Utf8) => std::str::from_utf8(line).ok().map(Cow::Borrowed),
        None => Some(std::str::from_utf8(line).map_or_else(|_| latin1::decode(line), Cow::Borrowed)),
    };
    text.filter(|text| memchr(0, text.as_bytes()).is_none())
}

impl Header {
    /// Reads the header line; the delimiter is the one that stands most often in it outside quotes.
    pub(super) fn parse(
        name: &str,
        line: &[u8],
        encoding: Option<Encoding>,
        table: &Table,
    ) -> Result<Self, SourceError> {
        let text = text_of(line, encoding).ok_or_else(|| SourceError::NotUtf8 { name: name.to_owned() })?;
        let delimiter = delimiter_of(&text);
        let mut names: Vec<Option<String>> = Vec::new();
        let mut written: Vec<String> = Vec::new();
        let mut guarded = false;
        for field in Fields::new(&text, delimiter) {
            let field = field.map_err(|_| SourceError::Unsupported {
                name: name.to_owned(),
                reason: "the quotes of its header do not close",
            })?;
            let field = field.trim();
            let field = if guarded { unguarded(field) } else { field };
            guarded |= is_added(field);
            let column = Some(column_name(table, field)).filter(|name| !name.is_empty());
            // An error file of an error file has its columns twice.
            if let Some(column) = column.clone().filter(|name| !is_added(name))
                && let Some(first) = names.iter().position(|name| *name == Some(column.clone()))
            {
                let written = vec![written.get(first).cloned().unwrap_or_default(), field.to_owned()];
                return Err(SourceError::DuplicateColumn { name: name.to_owned(), column, written });
            }
            written.push(field.to_owned());
            names.push(column);
        }
        if !names.iter().flatten().any(|name| name == table.required) {
            let found = written.iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>().join(", ");
            let found = found.chars().take(200).collect();
            return Err(SourceError::MissingColumn { name: name.to_owned(), column: table.required, found });
        }
        // Its place is kept, its values are nobody's.
        let of = |name: String| Column { keeps_empty: table.numbered(&name).is_some(), name };
        let names = names.into_iter().map(|name| name.filter(|name| !is_added(name)).map(of)).collect();
        let is_utf8 = std::str::from_utf8(line).is_ok();
        Ok(Self { names, delimiter, text: text.into_owned(), is_utf8, guarded })
    }

    /// The character between two fields.
    pub(super) fn delimiter(&self) -> char {
        self.delimiter
    }

    /// The line as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The columns of one record; empty cells are left out, but for those of contacts.
    pub(super) fn columns(
        &self,
        record: &[u8],
        encoding: Option<Encoding>,
    ) -> Result<Map<String, Value>, (RowFault, String)> {
        let Some(text) = text_of(record, encoding) else {
            let sentence = "the line is not UTF-8 text, and other lines of the source are; save all of it as UTF-8";
            return Err((RowFault::NotUtf8, sentence.to_owned()));
        };
        if text == self.text {
            let sentence = "the line is the header once more: were several files put together?";
            return Err((RowFault::RepeatedHeader, sentence.to_owned()));
        }
        let mut columns = Map::new();
        let mut names = self.names.iter();
        let (mut count, mut beyond) = (0_usize, false);
        for field in Fields::new(&text, self.delimiter) {
            let field = field.map_err(|fault| (fault, BAD_QUOTING.to_owned()))?;
            count = count.saturating_add(1);
            match names.next() {
                Some(Some(column)) if column.keeps_empty || !field.is_empty() => {
                    let text = if self.guarded { unguarded(&field).to_owned() } else { field.into_owned() };
                    columns.insert(column.name.clone(), Value::String(text));
                }
                Some(_) => {}
                None => beyond |= !field.trim().is_empty(),
            }
        }
        // What is not there may only be what has no name.
        if !beyond && names.all(Option::is_none) {
            return Ok(columns);
        }
        let sentence = format!("the line has {count} fields, the header has {}", self.names.len());
        Err((RowFault::FieldCount, sentence))
    }
}

pub(super) const BAD_QUOTING: &str =
    "a quoted field does not close before a delimiter or the end of the line; write a quote inside quotes twice";

fn delimiter_of(header: &str) -> char {
    let mut counts = [(',', 0_usize), (';', 0), ('\t', 0), ('|', 0)];
    let mut quoted = false;
    for character in header.chars() {
        quoted ^= character == '"';
        if !quoted && let Some((_, count)) = counts.iter_mut().find(|(delimiter, _)| *delimiter == character) {
            *count = count.saturating_add(1);
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or_default();
    counts.iter().find(|(_, count)| *count == most).map_or(',', |(delimiter, _)| *delimiter)
}

/// The fields of one record.
struct Fields<'a> {
    rest: Option<&'a str>,
    delimiter: char,
}

impl<'a> Fields<'a> {
    fn new(record: &'a str, delimiter: char) -> Self {
        Self { rest: Some(record), delimiter }
    }

    /// The field that begins behind an opening quote, and what follows its closing one.
    fn quoted(&self, mut inside: &'a str) -> Result<(String, &'a str), RowFault> {
        let mut field = String::with_capacity(inside.len().min(256));
        loop {
            let (text, behind) = inside.split_once('"').ok_or(RowFault::BadQuoting)?;
            field.push_str(text);
            if let Some(after) = behind.strip_prefix('"') {
                field.push('"');
                inside = after;
            } else if behind.is_empty() || behind.starts_with(self.delimiter) {
                return Ok((field, behind));
            } else {
                return Err(RowFault::BadQuoting);
            }
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Cow<'a, str>, RowFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        if let Some(inside) = rest.strip_prefix('"') {
            return Some(self.quoted(inside).map(|(field, behind)| {
                self.rest = behind.strip_prefix(self.delimiter);
                Cow::Owned(field)
            }));
        }
        let (field, behind) = match rest.split_once(self.delimiter) {
            Some((field, behind)) => (field, Some(behind)),
            None => (rest, None),
        };
        self.rest = behind;
        Some(Ok(Cow::Borrowed(field)))
    }
}
