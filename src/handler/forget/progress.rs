//! How far a `forget` is, kept in Redis until its end, and what is told of it.
//!
//! What a step found is written down before it is erased, with where the walk goes on: after a crash it is erased
//! again, which changes nothing, and counted once. The number that is looked for stands here only where the job does
//! not name it (it named an order), and only until the walk has ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Names of files that are told; further ones are only counted.
const FILES_TOLD: usize = 100;

/// Where the walk is. The order is the order of the walk: what is still to be sent comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// Before the newest campaign that is older than this one.
    Campaigns(Option<(i64, String)>),
    /// Orders of a campaign, from this number on.
    Orders(Campaign, u64),
    /// Its cases, from this number on.
    Cases(Campaign, u64),
    /// Its refused rows, from this index on.
    Rows(Campaign, u64),
    /// Its events that are not published yet, behind this entry.
    Outbox(Campaign, String),
    /// What its hash says.
    Fields(Campaign),
    /// Status and payload of jobs: the scan's cursor, and the life of the server it belongs to.
    Jobs(u64, String),
    /// Refused jobs, behind this entry.
    Rejected(String),
    /// Dead jobs, behind this entry.
    Dead(String),
    /// Published events, behind this entry.
    Results(String),
    /// Jobs that nobody has begun: told, not changed.
    Waiting(String),
    /// The same of imports.
    WaitingImports(String),
    /// Files that Remesa wrote, behind this one.
    OwnFiles(String),
    /// Files of producers, behind this one: told, not changed.
    Sources(String),
    /// What was in flight is looked at again.
    InFlight,
}

/// A campaign in the walk: when it was created, and its name.
pub type Campaign = (i64, String);

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hit {
    /// An order of a campaign.
    Order(String, u64),
    /// A case of a campaign.
    Case(String, u64),
    /// A refused row of a campaign.
    Row(String, u64),
    /// An entry of a campaign's outbox.
    Outbox(String, String),
    /// The hash of a campaign.
    Fields(String),
    /// A job.
    Job(String),
    /// A refused job.
    Rejected(String),
    /// A dead job.
    Dead(String),
    /// A published event.
    Event(String),
    /// A file that Remesa wrote.
    File(String),
}

/// What stays where it is, and why somebody else has to see to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Files of producers in the spool folder that hold the number.
    pub source_files: Vec<String>,
    /// How many there are.
    pub source_files_count: u64,
    /// Files of the spool folder that could not be read to their end: nobody knows whether they hold it.
    #[serde(default)]
    pub unreadable_files: Vec<String>,
    /// How many there are.
    #[serde(default)]
    pub unreadable_files_count: u64,
    /// Jobs that wait or run and hold the number: what they bring comes after this.
    pub jobs_waiting: u64,
    /// Copies of lists and addresses that jobs under way read, those that cannot be read too; they go with their jobs.
    pub source_copies: u64,
    /// Exports that were being written.
    pub exports_under_way: u64,
    /// Messages that were on their way and whose end nobody has recorded yet.
    pub in_flight: u64,
}

impl Left {
    /// Takes note of a file.
    pub fn file(&mut self, name: &str) {
        self.source_files_count += 1;
        if self.source_files.len() < FILES_TOLD {
            self.source_files.push(name.to_owned());
        }
    }

    /// Takes note of a file that cannot be read.
    pub fn unreadable(&mut self, name: &str) {
        self.unreadable_files_count += 1;
        if self.unreadable_files.len() < FILES_TOLD {
            self.unreadable_files.push(name.to_owned());
        }
    }
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// When it began, by Redis' clock.
    pub started_at: i64,
    /// A keyed digest that stands for the person.
    pub person: Option<String>,
    /// The number, where the job does not name it.
    pub contact: Option<String>,
    /// The order that the job names.
    pub named: Option<(String, u64)>,
    /// The case that the job names.
    #[serde(default)]
    pub named_case: Option<(String, u64)>,
    /// Where the walk is.
    pub place: Place,
    /// Found, written down here, and perhaps not erased yet.
    pub pending: Vec<Hit>,
    /// What was erased, by kind.
    pub erased: BTreeMap<String, u64>,
    /// Deliveries in flight: campaign, order.
    pub in_flight: Vec<(String, u64)>,
    /// The same of cases: campaign, case.
    #[serde(default)]
    pub cases_in_flight: Vec<(String, u64)>,
    /// Since when those are waited for.
    pub waits_since: Option<i64>,
    /// What is left.
    pub left: Left,
    /// The note of what was done, once all is.
    pub note: Option<(i64, String)>,
}

impl Progress {
    /// At its beginning.
    pub fn new(started_at: i64) -> Self {
        Self {
            started_at,
            person: None,
            contact: None,
            named: None,
            named_case: None,
            place: Place::Campaigns(None),
            pending: Vec::new(),
            erased: BTreeMap::new(),
            in_flight: Vec::new(),
            cases_in_flight: Vec::new(),
            waits_since: None,
            left: Left::default(),
            note: None,
        }
    }

    /// Counts what was erased.
    pub fn count(&mut self, kind: &str, number: u64) {
        if number > 0 {
            *self.erased.entry(kind.to_owned()).or_default() += number;
        }
    }

    /// What is told for good: who asked, when, for whom (by a keyed digest), what was erased and what is left.
    pub fn note(&self, job: &str, instance: &str, finished_at: i64) -> Value {
        json!({
            "job": job,
            "person": self.person,
            "order": self.named.as_ref().map(|(campaign, number)| format!("{campaign}/{number}")),
            "case": self.named_case.as_ref().map(|(campaign, number)| format!("{campaign}/{number}")),
            "started_at": self.started_at,
            "finished_at": finished_at,
            "spool_of": instance,
            "erased": self.erased,
            "left": self.left,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn da_9_the_note_of_a_forgotten_person_holds_no_number() {
        let mut progress = Progress::new(1);
        progress.contact = Some("+34600123456".to_owned());
        progress.person = Some("G8QC0FhjrZqE3TAU".to_owned());
        progress.named = Some(("nov".to_owned(), 7));
        progress.count("orders", 2);
        progress.count("orders", 1);
        progress.count("events", 0);
        let note = progress.note("cli:ana@desk:1", "desk:default", 9);
        assert!(!note.to_string().contains("600123456"));
        assert_eq!(note["erased"], json!({"orders": 3}));
        assert_eq!(note["order"], "nov/7");
    }

    #[test]
    fn of_many_files_the_first_are_named_and_all_are_counted() {
        let mut left = Left::default();
        (0..150).for_each(|n| left.file(&format!("{n}.csv")));
        assert_eq!((left.source_files.len(), left.source_files_count), (100, 150));
    }
}
