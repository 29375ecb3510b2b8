//! The error file of a job with rows.
//!
//! It has every refused row, not only those that Redis keeps, up to `sources.error_file_max_bytes`. Its
//! length stands in the checkpoint. A job that goes on where the file is not (another machine) begins a further part;
//! the result then names all parts with their hosts. A file that cannot be written stops no row: it is warned of.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    job::{Warning, WarningCode},
    source::error_file::{self, ErrorFile, Layout, RefusedRow},
};

use super::super::blocking;

/// One error file of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorPart {
    /// Relative to the spool folder.
    pub file: String,
    /// The machine and daemon that wrote it.
    pub host: String,
    /// Its length.
    pub bytes: u64,
    /// Rows in it.
    pub rows: u64,
}

/// The error files of a job, as far as its checkpoint goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorParts {
    /// In the order they were begun.
    pub parts: Vec<ErrorPart>,
    /// Refused rows that stand in none of them.
    pub left_out: u64,
}

impl ErrorParts {
    /// What to warn of, where rows stand in no file.
    pub fn warning(&self, refused: u64) -> Option<Warning> {
        let left_out = self.left_out;
        let sentence = format!(
            "{left_out} of {refused} refused rows do not stand in the error file: it reached \
             sources.error_file_max_bytes, or could not be written (see the log of the daemon)"
        );
        (left_out > 0).then(|| Warning::new(WarningCode::ErrorFileIncomplete, sentence))
    }

    /// The fields of a job's result that name them.
    pub fn shown(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        if let Some(first) = self.parts.first() {
            fields.insert("error_file".to_owned(), first.file.as_str().into());
        }
        if self.parts.len() > 1 {
            fields.insert("error_file_parts".to_owned(), json!(self.parts));
        }
        fields
    }
}

/// Writes the error file of a job.
#[derive(Debug)]
pub struct ErrorLog {
    spool_dir: PathBuf,
    job: String,
    host: String,
    max_bytes: u64,
    file: Option<ErrorFile>,
    /// Set when writing failed: it is tried once a run of the job.
    failed: bool,
}

impl ErrorLog {
    /// The log of a job; nothing is opened yet.
    pub fn new(spool_dir: PathBuf, job: &str, host: &str, max_bytes: u64) -> Self {
        Self { spool_dir, job: job.to_owned(), host: host.to_owned(), max_bytes, file: None, failed: max_bytes == 0 }
    }

    /// Adds refused rows, and says so in `parts`.
    pub async fn add(&mut self, layout: &Arc<Layout>, rows: Vec<RefusedRow>, parts: &mut ErrorParts) {
        let count = rows.len() as u64;
        if count == 0 {
            return;
        }
        if self.failed {
            parts.left_out += count;
            return;
        }
        let before = self.file.take();
        let (spool_dir, job, layout, max) =
            (self.spool_dir.clone(), self.job.clone(), Arc::clone(layout), self.max_bytes);
        let known = parts.parts.clone();
        let written = blocking(move || {
            let (mut file, new) = match before {
                Some(file) => (file, None),
                None => open(&spool_dir, &job, &known, &layout, max)?,
            };
            let appended = file.append(&rows)?;
            Ok::<_, std::io::Error>((file, new, appended))
        })
        .await;
        match written {
            Ok((file, new, appended)) => {
                if let Some(name) = new {
                    parts.parts.push(ErrorPart { file: name, host: self.host.clone(), bytes: 0, rows: 0 });
                }
                if let Some(part) = parts.parts.last_mut() {
                    part.bytes = appended.length;
                    part.rows += appended.written;
                }
                parts.left_out += appended.left_out;
                self.file = Some(file);
            }
            Err(error) => {
                tracing::warn!(job = self.job, %error, "the error file cannot be written: its rows are only counted");
                self.failed = true;
                parts.left_out += count;
            }
        }
    }
}

/// The last part, if it is here as the checkpoint says, else a new one with its name.
fn open(
    spool_dir: &std::path::Path,
    job: &str,
    known: &[ErrorPart],
    layout: &Layout,
    max_bytes: u64,
) -> std::io::Result<(ErrorFile, Option<String>)> {
    if let Some(last) = known.last()
        && let Some(file) = ErrorFile::open(spool_dir, &last.file, last.bytes, layout.clone(), max_bytes)?
    {
        return Ok((file, None));
    }
    let name = error_file::name(job, known.len(), layout);
    let file = ErrorFile::open(spool_dir, &name, 0, layout.clone(), max_bytes)?;
    let file = file.ok_or_else(|| std::io::Error::other("an empty file is shorter than nothing"))?;
    Ok((file, Some(name)))
}
