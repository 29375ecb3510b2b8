//! A payment order: its fields, its states and their legal edges (DESIGN 5, PO-11, PO-18).
//!
//! An order is one JSON string in Redis. It begins with state and expiry, which scripts read
//! without decoding the rest, and leaves out what is absent: 600 bytes is the budget for an order
//! with its index entry, link and delivery. Whether it can be paid is judged by the clock; the
//! sweeper that writes `expired` may come later.

use super::clock::EpochMs;
use super::contact::Phone;
use super::excerpt::Excerpt;
use super::money::{Amount, Currency};
use super::name::Name;
use super::short_code::{ShortCode, link};
use super::word::{WrongState, words};
use serde::{Deserialize, Serialize};

/// Most characters of a concept (PO-11; Unicode scalar values).
pub const CONCEPT_MAX_CHARS: usize = 100;
/// Most characters of a reference (PO-11; Unicode scalar values).
pub const REFERENCE_MAX_CHARS: usize = 150;
/// Most characters of a row key; holds `<job id>:<row>` of the longest job id.
pub const KEY_MAX_CHARS: usize = 150;

words! {
    /// Where a payment order stands.
    pub enum OrderState {
        /// Asked of a payment platform, not answered yet.
        Creating = "creating",
        /// The platform's answer was lost.
        InDoubt = "in_doubt",
        /// Can be paid.
        Available = "available",
        /// Its time passed unpaid.
        Expired = "expired",
        /// Withdrawn before it was paid.
        Cancelled = "cancelled",
        /// Paid.
        Paid = "paid",
        /// Paid, and a part given back.
        PartiallyRefunded = "partially_refunded",
        /// Paid, and all given back.
        Refunded = "refunded",
    }
}

words! {
    /// What can happen to a payment order.
    pub enum OrderEvent {
        /// The payer paid.
        Paid = "paid",
        /// Somebody withdrew it.
        Cancelled = "cancelled",
        /// Its time passed.
        Expired = "expired",
        /// A part was given back.
        PartiallyRefunded = "partially_refunded",
        /// All was given back.
        Refunded = "refunded",
    }
}

impl OrderState {
    /// What may happen in this state. An order that is being created takes no event.
    pub const fn allowed(self) -> &'static [OrderEvent] {
        use OrderEvent as E;
        match self {
            Self::Available => &[E::Paid, E::Cancelled, E::Expired],
            Self::Paid | Self::PartiallyRefunded => &[E::PartiallyRefunded, E::Refunded],
            Self::Creating | Self::InDoubt | Self::Expired | Self::Cancelled | Self::Refunded => &[],
        }
    }

    /// The state after `event`, or what would be allowed instead (DA-7).
    pub fn after(self, event: OrderEvent) -> Result<Self, WrongState<Self, OrderEvent>> {
        if !self.allowed().contains(&event) {
            return Err(WrongState { state: self, allowed: self.allowed() });
        }
        Ok(match event {
            OrderEvent::Paid => Self::Paid,
            OrderEvent::Cancelled => Self::Cancelled,
            OrderEvent::Expired => Self::Expired,
            OrderEvent::PartiallyRefunded => Self::PartiallyRefunded,
            OrderEvent::Refunded => Self::Refunded,
        })
    }

    /// Whether nothing can happen any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Expired | Self::Cancelled | Self::Refunded)
    }
}

/// Why a field of an order was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Over 100 characters.
    #[error("concept {value} has {chars} characters, more than {CONCEPT_MAX_CHARS}")]
    ConceptTooLong {
        /// What was written.
        value: Excerpt,
        /// How long it is.
        chars: usize,
    },
    /// Over 150 characters.
    #[error("reference {value} has {chars} characters, more than {REFERENCE_MAX_CHARS}")]
    ReferenceTooLong {
        /// What was written.
        value: Excerpt,
        /// How long it is.
        chars: usize,
    },
    /// Over 150 characters.
    #[error("key {value} has {chars} characters, more than {KEY_MAX_CHARS}")]
    KeyTooLong {
        /// What was written.
        value: Excerpt,
        /// How long it is.
        chars: usize,
    },
    /// Empty or with control characters.
    #[error("key {value} is empty or has control characters")]
    InvalidKey {
        /// What was written.
        value: Excerpt,
    },
}

