//! Keyed digests written in base62, for what leaves the house and comes back.
//!
//! HMAC-SHA256 over a label and parts with a zero byte between them, so that the digest of one
//! kind of text is worth nothing for another, though all share one secret. Base62 because it
//! survives links, provider fields and people's eyes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

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
    let mut number = bytes
        .iter()
        .take(16)
        .fold(0_u128, |n, byte| n << 8 | u128::from(*byte));
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
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |differs, (x, y)| differs | (x ^ y))
            == 0
}

pub(super) fn is_base62(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric())
}
