//! What an export is called and how it is written: a format, told by the end of a file's name.

use super::excerpt::Excerpt;
use super::word::words;

/// Longest name of an export.
const NAME_MAX_BYTES: usize = 128;

words! {
    /// How the rows of an export are written.
    #[derive(Default)]
    pub enum ExportFormat {
        /// A table with a header (RFC 4180), safe to open in a spreadsheet.
        #[default]
        Csv = "csv",
        /// One JSON object a line.
        Ndjson = "ndjson",
    }
}

/// Why the name of an export was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportNameError {
    /// Not a plain name.
    #[error("{value} is not the name of a file: 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit, no folder")]
    NotAName {
        /// What was written.
        value: Excerpt,
    },
    /// Its end tells no format.
    #[error("{value} does not end in .csv, .ndjson, .csv.gz or .ndjson.gz")]
    UnknownEnd {
        /// What was written.
        value: Excerpt,
    },
}

impl ExportNameError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAName { .. } => "path_outside_spool",
            Self::UnknownEnd { .. } => "invalid_value",
        }
    }
}

/// The name of an export in its folder: one plain file name, which tells its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportName {
    text: String,
    format: ExportFormat,
    gzip: bool,
}

impl ExportName {
    /// Reads a name from outside.
    pub fn parse(text: &str) -> Result<Self, ExportNameError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !first || text.len() > NAME_MAX_BYTES || !text.chars().all(is_plain) {
            return Err(ExportNameError::NotAName { value: Excerpt::of(text) });
        }
        let (format, gzip) =
            Self::told_by(text).ok_or_else(|| ExportNameError::UnknownEnd { value: Excerpt::of(text) })?;
        Ok(Self { text: text.to_owned(), format, gzip })
    }

    /// The name of an export that nobody named.
    pub fn of_campaign(campaign: &str, format: ExportFormat) -> Self {
        Self { text: format!("{campaign}.{format}"), format, gzip: false }
    }

    /// Format and packing, as the end of any path tells them.
    pub fn told_by(path: &str) -> Option<(ExportFormat, bool)> {
        let (stem, gzip) = path.strip_suffix(".gz").map_or((path, false), |stem| (stem, true));
        let end = stem.rsplit_once('.')?.1;
        ExportFormat::parse(end).map(|format| (format, gzip))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The format it tells.
    pub const fn format(&self) -> ExportFormat {
        self.format
    }

    /// Whether it tells of packing.
    pub const fn is_gzip(&self) -> bool {
        self.gzip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_format() {
        let told = |text: &str| ExportName::parse(text).map(|name| (name.format(), name.is_gzip())).unwrap();
        assert_eq!(told("nov.csv"), (ExportFormat::Csv, false));
        assert_eq!(told("nov-dues_2.ndjson.gz"), (ExportFormat::Ndjson, true));
        assert_eq!(ExportName::of_campaign("nov", ExportFormat::Ndjson).as_str(), "nov.ndjson");
        assert_eq!(ExportName::told_by("/tmp/a.csv.gz"), Some((ExportFormat::Csv, true)));
    }

    #[test]
    fn a_name_with_a_folder_or_a_trick_is_refused() {
        for bad in ["", "../x.csv", "/x.csv", "a/b.csv", ".hidden.csv", "a\0.csv", "-x.csv", "ñ.csv"] {
            assert_eq!(ExportName::parse(bad).unwrap_err().code(), "path_outside_spool", "{bad:?}");
        }
        for bad in ["x", "x.xlsx", "x.gz", "x.csv.zip", "csv"] {
            assert_eq!(ExportName::parse(bad).unwrap_err().code(), "invalid_value", "{bad}");
        }
        assert!(ExportName::parse(&format!("{}.csv", "a".repeat(124))).is_ok());
        assert!(ExportName::parse(&format!("{}.csv", "a".repeat(125))).is_err());
    }
}
