//! Who sent a report: HMAC-SHA256 over its bytes, in the forms that providers use.
//!
//! A plain signature is the digest of the body in a header, in hexadecimal or base64, with or without `sha256=` before
//! it. A standard one follows Standard Webhooks: it covers id, time and body, so that an old report cannot be played
//! again for ever; several signatures stand beside each other while a secret is changed. Several secrets of ours may
//! hold for the same reason. Twilio signs the address and the fields in its own way. Digests are compared in constant time.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::clock::EpochMs;
use super::keyed;

/// What stands before a base64 secret of Standard Webhooks.
const SECRET_PREFIX: &str = "whsec_";

/// How a plain signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digits {
    /// Hexadecimal, in either case.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// Why a report is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header that belongs to the signature is missing.
    #[error("the signature is missing")]
    Missing,
    /// No signature fits.
    #[error("the signature does not fit")]
    Wrong,
    /// It was signed too long ago, or in the future.
    #[error("the signature is too old, or of the future")]
    Stale,
}

impl SignatureError {
    /// The stable code of this refusal.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing_signature",
            Self::Wrong => "bad_signature",
            Self::Stale => "stale_signature",
        }
    }
}

/// The key of a secret: the decoded bytes of `whsec_<base64>`, else the text itself. Nothing where the base64 is broken.
pub fn key(secret: &str) -> Option<Vec<u8>> {
    match secret.strip_prefix(SECRET_PREFIX) {
        Some(encoded) => BASE64_STANDARD.decode(encoded).ok().filter(|key| !key.is_empty()),
        None => Some(secret.as_bytes().to_vec()).filter(|key| !key.is_empty()),
    }
}

/// Looks at a plain signature of `body`.
pub fn check_plain(keys: &[Vec<u8>], digits: Digits, written: &str, body: &[u8]) -> Result<(), SignatureError> {
    let written = written.trim();
    let written = written.strip_prefix("sha256=").unwrap_or(written);
    let claimed = match digits {
        Digits::Hex => unhex(written),
        Digits::Base64 => BASE64_STANDARD.decode(written).ok(),
    };
    let claimed = claimed.ok_or(SignatureError::Wrong)?;
    if keys.iter().any(|key| fits(key, &[body], &claimed)) { Ok(()) } else { Err(SignatureError::Wrong) }
}

/// Looks at a signature of Twilio: HMAC-SHA1 over the address that was called and the fields of the form, sorted by name
/// (<https://www.twilio.com/docs/usage/security>). What is not a form is signed by its digest in the address.
pub fn check_twilio(keys: &[Vec<u8>], written: &str, url: &str, body: &[u8], form: bool) -> Result<(), SignatureError> {
    let claimed = BASE64_STANDARD.decode(written.trim()).map_err(|_| SignatureError::Wrong)?;
    let mut signed = url.to_owned();
    if form {
        let mut fields: Vec<_> = form_urlencoded::parse(body).collect();
        fields.sort();
        for (name, value) in fields {
            signed.push_str(&name);
            signed.push_str(&value);
        }
    } else {
        let digest = Sha256::digest(body);
        let (_, told) = url.rsplit_once("bodySHA256=").ok_or(SignatureError::Wrong)?;
        if unhex(told).as_deref() != Some(&digest[..]) {
            return Err(SignatureError::Wrong);
        }
    }
    let fits = |key: &Vec<u8>| {
        let mac = Hmac::<Sha1>::new_from_slice(key).ok();
        mac.is_some_and(|mac| mac.chain_update(signed.as_bytes()).verify_slice(&claimed).is_ok())
    };
    if keys.iter().any(fits) { Ok(()) } else { Err(SignatureError::Wrong) }
}

