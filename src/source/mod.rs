//! Files, lists, addresses and inline rows, read as one stream of rows.
//!
//! What does not lie in the spool folder (a Redis list, the answer of a server) is *staged* first: copied once into a
//! file of the state folder ([`staging`], [`url`]), so that everything after is one way. [`open`] checks what can be checked before the first row (the path, the kind of file, the header), the [`Reader`]
//! then yields one row at a time. Memory does not grow with the file: the buffer holds one record of at most
//! `max_line_bytes`, and a longer line is skipped without being held. A bad row never ends the stream; trouble with
//! the source itself does. Every row carries the [`Checkpoint`] after it, from which [`Reader::resume`] goes on.
//! What this room does not do: judge the columns (amounts, currencies, phones), which is the job's business.
//! Reading blocks: callers run it in `spawn_blocking`.

mod address;
mod columns;
mod csv;
pub mod erase;
mod error;
pub mod error_file;
mod input;
mod latin1;
pub mod leftovers;
mod ndjson;
mod reader;
mod repeats;
mod scanner;
mod spool;
pub mod staging;
pub mod url;

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::domain::column::Table;

pub use columns::ERROR_COLUMNS;
pub use error::{BadRow, ReadError, RowFault, SourceError};
pub use latin1::{Encoding, Seen};
pub use reader::{Reader, open};
pub use repeats::Repeats;

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceSpec {
    /// Rows that stand in the job itself.
    Inline(Vec<Map<String, Value>>),
    /// A file inside the spool folder.
    File {
        /// Its path, relative to the spool folder, as the job gave it.
        path: String,
        /// Its format; by the extension when absent.
        format: Option<Format>,
    },
    /// A copy of something else in the state folder.
    Staged {
        /// Where the copy is.
        path: PathBuf,
        /// What it is a copy of, as a sentence names it.
        name: String,
        /// Its format.
        format: Option<Format>,
    },
}

impl SourceSpec {
    /// As a sentence names it.
    pub fn name(&self) -> String {
        match self {
            Self::Inline(_) => "rows".to_owned(),
            Self::File { path, .. } => spool::named(path),
            Self::Staged { name, .. } => name.clone(),
        }
    }
}

/// The text formats a file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A header line, then records; `,`, `;`, tab or `|`, found out from the header.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl Format {
    /// The format that a file's extension stands for: `.csv`, `.ndjson` or `.jsonl`, in any case, also before `.gz`.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?;
        if extension.eq_ignore_ascii_case("gz") {
            return Self::of_path(Path::new(path.file_stem()?));
        }
        if extension.eq_ignore_ascii_case("csv") {
            Some(Self::Csv)
        } else if extension.eq_ignore_ascii_case("ndjson") || extension.eq_ignore_ascii_case("jsonl") {
            Some(Self::Ndjson)
        } else {
            None
        }
    }

    /// The format of that name on the wire: `csv`, `ndjson`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "csv" => Some(Self::Csv),
            "ndjson" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// How a source is read: which columns are known, the bounds of the configuration section `sources`, and how long anybody
/// wants it.
#[derive(Debug, Clone)]
pub struct SourceLimits {
    /// The columns that its rows may have.
    pub table: &'static Table,
    /// The only folder files are read from.
    pub spool_dir: PathBuf,
    /// More rows than this refuse the source.
    pub max_rows: u64,
    /// A longer record is refused and skipped, without being held.
    pub max_line_bytes: usize,
    /// More bytes than this, unpacked, refuse the source.
    pub max_bytes: u64,
    /// Cancelled, reading ends with [`SourceError::Stopped`].
    pub stop: CancellationToken,
}

/// Where a reader stands between two rows; kept in the job's progress and given to [`Reader::resume`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Rows read so far, good and bad.
    pub row: u64,
    /// Line number, from 1, of the next record (inline rows: its place).
    pub line: u64,
    /// Byte offset of the next record (inline rows: rows read so far).
    pub offset: u64,
}

/// One row that could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its number, from 1; bad rows count too, blank lines do not.
    pub row: u64,
    /// The line it begins on, from 1, as an editor shows it (inline rows: its place).
    pub line: u64,
    /// Where the stream goes on after it.
    pub next: Checkpoint,
    /// Its columns; known names in canonical spelling, empty CSV cells left out.
    pub columns: Map<String, Value>,
    /// Its text as it came, for the error file. Personal data: never for a log.
    pub input: Vec<u8>,
    /// Whether its bytes are UTF-8.
    pub is_utf8: bool,
}

/// SHA-256 of the whole source in hex, streamed: of a file its bytes as they are stored. Inline rows count as their
/// canonical JSON, one a line.
pub fn digest(spec: &SourceSpec, limits: &SourceLimits) -> Result<String, SourceError> {
    let mut hash = Sha256::new();
    let file = match spec {
        SourceSpec::Inline(rows) => {
            for row in rows {
                // a Map of values always serialises; an empty text would only make the digest blind to that row
                hash.update(serde_json::to_vec(row).unwrap_or_default());
                hash.update(b"\n");
            }
            return Ok(hex(hash));
        }
        SourceSpec::File { path, .. } => spool::open_file(path, &limits.spool_dir)?,
        SourceSpec::Staged { path, .. } => {
            spool::open_staged(path).map_err(|error| SourceError::unreadable(&spec.name(), &error))?
        }
    };
    let mut raw = input::Raw::new(file, &limits.stop);
    let mut chunk = vec![0; 128 * 1024];
    loop {
        let length = raw.read(&mut chunk).map_err(|error| SourceError::of_io(&spec.name(), limits, &error))?;
        let Some(bytes) = chunk.get(..length).filter(|bytes| !bytes.is_empty()) else {
            return Ok(hex(hash));
        };
        hash.update(bytes);
    }
}

/// A finished hash in hex.
pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        hex
    })
}

#[cfg(test)]
mod tests;
