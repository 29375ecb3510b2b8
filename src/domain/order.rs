//! A payment order: its fields and what they say at an instant (DESIGN 5, PO-18).
//!
//! An order is one JSON string in Redis. It begins with state and expiry, which scripts read
//! without decoding the rest, and leaves out what is absent: 600 bytes is the budget for an order
//! with its index entry, link and delivery. Whether it can be paid is judged by the clock; the
//! sweeper that writes `expired` may come later. [`state`] has the edges, [`happening`] what an event
//! does to the sums, [`texts`] how long texts may be.

use super::clock::EpochMs;
use super::contact::Phone;
use super::money::{Amount, Currency};
use super::name::Name;
use super::short_code::{ShortCode, link};
use super::word::WrongState;
use serde::{Deserialize, Serialize};

pub mod happening;
pub mod state;
pub mod texts;

pub use happening::{EventError, Happened};
pub use state::{OrderEvent, OrderState};
pub use texts::{
    CONCEPT_MAX_CHARS, KEY_MAX_CHARS, OrderError, REFERENCE_MAX_CHARS, check_concept, check_key, check_reference,
};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_none(number: &u32) -> bool {
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
    /// How often a platform was asked for it in vain, as long as it is not settled.
    #[serde(default, skip_serializing_if = "is_none")]
    pub tries: u32,
    /// Row and line it came from, as long as a platform may refuse it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<(u64, u64)>,
    /// Why it is cancelled, where a platform did not take it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What was paid, in minor units; 0 as long as nothing was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub paid_minor: u64,
    /// What of it was given back, in minor units.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refunded_minor: u64,
    /// What happened to it, the oldest first; the last [`happening::KEPT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Happened>,
    /// Links it had before it was re-routed, the oldest first; they still lead to it (PO-17).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<FormerLink>,
    /// The row's other columns, for the message.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub vars: serde_json::Map<String, serde_json::Value>,
    /// When its person was forgotten; what told who it was is gone since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten_at: Option<EpochMs>,
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
        // A payment made in time counts, whether the sweeper came first or not.
        if event == OrderEvent::Paid && self.state == OrderState::Expired && now < self.expires_at {
            return OrderState::Available.after(event);
        }
        self.state_at(now).after(event)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    pub(crate) const EXPIRY: EpochMs = EpochMs(1_763_719_200_000);

    pub(crate) fn order() -> Order {
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
            tries: 0,
            origin: None,
            reason: String::new(),
            paid_minor: 0,
            refunded_minor: 0,
            history: Vec::new(),
            former: Vec::new(),
            vars: serde_json::Map::new(),
            forgotten_at: None,
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
        full.history.push(Happened { event: OrderEvent::Paid, at: EXPIRY, amount_minor: Some(1250) });
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
    fn po_18_an_order_is_payable_until_its_instant_by_the_clock_not_the_sweeper() {
        let order = order();
        assert!(order.is_payable(EpochMs(EXPIRY.0 - 1)));
        assert!(!order.is_payable(EXPIRY));
        assert_eq!(order.state_at(EXPIRY), OrderState::Expired);
        assert_eq!(order.after(OrderEvent::Paid, EpochMs(EXPIRY.0 - 1)), Ok(OrderState::Paid));
        let late = order.after(OrderEvent::Paid, EXPIRY).unwrap_err();
        assert_eq!(late.state, OrderState::Expired);
        assert_eq!(order.after(OrderEvent::Expired, EXPIRY), Ok(OrderState::Expired));
        let swept = Order { state: OrderState::Expired, ..order.clone() };
        assert_eq!(
            swept.after(OrderEvent::Paid, EpochMs(EXPIRY.0 - 1)),
            Ok(OrderState::Paid),
            "paid in time, told late"
        );
        assert!(swept.after(OrderEvent::Paid, EXPIRY).is_err());
        assert!(swept.after(OrderEvent::Cancelled, EpochMs(EXPIRY.0 - 1)).is_err());
        let paid = Order { state: OrderState::Paid, ..order };
        assert_eq!(paid.state_at(EXPIRY), OrderState::Paid);
    }

    proptest! {
        #[test]
        fn any_texts_survive_storing(key in "\\PC{1,20}", concept in "\\PC{0,20}", name in "\\PC{0,20}", ms in 0_i64..1 << 50) {
            let mut order = Order { key, concept, expires_at: EpochMs(ms), ..order() };
            order.vars.insert(name, serde_json::Value::Bool(true));
            prop_assert_eq!(Order::from_json(&order.to_json()).unwrap(), order);
        }
    }
}
