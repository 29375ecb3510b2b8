//! What can be wrong with a source, and with one row of it.
//!
//! [`SourceError`] ends the stream and refuses the job; its codes are codes of a rejection. [`BadRow`] is data: the
//! row is recorded with its code and the stream goes on. Texts name the source as the job named it: never the folder,
//! never what stands behind the `?` of an address.

use std::io;

use super::input::Halt;
use super::{Checkpoint, SourceLimits};

/// Why a source as a whole cannot be read. `name` is the source as a sentence names it: `file "nov.csv"`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The path is absolute, has `..`, or a link leads out.
    #[error(
        "{name} is outside the spool folder: give a path relative to it, without \"..\" and without links that leave it"
    )]
    PathOutsideSpool {
        /// The source.
        name: String,
    },
    /// There is no such file.
    #[error("{name} is not in the spool folder")]
    Missing {
        /// The source.
        name: String,
    },
    /// Nothing in it, or a header only.
    #[error("{name} has no rows")]
    Empty {
        /// The source.
        name: String,
    },
    /// The header lacks a column that every row needs.
    #[error("the header of {name} has no column {column:?}, nor another name of it; it has: {found}")]
    MissingColumn {
        /// The source.
        name: String,
        /// The column that is missing.
        column: &'static str,
        /// What the header has, cut to a readable length.
        found: String,
    },
    /// Two columns of the header come to one name.
    #[error("the header of {name} has the column {column:?} twice{}", aliased(written))]
    DuplicateColumn {
        /// The source.
        name: String,
        /// The name that stands twice.
        column: String,
        /// How the two are written, where that differs.
        written: Vec<String>,
    },
    /// More rows than the configuration allows.
    #[error("{name} has more than {max_rows} rows, the maximum (sources.max_rows)")]
    TooManyRows {
        /// The source.
        name: String,
        /// The bound that was passed.
        max_rows: u64,
    },
    /// More bytes than the configuration allows, unpacked.
    #[error("{name} has more than {max_bytes} bytes, the maximum (sources.max_bytes); what gzip unpacks to counts")]
    TooBig {
        /// The source.
        name: String,
        /// The bound that was passed.
        max_bytes: u64,
    },
    /// The first line is longer than a line may be.
    #[error("the first line of {name} is longer than {max_line_bytes} bytes (sources.max_line_bytes)")]
    LineTooLong {
        /// The source.
        name: String,
        /// The bound that was passed.
        max_line_bytes: usize,
    },
    /// Not a kind of source that is read.
    #[error("{name} cannot be read: {reason}")]
    Unsupported {
        /// The source.
        name: String,
        /// What it is instead.
        reason: &'static str,
    },
    /// The header is not UTF-8, and other lines are.
    #[error("the first line of {name} is not UTF-8 text, and other lines are: save all of it as UTF-8")]
    NotUtf8 {
        /// The source.
        name: String,
    },
    /// The operating system refused.
    #[error("{name} could not be read: {reason}")]
    Unreadable {
        /// The source.
        name: String,
        /// The system's reason.
        reason: String,
    },
    /// A checkpoint lies behind the end of the source.
    #[error("{name} is shorter than it was when the job began")]
    Changed {
        /// The source.
        name: String,
    },
    /// The address is not one that the configuration allows.
    #[error("{name} is not fetched: {reason}")]
    UrlNotAllowed {
        /// The source.
        name: String,
        /// Which rule it breaks.
        reason: String,
    },
    /// The server refuses us the source.
    #[error("{name} was not given to us: {reason}")]
    UrlRefused {
        /// The source.
        name: String,
        /// What it answered.
        reason: String,
    },
    /// The server cannot be reached, is silent, or in trouble: it may be better later.
    #[error("{name} could not be fetched: {reason}")]
    UrlUnavailable {
        /// The source.
        name: String,
        /// What happened.
        reason: String,
    },
    /// The copy in the state folder could not be written.
    #[error("{name} could not be copied into the state folder: {reason}")]
    NotStaged {
        /// The source.
        name: String,
        /// The system's reason.
        reason: String,
    },
    /// Nobody wanted the rest any more.
    #[error("reading {name} was stopped")]
    Stopped {
        /// The source.
        name: String,
    },
}

