//! Our reference: what a provider keeps for us and gives back with a receipt (DESIGN 7).
//!
//! `<campaign>/<run>/<n>.<contact>/<attempt>.<digest>` names the cell of the ledger that a receipt
//! is about, so that no index per message is needed. The digest keeps strangers who find the
//! callback address from inventing receipts.

use serde::{Deserialize, Serialize};

use super::failure::Attempt;
use super::keyed;
use super::name::{Name, RunName};

/// Characters of the digest: 62^10 is 2^59, out of reach of guessing over a network.
const DIGEST_CHARS: usize = 10;

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The campaign.
    pub campaign: Name,
    /// The run.
    pub run: RunName,
    /// The recipient's number in the campaign.
    pub n: u64,
    /// Which of the recipient's contacts, from 0.
    pub contact: u32,
    /// The attempt.
    pub attempt: Attempt,
}

/// Writes and signs a reference.
pub fn sign(secret: &[u8], campaign: &str, run: &str, n: u64, contact: u32, attempt: Attempt) -> String {
    let mut text = format!("{campaign}/{run}/{n}.{contact}/{attempt}");
    let digest = digest(secret, &text);
    text.push('.');
    text.push_str(&digest);
    text
}

/// Reads a reference; nothing if anything in it is not ours.
pub fn verify(secret: &[u8], text: &str) -> Option<Parts> {
    let (body, claimed) = text.rsplit_once('.')?;
    if !keyed::equal(&digest(secret, body), claimed) {
        return None;
    }
    let mut fields = body.split('/');
    let campaign = Name::parse(fields.next()?).ok()?;
    let run = RunName::parse(fields.next()?).ok()?;
    let (n, contact) = fields.next()?.split_once('.')?;
    let attempt = Attempt::new(fields.next()?.parse().ok()?)?;
    if fields.next().is_some() {
        return None;
    }
    Some(Parts { campaign, run, n: n.parse().ok()?, contact: contact.parse().ok()?, attempt })
}

/// A reference as the id of an e-mail (RFC 5322, section 3.6.4), without brackets. What the id's left side cannot hold
/// is written in a way that no name uses.
pub fn as_message_id(reference: &str, domain: &str) -> String {
    format!("{}@{domain}", reference.replace('@', "="))
}

/// The reference in an e-mail's id, as an answer names it in `In-Reply-To`, with or without brackets.
pub fn of_message_id(id: &str) -> Option<String> {
    let (left, _) = id.trim().trim_start_matches('<').trim_end_matches('>').rsplit_once('@')?;
    Some(left.replace('=', "@"))
}

fn digest(secret: &[u8], body: &str) -> String {
    keyed::digest(secret, "reference", &[body.as_bytes()], DIGEST_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &[u8] = b"secret";

    #[test]
    fn a_reference_reads_as_documented_and_comes_back_as_its_parts() {
        let text = sign(SECRET, "nov-dues", "delivery@1", 42, 0, Attempt::FIRST);
        assert!(text.starts_with("nov-dues/delivery@1/42.0/1."), "{text}");
        let parts = verify(SECRET, &text).unwrap();
        assert_eq!((parts.campaign.as_str(), parts.run.as_str()), ("nov-dues", "delivery@1"));
        assert_eq!((parts.n, parts.contact, parts.attempt), (42, 0, Attempt::FIRST));
    }

    #[test]
    fn a_reference_of_another_secret_or_with_a_changed_character_is_not_ours() {
        let text = sign(SECRET, "nov-dues", "delivery@1", 42, 0, Attempt::FIRST);
        assert_eq!(verify(b"other", &text), None);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert_eq!(verify(SECRET, &changed), None, "{changed}");
            }
        }
    }

    #[test]
    fn a_well_signed_text_of_another_form_is_not_a_reference() {
        for body in ["a/b/1.0", "a/b/1/1", "a/b/1.0/0", "a/b/1.0/1/x", "{a}/b/1.0/1", "a/b/-1.0/1", ""] {
            let text = format!("{body}.{}", digest(SECRET, body));
            assert_eq!(verify(SECRET, &text), None, "{body}");
        }
        assert_eq!(verify(SECRET, ""), None);
    }

    #[test]
    fn a_reference_comes_back_from_the_id_of_an_e_mail() {
        let text = sign(SECRET, "nov-dues", "delivery@1", 42, 0, Attempt::FIRST);
        let id = as_message_id(&text, "mail.example");
        assert!(id.starts_with("nov-dues/delivery=1/42.0/1.") && id.ends_with("@mail.example"), "{id}");
        for written in [id.clone(), format!("<{id}>"), format!(" <{id}>\r\n")] {
            assert_eq!(verify(SECRET, &of_message_id(&written).unwrap()), verify(SECRET, &text));
        }
        assert_eq!(of_message_id("nothing"), None);
    }

    proptest! {
        #[test]
        fn any_reference_comes_back(
            campaign in "[A-Za-z0-9][A-Za-z0-9._-]{0,63}", run in "[A-Za-z0-9][A-Za-z0-9._-]{0,30}(@[0-9]{1,13})?",
            n: u64, contact: u32, attempt in 1_u32..,
        ) {
            let attempt = Attempt::new(attempt).unwrap();
            let parts = verify(SECRET, &sign(SECRET, &campaign, &run, n, contact, attempt)).unwrap();
            prop_assert_eq!(parts.campaign.as_str(), campaign);
            prop_assert_eq!(parts.run.as_str(), run);
            prop_assert_eq!((parts.n, parts.contact, parts.attempt), (n, contact, attempt));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = verify(SECRET, &text);
        }
    }
}
