//! Re-assertion: claims and outcomes written again, where a server may have lost them.
//!
//! What is written again is what a daemon remembers of its own doing (`journal`). The script compares each with what
//! stands in the ledger and lets the later one stand, so that a repeat, any order and any number of daemons do no harm.
//! A claim of which no outcome is known comes back as it was made: its daemon records the outcome as ever, and if that
//! daemon is gone, whoever takes its slot finds it as in doubt. Where the whole run is lost, its cells wait for the job
//! that makes it again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::delivery::{DeliveryId, DeliveryState};

use super::{Answer, Store, StoreError, entries::millis, landing::final_cell, outbox::Event, runs::Record, scripts};

/// Under what claims were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The campaign.
    pub campaign: String,
    /// The run.
    pub run: String,
    /// When the run was made, as its hash says it: tells it from another one of that name.
    pub made: String,
    /// The job that made it, or empty.
    pub job: String,
    /// Whether an accepted message closes its case.
    pub closes: bool,
    /// The slot.
    pub slot: u32,
    /// The fence that the slot was taken with.
    pub fence: u64,
}

/// What is remembered of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Which.
    pub of: DeliveryId,
    /// Its cell as it was claimed.
    pub claimed: String,
    /// Its cell after that, if it came down.
    pub outcome: String,
    /// When it is due again (epoch ms).
    pub due_ms: Option<i64>,
    /// Its event, if there is one.
    pub event: String,
}

/// What is to be written again of one slot.
#[derive(Debug)]
pub struct Reassertion {
    /// Under what.
    pub origin: Origin,
    /// Whether we hold the slot with that fence right now.
    pub held: bool,
    /// What; as much as one claim or one record takes.
    pub remembered: Vec<Remembered>,
}

/// What became of it.
#[derive(Debug)]
pub struct Reasserted {
    /// How many deliveries were lost, and are there again.
    pub changed: u64,
    /// The outbox entry of their events; none where their campaign is lost, too.
    pub outbox_id: Option<String>,
    /// The events.
    pub events: Vec<Event>,
}

impl Record {
    /// What is remembered of it.
    pub fn remembered(&self) -> Remembered {
        Remembered {
            of: self.of,
            claimed: self.cell.clone(),
            outcome: self.cell_after(),
            due_ms: self.due_ms(),
            event: self.event.as_ref().map_or_else(String::new, |event| event.json.clone()),
        }
    }

    /// When it is due again (epoch ms).
    pub fn due_ms(&self) -> Option<i64> {
        self.due_in.map(|wait| self.at_ms.saturating_add_unsigned(millis(wait)))
    }

    /// Its cell once it is recorded, as record.lua writes it in a run that goes on.
    pub fn cell_after(&self) -> String {
        let Self { state, attempt, at_ms, reason, key_attempt, .. } = self;
        match state {
            DeliveryState::Queued | DeliveryState::Held => {
                // Certainly not sent: the attempt does not count, nor does a key that it alone had.
                let kept = attempt.saturating_sub(1);
                let key = if *key_attempt <= kept { self.key_mark() } else { "0".to_owned() };
                format!("{},{kept},{at_ms},{reason},{key}", state.letter())
            }
            DeliveryState::Retry => format!("r,{attempt},{at_ms},{reason},{}", self.key_mark()),
            DeliveryState::Sending
            | DeliveryState::Sent
            | DeliveryState::Delivered
            | DeliveryState::Undelivered
            | DeliveryState::Expired
            | DeliveryState::Failed
            | DeliveryState::Skipped
            | DeliveryState::Unknown => final_cell(self),
        }
    }
}

impl Store {
    /// Writes again what stands in `all`, in that order, in one round trip. `me` holds the slots that are held.
    pub async fn reassert(
        &self,
        me: &str,
        lease: Duration,
        all: &[Reassertion],
    ) -> Result<Vec<Reasserted>, StoreError> {
        let mut calls = Vec::with_capacity(all.len());
        for Reassertion { origin, held, remembered } in all {
            let mut call = scripts::REASSERT
                .call(&[&self.keys.campaign(&origin.campaign)])
                .arg(&origin.run)
                .arg(&origin.made)
                .arg(&origin.job)
                .arg(u8::from(origin.closes))
                .arg(origin.slot)
                .arg(origin.fence)
                .arg(if *held { me } else { "" })
                .arg(millis(lease));
            for Remembered { of, claimed, outcome, due_ms, event } in remembered {
                call.push(of.to_string());
                call.push(claimed);
                call.push(outcome);
                match due_ms {
                    Some(due) => call.push(due),
                    None => call.push(""),
                }
                call.push(event);
            }
            calls.push(call);
        }
        let answers = scripts::REASSERT.run_all(calls, &self.connection).await?;
        answers.into_iter().map(Reasserted::read).collect()
    }
}

impl Reasserted {
    fn read(answer: Vec<String>) -> Result<Self, StoreError> {
        let mut answer = Answer::new(answer);
        if answer.text()? == "other" {
            return Ok(Self { changed: 0, outbox_id: None, events: Vec::new() });
        }
        let outbox_id = answer.some_text()?;
        let events = Event::split(&answer.text()?);
        Ok(Self { changed: answer.number()?, outbox_id, events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::Tried;

    fn record(state: DeliveryState, due_in: Option<u64>) -> Record {
        Record {
            of: DeliveryId::of(130),
            state,
            attempt: 2,
            key_attempt: 1,
            doubt: true,
            cell: "c,2,1763719200000,7,1?".to_owned(),
            at_ms: 1_763_719_200_123,
            reason: "why".to_owned(),
            provider_id: "sb-1".to_owned(),
            due_in: due_in.map(Duration::from_millis),
            event: None,
            tried: Tried::Not,
        }
    }

    #[test]
    fn what_is_remembered_reads_as_the_ledger_would() {
        let after = |state| record(state, None).cell_after();
        assert_eq!(after(DeliveryState::Sent), "s,2,1763719200123,why,sb-1");
        assert_eq!(after(DeliveryState::Unknown), "n,2,1763719200123,why,1?");
        assert_eq!(after(DeliveryState::Retry), "r,2,1763719200123,why,1?");
        assert_eq!(after(DeliveryState::Queued), "q,1,1763719200123,why,1?");
        let fresh_key = Record { key_attempt: 2, ..record(DeliveryState::Held, None) };
        assert_eq!(fresh_key.cell_after(), "h,1,1763719200123,why,0");
        let remembered = record(DeliveryState::Retry, Some(500)).remembered();
        assert_eq!(remembered.due_ms, Some(1_763_719_200_623));
    }
}
