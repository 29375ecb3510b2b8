//! What can be wrong with a source, and with one row of it.
//!
//! [`SourceError`] ends the stream and refuses the job; its codes are codes of a rejection. [`BadRow`] is data: the
//! row is recorded with its code and the stream goes on. Texts name the file as the job named it, never the folder.

use std::io;

use super::Checkpoint;

/// Why a source as a whole cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The path is absolute, has `..`, or a link leads out.
    #[error(
        "file {file:?} is outside the spool folder: give a path relative to it, without \"..\" and without links that leave it"
    )]
    PathOutsideSpool {
        /// The path as given.
        file: String,
    },
    /// There is no such file.
    #[error("file {file:?} is not in the spool folder")]
    Missing {
        /// The path as given.
        file: String,
    },
    /// Nothing in it, or a header only.
    #[error("file {file:?} has no rows")]
    Empty {
        /// The path as given.
        file: String,
    },
    /// The header lacks a column that every row needs.
    #[error("the header of file {file:?} has no column {column:?}; it has: {found}")]
    MissingColumn {
        /// The path as given.
        file: String,
        /// The column that is missing.
        column: &'static str,
        /// What the header has, cut to a readable length.
        found: String,
    },
    /// Two columns of the header have one name.
    #[error("the header of file {file:?} has the column {column:?} twice")]
    DuplicateColumn {
        /// The path as given.
        file: String,
        /// The name that stands twice.
        column: String,
    },
    /// More rows than the configuration allows.
    #[error("the source {file:?} has more than {max_rows} rows, the maximum (sources.max_rows)")]
    TooManyRows {
        /// The path as given, or `rows`.
        file: String,
        /// The bound that was passed.
        max_rows: u64,
    },
    /// The first line is longer than a line may be.
    #[error("the first line of file {file:?} is longer than {max_line_bytes} bytes (sources.max_line_bytes)")]
    LineTooLong {
        /// The path as given.
        file: String,
        /// The bound that was passed.
        max_line_bytes: usize,
    },
    /// Not a kind of file that is read.
    #[error("file {file:?} cannot be read: {reason}")]
    Unsupported {
        /// The path as given.
        file: String,
        /// What it is instead.
        reason: &'static str,
    },
    /// The header is not UTF-8.
    #[error("the first line of file {file:?} is not UTF-8 text: save the file as UTF-8")]
    NotUtf8 {
        /// The path as given.
        file: String,
    },
    /// The operating system refused.
    #[error("file {file:?} could not be read: {reason}")]
    Unreadable {
        /// The path as given.
        file: String,
        /// The system's reason.
        reason: String,
    },
    /// A checkpoint lies behind the end of the source.
    #[error("the source {file:?} is shorter than it was when the job began")]
    Changed {
        /// The path as given, or `rows`.
        file: String,
    },
}

impl SourceError {
    /// Every code that [`code`](Self::code) can give.
    pub const CODES: [&'static str; 11] = [
        "path_outside_spool",
        "source_missing",
        "source_empty",
        "missing_column",
        "duplicate_column",
        "too_many_rows",
        "line_too_long",
        "source_unsupported",
        "source_not_utf8",
        "source_unreadable",
        "source_changed",
    ];

    /// The stable code of a rejection for this reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PathOutsideSpool { .. } => "path_outside_spool",
            Self::Missing { .. } => "source_missing",
            Self::Empty { .. } => "source_empty",
            Self::MissingColumn { .. } => "missing_column",
            Self::DuplicateColumn { .. } => "duplicate_column",
            Self::TooManyRows { .. } => "too_many_rows",
            Self::LineTooLong { .. } => "line_too_long",
            Self::Unsupported { .. } => "source_unsupported",
            Self::NotUtf8 { .. } => "source_not_utf8",
            Self::Unreadable { .. } => "source_unreadable",
            Self::Changed { .. } => "source_changed",
        }
    }

    pub(super) fn unreadable(file: &str, error: &io::Error) -> Self {
        Self::Unreadable { file: file.to_owned(), reason: error.to_string() }
    }
}

/// What is wrong with the text of a row, before anyone looks at its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFault {
    /// Longer than `max_line_bytes`.
    LineTooLong,
    /// Bytes that are not UTF-8, or a NUL.
    NotUtf8,
    /// More or fewer fields than the header.
    FieldCount,
    /// A quote that does not close, or text behind a closing quote.
    BadQuoting,
    /// A line that is not JSON.
    NotJson,
    /// JSON, but not an object.
    NotAnObject,
    /// Two columns with one name.
    DuplicateColumn,
}

impl RowFault {
    /// All faults.
    pub const ALL: [Self; 7] = [
        Self::LineTooLong,
        Self::NotUtf8,
        Self::FieldCount,
        Self::BadQuoting,
        Self::NotJson,
        Self::NotAnObject,
        Self::DuplicateColumn,
    ];

    /// The stable code of a refused row.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::NotUtf8 => "not_utf8",
            Self::FieldCount => "field_count",
            Self::BadQuoting => "bad_quoting",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::DuplicateColumn => "duplicate_column",
        }
    }
}

/// One row that could not be read; the stream goes on after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its number, from 1.
    pub row: u64,
    /// The line it begins on, from 1.
    pub line: u64,
    /// Where the stream goes on after it.
    pub next: Checkpoint,
    /// What is wrong.
    pub fault: RowFault,
    /// The same as a sentence.
    pub sentence: String,
    /// The beginning of its text, for the error file. Personal data: never for a log.
    pub input: String,
}

/// What a reader yields instead of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// This row is bad; ask for the next.
    Row(BadRow),
    /// The source cannot be read on; nothing follows.
    Source(SourceError),
}
