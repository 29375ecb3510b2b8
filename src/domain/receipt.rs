//! Receipts: what a provider tells later of a message it took (DA-4, DOMAIN section 3).
//!
//! A provider's report is a JSON object of its own shape. [`ReceiptMap`] says where our reference, its word for the
//! state, its code, its id and its time stand, and what its words mean; the words of the usual providers are known.
//! What comes out is a [`Receipt`] about one cell of the ledger. Nothing personal gets through: a reason is kept as a
//! short code, never as a sentence, and digits in it that could be a number are covered (DA-9).

use std::collections::BTreeMap;

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::clock::EpochMs;
use super::delivery::DeliveryState;
use super::excerpt::Excerpt;
use super::listed::listed;
use super::reference::{self, Parts};

/// Longest id of a provider that is kept, as in its answers.
const ID_BYTES: usize = 128;

/// Longest reason that is kept.
const REASON_CHARS: usize = 48;

/// So many digits in a row may be somebody's number.
const DIGITS_OF_A_NUMBER: usize = 7;

/// A number of seconds below this is not one of milliseconds: the year 2286.
const SECONDS_BELOW: i64 = 10_000_000_000;

/// States that a program may report by a job.
pub const REPORTED: [DeliveryState; 5] = [
    DeliveryState::Delivered,
    DeliveryState::Undelivered,
    DeliveryState::Expired,
    DeliveryState::Failed,
    DeliveryState::Sent,
];

/// News of one message to one contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which one, as our reference names it.
    pub of: Parts,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why, as a code; empty where nothing is said.
    pub reason: String,
    /// What the provider calls the message; empty where it does not say.
    pub provider_id: String,
    /// When, by the provider's clock.
    pub at: Option<EpochMs>,
}

/// What a word of a provider means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The message stands there.
    State(DeliveryState),
    /// Nothing that we do not know: it is on its way.
    NoNews,
}

impl Meaning {
    /// Reads the right side of `receipts.states`: a state of ours, or `ignore`.
    pub fn parse(word: &str) -> Option<Self> {
        match DeliveryState::parse(word) {
            _ if word == "ignore" => Some(Self::NoNews),
            Some(state) if REPORTED.contains(&state) || state == DeliveryState::Skipped => Some(Self::State(state)),
            _ => None,
        }
    }

    /// What the word means at the usual providers: SMPP, Twilio, Infobip, Sinch, Exotel, Lyra, and the simulator.
    /// `word` is in lower case.
    fn usual(word: &str) -> Option<Self> {
        use DeliveryState::{Delivered, Expired, Failed, Sent, Skipped, Undelivered};
        Some(match word {
            "delivered" | "delivrd" | "read" => Self::State(Delivered),
            "sent" | "enroute" | "acceptd" | "dispatched" | "submitted" => Self::State(Sent),
            "undelivered" | "undeliv" | "undeliverable" | "deleted" => Self::State(Undelivered),
            "expired" => Self::State(Expired),
            "failed" | "rejected" | "rejectd" | "aborted" => Self::State(Failed),
            "cancelled" | "canceled" => Self::State(Skipped),
            "accepted" | "queued" | "pending" | "scheduled" | "sending" | "in progress" | "unknown" => Self::NoNews,
            _ => return None,
        })
    }
}

/// How a provider writes its reports: JSON pointers (RFC 6901), and its words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiptMap {
    /// Where a list of reports stands; empty: the body is one report, or an array of them.
    pub list: String,
    /// Our reference.
    pub reference: String,
    /// The provider's word for the state.
    pub state: String,
    /// Its code; empty: none.
    pub reason: String,
    /// Its id of the message; empty: none.
    pub id: String,
    /// Its time; empty: none.
    pub time: String,
    /// Its words in lower case, before the usual ones are asked.
    pub states: BTreeMap<String, Meaning>,
    /// Reports on messages of others come by the same way: one without a reference is none of ours.
    pub shared: bool,
}

