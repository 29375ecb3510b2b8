//! The report of a preview: what its job's result holds and a command prints, the same for both.
//!
//! Bounded whatever the source holds. Times are epoch milliseconds; a contact is masked (DA-9), a text is whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{clock::EpochMs, estimate::Course, expiry::Expiry},
    job::{DeadCode, Rejection, Warning},
};

use super::super::generate::{
    census::Census,
    forecast::{Estimate, Lane},
    gates::{self, Survey},
};
use super::super::tally::{Failing, Sample, Tally};

/// What would become of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// `preview`.
    pub action: String,
    /// The campaign, as far as the job names one.
    pub campaign: String,
    /// Whether the job would be accepted.
    pub verdict: Verdict,
    /// The rows, where the source could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowCounts>,
    /// The contacts of those that become orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Contacts>,
    /// Whom a bulk message goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<AudienceReport>,
    /// The next due times of a permanent message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coming: Vec<EpochMs>,
    /// The messages, where something is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Messages>,
    /// When they leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sending: Option<Sending>,
    /// When the first orders expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<EpochMs>,
    /// How long after its generation each order expires, where that is how the job says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// What to know before it is enqueued.
    pub warnings: Vec<Told>,
}

/// Whether the job would be accepted, in the words of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether it would be.
    pub accepted: bool,
    /// The state the job would end in: `done`, `rejected`, `dead`.
    pub state: String,
    /// Why it would not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The same as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Rows by what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows of the source.
    pub read: u64,
    /// Of them, those that become orders; of a generate job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<u64>,
    /// How many cases they are about; of an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cases: Option<u64>,
    /// Of them, those that are refused.
    pub refused: u64,
    /// The same by code.
    pub refused_by_code: BTreeMap<String, u64>,
    /// The first of each code.
    pub first_refused: Vec<RefusedRow>,
}

/// The first row that is refused with a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRow {
    /// The code.
    pub code: String,
    /// Its number, from 1.
    pub row: u64,
    /// The line it begins on.
    pub line: u64,
    /// Why.
    pub error: String,
}

/// Contacts of the rows that become orders or cases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contacts {
    /// Valid ones.
    pub valid: u64,
    /// Rows without any.
    pub missing: u64,
    /// Rows with one that is not valid.
    pub invalid: u64,
    /// The first rows without a valid one.
    pub first_without: Vec<u64>,
}

/// Whom a bulk message goes to, as its campaign stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceReport {
    /// `cases` or `orders`.
    pub of: String,
    /// So many the campaign has.
    pub recipients: u64,
    /// Of them, those that the message is for.
    pub matched: u64,
    /// The others, by reason: `filtered`, `case_closed`.
    pub left_out: BTreeMap<String, u64>,
    /// Messages to further contacts of a case.
    pub further: u64,
}

/// Messages by what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Those that can be sent.
    pub send: u64,
    /// Those that would be skipped, by reason.
    pub skip: BTreeMap<String, u64>,
    /// Those that would fail, by reason.
    pub fail: BTreeMap<String, Failing>,
    /// Parts of those that can be sent, which is what a provider bills.
    pub parts: u64,
    /// The fewest parts of one.
    pub min_parts: usize,
    /// The most parts of one.
    pub max_parts: usize,
    /// How many have so many parts.
    pub by_parts: BTreeMap<usize, u64>,
    /// How many go as GSM-7.
    pub gsm7: u64,
    /// How many go as UCS-2.
    pub ucs2: u64,
    /// What forces UCS-2, the most frequent first.
    pub forcing: Vec<ForcingReport>,
    /// What is replaced by look-alikes, the most frequent first.
    pub replaced: Vec<ReplacedReport>,
    /// The first ones.
    pub samples: Vec<Sample>,
    /// The longest one.
    pub longest: Option<Sample>,
}

/// A character that forces UCS-2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForcingReport {
    /// The character.
    pub character: char,
    /// Its number: `U+00FA`.
    pub code_point: String,
    /// In so many messages.
    pub messages: u64,
    /// Where it comes from: `text`, or a variable; with messages.
    pub places: BTreeMap<String, u64>,
    /// The first row.
    pub first_row: u64,
}

/// A character that is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedReport {
    /// The character.
    pub character: char,
    /// What is sent instead.
    pub with: String,
    /// In so many messages.
    pub messages: u64,
}

/// When messages leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// The channel.
    pub channel: String,
    /// Its parts a second, 0 for no limit; none where nobody says it.
    pub rate_per_second: Option<u32>,
    /// Messages under way at once, per daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u32>,
    /// Parts that wait on it now; none where Redis could not be asked.
    pub parts_waiting: Option<u64>,
    /// Why it does not send now, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stands_still: Option<String>,
    /// When the first message may leave.
    pub estimated_start: EpochMs,
    /// When the last has left; none where the rate is not limited.
    pub estimated_end: Option<EpochMs>,
    /// Orders that would not live until their message's turn.
    pub late: u64,
}

/// A warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its code.
    pub code: String,
    /// Its sentence.
    pub sentence: String,
}

impl Report {
    /// A job of which nothing but its refusal is known.
    pub fn refused(campaign: String, rejection: &Rejection) -> Self {
        Self { verdict: Verdict::rejected(rejection), ..Self::new(campaign) }
    }

