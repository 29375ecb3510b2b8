//! The gate: the last look at whom a message goes to, after it is made and before it is handed over.
//!
//! All letters of a claim pass together, in one round trip (BM-9): an address that its owner unsubscribed, or that is
//! on the hard block list, is skipped with that reason. Where Redis does not answer, nobody knows: the letters are
//! released and come again.

use crate::domain::contact::Address;

use super::{
    prepare::{Letter, Unsent, Who},
    work::Turn,
};

/// A message, or why there is none.
pub type Prepared = Result<Letter, Box<(Who, Unsent)>>;

impl Turn {
    /// Turns away the letters that may not leave.
    pub(super) async fn pass_gate(&self, letters: &mut [Prepared]) {
        let waiting: Vec<(usize, Address)> = letters
            .iter()
            .enumerate()
            .filter_map(|(index, letter)| Some((index, letter.as_ref().ok()?.to.clone().into())))
            .collect();
        if waiting.is_empty() {
            return;
        }
        let addresses: Vec<&Address> = waiting.iter().map(|(_, address)| address).collect();
        match self.ctx.store.barred(&addresses, self.plan.category).await {
            Ok(bars) => {
                for ((index, _), bar) in waiting.iter().zip(bars) {
                    if let Some(bar) = bar {
                        turn_away(letters, *index, Unsent::Skipped(bar.to_string()));
                    }
                }
            }
            Err(error) => {
                tracing::warn!(slot = %self.slot, %error, "claimed recipients are released: nobody knows who opted out");
                for (index, _) in waiting {
                    turn_away(letters, index, Unsent::Released);
                }
            }
        }
    }
}

/// Puts in the place of a letter why it does not leave.
fn turn_away(letters: &mut [Prepared], index: usize, unsent: Unsent) {
    if let Some(slot) = letters.get_mut(index)
        && let Ok(letter) = slot
    {
        let who = Who { parts: 0, ..letter.who.clone() };
        *slot = Err(Box::new((who, unsent)));
    }
}
