//! Keyed digests written in base62, for what leaves the house and comes back.
//!
//! HMAC-SHA256 over a label and parts with a zero byte between them, so that the digest of one
//! kind of text is worth nothing for another, though all share one secret. Base62 because it
//! survives links, provider fields and people's eyes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

pub(super) const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Most characters drawn from one digest: 62^16 is 2^95, so that the remainder of 128 bits
/// favours no character by more than one in 2^32.
pub(super) const MAX_CHARS: usize = 16;

/// The first `len` (at most 16) base62 characters of the digest.
pub(super) fn digest(secret: &[u8], label: &str, parts: &[&[u8]], len: usize) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        // HMAC takes a key of any length; this branch exists in the type only.
        return String::new();
    };
    mac.update(label.as_bytes());
    for part in parts {
        mac.update(&[0]);
        mac.update(part);
    }
    let bytes = mac.finalize().into_bytes();
    let mut number = bytes.iter().take(16).fold(0_u128, |n, byte| n << 8 | u128::from(*byte));
    let mut text = String::with_capacity(len.min(MAX_CHARS));
    for _ in 0..len.min(MAX_CHARS) {
        let digit = usize::try_from(number % 62).unwrap_or(0);
        number /= 62;
        text.push(char::from(ALPHABET.get(digit).copied().unwrap_or(b'0')));
    }
    text
}

/// Whether two texts are equal, in a time that does not tell where they differ.
pub(super) fn equal(a: &str, b: &str) -> bool {
    equal_bytes(a.as_bytes(), b.as_bytes())
}

/// The same of bytes.
pub(super) fn equal_bytes(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

pub(super) fn is_base62(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_digest_is_the_same_for_ever() {
        // Links and references made by one version must be known to the next.
        assert_eq!(digest(b"secret", "label", &[b"a", b"b"], 16), "G8QC0FhjrZqE3TAU");
        assert_eq!(digest(b"", "", &[], 10), "LwbOrEvQ82");
    }

    #[test]
    fn every_input_changes_the_digest() {
        let all = [
            digest(b"secret", "label", &[b"a", b"b"], 16),
            digest(b"Secret", "label", &[b"a", b"b"], 16),
            digest(b"secret", "Label", &[b"a", b"b"], 16),
            digest(b"secret", "label", &[b"ab"], 16),
            digest(b"secret", "label", &[b"a", b"", b"b"], 16),
            digest(b"secret", "label", &[b"b", b"a"], 16),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn a_secret_may_have_any_length() {
        for length in [0, 1, 63, 64, 65, 1000] {
            assert_eq!(digest(&vec![7; length], "label", &[b"a"], 16).len(), 16);
        }
    }

    proptest! {
        #[test]
        fn a_shorter_digest_is_the_beginning_of_a_longer_one(part: Vec<u8>, len in 0..40_usize) {
            let whole = digest(b"secret", "label", &[&part], 16);
            let cut = digest(b"secret", "label", &[&part], len);
            prop_assert!(is_base62(&whole));
            prop_assert_eq!(cut.len(), len.min(16));
            prop_assert!(whole.starts_with(&cut));
        }

        #[test]
        fn texts_are_equal_exactly_when_they_are(a in "[ab]{0,3}", b in "[ab]{0,3}") {
            prop_assert_eq!(equal(&a, &b), a == b);
        }
    }
}
