//! The short code at the end of a payment link.
//!
//! A code is a keyed digest of campaign, row key and a collision counter: nobody without the
//! secret can guess or enumerate it, and generating a row again after a crash finds its own. Two
//! rows with the same code are told apart by raising the counter of the second.

use super::excerpt::Excerpt;
use super::keyed;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Fewest characters of a code (the length that the product's links have).
pub const MIN_LENGTH: usize = 6;
/// Most characters of a code; one digest gives no more.
pub const MAX_LENGTH: usize = keyed::MAX_CHARS;
/// Characters of a code when the configuration says nothing.
pub const DEFAULT_LENGTH: usize = 10;
/// Characters that choose the hash a link is kept in.
const HEAD_CHARS: usize = 3;

/// Why a text is not a short code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not a short code: 6 to 16 letters and digits")]
pub struct ShortCodeError {
    /// What was written.
    pub value: Excerpt,
}

impl ShortCodeError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        "invalid_short_code"
    }
}

/// 6 to 16 characters of base62.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortCode(String);

impl ShortCode {
    /// The code of a row; `counter` is 0 unless that one is taken by another row. `length` outside
    /// 6 to 16 is moved to the nearer end.
    pub fn derive(secret: &[u8], campaign: &str, row_key: &str, counter: u32, length: usize) -> Self {
        let length = length.clamp(MIN_LENGTH, MAX_LENGTH);
        let parts = [campaign.as_bytes(), row_key.as_bytes(), &counter.to_be_bytes()];
        Self(keyed::digest(secret, "short_code", &parts, length))
    }

    /// Reads a code that came from outside.
    pub fn parse(text: &str) -> Result<Self, ShortCodeError> {
        if (MIN_LENGTH..=MAX_LENGTH).contains(&text.len()) && keyed::is_base62(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ShortCodeError { value: Excerpt::of(text) })
        }
    }

    /// A code of the real length that belongs to no order, for a preview (PO-15).
    pub fn sample(length: usize) -> Self {
        Self("x".repeat(length.clamp(MIN_LENGTH, MAX_LENGTH)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first three characters, which name the hash, and the rest, which is the field in it.
    pub fn split(&self) -> (&str, &str) {
        self.0.split_at_checked(HEAD_CHARS).unwrap_or((&self.0, ""))
    }
}

/// The public link of a code, `https://<host>/?p=<short code>`. An order says its own: `Order::link`.
pub fn link(base: &str, code: &ShortCode) -> String {
    let slash = if base.ends_with('/') { "" } else { "/" };
    [base, slash, "?p=", code.as_str()].concat()
}

impl fmt::Display for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for ShortCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ShortCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_row_generated_again_finds_its_own_code() {
        let code = || ShortCode::derive(b"secret", "nov-dues", "gen-nov:1", 0, 10);
        assert_eq!(code(), code());
        assert_eq!(code().as_str().len(), 10);
        assert_eq!(ShortCode::parse(code().as_str()).unwrap(), code());
    }

    #[test]
    fn rows_campaigns_counters_and_secrets_have_codes_of_their_own() {
        let codes = [
            ShortCode::derive(b"secret", "nov-dues", "a", 0, 10),
            ShortCode::derive(b"secret", "nov-dues", "b", 0, 10),
            ShortCode::derive(b"secret", "dec-dues", "a", 0, 10),
            ShortCode::derive(b"secret", "nov-dues", "a", 1, 10),
            ShortCode::derive(b"terces", "nov-dues", "a", 0, 10),
        ];
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
    }

    #[test]
    fn ten_thousand_rows_have_ten_thousand_codes() {
        let code = |n: u32| ShortCode::derive(b"secret", "nov-dues", &n.to_string(), 0, 10);
        assert_eq!((0..10_000).map(code).collect::<BTreeSet<_>>().len(), 10_000);
    }

    #[test]
    fn a_code_splits_into_the_hash_and_the_field_it_is_kept_in() {
        assert_eq!(ShortCode::parse("aB3dE5gH1j").unwrap().split(), ("aB3", "dE5gH1j"));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for bad in ["", "abcde", "abc-def", "abcdefñ", &"a".repeat(17), "a b c d"] {
            assert_eq!(ShortCode::parse(bad).unwrap_err().code(), "invalid_short_code", "{bad}");
        }
        assert!(serde_json::from_str::<ShortCode>("\"abc\"").is_err());
    }

    #[test]
    fn po_15_a_preview_has_a_code_of_the_real_length() {
        for length in MIN_LENGTH..=MAX_LENGTH {
            let real = ShortCode::derive(b"secret", "c", "k", 0, length);
            assert_eq!(ShortCode::sample(length).as_str().len(), real.as_str().len());
        }
    }

    proptest! {
        #[test]
        fn any_length_asked_for_gives_a_code(length in 0..100_usize, key in "\\PC{0,20}") {
            let code = ShortCode::derive(b"secret", "c", &key, 0, length);
            prop_assert_eq!(code.as_str().len(), length.clamp(6, 16));
            prop_assert_eq!(ShortCode::parse(code.as_str()).unwrap(), code);
        }
    }
}