/// What one report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// News about a message of ours.
    News(Receipt),
    /// Nothing we do not know.
    NoNews,
    /// About a message that is not ours: the reference is not one we signed.
    Foreign,
}

/// Why a report cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No list where one was promised.
    #[error("there is no list of reports at {pointer:?}")]
    NoList {
        /// Where.
        pointer: String,
    },
    /// No reference.
    #[error("there is no reference at {pointer:?}")]
    NoReference {
        /// Where.
        pointer: String,
    },
    /// No state.
    #[error("there is no state at {pointer:?}")]
    NoState {
        /// Where.
        pointer: String,
    },
    /// A word that stands neither in `receipts.states` nor among the usual ones.
    #[error("the state {word} is not known: say in receipts.states what it means")]
    UnknownState {
        /// The word.
        word: Excerpt,
    },
}

impl Unreadable {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoList { .. } => "missing_list",
            Self::NoReference { .. } => "missing_reference",
            Self::NoState { .. } => "missing_state",
            Self::UnknownState { .. } => "unknown_state",
        }
    }
}

impl ReceiptMap {
    /// The reports of a body.
    pub fn reports<'a>(&self, body: &'a Value) -> Result<Vec<&'a Value>, Unreadable> {
        listed(body, &self.list).ok_or_else(|| Unreadable::NoList { pointer: self.list.clone() })
    }

    /// Reads one report. `reference` is the one of the address, where the provider calls one address a message.
    pub fn read(&self, secret: &[u8], report: &Value, reference: Option<&str>) -> Result<Told, Unreadable> {
        let text = |pointer: &str| if pointer.is_empty() { None } else { report.pointer(pointer).and_then(scalar) };
        if self.shared && reference.is_none() && text(&self.reference).is_none() {
            return Ok(Told::Foreign);
        }
        let word = text(&self.state).ok_or_else(|| Unreadable::NoState { pointer: self.state.clone() })?;
        let lower = word.trim().to_lowercase();
        let meaning = self.states.get(&lower).copied().or_else(|| Meaning::usual(&lower));
        let meaning = meaning.ok_or_else(|| Unreadable::UnknownState { word: Excerpt::of(&word) })?;
        let written = match reference {
            Some(reference) => reference.to_owned(),
            None => text(&self.reference).ok_or_else(|| Unreadable::NoReference { pointer: self.reference.clone() })?,
        };
        let Meaning::State(state) = meaning else { return Ok(Told::NoNews) };
        let Some(of) = reference::verify(secret, &written) else { return Ok(Told::Foreign) };
        let reason = text(&self.reason).unwrap_or_default();
        let reason = if reason.is_empty() && state == DeliveryState::Skipped { lower } else { reason };
        Ok(Told::News(Receipt {
            of,
            state,
            reason: clean_reason(&reason),
            provider_id: clean_id(&text(&self.id).unwrap_or_default()),
            at: text(&self.time).as_deref().and_then(time),
        }))
    }
}

/// A provider's code as the ledger keeps it: `receipt:<code>`, or nothing where it says that there is none.
pub fn clean_reason(code: &str) -> String {
    let code = code.trim();
    if matches!(code, "" | "0" | "000" | "NO_ERROR") || code.eq_ignore_ascii_case("ok") {
        return String::new();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._:-".contains(c) { c } else { '_' };
    let text: String = code.chars().take(REASON_CHARS).map(plain).collect();
    let mut reason = String::from("receipt:");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let others = rest.bytes().take_while(|b| !b.is_ascii_digit()).count();
        let (piece, behind) = rest.split_at(digits.max(others));
        reason.push_str(if digits >= DIGITS_OF_A_NUMBER { "*" } else { piece });
        rest = behind;
    }
    reason
}