    /// A job of which nothing is known yet.
    pub(super) fn new(campaign: String) -> Self {
        Self {
            action: "preview".to_owned(),
            campaign,
            verdict: Verdict::done(),
            rows: None,
            contacts: None,
            audience: None,
            coming: Vec::new(),
            messages: None,
            sending: None,
            expires_at: None,
            expires_in_seconds: None,
            warnings: Vec::new(),
        }
    }

    /// Adds what the source holds.
    pub(super) fn with_survey(mut self, survey: &Survey) -> Self {
        self.rows = Some(RowCounts {
            read: survey.through.rows,
            orders: Some(survey.orders()),
            cases: None,
            refused: survey.refused.values().map(|refused| refused.rows).sum(),
            refused_by_code: survey.refused.iter().map(|(code, r)| ((*code).to_owned(), r.rows)).collect(),
            first_refused: survey
                .refused
                .iter()
                .map(|(code, first)| RefusedRow {
                    code: (*code).to_owned(),
                    row: first.first_row,
                    line: first.first_line,
                    error: first.sentence.clone(),
                })
                .collect(),
        });
        self.contacts = Some(Contacts {
            valid: survey.valid,
            missing: survey.empty,
            invalid: survey.without_count - survey.empty,
            first_without: survey.without.clone(),
        });
        self.messages = survey.census.as_ref().map(|census| Messages::of_orders(census, survey.without_count));
        self.warnings = gates::warnings(survey).into_iter().map(Told::from).collect();
        self
    }

    /// Adds when the orders expire that are generated at `from`.
    pub(super) fn with_expiry(mut self, expiry: &Expiry, from: EpochMs) -> Self {
        self.expires_at = Some(expiry.expires_at(from));
        if let Expiry::In(duration) = expiry {
            self.expires_in_seconds = Some(duration.as_secs());
        }
        self
    }
}

impl Verdict {
    /// The job would be done.
    pub(super) fn done() -> Self {
        Self { accepted: true, state: "done".to_owned(), error_code: None, error: None }
    }

    /// It would be refused.
    pub(super) fn rejected(rejection: &Rejection) -> Self {
        Self {
            accepted: false,
            state: "rejected".to_owned(),
            error_code: Some(rejection.code.to_string()),
            error: Some(rejection.sentence.clone()),
        }
    }

    /// It would be accepted and end dead.
    pub(super) fn dead(code: DeadCode, sentence: String) -> Self {
        Self { accepted: true, state: "dead".to_owned(), error_code: Some(code.to_string()), error: Some(sentence) }
    }
}

impl Messages {
    fn of_orders(census: &Census, without_contact: u64) -> Self {
        let skipped = [("no_valid_contact", without_contact), ("expires_too_soon", census.late)];
        let skip = skipped.into_iter().filter(|(_, n)| *n > 0).map(|(reason, n)| (reason.to_owned(), n)).collect();
        Self { send: census.tally.messages - census.late, ..Self::of(&census.tally, skip) }
    }

    /// What texts come to of which as many as were counted can be sent.
    pub(super) fn of(tally: &Tally, skip: BTreeMap<String, u64>) -> Self {
        let mut forcing: Vec<_> = tally
            .forcing
            .iter()
            .map(|(c, forcing)| ForcingReport {
                character: *c,
                code_point: format!("U+{:04X}", u32::from(*c)),
                messages: forcing.messages,
                places: forcing.places.clone(),
                first_row: forcing.first_row,
            })
            .collect();
        forcing.sort_by(|a, b| b.messages.cmp(&a.messages).then(a.character.cmp(&b.character)));
        let mut replaced: Vec<_> = tally
            .replaced
            .iter()
            .map(|(c, by)| ReplacedReport { character: *c, with: by.with.clone(), messages: by.messages })
            .collect();
        replaced.sort_by(|a, b| b.messages.cmp(&a.messages).then(a.character.cmp(&b.character)));
        Self {
            send: tally.messages,
            skip,
            fail: tally.failed.clone(),
            parts: tally.parts,
            min_parts: tally.by_parts.keys().next().copied().unwrap_or(0),
            max_parts: tally.by_parts.keys().next_back().copied().unwrap_or(0),
            by_parts: tally.by_parts.clone(),
            gsm7: tally.messages - tally.ucs2,
            ucs2: tally.ucs2,
            forcing,
            replaced,
            samples: tally.samples.clone(),
            longest: tally.longest.clone(),
        }
    }
}

impl Sending {
    /// What a channel does with the orders' messages.
    pub(super) fn of_orders(lane: Lane, census: &Census) -> Self {
        Self { late: census.late, ..Self::of(lane, &census.terms().course, census.tally.parts) }
    }

    /// What a channel does with so many parts.
    pub(super) fn of(lane: Lane, course: &Course, parts: u64) -> Self {
        let Estimate { starts, ends } = Estimate::of(course, &lane.bounds.hours, parts);
        Self {
            channel: lane.channel,
            rate_per_second: lane.rate_per_second,
            in_flight: lane.in_flight,
            parts_waiting: lane.parts_waiting,
            stands_still: lane.stands_still,
            estimated_start: starts,
            estimated_end: ends,
            late: 0,
        }
    }
}

impl From<Warning> for Told {
    fn from(warning: Warning) -> Self {
        Self { code: warning.code.to_string(), sentence: warning.sentence }
    }
}
