//! Receipts into the ledger: many of a run in one script.
//!
//! Guarantees: the cell, the counters of run and campaign and the event change in one step (DA-6); by which rank news
//! counts is decided there, on the cell as it is (DA-4), so duplicates, races and any order of arrival are harmless,
//! and what failed half-way is simply told again.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        audience::Audience,
        case::Case,
        contact::{Address, Phone},
        delivery::DeliveryState,
        order::Order,
        receipt::Receipt,
    },
    job::event::{DELIVERY, DeliveryEvent},
    metrics::labels::ReceiptResult,
};

use super::{
    Answer, Store, StoreError,
    outbox::Event,
    publisher::{Parcel, Publisher},
    scripts,
};

/// Receipts that one script takes.
pub const AT_ONCE: usize = 256;

/// A receipt and the channel it came by; no channel where a job brought it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// The channel's name, or empty.
    pub channel: String,
    /// The receipt.
    pub receipt: Receipt,
}

/// What a receipt did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// The ledger says now what it says.
    Applied,
    /// The ledger knew as much or more: a duplicate, a late one, one of an attempt left behind.
    Old {
        /// Where the delivery stands.
        state: DeliveryState,
    },
    /// No such run, or nothing was claimed there: the campaign is gone, or Redis lost it.
    Unknown,
}

impl From<Received> for ReceiptResult {
    fn from(received: Received) -> Self {
        match received {
            Received::Applied => Self::Applied,
            Received::Old { .. } => Self::Old,
            Received::Unknown => Self::Unknown,
        }
    }
}

impl Store {
    /// Takes receipts of any campaigns, one script a run. On an error some may have been written, which a repeat
    /// finds out.
    pub async fn receive(&self, arrived: &[Arrived], publisher: &Publisher) -> Result<Vec<Received>, StoreError> {
        let mut runs: BTreeMap<(&str, &str, &str), Vec<usize>> = BTreeMap::new();
        for (index, Arrived { channel, receipt }) in arrived.iter().enumerate() {
            let run = (receipt.of.campaign.as_str(), receipt.of.run.as_str(), channel.as_str());
            runs.entry(run).or_default().push(index);
        }
        let now_ms = self.now_ms().await?;
        let written = runs.into_iter().map(async |((campaign, run, channel), indexes)| {
            // The intent first: the reconciler publishes what we leave behind.
            self.touch_active(campaign, "", now_ms).await?;
            let mut all = Vec::with_capacity(indexes.len());
            for chunk in indexes.chunks(AT_ONCE) {
                let receipts: Vec<&Receipt> =
                    chunk.iter().filter_map(|index| Some(&arrived.get(*index)?.receipt)).collect();
                let received = self.receive_run(campaign, run, channel, &receipts, publisher).await?;
                all.extend(chunk.iter().copied().zip(received));
            }
            Ok::<_, StoreError>(all)
        });
        let mut all: Vec<(usize, Received)> = try_join_all(written).await?.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(index, _)| *index);
        Ok(all.into_iter().map(|(_, received)| received).collect())
    }

    async fn receive_run(
        &self,
        campaign: &str,
        run: &str,
        channel: &str,
        receipts: &[&Receipt],
        publisher: &Publisher,
    ) -> Result<Vec<Received>, StoreError> {
        let subjects = self.subjects(campaign, run, receipts).await?;
        let mut call = scripts::RECEIVE.call(&[&self.keys.campaign(campaign)]).arg(run).arg(channel);
        let mut letter = [0; 4];
        for (receipt, subject) in receipts.iter().zip(subjects) {
            call.push(receipt.of.n);
            call.push(receipt.of.contact);
            call.push(receipt.of.attempt.get());
            call.push(&*receipt.state.letter().encode_utf8(&mut letter));
            call.push(&receipt.reason);
            call.push(&receipt.provider_id);
            match receipt.at {
                Some(at) => call.push(at.0),
                None => call.push(""),
            }
            call.push(event(receipt, &subject));
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        let outbox_id = answer.some_text()?;
        let events = answer.text()?;
        if let Some(outbox_id) = outbox_id {
            publisher.publish(Parcel { campaign: campaign.to_owned(), outbox_id, events: Event::split(&events) });
        }
        answer.rest().map(|word| read(&word)).collect()
    }

    /// What the receipts of a run are about. Most runs are for orders: those come with the question.
    async fn subjects(&self, campaign: &str, run: &str, receipts: &[&Receipt]) -> Result<Vec<Subject>, StoreError> {
        let numbers = || receipts.iter().map(|receipt| receipt.of.n);
        let orders: Vec<String> = numbers().map(|n| self.keys.order(campaign, n)).collect();
        let mut pipeline = redis::pipe();
        pipeline.cmd("HGET").arg(self.keys.run(campaign, run)).arg("audience").cmd("MGET").arg(orders);
        let (audience, orders): (Option<String>, Vec<Option<String>>) = self.connection.pipeline(&pipeline).await?;
        if audience.as_deref().and_then(Audience::parse) != Some(Audience::Cases) {
            let read = |text: Option<String>| text.and_then(|text| Order::from_json(&text).ok()).map(Box::new);
            return Ok(orders.into_iter().map(|text| Subject::Order(read(text))).collect());
        }
        let cases = self.cases(campaign, numbers()).await?;
        let read = |text: Option<String>| text.and_then(|text| Case::from_json(&text).ok()).map(Box::new);
        Ok(cases.into_iter().map(|text| Subject::Case(read(text))).collect())
    }
}

