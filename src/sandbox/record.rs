//! What the simulator remembers: how often each message was accepted, how fast they came, and the last ones
//! ([`super::inbox`]).
//!
//! Memory is bounded however long it runs. Messages are told apart by a 64-bit hash of their key (two of a million
//! different ones meet with a chance of 1 in 37 million), up to `tracked_keys` of them; later ones are counted as
//! `untracked`, so that a reader knows when `distinct` and `duplicates` are no longer the whole truth.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};

use super::inbox::Inbox;

/// Seconds of history in the statistics.
const SECONDS_KEPT: usize = 3600;

/// One second of the history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Seconds since 1970.
    pub second: i64,
    /// Messages that arrived, whatever their fate.
    pub requests: u64,
    /// Messages that were accepted.
    pub accepted: u64,
}

/// Accepted messages as counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Acceptances, each repetition included.
    pub accepted: u64,
    /// Different pairs of reference and recipient among them.
    pub distinct: u64,
    /// Acceptances of a pair beyond its first.
    pub duplicates: u64,
    /// Different recipients.
    pub recipients: u64,
    /// Acceptances for a recipient beyond its first, whatever the reference.
    pub repeated_recipients: u64,
    /// Acceptances that could not be told apart any more because `tracked_keys` was reached.
    pub untracked: u64,
}

/// Everything behind the one lock of the simulator.
#[derive(Debug, Default)]
pub(super) struct Record {
    counts: Counts,
    pairs: HashSet<u64>,
    recipients: HashSet<u64>,
    hasher: RandomState,
    /// Idempotency keys and the numbers they were answered with: a young and an old generation.
    keys: HashMap<u64, u64>,
    old_keys: HashMap<u64, u64>,
    /// The running second, and those before it in which something arrived.
    newest: Second,
    seconds: VecDeque<Second>,
    /// The last messages, whole.
    pub(super) inbox: Inbox,
    number: u64,
}

/// A message about to be accepted.
pub(super) struct Arrival<'a> {
    pub(super) now_ms: i64,
    pub(super) to: &'a str,
    pub(super) reference: &'a str,
    pub(super) idempotency_key: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// Accepted under this number.
    New(u64),
    /// The key was known; it had been accepted under this number.
    Replayed(u64),
}

/// Limits of the record, from the settings.
pub(super) struct Bounds {
    pub(super) tracked_keys: usize,
    pub(super) inbox_messages: usize,
    pub(super) idempotency: bool,
}

impl Record {
    /// Counts an arrival that is not accepted.
    pub(super) fn turned_away(&mut self, now_ms: i64) {
        self.second(now_ms).requests += 1;
    }

    /// Accepts a message, or finds that it had been.
    pub(super) fn accept(&mut self, arrival: &Arrival<'_>, bounds: &Bounds) -> Entry {
        let key = arrival.idempotency_key.filter(|_| bounds.idempotency).map(|key| self.hasher.hash_one(key));
        let known = key.and_then(|key| self.keys.get(&key).or_else(|| self.old_keys.get(&key)).copied());
        let second = self.second(arrival.now_ms);
        second.requests += 1;
        if let Some(number) = known {
            return Entry::Replayed(number);
        }
        second.accepted += 1;
        self.number += 1;
        self.count(arrival, bounds.tracked_keys);
        if let Some(key) = key {
            if self.keys.len() >= bounds.tracked_keys.div_ceil(2) {
                self.old_keys = std::mem::take(&mut self.keys);
            }
            self.keys.insert(key, self.number);
        }
        self.inbox.keep(self.number, arrival, bounds.inbox_messages);
        Entry::New(self.number)
    }

    fn count(&mut self, arrival: &Arrival<'_>, tracked_keys: usize) {
        self.counts.accepted += 1;
        let pair = self.hasher.hash_one((arrival.reference, arrival.to));
        let recipient = self.hasher.hash_one(arrival.to);
        if self.recipients.contains(&recipient) {
            self.counts.repeated_recipients += 1;
        } else if self.recipients.len() < tracked_keys {
            self.recipients.insert(recipient);
        }
        if self.pairs.contains(&pair) {
            self.counts.duplicates += 1;
        } else if self.pairs.len() < tracked_keys {
            self.pairs.insert(pair);
        } else {
            self.counts.untracked += 1;
        }
    }

