//! Names on the wire: campaigns, channels, messages, runs, jobs.
//!
//! A [`Name`] becomes part of a Redis key, where `{C}` in braces decides the cluster slot, and of
//! file names and metrics. So braces, blanks, slashes and colons cannot occur in one: what parsed
//! once is safe in all those places. A [`JobId`] may hold colons, but not look like the ids that
//! Remesa gives to jobs without one.

use super::clock::EpochMs;
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
    #[error("{value} is not the name of a run: a name, optionally followed by @ and 1 to 20 digits")]
    Run {
        /// What was written.
        value: Excerpt,
    },
    /// Not of the form of a job id.
    #[error("{value} is not a job id: 1 to 128 of A-Z a-z 0-9 . _ : @ -, the first a letter or digit")]
    JobId {
        /// What was written.
        value: Excerpt,
    },
    /// A producer chose an id of the form that Remesa gives to jobs without one.
    #[error("{value} is reserved: <queue>:<milliseconds>-<number> is how jobs without an id are called")]
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
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || others.contains(b))
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
            Err(NameError::Name { value: Excerpt::of(text) })
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
        let (name, number) = text.split_once('@').map_or((text, None), |(n, d)| (n, Some(d)));
        if is_word(name, NAME_MAX_CHARS, b"._-") && number.is_none_or(is_digits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Run { value: Excerpt::of(text) })
        }
    }

    /// The run of a generate job (1) and of each append (2, 3, ...): `delivery@<n>`.
    pub fn delivery(n: u32) -> Self {
        Self(format!("delivery@{n}"))
    }

    /// The run of a definition's tick: `<definition>@<due ms>`.
    pub fn tick(definition: &Name, due: EpochMs) -> Self {
        Self(format!("{definition}@{}", due.0))
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
            return Err(NameError::Reserved { value: Excerpt::of(text) });
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
            Err(NameError::JobId { value: Excerpt::of(text) })
        }
    }
}
checked_string!(JobId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_holds_nothing_that_means_something_in_a_key_or_a_path() {
        for good in ["a", "nov-dues", "A.b_c-1", "9", &"x".repeat(64)] {
            assert_eq!(Name::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "{a}", "a{b", "a b", "a/b", "a:b", ".a", "-a", "_a", "ñ", "a\n", "a@1", &"x".repeat(65)] {
            let error = Name::parse(bad).unwrap_err();
            assert_eq!(error.code(), "invalid_name", "{bad}");
            assert!(error.to_string().contains("is not a name"), "{error}");
        }
    }

    #[test]
    fn the_name_of_a_run_may_end_in_a_number() {
        for good in ["reminder", "delivery@1", "weekly@1763719200000"] {
            assert_eq!(RunName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["delivery@", "@1", "delivery@x", "a@1@2", "a@-1", "a/b@1", "a@123456789012345678901"] {
            assert_eq!(RunName::parse(bad).unwrap_err().code(), "invalid_name", "{bad}");
        }
        assert_eq!(RunName::delivery(2).as_str(), "delivery@2");
        let weekly = Name::parse("weekly").unwrap();
        assert_eq!(RunName::tick(&weekly, EpochMs(1_763_719_200_000)).as_str(), "weekly@1763719200000");
    }

    #[test]
    fn an_id_of_the_form_that_remesa_gives_is_reserved() {
        for reserved in ["generate:1763719200000-0", "batch:sms-main:1-1", "x:0-0"] {
            let error = JobId::parse(reserved).unwrap_err();
            assert_eq!(error.code(), "id_reserved", "{reserved}");
            assert!(error.to_string().contains(reserved), "{error}");
        }
        for free in ["gen-nov", "a:b", "2026:11-x", "generate:1763719200000", "a:-1", "job@host:7", "1-1"] {
            assert_eq!(JobId::parse(free).unwrap().as_str(), free);
        }
        assert_eq!(JobId::parse("a b").unwrap_err().code(), "invalid_id");
        assert_eq!(JobId::parse(&"x".repeat(129)).unwrap_err().code(), "invalid_id");
    }

    #[test]
    fn the_id_of_a_stream_entry_is_recognised_and_can_be_read_back() {
        let id = JobId::of_entry("batch:sms-main", "1763719200000-7");
        assert_eq!(id.as_str(), "batch:sms-main:1763719200000-7");
        assert!(id.is_of_entry());
        assert!(!JobId::parse("gen-nov").unwrap().is_of_entry());
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<JobId>(&json).unwrap(), id);
    }

    #[test]
    fn a_name_in_json_is_checked_when_it_is_read() {
        assert_eq!(serde_json::from_str::<Name>("\"a\"").unwrap().as_str(), "a");
        assert!(serde_json::from_str::<Name>("\"{a}\"").is_err());
        assert!(serde_json::from_str::<RunName>("\"a@b\"").is_err());
        assert!(serde_json::from_str::<JobId>("\"a b\"").is_err());
    }

    proptest! {
        #[test]
        fn every_name_of_the_contract_is_taken_and_kept(text in "[A-Za-z0-9][A-Za-z0-9._-]{0,63}") {
            let name = Name::parse(&text).unwrap();
            prop_assert_eq!(name.as_str(), &text);
            prop_assert_eq!(RunName::parse(&text).unwrap(), RunName::from(name.clone()));
            prop_assert!(JobId::parse(&text).is_ok());
        }

        #[test]
        fn no_other_text_is_a_name(text in "\\PC{0,70}") {
            let well_formed = !text.is_empty()
                && text.len() <= 64
                && text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
            prop_assert_eq!(Name::parse(&text).is_ok(), well_formed);
        }

        #[test]
        fn an_id_of_an_entry_is_always_reserved(queue in "[a-z]{1,9}(:[a-z-]{1,9})?", ms in 0_u64.., n in 0_u64..) {
            let id = JobId::of_entry(&queue, &format!("{ms}-{n}"));
            prop_assert!(id.is_of_entry());
            prop_assert_eq!(JobId::parse(id.as_str()).unwrap_err().code(), "id_reserved");
        }
    }
}
