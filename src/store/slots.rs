//! Slots of a run: armed, taken for a turn, left, renewed.
//!
//! A slot is a lease: an owner, a fence that only grows, an end, and the batches its turns claimed from.
//! Whoever takes a slot whose owner is gone is told what that owner left in flight.

use std::time::Duration;

use crate::domain::clock::EpochMs;
use crate::domain::delivery::DeliveryId;

use super::{Answer, Store, StoreError, entries::millis, scripts};

/// Which slot of which run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SlotRef {
    /// The campaign.
    pub campaign: String,
    /// The run.
    pub run: String,
    /// Number of the slot, from 0.
    pub slot: u32,
    /// Which entry stands for the slot now.
    pub token: u64,
}

impl SlotRef {
    /// Reads `<campaign>/<run>/<slot>/<token>`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let parsed = Self {
            campaign: parts.next()?.to_owned(),
            run: parts.next()?.to_owned(),
            slot: parts.next()?.parse().ok()?,
            token: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(parsed)
    }
}

impl std::fmt::Display for SlotRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{}", self.campaign, self.run, self.slot, self.token)
    }
}

/// A recipient a dead owner left in flight.
#[derive(Debug, Clone)]
pub struct InDoubt {
    /// Which delivery.
    pub of: DeliveryId,
    /// Its ledger cell.
    pub cell: String,
    /// Its order as JSON, empty when it is gone or the run is for cases.
    pub order: String,
    /// Its case as JSON, empty when it is gone or the run is for orders.
    pub case: String,
}

/// How a slot is left at the end of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// Its entry goes to the tail of the queue.
    GoesOn,
    /// Its entry goes on only if there is something to do by now.
    WhenDone,
    /// It goes idle whatever there is to do: somebody arms it again.
    Idle,
}

/// The answer to "may I take this slot?".
#[derive(Debug)]
pub enum Take {
    /// It is ours, with this fence; a dead owner left these.
    Taken {
        /// Grows with every take of any slot of the run.
        fence: u64,
        /// What a dead owner left in flight.
        in_doubt: Vec<InDoubt>,
    },
    /// Another entry stands for this slot, or the run is gone or over: drop the entry.
    Over,
    /// Paused: nothing is claimed; resume arms the slot again.
    Paused,
    /// A live owner holds it until then (epoch ms).
    Busy {
        /// End of the owner's lease.
        until_ms: i64,
    },
}

impl Store {
    /// Arms the slots of a run that nobody runs and nobody waits for (`missing` = none), or those
    /// whose entries are missing. Returns the channel and the slots to enqueue.
    pub async fn arm_slots(
        &self,
        campaign: &str,
        run: &str,
        missing: Option<&[u32]>,
    ) -> Result<(String, Vec<SlotRef>), StoreError> {
        let mut call = scripts::ARM_SLOTS.call(&[&self.keys.campaign(campaign)]).arg(run).arg(if missing.is_some() {
            "repair"
        } else {
            "wake"
        });
        for slot in missing.unwrap_or(&[]) {
            call.push(slot);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        let channel = answer.text()?;
        let mut armed = Vec::new();
        while !answer.is_done() {
            armed.push(SlotRef {
                campaign: campaign.to_owned(),
                run: run.to_owned(),
                slot: answer.number()?,
                token: answer.number()?,
            });
        }
        Ok((channel, armed))
    }

    /// Takes a slot for a turn.
    pub async fn take_slot(
        &self,
        slot: &SlotRef,
        incarnation: &str,
        lease: Duration,
        dead: &[String],
    ) -> Result<Take, StoreError> {
        let mut answer = Answer::new(
            scripts::TAKE_SLOT
                .call(&[&self.keys.campaign(&slot.campaign)])
                .arg(&slot.run)
                .arg(slot.slot)
                .arg(slot.token)
                .arg(incarnation)
                .arg(millis(lease))
                .arg(dead)
                .run(&self.connection)
                .await?,
        );
        Ok(match answer.text()?.as_str() {
            "taken" => {
                let fence = answer.number()?;
                let mut in_doubt = Vec::new();
                while !answer.is_done() {
                    let of = answer.text()?;
                    in_doubt.push(InDoubt {
                        of: DeliveryId::parse(&of)
                            .ok_or_else(|| StoreError::Refused(format!("a slot was left with {of:?} in flight")))?,
                        cell: answer.text()?,
                        order: answer.text()?,
                        case: answer.text()?,
                    });
                }
                Take::Taken { fence, in_doubt }
            }
            "paused" => Take::Paused,
            "busy" => Take::Busy { until_ms: answer.number()? },
            _ => Take::Over,
        })
    }

    /// Frees a slot at the end of a turn. Returns whether it goes on; `None`: another owns it.
    pub async fn leave_slot(
        &self,
        slot: &SlotRef,
        fence: u64,
        incarnation: &str,
        leaving: Leaving,
    ) -> Result<Option<bool>, StoreError> {
        let left: String = scripts::LEAVE_SLOT
            .call(&[&self.keys.campaign(&slot.campaign)])
            .arg(&slot.run)
            .arg(slot.slot)
            .arg(fence)
            .arg(incarnation)
            .arg(match leaving {
                Leaving::GoesOn => "1",
                Leaving::WhenDone => "?",
                Leaving::Idle => "0",
            })
            .run(&self.connection)
            .await?;
        Ok((left != "lost").then_some(left == "on"))
    }

    /// Notes that the contact hours of a run are closed until then.
    pub async fn hold_run(&self, campaign: &str, run: &str, until: EpochMs, reason: &str) -> Result<(), StoreError> {
        self.note_hours(campaign, run, &until.0.to_string(), reason).await
    }

    /// Notes that they are open again.
    pub async fn open_run(&self, campaign: &str, run: &str) -> Result<(), StoreError> {
        self.note_hours(campaign, run, "", "").await
    }

    async fn note_hours(&self, campaign: &str, run: &str, until: &str, reason: &str) -> Result<(), StoreError> {
        let call = scripts::HOLD_RUN.call(&[&self.keys.campaign(campaign)]).arg(run).arg(until).arg(reason);
        let outbox: String = call.run(&self.connection).await?;
        self.publish_soon(campaign, &outbox).await;
        Ok(())
    }

    /// Renews a slot's lease. `false`: it has another owner.
    pub async fn renew_slot(
        &self,
        slot: &SlotRef,
        fence: u64,
        incarnation: &str,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let renewed: u8 = scripts::RENEW_SLOT
            .call(&[&self.keys.campaign(&slot.campaign)])
            .arg(&slot.run)
            .arg(slot.slot)
            .arg(fence)
            .arg(incarnation)
            .arg(millis(lease))
            .run(&self.connection)
            .await?;
        Ok(renewed == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_reads_back_as_it_was_written() {
        let slot = SlotRef { campaign: "nov-dues".into(), run: "delivery@1".into(), slot: 3, token: 17 };
        assert_eq!(SlotRef::parse(&slot.to_string()), Some(slot));
        assert_eq!(SlotRef::parse("a/b/c"), None);
        assert_eq!(SlotRef::parse("a/b/1/2/3"), None);
    }
}