    /// The bucket of `now_ms`. A clock that steps back counts into the newest second.
    fn second(&mut self, now_ms: i64) -> &mut Second {
        let second = now_ms.div_euclid(1000);
        if second > self.newest.second {
            if self.newest.requests > 0 {
                self.seconds.push_back(self.newest);
            }
            if self.seconds.len() >= SECONDS_KEPT {
                self.seconds.pop_front();
            }
            self.newest = Second { second, ..Second::default() };
        }
        &mut self.newest
    }

    /// What has been counted.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            distinct: u64::try_from(self.pairs.len()).unwrap_or(u64::MAX),
            recipients: u64::try_from(self.recipients.len()).unwrap_or(u64::MAX),
            ..self.counts.clone()
        }
    }

    /// The history, oldest first.
    pub(super) fn seconds(&self) -> Vec<Second> {
        let newest = Some(self.newest).filter(|second| second.requests > 0);
        self.seconds.iter().copied().chain(newest).collect()
    }

    /// Forgets everything but the numbering, so that ids stay unique.
    pub(super) fn clear(&mut self) {
        *self = Self { number: self.number, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { tracked_keys: 4, inbox_messages: 3, idempotency: true };

    fn arrival<'a>(to: &'a str, reference: &'a str, key: Option<&'a str>, body: &'a str) -> Arrival<'a> {
        Arrival { now_ms: 1_700_000_000_500, to, reference, idempotency_key: key, body: body.as_bytes() }
    }

    #[test]
    fn a_message_accepted_twice_is_a_duplicate_and_a_replayed_key_is_not() {
        let mut record = Record::default();
        assert_eq!(record.accept(&arrival("+1", "a", Some("k"), "{}"), &BOUNDS), Entry::New(1));
        assert_eq!(record.accept(&arrival("+1", "a", Some("k"), "{}"), &BOUNDS), Entry::Replayed(1));
        assert_eq!(record.accept(&arrival("+1", "a", None, "{}"), &BOUNDS), Entry::New(2));
        assert_eq!(record.accept(&arrival("+1", "b", Some("k2"), "{}"), &BOUNDS), Entry::New(3));
        let deaf = Bounds { idempotency: false, ..BOUNDS };
        assert_eq!(record.accept(&arrival("+2", "b", Some("k2"), "{}"), &deaf), Entry::New(4));
        record.turned_away(1_700_000_000_000);
        let expected =
            Counts { accepted: 4, distinct: 3, duplicates: 1, recipients: 2, repeated_recipients: 2, untracked: 0 };
        assert_eq!(record.counts(), expected);
        assert_eq!(record.seconds(), vec![Second { second: 1_700_000_000, requests: 6, accepted: 4 }]);
    }

    #[test]
    fn memory_is_bounded_and_what_cannot_be_told_apart_is_said() {
        let mut record = Record::default();
        for n in 0..10 {
            let (reference, key) = (format!("r{n}"), format!("k{n}"));
            let body = format!(r#"{{"to":"+{n}","text":"t"}}"#);
            record.accept(&arrival("+1", &reference, Some(&key), &body), &BOUNDS);
        }
        let counts = record.counts();
        assert_eq!((counts.distinct, counts.untracked, counts.duplicates), (4, 6, 0));
        assert!(record.keys.len() + record.old_keys.len() <= BOUNDS.tracked_keys);
        assert_eq!(record.accept(&arrival("+1", "r9", Some("k9"), ""), &BOUNDS), Entry::Replayed(10));
        let numbers = |to, after, limit| {
            let found = record.inbox.page(to, after, limit, |n| format!("sb-{n}"));
            found.into_iter().map(|received| received.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(None, 0, 10), vec![8, 9, 10]);
        assert_eq!(numbers(None, 8, 1), vec![9]);
        assert_eq!(numbers(Some("+9"), 0, 10), vec![10]);
    }

    #[test]
    fn the_history_has_a_bucket_a_second_and_an_end() {
        let mut record = Record::default();
        for second in 0..4000 {
            record.turned_away(second * 1000);
        }
        record.turned_away(0);
        let seconds = record.seconds();
        assert_eq!(seconds.len(), SECONDS_KEPT);
        assert_eq!(seconds.last(), Some(&Second { second: 3999, requests: 2, accepted: 0 }));
    }
}
