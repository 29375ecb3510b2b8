//! What the journal's lines say: one JSON object a line, in the order in which it happened.
//!
//! Behind a line of outcomes stand their events as they are, one a line; the last lines of a daemon that was killed may
//! be cut off, and count as never written.

use std::{borrow::Cow, io::BufRead};

use serde::{Deserialize, Serialize};

use super::whom;
use crate::{
    domain::delivery::DeliveryId,
    store::{
        ServerIdentity,
        caps::{Note, Reserved},
        reassert::{Origin, Remembered},
        receipts::Arrived,
        runs::{Recipient, Record},
    },
};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line<'a> {
    /// The first line of a segment: on which server the others happened.
    Server(Cow<'a, ServerIdentity>),
    /// Recipients were claimed.
    Claims(Claims<'a>),
    /// Claims came to an outcome.
    Outcomes(Outcomes<'a>),
    /// Redis has the outcomes of that batch.
    Recorded(u64),
    /// Messages count towards the caps of their addresses.
    Reserved(Reserved),
    /// They do not count any more: they certainly did not leave.
    Freed(Vec<Note>),
    /// A provider told these of messages it took, and was answered that they are written.
    Receipts(Cow<'a, [Arrived]>),
}

/// Recipients claimed together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims<'a> {
    /// Under what.
    pub origin: Cow<'a, Origin>,
    /// The cell that all who were claimed for the first time have; empty without any.
    pub fresh_cell: String,
    /// Who that is: first and last numbers.
    pub fresh: Vec<(u64, u64)>,
    /// The others, each with its cell.
    pub others: Vec<(String, String)>,
}

/// Outcomes written together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes<'a> {
    /// What the line `recorded` calls them.
    pub batch: u64,
    /// Under what their claims were made.
    pub origin: Cow<'a, Origin>,
    /// Each.
    pub each: Vec<Outcome>,
}

/// Delivery, its cell as it was claimed, its cell after that, when it is due again (epoch ms), whether an event follows.
pub type Outcome = (String, String, String, Option<i64>, bool);

impl<'a> Claims<'a> {
    /// Of what a claim brought.
    pub fn new(origin: &'a Origin, recipients: &[Recipient]) -> Self {
        let mut claims =
            Self { origin: Cow::Borrowed(origin), fresh_cell: String::new(), fresh: Vec::new(), others: Vec::new() };
        for Recipient { of, cell, .. } in recipients {
            if claims.fresh_cell.is_empty() && of.contact == 0 {
                claims.fresh_cell.clone_from(cell);
            }
            if of.contact > 0 || *cell != claims.fresh_cell {
                claims.others.push((of.to_string(), cell.clone()));
            } else if let Some((_, last)) = claims.fresh.last_mut().filter(|(_, last)| *last + 1 == of.n) {
                *last = of.n;
            } else {
                claims.fresh.push((of.n, of.n));
            }
        }
        claims
    }

    /// What is remembered of them.
    pub fn remembered(&self) -> Vec<Remembered> {
        let of = |of: DeliveryId, cell: &str| Remembered {
            of,
            claimed: cell.to_owned(),
            outcome: String::new(),
            due_ms: None,
            event: String::new(),
        };
        let fresh = self.fresh.iter().flat_map(|(first, last)| *first..=*last);
        let fresh = fresh.map(|n| of(DeliveryId::of(n), &self.fresh_cell));
        let others = self.others.iter().filter_map(|(delivery, cell)| Some(of(DeliveryId::parse(delivery)?, cell)));
        fresh.chain(others).collect()
    }
}

/// A line, and the events behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line.
    pub line: Line<'static>,
    /// The events of outcomes that have one, in their order.
    pub events: Vec<String>,
}

impl Outcomes<'_> {
    /// What is remembered of them, with their events.
    pub fn remembered(&self, events: Vec<String>) -> Vec<Remembered> {
        let mut events = events.into_iter();
        let each = self.each.iter().filter_map(|(delivery, claimed, outcome, due_ms, told)| {
            // The event first: it belongs to this one, whatever else is wrong with it.
            let event = if *told { events.next()? } else { String::new() };
            let of = DeliveryId::parse(delivery)?;
            Some(Remembered { of, claimed: claimed.clone(), outcome: outcome.clone(), due_ms: *due_ms, event })
        });
        each.collect()
    }
}

/// Writes a line.
pub fn write(line: &Line<'_>, bytes: &mut Vec<u8>) {
    // Plain strings and numbers: there is nothing to refuse.
    let _ = serde_json::to_writer(&mut *bytes, line);
    bytes.push(b'\n');
}

