//! The quick way into the ledger: final outcomes of claims that stand as they were made.
//!
//! Everything is composed here, so that the script only compares and writes; it does so for all of them
//! or for none. What has moved on meanwhile is [`Store::record`]'s to judge.

use std::collections::BTreeMap;

use crate::domain::{
    delivery::{DeliveryState, UNKNOWN_REASON},
    failure::Tried,
};

use super::{
    Answer, Store, StoreError,
    outbox::Event,
    runs::{Record, Recorded, SlotRef},
    scripts,
};

/// The cell of an outcome. Where there is no provider's id, who asks again must know the key that was used.
pub(super) fn final_cell(record: &Record) -> String {
    let Record { state, attempt, at_ms, reason, .. } = record;
    let id = if record.is_doubtful() { record.key_mark() } else { record.provider_id.clone() };
    format!("{},{attempt},{at_ms},{reason},{id}", state.letter())
}

/// Events as one JSON array; empty for none.
fn array<'a>(events: impl Iterator<Item = &'a Event>) -> String {
    let mut array = String::new();
    for event in events {
        array.push(if array.is_empty() { '[' } else { ',' });
        array.push_str(&event.json);
    }
    if !array.is_empty() {
        array.push(']');
    }
    array
}

impl Store {
    /// Records final outcomes of our own claims, all of them or none. `None`: one of the recipients does
    /// not read as it was claimed, and nothing was written.
    pub async fn land(
        &self,
        slot: &SlotRef,
        closes_cases: bool,
        records: &[Record],
    ) -> Result<Option<Recorded>, StoreError> {
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        let mut pages: BTreeMap<u64, Vec<&Record>> = BTreeMap::new();
        for record in records {
            *states.entry(record.state.as_str()).or_default() += 1;
            pages.entry(record.of.page()).or_default().push(record);
        }
        let mut call = scripts::LAND
            .call(&[&self.keys.campaign(&slot.campaign)])
            .arg(&slot.run)
            .arg(array(records.iter().filter_map(|record| record.event.as_ref())))
            .arg(u8::from(closes_cases))
            .arg(records.iter().filter(|record| record.tried != Tried::Not).count())
            .arg(records.iter().filter(|record| record.tried == Tried::Troubled).count())
            .arg(records.iter().rfind(|record| record.tried == Tried::Troubled).map_or("", |last| last.reason.as_str()))
            .arg(states.len());
        for (state, count) in states {
            call.push(state);
            call.push(count);
        }
        for (page, records) in pages {
            call.push(page);
            call.push(records.len());
            for record in &records {
                call.push(record.of.field());
            }
            for record in &records {
                call.push(&record.cell);
            }
            for record in &records {
                call.push(record.of.field());
                call.push(final_cell(record));
            }
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        if answer.text()? == "moved" {
            return Ok(None);
        }
        let outbox_id = answer.some_text()?;
        let (added, auto_paused) = (answer.some_text()?, answer.some_text()?);
        Ok(Some(Recorded { outbox_id, added, auto_paused, stale: Vec::new(), overtaken: 0 }))
    }
}

impl Record {
    /// The attempt of its idempotency key, with `?` when an attempt under it may have been accepted.
    pub fn key_mark(&self) -> String {
        format!("{}{}", self.key_attempt, if self.doubt { "?" } else { "" })
    }

    /// Whether nobody knows if it was sent, also where that is called failed.
    fn is_doubtful(&self) -> bool {
        let Self { state, reason, .. } = self;
        *state == DeliveryState::Unknown || (*state == DeliveryState::Failed && reason.starts_with(UNKNOWN_REASON))
    }

    /// Whether it is an end: nothing is due again.
    pub fn is_final(&self) -> bool {
        self.due_in.is_none() && self.state != DeliveryState::Queued && self.state != DeliveryState::Retry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::DeliveryId;

    #[test]
    fn a_cell_of_an_unknown_outcome_names_the_key_that_was_used() {
        let sent = Record {
            of: DeliveryId::of(130),
            state: DeliveryState::Sent,
            attempt: 2,
            key_attempt: 1,
            doubt: true,
            cell: "c,2,1763719200000,7,1".to_owned(),
            at_ms: 1_763_719_200_123,
            reason: String::new(),
            provider_id: "sb-1".to_owned(),
            due_in: None,
            event: None,
            tried: Tried::Answered,
        };
        assert_eq!(final_cell(&sent), "s,2,1763719200123,,sb-1");
        let unknown = Record { state: DeliveryState::Unknown, provider_id: String::new(), ..sent };
        assert_eq!(final_cell(&unknown), "n,2,1763719200123,,1?");
        let called_failed =
            Record { state: DeliveryState::Failed, reason: "unknown:answer_lost".to_owned(), ..unknown.clone() };
        assert_eq!(final_cell(&called_failed), "f,2,1763719200123,unknown:answer_lost,1?");
        assert!(unknown.is_final());
    }

    #[test]
    fn events_are_an_array_or_nothing() {
        let event = |json: &str| Event { id: String::new(), kind: "delivery".into(), json: json.to_owned() };
        assert_eq!(array([].into_iter()), "");
        assert_eq!(array([event("{}"), event("{}")].iter()), "[{},{}]");
    }
}