impl SourceError {
    /// Every code of a rejection that [`code`](Self::code) can give.
    pub const CODES: [&'static str; 14] = [
        "path_outside_spool",
        "source_missing",
        "source_empty",
        "missing_column",
        "duplicate_column",
        "too_many_rows",
        "source_too_big",
        "line_too_long",
        "source_unsupported",
        "source_not_utf8",
        "source_unreadable",
        "source_changed",
        "url_not_allowed",
        "url_refused",
    ];

    /// The stable code of a rejection for this reason, or of a failure that passes (`url_unavailable`, `not_staged`, `stopped`).
    pub fn code(&self) -> &'static str {
        match self {
            Self::PathOutsideSpool { .. } => "path_outside_spool",
            Self::Missing { .. } => "source_missing",
            Self::Empty { .. } => "source_empty",
            Self::MissingColumn { .. } => "missing_column",
            Self::DuplicateColumn { .. } => "duplicate_column",
            Self::TooManyRows { .. } => "too_many_rows",
            Self::TooBig { .. } => "source_too_big",
            Self::LineTooLong { .. } => "line_too_long",
            Self::Unsupported { .. } => "source_unsupported",
            Self::NotUtf8 { .. } => "source_not_utf8",
            Self::Unreadable { .. } => "source_unreadable",
            Self::Changed { .. } => "source_changed",
            Self::UrlNotAllowed { .. } => "url_not_allowed",
            Self::UrlRefused { .. } => "url_refused",
            Self::UrlUnavailable { .. } => "url_unavailable",
            Self::NotStaged { .. } => "not_staged",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// Whether it may be better later: nothing is wrong with the job.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::UrlUnavailable { .. } | Self::NotStaged { .. } | Self::Stopped { .. })
    }

    /// Whether it says that the source is not what a first pass over it found: nothing of this was there then.
    pub fn is_of_content(&self) -> bool {
        match self {
            Self::Stopped { .. }
            | Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::NotStaged { .. }
            | Self::UrlUnavailable { .. } => false,
            Self::PathOutsideSpool { .. }
            | Self::Empty { .. }
            | Self::MissingColumn { .. }
            | Self::DuplicateColumn { .. }
            | Self::TooManyRows { .. }
            | Self::TooBig { .. }
            | Self::LineTooLong { .. }
            | Self::Unsupported { .. }
            | Self::NotUtf8 { .. }
            | Self::Changed { .. }
            | Self::UrlNotAllowed { .. }
            | Self::UrlRefused { .. } => true,
        }
    }

    /// What an error of reading means: our own halt, damaged gzip, or the system's refusal.
    pub(super) fn of_io(name: &str, limits: &SourceLimits, error: &io::Error) -> Self {
        let name = name.to_owned();
        match (Halt::of(error), error.kind()) {
            (Some(Halt::Stopped), _) => Self::Stopped { name },
            (Some(Halt::TooBig), _) => Self::TooBig { name, max_bytes: limits.max_bytes },
            (None, io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof) => {
                Self::Unsupported { name, reason: "its gzip data is damaged or cut short" }
            }
            (None, _) => Self::unreadable(&name, error),
        }
    }

    pub(super) fn unreadable(name: &str, error: &io::Error) -> Self {
        Self::Unreadable { name: name.to_owned(), reason: error.to_string() }
    }
}

/// How the two columns of one name are written, if it is not alike.
fn aliased(written: &[String]) -> String {
    match written {
        [first, second] if first != second => format!(": {first:?} and {second:?} are two names of it"),
        _ => String::new(),
    }
}

/// What is wrong with the text of a row, before anyone looks at its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFault {
    /// Longer than `max_line_bytes`.
    LineTooLong,
    /// Bytes that are not UTF-8 in a source that is, or a NUL.
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
    /// The header once more: files that were put together.
    RepeatedHeader,
}

impl RowFault {
    /// All faults.
    pub const ALL: [Self; 8] = [
        Self::LineTooLong,
        Self::NotUtf8,
        Self::FieldCount,
        Self::BadQuoting,
        Self::NotJson,
        Self::NotAnObject,
        Self::DuplicateColumn,
        Self::RepeatedHeader,
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
            Self::RepeatedHeader => "repeated_header",
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
    /// Its text as it came, for the error file; of a line that is too long the beginning. Personal data: never for a log.
    pub input: Vec<u8>,
}

/// What a reader yields instead of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// This row is bad; ask for the next.
    Row(BadRow),
    /// The source cannot be read on; nothing follows.
    Source(SourceError),
}