/// What a receipt is about, as far as it is there.
enum Subject {
    Order(Option<Box<Order>>),
    Case(Option<Box<Case>>),
}

fn read(word: &str) -> Result<Received, StoreError> {
    let mut letters = word.chars();
    match letters.next() {
        Some('+') => Ok(Received::Applied),
        Some('?') => Ok(Received::Unknown),
        letter => match letter.and_then(DeliveryState::from_letter) {
            Some(state) => Ok(Received::Old { state }),
            None => Err(StoreError::Refused(format!("a receipt was answered {word:?}"))),
        },
    }
}

/// The receipt's event without its end: the script knows the provider's id and the time, and the attempt that the
/// ledger counts, where that is a later one.
fn event(receipt: &Receipt, subject: &Subject) -> String {
    const END: &str = ",\"at\":0}";
    let Receipt { of, state, reason, .. } = receipt;
    let (campaign, run) = (of.campaign.as_str(), of.run.as_str());
    let id = format!("{campaign}/{run}/{}.{}/{}/{state}", of.n, of.contact, of.attempt);
    let (order, case) = match subject {
        Subject::Order(order) => (order.as_deref(), None),
        Subject::Case(case) => (None, Some(case.as_deref())),
    };
    // Which of a case's contacts was the newest when the message left is not known any more.
    let further = usize::try_from(of.contact).ok().filter(|index| *index > 0);
    let contact = match (order, case) {
        (Some(order), _) => order.contact.as_ref().map(Phone::masked),
        (None, Some(case)) => further.and_then(|index| case?.contacts.get(index)?.value.as_ref()).map(Address::masked),
        (None, None) => None,
    };
    let contact = contact.unwrap_or_default();
    let event = DeliveryEvent {
        event: &id,
        r#type: DELIVERY,
        campaign,
        run,
        order: case.is_none().then_some(of.n),
        case: case.map(|_| of.n),
        id: case.map(|case| case.map_or("", |case| &case.id)),
        contact_number: Some(of.contact).filter(|contact| *contact > 0),
        key: order.map_or("", |order| &order.key),
        reference: order.map_or("", |order| &order.reference),
        contact: &contact,
        state: state.as_str(),
        reason,
        by: Some("receipt"),
        attempt: of.attempt.get(),
        parts: None,
        provider_id: "",
        at: 0,
    };
    // Plain strings and numbers: there is nothing to refuse.
    let mut json = serde_json::to_string(&event).unwrap_or_default();
    if json.ends_with(END) {
        json.truncate(json.len() - END.len());
    }
    json
}
