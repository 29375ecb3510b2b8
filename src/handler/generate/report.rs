//! The report of a generate job: its error file, its warnings, its result.
//!
//! The error file has every refused row, not only those that Redis keeps, up to `sources.error_file_max_bytes`. Its
//! length stands in the checkpoint. A job that goes on where the file is not (another machine) begins a further part;
//! the result then names all parts with their hosts. A file that cannot be written stops no order: it is warned of.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    job::{RowCode, Warning, WarningCode, rows_have},
    source::error_file::{self, ErrorFile, Layout, RefusedRow},
    store::StoreError,
};

use super::{Generation, slices::Progress};

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
        let written = super::blocking(move || {
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

impl Generation<'_> {
    /// What the end of generation warns of.
    pub(super) async fn warn_at_end(&self, progress: &Progress) -> Result<(), StoreError> {
        let mut warnings = Vec::new();
        if let Some(line) = progress.spreadsheet_phone_line {
            let count = progress.contacts_refused_by_code.get(SPREADSHEET_PHONE).copied().unwrap_or(1);
            let sentence = format!(
                "{} a phone such as 3.46E+10, which a spreadsheet made of a number, the first on line {line}: the \
                 orders exist, nothing is sent to them; export the column as text",
                rows_have(count)
            );
            warnings.push(Warning::new(WarningCode::SpreadsheetPhones, sentence));
        }
        let left_out = progress.errors.left_out;
        if left_out > 0 && self.ctx.config.sources.error_file_max_bytes > 0 {
            let sentence = format!(
                "{left_out} of {} refused rows do not stand in the error file: it reached \
                 sources.error_file_max_bytes, or could not be written (see the log of the daemon)",
                progress.refused
            );
            warnings.push(Warning::new(WarningCode::ErrorFileIncomplete, sentence));
        }
        self.ctx.store.add_warnings(self.campaign, self.id.as_str(), &warnings).await
    }

    /// How many orders of the campaign its payment platform refused; their rows were good.
    async fn refused_by_platform(&self) -> Result<u64, StoreError> {
        let field = format!("refused:{}", RowCode::ProviderRefused);
        let found = self.ctx.store.campaign_fields(self.campaign, &[&field]).await?;
        Ok(found.into_iter().next().flatten().and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// The result of a job that is done.
    pub(super) async fn result(&self, progress: &Progress, run: Option<&str>) -> Result<Value, StoreError> {
        let mut result = json!({
            "campaign": self.campaign,
            "orders": progress.orders,
            "refused": progress.refused,
            "refused_by_code": progress.refused_by_code,
            "without_valid_contact": progress.without_contact,
            "contacts_refused_by_code": progress.contacts_refused_by_code,
            "warnings": self.ctx.store.warnings_of(self.campaign, self.id.as_str()).await?,
        });
        let estimate = self.ctx.store.estimate_of(self.campaign, self.id.as_str()).await?;
        let by_platform = self.refused_by_platform().await?;
        if let Some(fields) = result.as_object_mut() {
            if by_platform > 0 {
                fields.insert("refused_by_platform".to_owned(), by_platform.into());
            }
            if let Some(run) = run {
                fields.insert("run".to_owned(), run.into());
            }
            if let Some(Value::Object(estimate)) = estimate.and_then(|text| serde_json::from_str(&text).ok()) {
                fields.extend(estimate);
            }
            let parts = &progress.errors.parts;
            if let Some(first) = parts.first() {
                fields.insert("error_file".to_owned(), first.file.as_str().into());
            }
            if parts.len() > 1 {
                fields.insert("error_file_parts".to_owned(), json!(parts));
            }
        }
        Ok(result)
    }
}

/// The code of a phone that a spreadsheet destroyed.
pub(super) const SPREADSHEET_PHONE: &str = "phone_in_scientific_notation";
