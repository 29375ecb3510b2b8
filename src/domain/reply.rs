//! Replies: what people answer, how a provider writes it, and to which message it belongs (BM-16, BM-17, BM-18).
//!
//! A provider's message is a JSON object (or the fields of a form) of its own shape: [`ReplyMap`] says where things
//! stand. A whole message that is a word such as STOP or ALTA is a wish ([`Words`]). [`choose`] finds the message that is
//! answered among the latest to that address, an open case before a closed one, and [`Fate`] says what becomes of it.

use serde_json::Value;

use super::case::{Case, CaseState, Reply};
use super::clock::EpochMs;
use super::contact::Address;
use super::keyed;
use super::listed::listed;
use super::receipt::{clean_id, scalar, time};
use super::reference::{self, Parts};
use super::unsubscribe::{Circle, CircleKind};

/// Characters of a reply that are kept.
pub const TEXT_CHARS: usize = 1_000;

/// Where a case comes from that a reply opened.
pub const ORIGIN: &str = "reply";

/// Characters of the digest by which a reply is known again.
const DIGEST_CHARS: usize = 16;

/// Latest messages to an address that are remembered.
pub const REMEMBERED: usize = 5;

/// How a provider writes what people answer: JSON pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplyMap {
    /// Where a list of replies stands; empty: the body is one reply, or an array of them.
    pub list: String,
    /// Who answers.
    pub from: String,
    /// What.
    pub text: String,
    /// The provider's id of it; empty: none.
    pub id: String,
    /// Its time; empty: none.
    pub time: String,
    /// Our reference of the message that is answered; empty: none.
    pub reference: String,
}

/// What somebody answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The channel it came by.
    pub channel: String,
    /// Who.
    pub from: Address,
    /// What, cut.
    pub text: String,
    /// The provider's id of it; empty where it says none.
    pub id: String,
    /// When, by the provider's clock.
    pub at: Option<EpochMs>,
    /// The message it answers, where the provider says so.
    pub of: Option<Parts>,
}

/// Why a reply cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No list where one was promised.
    #[error("there is no list of replies at {pointer:?}")]
    NoList {
        /// Where.
        pointer: String,
    },
    /// Nobody answers, or nobody who can be written to.
    #[error("there is no phone number and no e-mail address at {pointer:?}")]
    NoSender {
        /// Where.
        pointer: String,
    },
    /// No text.
    #[error("there is no text at {pointer:?}")]
    NoText {
        /// Where.
        pointer: String,
    },
}

impl Unreadable {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoList { .. } => "missing_list",
            Self::NoSender { .. } => "missing_sender",
            Self::NoText { .. } => "missing_text",
        }
    }
}

impl ReplyMap {
    /// The replies of a body.
    pub fn replies<'a>(&self, body: &'a Value) -> Result<Vec<&'a Value>, Unreadable> {
        listed(body, &self.list).ok_or_else(|| Unreadable::NoList { pointer: self.list.clone() })
    }

    /// Reads one reply that came by a channel.
    pub fn read(&self, secret: &[u8], channel: &str, reply: &Value) -> Result<Inbound, Unreadable> {
        let text = |pointer: &str| if pointer.is_empty() { None } else { reply.pointer(pointer).and_then(scalar) };
        let from = text(&self.from).as_deref().and_then(sender);
        let from = from.ok_or_else(|| Unreadable::NoSender { pointer: self.from.clone() })?;
        let words = text(&self.text).ok_or_else(|| Unreadable::NoText { pointer: self.text.clone() })?;
        Ok(Inbound {
            channel: channel.to_owned(),
            from,
            text: cut(&words),
            id: clean_id(&text(&self.id).unwrap_or_default()),
            at: text(&self.time).as_deref().and_then(time),
            of: text(&self.reference).and_then(|written| reference::verify(secret, &written)),
        })
    }
}

/// Who writes, as providers say it: `whatsapp:+34600123456`, `34600123456`, `Ana <ana@example.com>`.
fn sender(written: &str) -> Option<Address> {
    let written = written.rsplit_once('<').map_or(written, |(_, inner)| inner.trim_end().trim_end_matches('>'));
    let written = written.strip_prefix("whatsapp:").unwrap_or(written).trim();
    let bare = !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit());
    let international = if bare { format!("+{}", written.trim_start_matches("00")) } else { written.to_owned() };
    Address::parse(&international, None).ok()
}

/// A reply as it is kept: without control characters but line ends, and not longer than need be.
pub fn cut(text: &str) -> String {
    let kept = text.trim().chars().filter(|c| *c == '\n' || !c.is_control());
    kept.take(TEXT_CHARS).collect()
}

