//! E-mail addresses, as narrow as they are used.
//!
//! A [`Mail`] is one address that may stand in an envelope and a header without a second look: a dot-atom of RFC 5322 before
//! the `@`, a domain of labels behind it, nothing quoted, no comment, no display name, no blank, no line break (a break would
//! begin another header). Its domain is in lower case. What people wrote appears in no sentence but for its first
//! characters (DA-9).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::domain::excerpt::Excerpt;

/// Longest address (RFC 5321, 4.5.3.1.3, less the brackets).
const MAIL_MAX_BYTES: usize = 254;
/// Longest part before the `@` (RFC 5321, 4.5.3.1.1).
const LOCAL_MAX_BYTES: usize = 64;
/// Longest label of a domain (RFC 1035).
const LABEL_MAX_BYTES: usize = 63;
/// Characters of a refused address that a sentence shows.
const SHOWN_CHARS: usize = 2;

/// Why an e-mail address was refused; code `invalid_email`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Nothing was written.
    #[error("e-mail is empty")]
    Empty,
    /// A line break or another control character.
    #[error("e-mail {value} has a line break or another control character in it")]
    Control {
        /// Its beginning.
        value: Excerpt,
    },
    /// No address of the form name@domain.
    #[error("e-mail {value} is not one address of the form name@example.com, without blanks, quotes or a display name")]
    Form {
        /// Its beginning.
        value: Excerpt,
    },
    /// Letters outside ASCII.
    #[error(
        "e-mail {value} has letters outside ASCII, which most mail servers refuse: write its domain in its xn-- form"
    )]
    NotAscii {
        /// Its beginning.
        value: Excerpt,
    },
}

impl MailError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        "invalid_email"
    }
}

/// An e-mail address: `ana@example.com`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mail(String);

impl Mail {
    /// Reads an address; blanks around it are dropped.
    pub fn parse(raw: &str) -> Result<Self, MailError> {
        // Not `trim`, which would drop line breaks.
        let text = raw.trim_matches([' ', '\t', '\u{A0}', '\u{200B}']);
        if text.is_empty() {
            return Err(MailError::Empty);
        }
        let value = || Excerpt::of(&hidden(text));
        if text.chars().any(char::is_control) {
            return Err(MailError::Control { value: value() });
        }
        if !text.is_ascii() {
            return Err(MailError::NotAscii { value: value() });
        }
        let form = || MailError::Form { value: value() };
        let (local, domain) = text.rsplit_once('@').ok_or_else(form)?;
        if text.len() > MAIL_MAX_BYTES || local.len() > LOCAL_MAX_BYTES || !is_dot_atom(local) || !is_domain(domain) {
            return Err(form());
        }
        Ok(Self(format!("{local}@{}", domain.to_ascii_lowercase())))
    }

    /// The address as it is written to.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address in lower case: every mail system of today takes capitals before the `@` for small letters, too.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// The address for events and screens: the first character and the domain.
    pub fn masked(&self) -> String {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or(("", ""));
        format!("{}***@{domain}", local.get(..1).unwrap_or_default())
    }
}

fn hidden(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).chain("***".chars()).collect()
}

/// Words of the usual letters with single dots between them.
fn is_dot_atom(local: &str) -> bool {
    let is_atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    local.split('.').all(|word| !word.is_empty() && word.bytes().all(is_atext))
}

/// Two labels or more of letters, digits and inner hyphens; the last one is no number.
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_MAX_BYTES).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let mut labels = domain.rsplit('.');
    let top = labels.next().unwrap_or_default();
    domain.contains('.') && is_label(top) && !top.bytes().all(|b| b.is_ascii_digit()) && labels.all(is_label)
}

/// Debug output reaches logs, so it is masked too (DA-9).
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mail({})", self.masked())
    }
}

impl Serialize for Mail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Mail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|_| de::Error::custom("a stored e-mail is not of the form name@domain"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_is_read_and_its_domain_written_small() {
        for (raw, read) in [
            ("ana@example.com", "ana@example.com"),
            (" Ana.Ruiz+dues@Mail.EXAMPLE.com\t", "Ana.Ruiz+dues@mail.example.com"),
            ("o'neil@xn--espaa-rta.es", "o'neil@xn--espaa-rta.es"),
            ("a@b.co", "a@b.co"),
        ] {
            assert_eq!(Mail::parse(raw).unwrap().as_str(), read, "{raw}");
        }
    }

    #[test]
    fn what_could_begin_another_header_or_is_no_one_address_is_refused() {
        for bad in [
            "ana@example.com\nBcc: all@example.com",
            "ana@example.com\r\n",
            "ana\0@example.com",
            "ana@example.com, eva@example.com",
            "Ana <ana@example.com>",
            "\"ana ruiz\"@example.com",
            "ana ruiz@example.com",
            "ana@@example.com",
            "ana@example",
            "ana@-example.com",
            "ana@example..com",
            ".ana@example.com",
            "ana.@example.com",
            "ana@[127.0.0.1]",
            "ana@127.0.0.1",
            "@example.com",
            "ana",
            "",
            "maría@example.com",
        ] {
            assert_eq!(Mail::parse(bad).unwrap_err().code(), "invalid_email", "{bad:?}");
        }
        assert!(Mail::parse(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(Mail::parse(&format!("a@{}.com", "a".repeat(64))).is_err());
    }

    #[test]
    fn da_9_neither_sentences_nor_debug_output_show_a_whole_address() {
        let error = Mail::parse("ana.ruiz@example").unwrap_err().to_string();
        assert!(error.contains("\"an***\"") && !error.contains("ruiz"), "{error}");
        let mail = Mail::parse("ana.ruiz@example.com").unwrap();
        assert_eq!(mail.masked(), "a***@example.com");
        assert_eq!(format!("{mail:?}"), "Mail(a***@example.com)");
    }

    proptest! {
        #[test]
        fn what_is_taken_is_one_line_and_stays_as_it_is(raw in "[a-zA-Z0-9.@ _+\\r\\n<>\"-]{0,30}|\\PC{0,20}") {
            if let Ok(mail) = Mail::parse(&raw) {
                prop_assert!(mail.as_str().bytes().all(|b| (0x21..0x7F).contains(&b)));
                prop_assert_eq!(Mail::parse(mail.as_str()).unwrap(), mail);
            }
        }
    }
}
