//! A case: one matter of one client, and the addresses at which the client is reached (DESIGN 5, BM-10, BM-14).
//!
//! A case is one JSON string in Redis. It begins with what scripts ask of it, in this order and by position: `state`, then,
//! each only where it is known, `closed_by` (the run that closed it), `order` (the number of its payment order) and
//! `reply_to` (the message whose reply opened it). What is absent is left out. [`client`] says who it is about, [`contact`]
//! where messages go and which of several addresses is taken, [`brought`] what an import makes of it, [`mod@forget`] what is left
//! when its person is forgotten.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clock::EpochMs;
use super::word::{WrongState, words};

pub mod brought;
pub mod client;
pub mod contact;
pub mod forget;

pub use brought::{Brought, BroughtContact, CaseError};
pub use client::Client;
pub use contact::{CONTACTS_MAX, Contact, ContactKind};

/// Replies that a case keeps.
pub const REPLIES_KEPT: usize = 10;

words! {
    /// Where a case stands. Active is whatever is not closed (BM-10).
    pub enum CaseState {
        /// Nobody has looked at it.
        New = "new",
        /// Somebody works on it.
        Open = "open",
        /// It was given to another department.
        Transferred = "transferred",
        /// It was given to a higher level.
        Escalated = "escalated",
        /// It is done.
        Closed = "closed",
    }
}

words! {
    /// What a command does to a case.
    pub enum CaseAction {
        /// It is done, whoever says so.
        Close = "close_case",
        /// It is not done after all.
        Reopen = "reopen_case",
    }
}

words! {
    /// Why a case is closed.
    pub enum ClosedReason {
        /// A message of a run that closes cases was accepted (BM-14).
        BulkMessage = "bulk_message",
        /// A command closed it.
        Operator = "operator",
        /// An import said so.
        Import = "import",
    }
}

impl CaseState {
    /// Whether messages for active cases only reach it (BM-10).
    pub const fn is_active(self) -> bool {
        !matches!(self, Self::Closed)
    }

    /// The commands that this state allows.
    pub const fn allowed(self) -> &'static [CaseAction] {
        if self.is_active() { &[CaseAction::Close] } else { &[CaseAction::Reopen] }
    }
}

/// What a client answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// When.
    pub at: EpochMs,
    /// What, cut.
    pub text: String,
    /// The run whose message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// One case, as it is stored. The order of the fields is the order in the JSON text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Where it stands.
    pub state: CaseState,
    /// The run that closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    /// The number of its payment order in the same campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
    /// The definition or message whose reply opened it (BM-16).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Its number in the campaign, from 1; orders are numbered apart.
    pub number: u64,
    /// Its id in the producer's system.
    pub id: String,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<EpochMs>,
    /// Why it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_reason: Option<ClosedReason>,
    /// How it ended, in the words of whoever closed it (typification).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Whom it is about.
    #[serde(default, skip_serializing_if = "Client::is_empty")]
    pub client: Client,
    /// Where messages go. A contact never changes its place: an index names one address for ever.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<Contact>,
    /// What else is known, for messages and filters.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    /// What the client answered, the oldest first; the last [`REPLIES_KEPT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<Reply>,
    /// When it was made here.
    pub created_at: EpochMs,
    /// When an import or a command last changed it.
    pub updated_at: EpochMs,
    /// When its person was forgotten; what told who it was is gone since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten_at: Option<EpochMs>,
}