/// A provider's id as the ledger keeps it: short, without control characters.
pub fn clean_id(id: &str) -> String {
    let mut id: String = id.trim().chars().filter(|c| !c.is_control()).collect();
    let end = (0..=ID_BYTES.min(id.len())).rev().find(|at| id.is_char_boundary(*at)).unwrap_or(0);
    id.truncate(end);
    id
}

/// A provider's time, in the forms they use; nothing where it cannot be read, for a receipt is worth more than its time.
pub(super) fn time(text: &str) -> Option<EpochMs> {
    if let Ok(at) = EpochMs::parse(text) {
        return Some(at);
    }
    let seconds = text.parse::<i64>().ok().filter(|seconds| *seconds < SECONDS_BELOW);
    let ms = seconds.map(|seconds| seconds.saturating_mul(1000)).or_else(|| {
        // Without the colon in the offset, as Infobip writes it, and as mail does (RFC 2822), as Twilio.
        let read = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z");
        read.or_else(|_| DateTime::parse_from_rfc2822(text)).ok().map(|at| at.timestamp_millis())
    })?;
    EpochMs::from_number(ms).ok()
}

pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::Attempt;
    use proptest::prelude::*;
    use serde_json::json;

    const SECRET: &[u8] = b"secret";

    fn map() -> ReceiptMap {
        ReceiptMap {
            reference: "/reference".to_owned(),
            state: "/state".to_owned(),
            reason: "/reason".to_owned(),
            id: "/id".to_owned(),
            time: "/at".to_owned(),
            ..ReceiptMap::default()
        }
    }

    fn ours() -> String {
        reference::sign(SECRET, "nov-dues", "delivery@1", 42, 0, Attempt::FIRST)
    }

    fn state_of(map: &ReceiptMap, word: &str) -> Result<Option<DeliveryState>, &'static str> {
        match map.read(SECRET, &json!({"reference": ours(), "state": word}), None) {
            Ok(Told::News(receipt)) => Ok(Some(receipt.state)),
            Ok(Told::NoNews) => Ok(None),
            Ok(Told::Foreign) => panic!("foreign"),
            Err(error) => Err(error.code()),
        }
    }

    #[test]
    fn da_4_the_words_of_the_usual_providers_are_known_in_any_case() {
        use DeliveryState::*;
        for (words, state) in [
            ("DELIVRD delivered DELIVERED Delivered read", Some(Delivered)),
            ("ENROUTE ACCEPTD sent Dispatched submitted", Some(Sent)),
            ("UNDELIV DELETED undelivered UNDELIVERABLE", Some(Undelivered)),
            ("EXPIRED expired", Some(Expired)),
            ("REJECTD failed REJECTED Aborted", Some(Failed)),
            ("canceled Cancelled", Some(Skipped)),
            ("accepted queued scheduled ACCEPTED PENDING sending UNKNOWN", None),
        ] {
            for word in words.split(' ') {
                assert_eq!(state_of(&map(), word), Ok(state), "{word}");
            }
        }
        assert_eq!(state_of(&map(), "explodiert"), Err("unknown_state"));
    }

    #[test]
    fn a_word_of_the_configuration_wins_over_the_usual_one() {
        let mut map = map();
        map.states.insert("failed".to_owned(), Meaning::State(DeliveryState::Undelivered));
        map.states.insert("zugestellt".to_owned(), Meaning::State(DeliveryState::Delivered));
        map.states.insert("delivered".to_owned(), Meaning::NoNews);
        assert_eq!(state_of(&map, "Failed"), Ok(Some(DeliveryState::Undelivered)));
        assert_eq!(state_of(&map, "ZUGESTELLT"), Ok(Some(DeliveryState::Delivered)));
        assert_eq!(state_of(&map, "delivered"), Ok(None));
        for (word, meaning) in [("ignore", true), ("sent", true), ("skipped", true), ("queued", false), ("x", false)] {
            assert_eq!(Meaning::parse(word).is_some(), meaning, "{word}");
        }
    }

    #[test]
    fn a_report_is_read_where_the_pointers_say() {
        let nested = ReceiptMap {
            list: "/results".to_owned(),
            reference: "/callbackData".to_owned(),
            state: "/status/groupName".to_owned(),
            reason: "/error/id".to_owned(),
            id: "/messageId".to_owned(),
            time: "/doneAt".to_owned(),
            ..ReceiptMap::default()
        };
        let body = json!({"results": [{"callbackData": ours(), "messageId": "m-1", "doneAt": "2026-11-21T10:00:00.500+0100",
            "status": {"groupName": "UNDELIVERABLE"}, "error": {"id": 27}}]});
        let reports = nested.reports(&body).unwrap();
        let Told::News(receipt) = nested.read(SECRET, reports[0], None).unwrap() else { panic!() };
        assert_eq!((receipt.of.campaign.as_str(), receipt.of.n), ("nov-dues", 42));
        assert_eq!(receipt.state, DeliveryState::Undelivered);
        assert_eq!((receipt.reason.as_str(), receipt.provider_id.as_str()), ("receipt:27", "m-1"));
        assert_eq!(receipt.at.unwrap().to_rfc3339(), "2026-11-21T09:00:00.500Z");
        assert_eq!(nested.reports(&json!({"x": []})).unwrap_err().code(), "missing_list");
        assert_eq!(nested.reports(&json!({"results": {}})).unwrap_err().code(), "missing_list");
        assert_eq!(map().reports(&json!([1, 2])).unwrap().len(), 2);
    }

    #[test]
    fn the_reference_of_the_address_stands_for_the_one_of_the_body() {
        let report = json!({"state": "delivered"});
        assert_eq!(map().read(SECRET, &report, None).unwrap_err().code(), "missing_reference");
        assert!(matches!(map().read(SECRET, &report, Some(&ours())), Ok(Told::News(_))));
        assert_eq!(map().read(b"other", &report, Some(&ours())), Ok(Told::Foreign));
        assert_eq!(map().read(SECRET, &json!({"reference": ours()}), None).unwrap_err().code(), "missing_state");
    }

    #[test]
    fn da_9_a_reason_is_a_code_and_holds_nobodys_number() {
        for (code, reason) in [
            ("", ""),
            ("0", ""),
            ("000", ""),
            ("OK", ""),
            ("30003", "receipt:30003"),
            ("no route, sorry", "receipt:no_route__sorry"),
            ("+34600123456 is off", "receipt:_*_is_off"),
            ("a1b22c3333333", "receipt:a1b22c*"),
        ] {
            assert_eq!(clean_reason(code), reason, "{code}");
        }
        assert_eq!(clean_id(" a,b\n "), "a,b");
        assert_eq!(clean_id(&"é".repeat(100)), "é".repeat(64));
    }

    #[test]
    fn times_are_read_in_the_forms_that_providers_use() {
        for (text, ms) in [
            ("2026-11-21T09:00:00Z", Some(1_795_251_600_000)),
            ("1795251600000", Some(1_795_251_600_000)),
            ("1795251600", Some(1_795_251_600_000)),
            ("2026-11-21T10:00:00.000+0100", Some(1_795_251_600_000)),
            ("Sat, 21 Nov 2026 09:00:00 +0000", Some(1_795_251_600_000)),
            ("yesterday", None),
            ("-1", None),
        ] {
            assert_eq!(time(text).map(|at| at.0), ms, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_report_panics_and_no_reason_moves_the_fields_of_a_cell(code in "\\PC{0,80}", id in "\\PC{0,200}", at in "\\PC{0,30}") {
            let report = json!({"reference": ours(), "state": "failed", "reason": code, "id": id, "at": at});
            if let Ok(Told::News(receipt)) = map().read(SECRET, &report, None) {
                prop_assert!(!receipt.reason.contains(',') && receipt.reason.len() <= REASON_CHARS + 8);
                prop_assert!(receipt.provider_id.len() <= ID_BYTES);
            }
        }
    }
}
