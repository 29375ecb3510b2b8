//! How far an import is, what it warns of, and its result.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::intake::{
    Begun,
    error_log::ErrorParts,
    first::{Observer, Through},
};
use crate::{
    config::SourceSettings,
    job::{ImportJob, Warning, WarningCode, rows_have},
    source::{BadRow, Checkpoint, Encoding, Format, Repeats, Row, SourceSpec},
};

/// A checkpoint outlives a job that rests so long behind its last slice.
pub const KEPT: Duration = Duration::from_hours(7 * 24);

/// What is known of an import that has ended, for whoever takes up an entry that was not settled.
pub const KEPT_BEHIND_END: Duration = Duration::from_hours(1);

/// Ids that stand in several rows.
#[derive(Debug, Default)]
pub struct Ids {
    seen: Repeats,
    repeated: u64,
    first_line: u64,
}

impl Observer for Ids {
    const JUDGES: bool = false;

    fn row(&mut self, row: Row, _: bool) {
        if let Some(Value::String(id)) = row.columns.get("id")
            && !id.trim().is_empty()
            && self.seen.seen(id.trim())
        {
            self.repeated += 1;
            if self.first_line == 0 {
                self.first_line = row.line;
            }
        }
    }

    fn bad(&mut self, _: BadRow) {}
}

/// Where an import stands, written with each slice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Where the source goes on.
    pub at: Option<Checkpoint>,
    /// Digest of the source.
    pub digest: String,
    /// In which encoding the source is read.
    pub encoding: Encoding,
    /// The format of a copied source.
    pub format: Option<Format>,
    /// Rows that stand behind another one of the same id, and the line of the first of them.
    pub repeated: (u64, u64),
    /// What became of the rows.
    pub tally: Tally,
    /// Rows refused.
    pub refused: u64,
    /// Of them, by code.
    pub refused_by_code: BTreeMap<String, u64>,
    /// Addresses refused, by code.
    pub contacts_refused_by_code: BTreeMap<String, u64>,
    /// Its error files.
    pub errors: ErrorParts,
}

/// What became of rows that were taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Cases that nobody knew before.
    pub created: u64,
    /// Known cases that are otherwise now.
    pub updated: u64,
    /// Known cases of which the row said nothing new.
    pub unchanged: u64,
    /// Of all these, cases with no contact that is not gone.
    pub without_contact: u64,
}

impl Tally {
    /// Adds another one.
    pub const fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.without_contact += other.without_contact;
    }
}

impl Progress {
    /// At the beginning, behind the first pass.
    pub(super) fn begin(through: Through, source: &SourceSpec, ids: &Ids) -> Self {
        let format = if let SourceSpec::Staged { format, .. } = source { *format } else { None };
        let Through { digest, encoding, .. } = through;
        Self { digest, encoding, format, repeated: (ids.repeated, ids.first_line), ..Self::default() }
    }

    /// Rows that are cases.
    pub const fn cases(&self) -> u64 {
        self.tally.created + self.tally.updated + self.tally.unchanged
    }

    /// Its source, for whoever goes on with it.
    pub(super) fn begun(&self) -> Begun {
        Begun { digest: self.digest.clone(), format: self.format }
    }

    /// Counts refused rows.
    pub fn refuse(&mut self, code: &str) {
        self.refused += 1;
        *self.refused_by_code.entry(code.to_owned()).or_default() += 1;
    }

    fn warnings(&self, sources: &SourceSettings) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.encoding == Encoding::Latin1 {
            warnings.push(Warning::latin1());
        }
        let (repeated, line) = self.repeated;
        if repeated > 0 {
            let rows = rows_have(repeated);
            let sentence =
                format!("{rows} an id that stood in an earlier row, the first on line {line}: the last one counts");
            warnings.push(Warning::new(WarningCode::DuplicateCase, sentence));
        }
        if sources.error_file_max_bytes > 0 {
            warnings.extend(self.errors.warning(self.refused));
        }
        warnings
    }
}

/// The names of the templates that a job brings.
pub fn names(job: &ImportJob) -> Vec<&str> {
    job.templates.iter().map(|template| template.name.as_str()).collect()
}

/// The result of a job that is done.
pub fn result(campaign: &str, job: &ImportJob, progress: &Progress, sources: &SourceSettings) -> Value {
    let tally = &progress.tally;
    let mut result = json!({
        "campaign": campaign,
        "cases": progress.cases(),
        "created": tally.created,
        "updated": tally.updated,
        "unchanged": tally.unchanged,
        "without_contact": tally.without_contact,
        "refused": progress.refused,
        "refused_by_code": progress.refused_by_code,
        "contacts_refused_by_code": progress.contacts_refused_by_code,
        "warnings": progress.warnings(sources),
    });
    if let Some(fields) = result.as_object_mut() {
        if !job.templates.is_empty() {
            fields.insert("templates".to_owned(), json!(names(job)));
        }
        fields.extend(progress.errors.shown());
    }
    result
}