/// Writes outcomes and their events, without whom these are about.
pub fn write_outcomes(origin: &Origin, batch: u64, records: &[Record], bytes: &mut Vec<u8>) {
    let each = records.iter().map(|record| {
        (record.of.to_string(), record.cell.clone(), record.cell_after(), record.due_ms(), record.event.is_some())
    });
    let outcomes = Outcomes { batch, origin: Cow::Borrowed(origin), each: each.collect() };
    write(&Line::Outcomes(outcomes), bytes);
    for event in records.iter().filter_map(|record| record.event.as_ref()) {
        whom::write_without(&event.json, bytes);
        bytes.push(b'\n');
    }
}

/// Reads entries until the end, or until what follows was cut off.
pub struct Reader<R>(R);

impl<R: BufRead> Reader<R> {
    /// Of a segment.
    pub const fn new(input: R) -> Self {
        Self(input)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        line.ends_with('\n').then_some(line)
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let line: Line<'static> = serde_json::from_str(&self.line()?).ok()?;
        let mut events = Vec::new();
        if let Line::Outcomes(outcomes) = &line {
            for _ in outcomes.each.iter().filter(|(.., told)| *told) {
                let mut event = self.line()?;
                event.truncate(event.trim_end().len());
                events.push(event);
            }
        }
        Some(Entry { line, events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{delivery::DeliveryState, failure::Tried},
        store::outbox::Event,
    };

    fn origin() -> Origin {
        Origin {
            campaign: "nov".into(),
            run: "delivery@1".into(),
            made: "1763719200000".into(),
            job: "gen-nov".into(),
            closes: false,
            slot: 1,
            fence: 7,
        }
    }

    fn recipient(of: &str, cell: &str) -> Recipient {
        let (order, case, skip) = (String::new(), String::new(), String::new());
        let of = DeliveryId::parse(of).unwrap();
        Recipient { of, attempt: 1, key_attempt: 1, doubt: false, cell: cell.to_owned(), skip, order, case }
    }

    fn record(n: u64, event: Option<&str>) -> Record {
        Record {
            of: DeliveryId::of(n),
            state: DeliveryState::Sent,
            attempt: 1,
            key_attempt: 1,
            doubt: false,
            cell: "c,1,1763719200000,7,1".to_owned(),
            at_ms: 1_763_719_200_123,
            reason: String::new(),
            provider_id: format!("sb-{n}"),
            due_in: None,
            event: event.map(|json| Event { id: String::new(), kind: "delivery".into(), json: json.to_owned() }),
            tried: Tried::Answered,
        }
    }

    #[test]
    fn claims_are_short_and_everybody_is_remembered_with_the_cell_they_had() {
        const FRESH: &str = "c,1,1763719200000,7,1";
        const AGAIN: &str = "c,2,1763719200000,7,1?";
        let claimed = [("1", FRESH), ("2", FRESH), ("3", FRESH), ("7", FRESH), ("9", AGAIN), ("3.1", FRESH)];
        let recipients: Vec<Recipient> = claimed.iter().map(|(of, cell)| recipient(of, cell)).collect();
        let origin = origin();
        let claims = Claims::new(&origin, &recipients);
        assert_eq!(claims.fresh, [(1, 3), (7, 7)]);
        let remembered = claims.remembered();
        let found: Vec<_> = remembered.iter().map(|one| (one.of.to_string(), one.claimed.as_str())).collect();
        assert_eq!(found, claimed.map(|(of, cell)| (of.to_owned(), cell)));
    }

    #[test]
    fn lines_read_back_with_the_events_behind_them_and_what_was_cut_off_was_never_written() {
        let mut bytes = Vec::new();
        write(&Line::Recorded(3), &mut bytes);
        let records = [record(1, Some("{\"n\":1}")), record(2, None), record(3, Some("{\"n\":3}"))];
        write_outcomes(&origin(), 4, &records, &mut bytes);
        let entries: Vec<Entry> = Reader::new(bytes.as_slice()).collect();
        let [first, Entry { line: Line::Outcomes(outcomes), events }] = entries.as_slice() else {
            panic!("{entries:?}")
        };
        assert_eq!((&first.line, outcomes.batch), (&Line::Recorded(3), 4));
        let expected: Vec<Remembered> = records.iter().map(Record::remembered).collect();
        assert_eq!(outcomes.remembered(events.clone()), expected);
        // Without the last event the batch is none.
        let cut = bytes.len() - 4;
        assert_eq!(Reader::new(&bytes[..cut]).count(), 1);
    }
}
