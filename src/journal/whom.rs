//! Whom an event is about: left out where it stands in the journal, and read again when it is told.
//!
//! Row keys, references and ids of cases come from outside and may name a person. A person who is forgotten must be in no
//! file of ours a moment later, so they are not written in the first place; what is told again later says what the order or
//! case says by then.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{case::Case, order::Order},
    store::{Store, StoreError, reassert::Remembered},
};

/// A quote in a value is escaped, so that none of these stands in one.
const ID: &str = ",\"id\":\"";
const CONTACT_NUMBER: &str = ",\"contact_number\":";
const KEY: &str = ",\"key\":\"";
const CONTACT: &str = ",\"contact\":\"";
const STATE: &str = ",\"state\":\"";

/// Appends the event of a delivery without whom it is about.
pub(super) fn write_without(event: &str, bytes: &mut Vec<u8>) {
    let Some((head, rest)) = event.split_once(KEY) else {
        return bytes.extend_from_slice(event.as_bytes());
    };
    let (before, after) = head.split_once(ID).map_or((head, ""), |(before, after)| {
        (before, after.find(CONTACT_NUMBER).and_then(|at| after.get(at..)).unwrap_or_default())
    });
    let tail = rest.find(CONTACT).or_else(|| rest.find(STATE)).and_then(|at| rest.get(at..)).unwrap_or("}");
    for part in [before, after, tail] {
        bytes.extend_from_slice(part.as_bytes());
    }
}

/// Which order or case an event is about.
#[derive(Deserialize)]
struct About {
    order: Option<u64>,
    case: Option<u64>,
}

/// What is put back.
#[derive(Serialize)]
struct Whom<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    key: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reference: &'a str,
}

/// The event with whom it is about.
fn with(event: &str, whom: &Whom<'_>) -> String {
    let Some((head, tail)) =
        event.find(CONTACT).or_else(|| event.find(STATE)).and_then(|at| event.split_at_checked(at))
    else {
        return event.to_owned();
    };
    // Plain strings: there is nothing to refuse.
    let whom = serde_json::to_string(whom).unwrap_or_default();
    let fields = whom.trim_start_matches('{').trim_end_matches('}');
    format!("{head},{fields}{tail}")
}

/// Puts back whom the events are about, as far as the campaign still knows them.
pub(super) async fn tell(store: &Store, campaign: &str, remembered: &mut [Remembered]) -> Result<(), StoreError> {
    let events = remembered.iter().filter(|one| !one.event.is_empty());
    let about: Vec<About> = events.filter_map(|one| serde_json::from_str(&one.event).ok()).collect();
    let orders: BTreeSet<u64> = about.iter().filter_map(|about| about.order).collect();
    let cases: BTreeSet<u64> = about.iter().filter_map(|about| about.case).collect();
    let found = store.orders(campaign, orders.iter().copied()).await?;
    let orders: HashMap<u64, Order> = orders
        .into_iter()
        .zip(found)
        .filter_map(|(number, text)| Some((number, Order::from_json(&text?).ok()?)))
        .collect();
    let found = store.cases(campaign, cases.iter().copied()).await?;
    let cases: HashMap<u64, Case> = cases
        .into_iter()
        .zip(found)
        .filter_map(|(number, text)| Some((number, Case::from_json(&text?).ok()?)))
        .collect();
    for one in remembered.iter_mut().filter(|one| !one.event.is_empty()) {
        let Ok(About { order, case }) = serde_json::from_str(&one.event) else { continue };
        let order = order.and_then(|number| orders.get(&number));
        let id = case.map(|number| cases.get(&number).map_or("", |case| case.id.as_str()));
        let (key, reference) = order.map_or(("", ""), |order| (order.key.as_str(), order.reference.as_str()));
        one.event = with(&one.event, &Whom { id, key, reference });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_back_as_it_was_and_stands_in_the_journal_without_whom_it_is_about() {
        let of_order = r#"{"event":"c/r/1.0/1/sent","order":1,"key":"k,\"key\":\"","reference":"A","contact":"+3***","state":"sent","at":1}"#;
        let of_case =
            r#"{"event":"c/r/1.1/1/sent","case":1,"id":"c-1","contact_number":1,"key":"","state":"sent","at":1}"#;
        for (event, id, key, reference) in [(of_order, None, "k,\"key\":\"", "A"), (of_case, Some("c-1"), "", "")] {
            let mut bytes = Vec::new();
            write_without(event, &mut bytes);
            let stands = String::from_utf8(bytes).unwrap();
            for gone in ["\"key\"", "\"id\"", "\"reference\"", "c-1"] {
                assert!(!stands.contains(gone), "{stands}");
            }
            let back: serde_json::Value = serde_json::from_str(&with(&stands, &Whom { id, key, reference })).unwrap();
            assert_eq!(back, serde_json::from_str::<serde_json::Value>(event).unwrap());
        }
    }
}