impl Inbound {
    /// By which it is known again: the provider's id, else who said what and when. None where a repeat cannot be told
    /// from a second reply of the same words.
    pub fn digest(&self, secret: &[u8]) -> Option<String> {
        let at = self.at.map(|at| at.0.to_string()).unwrap_or_default();
        let identity = self.from.identity();
        let said = [self.channel.as_bytes(), identity.as_bytes(), self.text.as_bytes(), at.as_bytes()];
        let named = [self.channel.as_bytes(), self.id.as_bytes()];
        match (self.id.is_empty(), at.is_empty()) {
            (false, _) => Some(keyed::digest(secret, "reply", &named, DIGEST_CHARS)),
            (true, false) => Some(keyed::digest(secret, "reply", &said, DIGEST_CHARS)),
            (true, true) => None,
        }
    }
}

/// The digest under which the latest messages to an address over a channel are remembered: no address in a key.
pub fn outbound_digest(secret: &[u8], channel: &str, address: &Address) -> String {
    keyed::digest(secret, "outbound", &[channel.as_bytes(), address.identity().as_bytes()], DIGEST_CHARS)
}

/// Words that are a wish when they are the whole message, in any case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words {
    /// No commercial messages any more.
    pub stop: Vec<String>,
    /// Commercial messages again.
    pub start: Vec<String>,
}

impl Words {
    /// Whether a message wishes to be put on the list of opt-outs (true), or to be taken off it (false).
    pub fn wish(&self, text: &str) -> Option<bool> {
        let said = text.trim().to_lowercase();
        let is = |words: &[String]| words.iter().any(|word| word.to_lowercase() == said);
        if is(&self.stop) {
            return Some(true);
        }
        is(&self.start).then_some(false)
    }
}

/// A message that an address got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Whose recipient: an order or a case of a campaign.
    pub circle: Circle,
    /// The run.
    pub run: String,
    /// The recipient's number.
    pub number: u64,
    /// Its place among the recipient's contacts.
    pub contact: u32,
    /// Not a message, but a case that an earlier reply opened.
    pub opened: bool,
}

impl Outbound {
    /// As it is remembered.
    pub fn to_text(&self) -> String {
        let Self { circle: Circle { kind, campaign }, run, number, contact, opened } = self;
        let mark = if *opened { "=" } else { "" };
        format!("{mark}{kind}/{campaign}/{run}/{number}.{contact}")
    }

    /// Reads [`Outbound::to_text`].
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, opened) = text.strip_prefix('=').map_or((text, false), |rest| (rest, true));
        let mut parts = rest.split('/');
        let (kind, campaign, run) = (CircleKind::parse(parts.next()?)?, parts.next()?, parts.next()?);
        let (number, contact) = parts.next()?.split_once('.')?;
        let circle = Circle { kind, campaign: campaign.to_owned() };
        let (number, contact) = (number.parse().ok()?, contact.parse().ok()?);
        parts.next().is_none().then(|| Self { circle, run: run.to_owned(), number, contact, opened })
    }
}

/// A message that may be the one that is answered, with its case as it reads now.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The message.
    pub outbound: Outbound,
    /// Its case; none for an order.
    pub case: Option<Case>,
}

/// The message that is answered, of those to the address, newest first: one whose case is open before any other (BM-17).
pub fn choose(candidates: &[Candidate]) -> Option<&Candidate> {
    let open = |candidate: &&Candidate| candidate.case.as_ref().is_some_and(|case| case.state.is_active());
    candidates.iter().find(open).or_else(|| candidates.first())
}

/// What becomes of the case that a reply belongs to.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// The reply is kept on it.
    Kept(Box<Case>),
    /// It is opened again, and keeps the reply.
    Reopened(Box<Case>),
    /// The run had closed it: another one is opened, outside the definition that led to it (BM-16). Its number is not
    /// known yet: it reads 0.
    Opened(Box<Case>),
}

/// Decides about a case: `message` is the definition or message whose run it was, `name` the id of a case to be opened.
pub fn fate(case: &Case, reply: Reply, reopen: bool, message: &str, name: &str, now: EpochMs) -> Fate {
    let mut after = case.clone();
    if case.state.is_active() {
        after.add_reply(reply);
        return Fate::Kept(Box::new(after));
    }
    if reopen {
        // It is closed, so it may be opened.
        let _ = after.reopen(now);
        after.add_reply(reply);
        return Fate::Reopened(Box::new(after));
    }
    if case.closed_by.is_some() && case.forgotten_at.is_none() {
        return Fate::Opened(Box::new(opened(case, reply, message, name, now)));
    }
    after.add_reply(reply);
    Fate::Kept(Box::new(after))
}

