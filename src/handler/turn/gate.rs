//! The gate: the last look at whom a message goes to, after it is made and before it is handed over.
//!
//! All letters of a claim pass together, in one round trip (BM-9): an address that its owner unsubscribed, or that is
//! on the hard block list, is skipped with that reason. Where Redis does not answer, nobody knows: the letters are
//! released and come again. What passes is remembered where the channel takes replies, so that an answer finds it (BM-17);
//! where that fails the message leaves all the same.

use crate::domain::{contact::Address, reply::Outbound, unsubscribe::Circle};

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
            .filter_map(|(index, letter)| Some((index, letter.as_ref().ok()?.to.clone())))
            .collect();
        if waiting.is_empty() {
            return;
        }
        let addresses: Vec<&Address> = waiting.iter().map(|(_, address)| address).collect();
        match self.ctx.store.barred(&addresses, self.plan.category).await {
            Ok(bars) => {
                for ((index, _), bar) in waiting.iter().zip(&bars) {
                    if let Some(bar) = bar {
                        turn_away(letters, *index, Unsent::Skipped(bar.to_string()));
                    }
                }
                let passed = waiting.iter().zip(bars).filter(|(_, bar)| bar.is_none());
                self.remember(letters, passed.map(|((index, address), _)| (*index, address))).await;
            }
            Err(error) => {
                tracing::warn!(slot = %self.slot, %error, "claimed recipients are released: nobody knows who opted out");
                for (index, _) in waiting {
                    turn_away(letters, index, Unsent::Released);
                }
            }
        }
    }

    /// Remembers who is about to get what, where the channel takes replies.
    async fn remember(&self, letters: &[Prepared], passed: impl Iterator<Item = (usize, &Address)>) {
        let (channel, config) = (self.plan.channel.settings().name.as_str(), &self.ctx.config);
        if !config.channel_replies.contains_key(channel) {
            return;
        }
        let circle = Circle { kind: self.plan.circle_kind(), campaign: self.slot.campaign.clone() };
        let messages = passed.filter_map(|(index, address)| {
            let who = &letters.get(index)?.as_ref().ok()?.who;
            let (circle, run) = (circle.clone(), self.slot.run.clone());
            Some((Outbound { circle, run, number: who.of.n, contact: who.of.contact, opened: false }, address))
        });
        let remembered = self.ctx.store.remember_outbound(&self.ctx.secret, channel, messages, config.replies.within);
        if let Err(error) = remembered.await {
            tracing::warn!(slot = %self.slot, %error, "replies to some messages will not find them");
        }
    }
}

/// Puts in the place of a letter why it does not leave.
pub(super) fn turn_away(letters: &mut [Prepared], index: usize, unsent: Unsent) {
    if let Some(slot) = letters.get_mut(index)
        && let Ok(letter) = slot
    {
        let who = Who { parts: 0, ..letter.who.clone() };
        *slot = Err(Box::new((who, unsent)));
    }
}