impl OrderError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ConceptTooLong { .. } => "concept_too_long",
            Self::ReferenceTooLong { .. } => "reference_too_long",
            Self::KeyTooLong { .. } => "key_too_long",
            Self::InvalidKey { .. } => "invalid_key",
        }
    }
}

/// Refuses a concept of more than 100 characters (PO-11).
pub fn check_concept(text: &str) -> Result<(), OrderError> {
    match longer_than(text, CONCEPT_MAX_CHARS) {
        Some(chars) => Err(OrderError::ConceptTooLong { value: Excerpt::of(text), chars }),
        None => Ok(()),
    }
}

/// Refuses a reference of more than 150 characters (PO-11).
pub fn check_reference(text: &str) -> Result<(), OrderError> {
    match longer_than(text, REFERENCE_MAX_CHARS) {
        Some(chars) => Err(OrderError::ReferenceTooLong { value: Excerpt::of(text), chars }),
        None => Ok(()),
    }
}

/// Refuses a row key that is empty, longer than 150 characters, or holds control characters.
pub fn check_key(text: &str) -> Result<(), OrderError> {
    if let Some(chars) = longer_than(text, KEY_MAX_CHARS) {
        return Err(OrderError::KeyTooLong { value: Excerpt::of(text), chars });
    }
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(OrderError::InvalidKey { value: Excerpt::of(text) });
    }
    Ok(())
}

/// The number of characters, when it is over `max`. Bytes are never fewer than characters.
fn longer_than(text: &str, max: usize) -> Option<usize> {
    if text.len() <= max {
        return None;
    }
    Some(text.chars().count()).filter(|chars| *chars > max)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A link that an order had before it was re-routed. What was sent until `until` carries it, what was sent
/// afterwards carries the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerLink {
    /// The end of the link.
    pub short_code: ShortCode,
    /// Who collected by it, where it is not the campaign's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_point: Option<Name>,
    /// What stood before the code, where it is not the campaign's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_base: Option<String>,
    /// The order's id at that payment platform, if one made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_id: Option<String>,
    /// When it was replaced.
    pub until: EpochMs,
    /// The job that replaced it.
    pub job: String,
}

/// One payment order, as it is stored. The order of the fields is the order in the JSON text:
/// scripts read the first two by position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Where it stands; whether it is payable also depends on the clock.
    pub state: OrderState,
    /// Not payable from this instant on.
    pub expires_at: EpochMs,
    /// Its number in the campaign, from 1 in row order.
    pub number: u64,
    /// The row's key in the campaign.
    pub key: String,
    /// The producer's reference, shown to the payer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// What it is for, shown to the payer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub concept: String,
    /// The sum.
    pub amount: Amount,
    /// Its currency, where it is not the campaign's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Where its message goes, if the row had a valid number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Phone>,
    /// The end of its link; none until a payment platform has said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_code: Option<ShortCode>,
    /// When it was generated.
    pub created_at: EpochMs,
    /// Its payment point, where it is not the campaign's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_point: Option<Name>,
    /// Address of its payment form, where it is not the campaign's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_base: Option<String>,
    /// Its id at the payment platform, if one made it (`payment_order_id`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_id: Option<String>,
    /// What was paid, in minor units; 0 as long as nothing was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub paid_minor: u64,
    /// What of it was given back, in minor units.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refunded_minor: u64,
    /// Links it had before it was re-routed, the oldest first; they still lead to it (PO-17).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<FormerLink>,
    /// The row's other columns, for the message.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub vars: serde_json::Map<String, serde_json::Value>,
}

