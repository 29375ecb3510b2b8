//! A warning: the job was accepted all the same, and whoever wrote it may want to know.
//!
//! A code for programs, a sentence for people, as with a refusal; nothing is held up by one. A job's result carries
//! those of the job, the campaign's hash those of all its jobs, both as a JSON array of `{code, sentence}`.

use serde::Serialize;

use super::codes::WarningCode;

/// Something to know about an accepted job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{code}: {sentence}")]
pub struct Warning {
    /// The stable code.
    pub code: WarningCode,
    /// The same as a sentence, with numbers and names.
    pub sentence: String,
}

impl Warning {
    /// A warning with its sentence.
    pub fn new(code: WarningCode, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into() }
    }

    /// What a source that is no UTF-8 is warned of.
    pub fn latin1() -> Self {
        let sentence = "the file is not UTF-8 and was read as Windows-1252 (Latin-1): look at a name with an accent";
        Self::new(WarningCode::Latin1Source, sentence)
    }

    /// As it stands in results and in the campaign's hash.
    pub fn to_json(&self) -> String {
        // Plain texts: there is nothing to refuse.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// `1 row has`, `2 rows have`: how a sentence about rows begins.
pub fn rows_have(count: u64) -> String {
    if count == 1 { "1 row has".to_owned() } else { format!("{count} rows have") }
}