impl Case {
    /// The text stored in Redis; it begins with `{"state":"..."`.
    pub fn to_json(&self) -> String {
        // Every key is a string and every value is plain, so serde_json has nothing to refuse.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Case::to_json`] wrote; fields of a newer version are passed over.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Closes it: `outcome` is the typification. A case already closed is left alone (BM-14).
    pub fn close(
        &mut self,
        reason: ClosedReason,
        outcome: Option<String>,
        now: EpochMs,
    ) -> Result<(), WrongState<CaseState, CaseAction>> {
        self.allows(CaseAction::Close)?;
        self.state = CaseState::Closed;
        self.closed_at = Some(now);
        self.closed_reason = Some(reason);
        self.outcome = outcome;
        self.updated_at = now;
        Ok(())
    }

    /// Opens a closed case again.
    pub fn reopen(&mut self, now: EpochMs) -> Result<(), WrongState<CaseState, CaseAction>> {
        self.allows(CaseAction::Reopen)?;
        self.open_as(CaseState::Open);
        self.updated_at = now;
        Ok(())
    }

    /// Takes an active state; nothing tells of an earlier end any more.
    fn open_as(&mut self, state: CaseState) {
        self.state = state;
        self.closed_by = None;
        self.closed_at = None;
        self.closed_reason = None;
        self.outcome = None;
    }

    fn allows(&self, action: CaseAction) -> Result<(), WrongState<CaseState, CaseAction>> {
        let allowed = self.state.allowed();
        if allowed.contains(&action) { Ok(()) } else { Err(WrongState { state: self.state, allowed }) }
    }

    /// Keeps a reply; the oldest one beyond the last [`REPLIES_KEPT`] goes.
    pub fn add_reply(&mut self, reply: Reply) {
        self.replies.push(reply);
        let surplus = self.replies.len().saturating_sub(REPLIES_KEPT);
        self.replies.drain(..surplus);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::contact::Address;
    use proptest::prelude::*;

    pub(crate) const NOW: EpochMs = EpochMs(1_795_942_800_000);

    pub(crate) fn contact(kind: ContactKind, value: &str, updated_at: i64) -> Contact {
        Contact { kind, value: Address::parse(value, None).ok(), updated_at: EpochMs(updated_at), gone: false }
    }

    pub(crate) fn case() -> Case {
        Case {
            state: CaseState::New,
            closed_by: None,
            order: None,
            reply_to: None,
            number: 1,
            id: "c-1".to_owned(),
            closed_at: None,
            closed_reason: None,
            outcome: None,
            origin: None,
            client: Client { first_name: Some("Ana".to_owned()), ..Client::default() },
            contacts: vec![contact(ContactKind::Mobile, "+34600123456", 1)],
            vars: Map::new(),
            replies: Vec::new(),
            created_at: NOW,
            updated_at: NOW,
            forgotten_at: None,
        }
    }

    #[test]
    fn the_stored_text_begins_with_what_scripts_read_and_leaves_out_what_is_absent() {
        assert_eq!(
            case().to_json(),
            "{\"state\":\"new\",\"number\":1,\"id\":\"c-1\",\"client\":{\"first_name\":\"Ana\"},\
             \"contacts\":[{\"kind\":\"mobile\",\"value\":\"+34600123456\",\"updated_at\":1}],\
             \"created_at\":1795942800000,\"updated_at\":1795942800000}"
        );
        let mut full = case();
        (full.order, full.reply_to) = (Some(7), Some("welcome".to_owned()));
        full.close(ClosedReason::BulkMessage, None, NOW).unwrap();
        full.closed_by = Some("welcome@1".to_owned());
        let head =
            "{\"state\":\"closed\",\"closed_by\":\"welcome@1\",\"order\":7,\"reply_to\":\"welcome\",\"number\":1,";
        assert!(full.to_json().starts_with(head), "{}", full.to_json());
        for state in CaseState::ALL {
            assert!(Case { state: *state, ..case() }.to_json().starts_with(&format!("{{\"state\":\"{state}\",")));
        }
    }

    #[test]
    fn bm_10_active_is_everything_but_closed() {
        let active: Vec<&str> = CaseState::ALL.iter().filter(|s| s.is_active()).map(|s| s.as_str()).collect();
        assert_eq!(active, ["new", "open", "transferred", "escalated"]);
    }

    #[test]
    fn da_7_a_case_is_closed_and_reopened_once_each() {
        let mut case = case();
        assert_eq!(case.reopen(NOW).unwrap_err().to_string(), "the state is new, which allows only close_case");
        case.close(ClosedReason::Operator, Some("promised to pay".to_owned()), EpochMs(5)).unwrap();
        assert_eq!((case.closed_at, case.closed_reason), (Some(EpochMs(5)), Some(ClosedReason::Operator)));
        let closed = case.clone();
        let wrong = case.close(ClosedReason::Operator, None, EpochMs(6)).unwrap_err();
        assert_eq!(wrong.to_string(), "the state is closed, which allows only reopen_case");
        assert_eq!(case, closed, "bm_14: a case already closed is left alone");
        case.closed_by = Some("welcome".to_owned());
        case.reopen(EpochMs(7)).unwrap();
        assert_eq!((case.state, case.closed_by.clone(), case.closed_at), (CaseState::Open, None, None));
        assert_eq!((case.outcome, case.updated_at), (None, EpochMs(7)));
    }

    #[test]
    fn the_last_ten_replies_are_kept() {
        let mut case = case();
        for n in 0..13 {
            case.add_reply(Reply { at: EpochMs(n), text: "yes".to_owned(), run: None });
        }
        assert_eq!((case.replies.len(), case.replies[0].at), (10, EpochMs(3)));
    }

    #[test]
    fn a_stored_case_is_read_back_whole_and_newer_fields_are_passed_over() {
        let mut full = case();
        full.client.other.insert("plan".to_owned(), "gold".into());
        full.client.labels = vec!["vip".to_owned()];
        full.contacts.push(Contact { gone: true, ..contact(ContactKind::Email, "ana@example.com", 2) });
        full.vars.insert("name".to_owned(), "Ana \"la\" Ñ".into());
        full.add_reply(Reply { at: NOW, text: "sí".to_owned(), run: Some("welcome".to_owned()) });
        full.forgotten_at = Some(NOW);
        assert_eq!(Case::from_json(&full.to_json()).unwrap(), full);
        let newer = case().to_json().replacen("\"number\"", "\"later\":{\"a\":1},\"number\"", 1);
        assert_eq!(Case::from_json(&newer).unwrap(), case());
    }

    proptest! {
        #[test]
        fn any_texts_survive_storing(id in "\\PC{1,20}", name in "\\PC{0,20}", key in "\\PC{0,12}", value in "\\PC{0,20}") {
            let mut case = Case { id, ..case() };
            case.client.last_name = Some(name);
            case.vars.insert(key.clone(), value.clone().into());
            if !client::FIELDS.contains(&key.as_str()) {
                case.client.other.insert(key, value.into());
            }
            prop_assert_eq!(Case::from_json(&case.to_json()).unwrap(), case);
        }
    }
}
