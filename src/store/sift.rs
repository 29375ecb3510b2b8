//! The sift of a run: what was judged of a stretch of its cases, written once.

use super::{Answer, Store, StoreError, outbox::Event, runs::SlotRef, scripts};
use crate::domain::delivery::DeliveryId;

/// What was judged of one stretch.
#[derive(Debug, Default)]
pub struct SiftedStretch {
    /// Number of its first case.
    pub first: u64,
    /// Number of its last case.
    pub last: u64,
    /// Those left out, with the reason.
    pub left_out: Vec<(u64, &'static str)>,
    /// Deliveries to further contacts.
    pub further: Vec<DeliveryId>,
    /// Whether the same slot goes on with the next stretch.
    pub goes_on: bool,
}

/// What came of it.
#[derive(Debug)]
pub enum Sifting {
    /// It is written; the run may have ended with it: the outbox entry and its events.
    Done(Option<(String, Vec<Event>)>),
    /// Another has sifted it, or the run has ended.
    Stale,
}

impl Store {
    /// Writes what was judged of a stretch, unless another has.
    pub async fn sift(&self, slot: &SlotRef, stretch: &SiftedStretch) -> Result<Sifting, StoreError> {
        let mut call = scripts::SIFT
            .call(&[&self.keys.campaign(&slot.campaign)])
            .arg(&slot.run)
            .arg(stretch.first)
            .arg(stretch.last)
            .arg(u8::from(stretch.goes_on))
            .arg(stretch.left_out.len());
        for (number, reason) in &stretch.left_out {
            call.push(number);
            call.push(*reason);
        }
        for delivery in &stretch.further {
            call.push(delivery.to_string());
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        if answer.text()? != "sifted" {
            return Ok(Sifting::Stale);
        }
        let outbox = answer.some_text()?;
        let events = Event::split(&answer.text()?);
        Ok(Sifting::Done(outbox.map(|id| (id, events))))
    }
}
