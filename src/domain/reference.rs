//! Our reference: what a provider keeps for us and gives back with a receipt (DESIGN 7).
//!
//! `<campaign>/<run>/<n>.<contact>/<attempt>.<digest>` names the cell of the ledger that a receipt
//! is about, so that no index per message is needed. The digest keeps strangers who find the
//! callback address from inventing receipts.

use super::failure::Attempt;
use super::keyed;
use super::name::{Name, RunName};

/// Characters of the digest: 62^10 is 2^59, out of reach of guessing over a network.
const DIGEST_CHARS: usize = 10;

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
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
pub fn sign(
    secret: &[u8],
    campaign: &str,
    run: &str,
    n: u64,
    contact: u32,
    attempt: Attempt,
) -> String {
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
    Some(Parts {
        campaign,
        run,
        n: n.parse().ok()?,
        contact: contact.parse().ok()?,
        attempt,
    })
}

fn digest(secret: &[u8], body: &str) -> String {
    keyed::digest(secret, "reference", &[body.as_bytes()], DIGEST_CHARS)
}