/// The case that a reply opens in the place of one that a run had closed.
fn opened(closed: &Case, reply: Reply, message: &str, name: &str, now: EpochMs) -> Case {
    Case {
        state: CaseState::New,
        closed_by: None,
        order: closed.order,
        reply_to: Some(message.to_owned()),
        number: 0,
        id: name.to_owned(),
        closed_at: None,
        closed_reason: None,
        outcome: None,
        origin: Some(ORIGIN.to_owned()),
        client: closed.client.clone(),
        contacts: closed.contacts.clone(),
        vars: closed.vars.clone(),
        replies: vec![reply],
        created_at: now,
        updated_at: now,
        forgotten_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::case::ClosedReason;
    use crate::domain::case::tests::{NOW, case};
    use crate::domain::failure::Attempt;
    use proptest::prelude::*;
    use serde_json::json;

    const SECRET: &[u8] = b"secret";

    fn map() -> ReplyMap {
        ReplyMap {
            from: "/from".to_owned(),
            text: "/text".to_owned(),
            id: "/id".to_owned(),
            time: "/at".to_owned(),
            reference: "/reference".to_owned(),
            ..ReplyMap::default()
        }
    }

    fn reply(text: &str) -> Reply {
        Reply { at: NOW, text: text.to_owned(), run: None }
    }

    fn outbound(number: u64) -> Outbound {
        let circle = Circle { kind: CircleKind::Cases, campaign: "nov".to_owned() };
        Outbound { circle, run: "reminder@1".to_owned(), number, contact: 0, opened: false }
    }

    #[test]
    fn the_shapes_of_the_usual_providers_are_read() {
        let twilio = ReplyMap {
            from: "/From".to_owned(),
            text: "/Body".to_owned(),
            id: "/MessageSid".to_owned(),
            ..ReplyMap::default()
        };
        let form = json!({"From": "whatsapp:+34600123456", "Body": " Si, gracias ", "MessageSid": "SM1", "To": "+1"});
        let read = twilio.read(SECRET, "sms", &form).unwrap();
        assert_eq!((read.from.as_str(), read.text.as_str(), read.id.as_str()), ("+34600123456", "Si, gracias", "SM1"));
        let infobip = ReplyMap {
            list: "/results".to_owned(),
            from: "/from".to_owned(),
            text: "/text".to_owned(),
            id: "/messageId".to_owned(),
            time: "/receivedAt".to_owned(),
            ..ReplyMap::default()
        };
        let body = json!({"results": [{"from": "34600123456", "to": "48600", "text": "BAJA", "messageId": "m-1",
            "receivedAt": "2026-11-21T10:00:00.000+0100"}], "messageCount": 1});
        let replies = infobip.replies(&body).unwrap();
        let read = infobip.read(SECRET, "sms", replies[0]).unwrap();
        assert_eq!((read.from.as_str(), read.at.unwrap().0), ("+34600123456", 1_795_251_600_000));
        assert_eq!(sender("Ana <Ana@Example.com>").unwrap().identity(), "ana@example.com");
        for nobody in ["", "48600", "BANK", "whatsapp:", "@", "<>"] {
            assert_eq!(sender(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let code = |reply| map().read(SECRET, "sms", &reply).unwrap_err().code();
        assert_eq!(code(json!({"text": "hola"})), "missing_sender");
        assert_eq!(code(json!({"from": "+34600123456"})), "missing_text");
        assert_eq!(
            ReplyMap { list: "/x".to_owned(), ..map() }.replies(&json!({"x": 1})).unwrap_err().code(),
            "missing_list"
        );
    }

    #[test]
    fn bm_17_our_reference_names_the_message_that_is_answered() {
        let ours = reference::sign(SECRET, "nov", "reminder@1", 42, 1, Attempt::FIRST);
        let read = |reference: &str| {
            let reply = json!({"from": "+34600123456", "text": "x", "reference": reference});
            map().read(SECRET, "sms", &reply).unwrap().of.map(|of| (of.n, of.contact))
        };
        assert_eq!(read(&ours), Some((42, 1)));
        assert_eq!(read("nov/reminder@1/42.1/1.aaaaaaaaaa"), None);
    }

    #[test]
    fn bm_18_a_word_is_a_wish_only_when_it_is_the_whole_message() {
        let words = Words { stop: vec!["STOP".to_owned(), "Baja".to_owned()], start: vec!["ALTA".to_owned()] };
        for (text, wish) in [
            ("stop", Some(true)),
            (" BAJA \n", Some(true)),
            ("Alta", Some(false)),
            ("STOP please", None),
            ("", None),
            ("stop.", None),
        ] {
            assert_eq!(words.wish(text), wish, "{text:?}");
        }
    }

    #[test]
    fn bm_17_an_open_case_is_before_a_newer_closed_one() {
        let closed = Case { state: CaseState::Closed, ..case() };
        let of = |number, case: Option<&Case>| Candidate { outbound: outbound(number), case: case.cloned() };
        let chosen = |candidates: &[Candidate]| choose(candidates).map(|candidate| candidate.outbound.number);
        assert_eq!(chosen(&[of(9, Some(&closed)), of(4, Some(&case())), of(2, Some(&case()))]), Some(4));
        assert_eq!(chosen(&[of(9, Some(&closed)), of(4, Some(&closed))]), Some(9));
        assert_eq!(chosen(&[of(9, None)]), Some(9));
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn bm_16_a_reply_to_a_case_that_the_run_closed_opens_another_outside_its_definition() {
        let by_run = Case {
            state: CaseState::Closed,
            closed_by: Some("reminder@1".to_owned()),
            closed_reason: Some(ClosedReason::BulkMessage),
            closed_at: Some(NOW),
            order: Some(7),
            ..case()
        };
        let Fate::Opened(opened) = fate(&by_run, reply("Ya pagué"), false, "reminder", "reply:x", NOW) else {
            panic!()
        };
        assert_eq!(
            (opened.state, opened.origin.as_deref(), opened.reply_to.as_deref()),
            (CaseState::New, Some("reply"), Some("reminder"))
        );
        assert_eq!((opened.number, opened.order, opened.closed_by.as_deref()), (0, Some(7), None));
        assert_eq!((&opened.client, &opened.contacts), (&by_run.client, &by_run.contacts));
        assert_eq!(opened.replies[0].text, "Ya pagué");
        let Fate::Reopened(again) = fate(&by_run, reply("x"), true, "reminder", "reply:x", NOW) else { panic!() };
        assert_eq!((again.state, again.replies.len(), again.closed_by), (CaseState::Open, 1, None));
    }

    #[test]
    fn bm_16_a_reply_to_any_other_case_is_kept_on_it_and_reopens_nothing_by_itself() {
        let by_operator = Case {
            state: CaseState::Closed,
            closed_reason: Some(ClosedReason::Operator),
            closed_at: Some(NOW),
            ..case()
        };
        for before in [case(), by_operator] {
            let Fate::Kept(after) = fate(&before, reply("x"), false, "reminder", "reply:x", NOW) else { panic!() };
            assert_eq!((after.state, after.replies.len()), (before.state, 1));
        }
    }

    #[test]
    fn a_reply_is_known_again_by_its_id_or_by_who_said_what_when() {
        let said = |id: &str, text: &str, at: Option<i64>| Inbound {
            channel: "sms".to_owned(),
            from: Address::parse("+34600123456", None).unwrap(),
            text: text.to_owned(),
            id: id.to_owned(),
            at: at.map(EpochMs),
            of: None,
        };
        assert_eq!(said("m", "a", None).digest(SECRET), said("m", "b", Some(5)).digest(SECRET));
        assert_ne!(said("m", "a", None).digest(SECRET), said("n", "a", None).digest(SECRET));
        assert_eq!(said("", "a", Some(5)).digest(SECRET), said("", "a", Some(5)).digest(SECRET));
        assert_ne!(said("", "a", Some(5)).digest(SECRET), said("", "a", Some(6)).digest(SECRET));
        assert_eq!(said("", "a", None).digest(SECRET), None);
    }

    #[test]
    fn a_long_reply_is_cut_and_loses_its_control_characters() {
        assert_eq!(cut(" a\u{0}b\nc "), "ab\nc");
        assert_eq!(cut(&"é".repeat(2_000)).chars().count(), TEXT_CHARS);
    }

    proptest! {
        #[test]
        fn a_remembered_message_reads_as_it_was_written(
            campaign in "[A-Za-z0-9][A-Za-z0-9._-]{0,20}", run in "[a-z]{1,9}(@[0-9]{1,13})?", number: u64, contact: u32, opened: bool,
        ) {
            let circle = Circle { kind: CircleKind::Orders, campaign };
            let outbound = Outbound { circle, run, number, contact, opened };
            prop_assert_eq!(Outbound::parse(&outbound.to_text()), Some(outbound));
        }

        #[test]
        fn no_reply_panics(from in "\\PC{0,30}", text in "\\PC{0,30}", at in "\\PC{0,20}") {
            let _ = map().read(SECRET, "sms", &json!({"from": from, "text": text, "at": at}));
            let _ = Outbound::parse(&text);
        }
    }
}