/// The three headers of Standard Webhooks.
#[derive(Debug, Clone, Copy)]
pub struct Standard<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`, in seconds since 1970.
    pub timestamp: &'a str,
    /// `webhook-signature`: `v1,<base64>`, several with a space between.
    pub signatures: &'a str,
}

impl Standard<'_> {
    /// Looks at the signatures of `body`.
    pub fn check(
        &self,
        keys: &[Vec<u8>],
        body: &[u8],
        now: EpochMs,
        tolerance: Duration,
    ) -> Result<(), SignatureError> {
        let signed_at: i64 = self.timestamp.parse().map_err(|_| SignatureError::Wrong)?;
        let content = [self.id.as_bytes(), b".", self.timestamp.as_bytes(), b".", body];
        let claimed = self.signatures.split(' ').filter_map(|one| one.strip_prefix("v1,"));
        let fitting = claimed
            .filter_map(|one| BASE64_STANDARD.decode(one).ok())
            .any(|one| keys.iter().any(|key| fits(key, &content, &one)));
        if !fitting {
            return Err(SignatureError::Wrong);
        }
        let signed_at = EpochMs(signed_at.saturating_mul(1000));
        if now.since(signed_at) > tolerance || signed_at.since(now) > tolerance {
            return Err(SignatureError::Stale);
        }
        Ok(())
    }
}

/// Whether two texts are the same, without telling by the time it takes where they differ.
pub fn equal(one: &str, other: &str) -> bool {
    keyed::equal(one, other)
}

/// The signature `v1,<base64>` that a provider puts into `webhook-signature`.
pub fn sign_standard(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    let timestamp = timestamp.to_string();
    let mut text = String::from("v1,");
    if let Some(mac) = mac(key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]) {
        BASE64_STANDARD.encode_string(mac.finalize().into_bytes(), &mut text);
    }
    text
}

/// Nothing never: HMAC takes a key of any length, and the other case exists in the type only.
fn mac(key: &[u8], content: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for piece in content {
        mac.update(piece);
    }
    Some(mac)
}

fn fits(key: &[u8], content: &[&[u8]], claimed: &[u8]) -> bool {
    mac(key, content).is_some_and(|mac| mac.verify_slice(claimed).is_ok())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.last()?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    // The example of the Standard Webhooks specification.
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP: &str = "1614265330";
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn keys(secrets: &[&str]) -> Vec<Vec<u8>> {
        secrets.iter().map(|secret| key(secret).unwrap()).collect()
    }

    fn standard(signatures: &str, at_ms: i64) -> Result<(), SignatureError> {
        let headers = Standard { id: ID, timestamp: TIMESTAMP, signatures };
        headers.check(&keys(&["other", SECRET]), BODY, EpochMs(at_ms), Duration::from_mins(5))
    }

    #[test]
    fn the_signature_of_twilio_covers_the_address_and_the_sorted_fields() {
        // The example of Twilio's documentation: https://www.twilio.com/docs/usage/security
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        let body = b"To=%2B18005551212&CallSid=CA1234567890ABCDE&From=%2B14158675310&Digits=1234&Caller=%2B14158675310";
        let keys = [b"wrong".to_vec(), b"12345".to_vec()];
        let written = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        let documented =
            b"To=%2B18005551212&CallSid=CA1234567890ABCDE&From=%2B14158675309&Digits=1234&Caller=%2B14158675309";
        assert_eq!(check_twilio(&keys, written, url, documented, true), Ok(()));
        assert_eq!(check_twilio(&keys, written, url, body, true), Err(SignatureError::Wrong));
        assert_eq!(check_twilio(&keys[..1], written, url, documented, true), Err(SignatureError::Wrong));
        assert_eq!(
            check_twilio(&keys, written, "https://mycompany.com/", documented, true),
            Err(SignatureError::Wrong)
        );
        assert_eq!(check_twilio(&keys, "%%", url, documented, true), Err(SignatureError::Wrong));
        assert_eq!(check_twilio(&keys, written, url, b"{}", false), Err(SignatureError::Wrong));
    }

    #[test]
    fn the_example_of_standard_webhooks_is_believed_within_the_tolerance() {
        let at = 1_614_265_330_000;
        assert_eq!(standard(SIGNATURE, at), Ok(()));
        assert_eq!(standard(&format!("v1a,xxxx v1,AAAA {SIGNATURE}"), at + 300_000), Ok(()));
        assert_eq!(standard(SIGNATURE, at + 301_000), Err(SignatureError::Stale));
        assert_eq!(standard(SIGNATURE, at - 301_000), Err(SignatureError::Stale));
        for wrong in ["", "v1,", "v1,AAAA", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="] {
            assert_eq!(standard(wrong, at), Err(SignatureError::Wrong), "{wrong}");
        }
        assert_eq!(sign_standard(&key(SECRET).unwrap(), ID, 1_614_265_330, BODY), SIGNATURE);
    }

    #[test]
    fn a_plain_signature_is_read_in_hex_and_base64_and_with_its_prefix() {
        // printf '%s' '{"test": 2432232314}' | openssl dgst -sha256 -hmac key
        let hex = "ad1a616fa5d45e0552fd84752e21f775525a9caa345c9b14fa23d8435584f7e9";
        let base64 = "rRphb6XUXgVS/YR1LiH3dVJanKo0XJsU+iPYQ1WE9+k=";
        let both = keys(&["old", "key"]);
        assert_eq!(check_plain(&both, Digits::Hex, hex, BODY), Ok(()));
        assert_eq!(check_plain(&both, Digits::Hex, &format!("sha256={}", hex.to_uppercase()), BODY), Ok(()));
        assert_eq!(check_plain(&both, Digits::Base64, base64, BODY), Ok(()));
        for wrong in [&hex[..62], "zz", "é", "", base64] {
            assert_eq!(check_plain(&both, Digits::Hex, wrong, BODY), Err(SignatureError::Wrong), "{wrong}");
        }
        assert_eq!(check_plain(&keys(&["old"]), Digits::Hex, hex, BODY), Err(SignatureError::Wrong));
    }

    #[test]
    fn a_secret_is_its_text_or_the_base64_behind_its_prefix() {
        assert_eq!(key("abc").unwrap(), b"abc");
        assert_eq!(key("whsec_YWJj").unwrap(), b"abc");
        assert_eq!((key("whsec_%"), key("whsec_"), key("")), (None, None, None));
    }
}
