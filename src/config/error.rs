//! Why a configuration was refused. Each sentence names the key, what was said, and the rule.
//!
//! All of them end the process with exit code 78 (`EX_CONFIG`), on which systemd does not restart. A credential
//! never stands in one of them: values of the `credentials` tables are named, not shown.

use std::path::PathBuf;

/// A configuration that is not one.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named is not there or may not be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML.
    #[error("{origin} is not valid TOML: {detail}")]
    Syntax {
        /// The file.
        origin: String,
        /// Line, column and what is wrong there.
        detail: String,
    },
    /// A key that the compiled-in file does not hold.
    #[error("unknown key `{key}` in {origin}{}", suggestion(nearest.as_ref()))]
    UnknownKey {
        /// The key with its path.
        key: String,
        /// The file or the variable that says it.
        origin: String,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// A value that breaks the rule of its key.
    #[error("`{key}` = {value}: {rule}")]
    Value {
        /// The key with its path.
        key: String,
        /// What was said.
        value: String,
        /// What may be said.
        rule: String,
    },
    /// Two values, each allowed, that cannot both hold.
    #[error("`{key}` = {value} contradicts `{other_key}` = {other}: {rule}")]
    Contradiction {
        /// One key.
        key: String,
        /// Its value.
        value: String,
        /// The other key.
        other_key: String,
        /// Its value.
        other: String,
        /// Why they do not go together.
        rule: String,
    },
    /// A value that is not shown: a credential, or something of a wrong shape.
    #[error("`{key}`: {rule}")]
    Unusable {
        /// The key with its path.
        key: String,
        /// What is missing or wrong.
        rule: String,
    },
}

impl ConfigError {
    /// A value that breaks the rule of its key.
    pub(super) fn value(key: impl Into<String>, value: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Value { key: key.into(), value: value.into(), rule: rule.into() }
    }

    /// Says which file a syntax error is in.
    pub(super) fn in_file(self, origin: &str) -> Self {
        match self {
            Self::Syntax { detail, .. } => Self::Syntax { origin: origin.to_owned(), detail },
            other @ (Self::Unreadable { .. }
            | Self::UnknownKey { .. }
            | Self::Value { .. }
            | Self::Contradiction { .. }
            | Self::Unusable { .. }) => other,
        }
    }
}

impl From<config::ConfigError> for ConfigError {
    fn from(error: config::ConfigError) -> Self {
        if let config::ConfigError::At { error, key: Some(key), .. } = &error {
            let rule = if key.contains("credentials") { "is a table of texts".to_owned() } else { error.to_string() };
            return Self::Unusable { key: key.clone(), rule };
        }
        let text = error.to_string();
        if let config::ConfigError::Type { unexpected, expected, key, .. } = error {
            return Self::value(key.unwrap_or_default(), unexpected.to_string(), format!("must be {expected}"));
        }
        // The parser quotes the line at fault, which may hold a credential: its first and last lines say
        // where and what.
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let detail = lines.next_back().map_or_else(|| first.to_owned(), |last| format!("{first}: {last}"));
        Self::Syntax { origin: "the configuration".to_owned(), detail }
    }
}

fn suggestion(nearest: Option<&String>) -> String {
    nearest.map(|key| format!(", did you mean `{key}`?")).unwrap_or_default()
}
