//! The gate: the last look at whom a message goes to, after it is made and before it is handed over.
//!
//! All letters of a claim pass together, in one round trip (BM-9): an address that its owner unsubscribed, or that is
//! on the hard block list, is skipped with that reason. Where Redis does not answer, nobody knows: the letters are
//! released and come again.

use crate::domain::optout::{AddressKind, Bar};

use super::{
    prepare::{Letter, Unsent, Who},
    work::Turn,
};

/// A message, or why there is none.
pub type Prepared = Result<Letter, Box<(Who, Unsent)>>;

impl Turn {
    /// Turns away the letters that may not leave.
    pub(super) async fn pass_gate(&self, letters: &mut [Prepared]) {
        let waiting: Vec<(usize, String)> = letters
            .iter()
            .enumerate()
            .filter_map(|(i, letter)| Some((i, letter.as_ref().ok()?.to.as_e164().to_owned())))
            .collect();
        if waiting.is_empty() {
            return;
        }
        let addresses: Vec<(AddressKind, &str)> =
            waiting.iter().map(|(_, address)| (AddressKind::Phone, address.as_str())).collect();
        match self.ctx.store.barred(&addresses, self.plan.category).await {
            Ok(bars) => {
                for ((index, _), bar) in waiting.iter().zip(bars) {
                    if let Some(bar) = bar {
                        turn_away(letters, *index, Bar::as_str(bar));
                    }
                }
            }
            Err(error) => {
                tracing::warn!(slot = %self.slot, %error, "claimed recipients are released: nobody knows who opted out");
                for (index, _) in waiting {
                    release(letters, index);
                }
            }
        }
    }
}

fn turn_away(letters: &mut [Prepared], index: usize, reason: &str) {
    replace(letters, index, || Unsent::Skipped(reason.to_owned()));
}

fn release(letters: &mut [Prepared], index: usize) {
    replace(letters, index, || Unsent::Released);
}

/// Puts in the place of a letter why it does not leave.
fn replace(letters: &mut [Prepared], index: usize, unsent: impl FnOnce() -> Unsent) {
    if let Some(slot) = letters.get_mut(index)
        && let Ok(letter) = slot
    {
        let who = Who { parts: 0, ..letter.who.clone() };
        *slot = Err(Box::new((who, unsent())));
    }
}
