//! The last question of the gate: whether an address has had its messages for now.
//!
//! What may leave is reserved under the name of its delivery, so that another attempt, or a repeat after a lost answer,
//! does not count twice. What then certainly does not leave gives its reservation back when its outcome is written; what
//! may have left keeps it.

use crate::{
    domain::{cap, clock::EpochMs, delivery::DeliveryState, hours::Otherwise},
    store::{
        caps::{Note, Reserved, Room},
        runs::Record,
    },
};

use super::{
    gate::{Prepared, turn_away},
    prepare::{Unsent, Who},
    work::Turn,
};

impl Turn {
    fn counts(&self) -> bool {
        !self.plan.bounds.caps.is_empty() || self.plan.bounds.once_per_address
    }

    /// Reserves what may leave, and turns away what is over a cap.
    pub(super) async fn pass_caps(&self, letters: &mut [Prepared], now: EpochMs) {
        if !self.counts() {
            return;
        }
        let (mut asked, mut notes) = (Vec::new(), Vec::new());
        for (index, letter) in letters.iter_mut().enumerate() {
            if let Ok(letter) = letter {
                let address = letter.to.clone();
                letter.who.reserved = cap::address_digest(&self.ctx.secret, &address.identity());
                notes.extend(self.note(&letter.who));
                asked.push(index);
            }
        }
        if notes.is_empty() {
            return;
        }
        let once = self.plan.bounds.once_per_address.then(|| format!("{}/{}/", self.slot.campaign, self.slot.run));
        match self.ctx.store.reserve_contacts(&notes, &self.plan.bounds.caps, once.as_deref(), now).await {
            Ok(rooms) => {
                let (caps, once) = (&self.plan.bounds.caps, once.is_some());
                self.ctx.journal.reserved(Reserved::new(notes, &rooms, caps, once, now));
                for (index, room) in asked.into_iter().zip(rooms) {
                    if let Some(unsent) = self.turned_away(room) {
                        turn_away(letters, index, unsent);
                    }
                }
            }
            Err(error) => {
                // Some may be reserved: released, they give it back.
                tracing::warn!(slot = %self.slot, %error, "claimed recipients are released: nobody knows what they had");
                for index in asked {
                    turn_away(letters, index, Unsent::Released);
                }
            }
        }
    }

    fn turned_away(&self, room: Room) -> Option<Unsent> {
        match room {
            Room::Reserved => None,
            Room::Same => Some(Unsent::Skipped("same_address".to_owned())),
            Room::Full { cap, behind } => {
                let cap = self.plan.bounds.caps.get(cap)?;
                let reason = "frequency_cap".to_owned();
                Some(match cap.otherwise {
                    Otherwise::Skip => Unsent::Skipped(reason),
                    Otherwise::Hold => Unsent::Held { until: cap.frees(behind), reason },
                })
            }
        }
    }

    /// What stands for a message among the notes of its address; nothing where it has none.
    fn note(&self, who: &Who) -> Option<Note> {
        let delivery = format!("{}/{}/{}.{}", self.slot.campaign, self.slot.run, who.of.n, who.of.contact);
        (!who.reserved.is_empty()).then(|| Note { address: who.reserved.clone(), delivery })
    }

    /// What is to be given back of these outcomes: the notes of messages that certainly did not leave.
    pub(super) fn unused<'a>(&self, ended: impl Iterator<Item = (&'a Who, &'a Record)>) -> Vec<Note> {
        use DeliveryState as D;
        if !self.counts() {
            return Vec::new();
        }
        ended
            .filter(|(_, record)| {
                !record.doubt && matches!(record.state, D::Queued | D::Retry | D::Held | D::Failed | D::Skipped)
            })
            .filter_map(|(who, _)| self.note(who))
            .collect()
    }

    /// Gives notes back.
    pub(super) async fn give_back(&self, unused: &[Note]) {
        self.ctx.journal.freed(unused);
        if let Err(error) = self.ctx.store.free_contacts(unused).await {
            tracing::warn!(slot = %self.slot, %error, messages = unused.len(), "messages that did not leave count");
        }
    }
}
