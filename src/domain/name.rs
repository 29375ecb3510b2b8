//! Names on the wire: campaigns, channels, messages, runs, jobs.
//!
//! A [`Name`] becomes part of a Redis key, where `{C}` in braces decides the cluster slot, and of
//! file names and metrics. So braces, blanks, slashes and colons cannot occur in one: what parsed
//! once is safe in all those places. A [`JobId`] may hold colons, but not look like the ids that
//! Remesa gives to jobs without one.

use super::excerpt::Excerpt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt};

/// Most characters of a name; the contract's limit.
pub const NAME_MAX_CHARS: usize = 64;
/// Most characters of a job id; the contract's limit.
pub const JOB_ID_MAX_CHARS: usize = 128;

/// Why a name or an id was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not of the form of a name.
    #[error("{value} is not a name: 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit")]
    Name {
        /// What was written.
        value: Excerpt,
    },
    /// Not of the form of a run's name.
    #[error(
        "{value} is not the name of a run: a name, optionally followed by @ and 1 to 20 digits"
    )]
    Run {
        /// What was written.
        value: Excerpt,
    },
    /// Not of the form of a job id.
    #[error(
        "{value} is not a job id: 1 to 128 of A-Z a-z 0-9 . _ : @ -, the first a letter or digit"
    )]
    JobId {
        /// What was written.
        value: Excerpt,
    },
    /// A producer chose an id of the form that Remesa gives to jobs without one.
    #[error(
        "{value} is reserved: <queue>:<milliseconds>-<number> is how jobs without an id are called"
    )]
    Reserved {
        /// What was written.
        value: Excerpt,
    },
}

impl NameError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } | Self::Run { .. } => "invalid_name",
            Self::JobId { .. } => "invalid_id",
            Self::Reserved { .. } => "id_reserved",
        }
    }
}

/// Whether `text` is 1 to `max` characters, a letter or digit and then those or one of `others`.
fn is_word(text: &str, max: usize, others: &[u8]) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= max
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || others.contains(b))
}

fn is_digits(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Writes the parts that a checked string type needs beside its `parse`.
macro_rules! checked_string {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(checked: $name) -> Self {
                checked.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::of_wire(&text).map_err(de::Error::custom)
            }
        }
    };
}

/// The name of a campaign, message, channel, definition or payment point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Takes `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if is_word(text, NAME_MAX_CHARS, b"._-") {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Name {
                value: Excerpt::of(text),
            })
        }
    }

    fn of_wire(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}
checked_string!(Name);

/// The name of a run: a message's name, `delivery@1` for generate, `weekly@<due ms>` for a tick.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName(String);

impl RunName {
    /// Takes a [`Name`], optionally followed by `@` and 1 to 20 digits.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (name, number) = text
            .split_once('@')
            .map_or((text, None), |(n, d)| (n, Some(d)));
        if is_word(name, NAME_MAX_CHARS, b"._-") && number.is_none_or(is_digits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Run {
                value: Excerpt::of(text),
            })
        }
    }

    /// The run of a generate job (1) and of each append (2, 3, ...): `delivery@<n>`.
    pub fn delivery(n: u32) -> Self {
        Self(format!("delivery@{n}"))
    }

    /// The run of a definition's tick: `<definition>@<due ms>`.
    pub fn tick(definition: &Name, due_ms: u64) -> Self {
        Self(format!("{definition}@{due_ms}"))
    }

    fn of_wire(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}
checked_string!(RunName);

impl From<Name> for RunName {
    fn from(name: Name) -> Self {
        Self(name.0)
    }
}

/// What a job is called: the producer's idempotency key, or `<queue>:<entry id>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(String);

impl JobId {
    /// Takes a producer's id, `[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}`; the form that
    /// [`JobId::of_entry`] builds is reserved.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let id = Self::of_wire(text)?;
        if id.is_of_entry() {
            return Err(NameError::Reserved {
                value: Excerpt::of(text),
            });
        }
        Ok(id)
    }

    /// Names a job that came without an id after its stream entry: `generate:1763719200000-0`.
    /// `queue` may itself hold a colon (`batch:sms-main`).
    pub fn of_entry(queue: &str, entry: &str) -> Self {
        Self(format!("{queue}:{entry}"))
    }

    /// Whether Remesa gave this id (then it is never deduplicated).
    pub fn is_of_entry(&self) -> bool {
        let Some((queue, entry)) = self.0.rsplit_once(':') else {
            return false;
        };
        let Some((ms, n)) = entry.split_once('-') else {
            return false;
        };
        !queue.is_empty() && is_digits(ms) && is_digits(n)
    }

    /// Any id, also one that Remesa gave: what was written down may be read again.
    pub fn of_wire(text: &str) -> Result<Self, NameError> {
        if is_word(text, JOB_ID_MAX_CHARS, b"._:@-") {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::JobId {
                value: Excerpt::of(text),
            })
        }
    }
}
checked_string!(JobId);