impl Order {
    /// The text stored in Redis; it begins with `{"state":"...","expires_at":<ms>,`.
    pub fn to_json(&self) -> String {
        // Every key is a string and every value is plain, so serde_json has nothing to refuse.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Order::to_json`] wrote; fields of a newer version are passed over.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The state at `now`: an available order past its time has expired, swept or not.
    pub fn state_at(&self, now: EpochMs) -> OrderState {
        if self.state == OrderState::Available && now >= self.expires_at {
            return OrderState::Expired;
        }
        self.state
    }

    /// Its public link, `https://<host>/?p=<short code>`; `campaign_base` is the link base of its campaign.
    /// Empty as long as there is no short code.
    pub fn link(&self, campaign_base: &str) -> String {
        let base = self.link_base.as_deref().unwrap_or(campaign_base);
        self.short_code.as_ref().map(|code| link(base, code)).unwrap_or_default()
    }

    /// Every code that leads to it, the present one first.
    pub fn codes(&self) -> impl Iterator<Item = &ShortCode> {
        self.short_code.iter().chain(self.former.iter().map(|former| &former.short_code))
    }

    /// The end of its link, or nothing.
    pub fn code(&self) -> &str {
        self.short_code.as_ref().map_or("", ShortCode::as_str)
    }

    /// Whether it can be paid at `now`, which is also whether its message may leave (PO-18).
    pub fn is_payable(&self, now: EpochMs) -> bool {
        self.state_at(now) == OrderState::Available
    }

    /// The state after an event at `now`, or what would be allowed instead.
    pub fn after(&self, event: OrderEvent, now: EpochMs) -> Result<OrderState, WrongState<OrderState, OrderEvent>> {
        if event == OrderEvent::Expired {
            return self.state.after(event);
        }
        self.state_at(now).after(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const EXPIRY: EpochMs = EpochMs(1_763_719_200_000);

    fn order() -> Order {
        Order {
            state: OrderState::Available,
            expires_at: EXPIRY,
            number: 1,
            key: "gen-nov:1".to_owned(),
            reference: "A-1".to_owned(),
            concept: "Cuota".to_owned(),
            amount: Amount::from_minor(1250, u64::MAX).unwrap(),
            currency: None,
            contact: Some(Phone::parse("+34600123456", None).unwrap()),
            short_code: Some(ShortCode::parse("aB3dE5gH1j").unwrap()),
            created_at: EXPIRY.minus(Duration::from_hours(48)),
            payment_point: None,
            link_base: None,
            platform_id: None,
            paid_minor: 0,
            refunded_minor: 0,
            former: Vec::new(),
            vars: serde_json::Map::new(),
        }
    }

    #[test]
    fn the_stored_text_begins_with_state_and_expiry_and_leaves_out_what_is_absent() {
        assert_eq!(
            order().to_json(),
            "{\"state\":\"available\",\"expires_at\":1763719200000,\"number\":1,\"key\":\"gen-nov:1\",\
             \"reference\":\"A-1\",\"concept\":\"Cuota\",\"amount\":1250,\"contact\":\"+34600123456\",\
             \"short_code\":\"aB3dE5gH1j\",\"created_at\":1763546400000}"
        );
        for state in OrderState::ALL {
            let text = Order { state: *state, ..order() }.to_json();
            assert!(text.starts_with(&format!("{{\"state\":\"{state}\",\"expires_at\":{},", EXPIRY.0)));
        }
    }

    #[test]
    fn a_stored_order_is_read_back_whole() {
        let mut full = order();
        full.currency = Some(Currency::parse("MXN").unwrap());
        full.payment_point = Some(Name::parse("pp-2").unwrap());
        full.link_base = Some("https://pay.example/two/".to_owned());
        full.platform_id = Some("a".repeat(64));
        (full.paid_minor, full.refunded_minor) = (1250, 250);
        full.former.push(FormerLink {
            short_code: ShortCode::parse("abc123").unwrap(),
            payment_point: None,
            link_base: None,
            platform_id: None,
            until: EXPIRY,
            job: "reroute-1".to_owned(),
        });
        full.vars.insert("name".to_owned(), "Ana \"la\" Ñ".into());
        assert_eq!(Order::from_json(&full.to_json()).unwrap(), full);
        let newer = order().to_json().replacen("\"number\"", "\"later\":{\"a\":1},\"number\"", 1);
        assert_eq!(Order::from_json(&newer).unwrap(), order());
        assert!(Order::from_json("{\"state\":\"available\"}").is_err());
    }

    #[test]
    fn the_link_of_an_order_has_its_own_base_before_the_campaigns() {
        let base = "https://pay.example/";
        assert_eq!(order().link(base), "https://pay.example/?p=aB3dE5gH1j");
        let own = Order { link_base: Some("https://two.example".to_owned()), ..order() };
        assert_eq!(own.link(base), "https://two.example/?p=aB3dE5gH1j");
        let without = Order { short_code: None, ..order() };
        assert_eq!((without.link(base).as_str(), without.code()), ("", ""));
        assert!(!without.to_json().contains("short_code"));
    }

    #[test]
    fn only_the_edges_of_the_table_are_legal() {
        use OrderEvent as E;
        use OrderState as S;
        let legal = [
            (S::Available, E::Paid, S::Paid),
            (S::Available, E::Cancelled, S::Cancelled),
            (S::Available, E::Expired, S::Expired),
            (S::Paid, E::PartiallyRefunded, S::PartiallyRefunded),
            (S::Paid, E::Refunded, S::Refunded),
            (S::PartiallyRefunded, E::PartiallyRefunded, S::PartiallyRefunded),
            (S::PartiallyRefunded, E::Refunded, S::Refunded),
        ];
        for state in S::ALL {
            for event in E::ALL {
                let expected = legal.iter().find(|(s, e, _)| s == state && e == event).map(|(_, _, next)| *next);
                assert_eq!(state.after(*event).ok(), expected, "{event} in {state}");
            }
            assert_eq!(state.is_final(), state.allowed().is_empty() && !matches!(state, S::Creating | S::InDoubt));
        }
    }

    #[test]
    fn da_7_an_illegal_event_is_answered_with_state_and_allowed_events() {
        let wrong = OrderState::Paid.after(OrderEvent::Cancelled).unwrap_err();
        assert_eq!(wrong.to_string(), "the state is paid, which allows only partially_refunded, refunded");
        let wrong = OrderState::Cancelled.after(OrderEvent::Paid).unwrap_err();
        assert_eq!(wrong.to_string(), "the state is cancelled, which allows nothing further");
    }

    #[test]
    fn po_18_an_order_is_payable_until_its_instant_by_the_clock_not_the_sweeper() {
        let order = order();
        assert!(order.is_payable(EpochMs(EXPIRY.0 - 1)));
        assert!(!order.is_payable(EXPIRY));
        assert_eq!(order.state_at(EXPIRY), OrderState::Expired);
        assert_eq!(order.after(OrderEvent::Paid, EpochMs(EXPIRY.0 - 1)), Ok(OrderState::Paid));
        let late = order.after(OrderEvent::Paid, EXPIRY).unwrap_err();
        assert_eq!(late.state, OrderState::Expired);
        assert_eq!(order.after(OrderEvent::Expired, EXPIRY), Ok(OrderState::Expired));
        let paid = Order { state: OrderState::Paid, ..order };
        assert_eq!(paid.state_at(EXPIRY), OrderState::Paid);
    }

    #[test]
    fn po_11_lengths_are_counted_in_characters_and_refused_not_cut() {
        assert!(check_concept(&"ñ".repeat(100)).is_ok());
        let error = check_concept(&"ñ".repeat(101)).unwrap_err();
        assert_eq!(error.code(), "concept_too_long");
        assert!(error.to_string().contains("101 characters, more than 100"), "{error}");
        assert!(check_reference(&"😀".repeat(150)).is_ok());
        let error = check_reference(&"😀".repeat(151)).unwrap_err();
        assert_eq!(error.code(), "reference_too_long");
        assert!(error.to_string().contains("151 characters, more than 150"), "{error}");
        assert!(check_concept("").is_ok());
    }

    #[test]
    fn a_row_key_is_short_and_printable() {
        assert!(check_key(&format!("{}:5000000", "j".repeat(128))).is_ok());
        assert_eq!(check_key("").unwrap_err().code(), "invalid_key");
        assert_eq!(check_key("a\tb").unwrap_err().code(), "invalid_key");
        assert_eq!(check_key(&"k".repeat(151)).unwrap_err().code(), "key_too_long");
    }

    proptest! {
        #[test]
        fn po_11_the_limits_are_exact_for_any_characters(text in "\\PC{0,160}") {
            let chars = text.chars().count();
            prop_assert_eq!(check_concept(&text).is_ok(), chars <= 100);
            prop_assert_eq!(check_reference(&text).is_ok(), chars <= 150);
        }

        #[test]
        fn any_texts_survive_storing(key in "\\PC{1,20}", concept in "\\PC{0,20}", name in "\\PC{0,20}", ms in 0_i64..1 << 50) {
            let mut order = Order { key, concept, expires_at: EpochMs(ms), ..order() };
            order.vars.insert(name, serde_json::Value::Bool(true));
            prop_assert_eq!(Order::from_json(&order.to_json()).unwrap(), order);
        }
    }
}
