//! Files and inline rows, read as one stream of rows.
//!
//! [`open`] checks what can be checked before the first row (the path, the kind of file, the header), the [`Reader`]
//! then yields one row at a time. Memory does not grow with the file: the buffer holds one record of at most
//! `max_line_bytes`, and a longer line is skipped without being held. A bad row never ends the stream; trouble with
//! the source itself does. Every row carries the [`Checkpoint`] after it, from which [`Reader::resume`] goes on.
//! What this room does not do: judge the columns (amounts, currencies, phones), which is the job's business.
//! Reading blocks: callers run it in `spawn_blocking`.

mod columns;
mod csv;
mod error;
mod ndjson;
mod reader;
mod scanner;
mod spool;

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use columns::{CANONICAL_COLUMNS, canonical_column};
pub use error::{BadRow, ReadError, RowFault, SourceError};
pub use reader::{Reader, open};

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
}

/// The text formats a file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A header line, then records; `,`, `;` or tab, found out from the header.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl Format {
    /// The format that a file's extension stands for: `.csv`, `.ndjson` or `.jsonl`, in any case.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?;
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

/// The bounds a source is read in, from the configuration section `sources`.
#[derive(Debug, Clone)]
pub struct SourceLimits {
    /// The only folder files are read from.
    pub spool_dir: PathBuf,
    /// More rows than this refuse the source.
    pub max_rows: u64,
    /// A longer record is refused and skipped, without being held.
    pub max_line_bytes: usize,
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
}

/// SHA-256 of the whole source in hex, streamed. Inline rows count as their canonical JSON, one a line.
pub fn digest(spec: &SourceSpec, limits: &SourceLimits) -> Result<String, SourceError> {
    let mut hash = Sha256::new();
    match spec {
        SourceSpec::Inline(rows) => {
            for row in rows {
                // a Map of values always serialises; an empty text would only make the digest blind to that row
                hash.update(serde_json::to_vec(row).unwrap_or_default());
                hash.update(b"\n");
            }
        }
        SourceSpec::File { path, .. } => {
            let mut file = spool::open_file(path, &limits.spool_dir)?;
            let mut chunk = vec![0; 128 * 1024];
            loop {
                let length = file.read(&mut chunk).map_err(|error| SourceError::unreadable(path, &error))?;
                let Some(bytes) = chunk.get(..length).filter(|bytes| !bytes.is_empty()) else {
                    break;
                };
                hash.update(bytes);
            }
        }
    }
    Ok(hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        hex
    }))
}

#[cfg(test)]
mod tests;
