//! What is left of an order when its person is forgotten (DA-9, BM-24).
//!
//! What counts stays: number, state, amount, currency, times, link, payment point. What tells who it was goes: the
//! contact, every variable, and the texts written for the payer (concept, reference). The row key stays, because it
//! keeps an order from being made twice and a platform's report from being lost, unless it holds the number itself.
//! Of somebody else's order that only mentions the number, nothing but the mention goes.

use super::{clock::EpochMs, contact::sought::Sought, keyed, order::Order};

/// Characters of a keyed digest: 62^16 is 2^95.
const DIGEST_CHARS: usize = 16;

/// An order as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Forgotten {
    /// The order.
    pub order: Order,
    /// Whether it was the person's own: then nothing is sent for it any more.
    pub own: bool,
}

/// The key of a forgotten order whose own key held the number.
pub fn key(number: u64) -> String {
    format!("forgotten:{number}")
}

/// Forgets the person in an order; `named` when the order itself was named and is the person's, whatever it holds.
/// Nothing, where there is nothing to forget.
pub fn forget(order: &Order, sought: Option<&Sought>, named: bool, now: EpochMs) -> Option<Forgotten> {
    let is_in = |text: &str| sought.is_some_and(|sought| sought.is_in(text.as_bytes()));
    let in_vars = |order: &Order| {
        let sought = sought.filter(|_| !order.vars.is_empty());
        sought.is_some_and(|s| order.vars.iter().any(|(name, v)| s.is_in(name.as_bytes()) || s.is_in_value(v)))
    };
    let is_contact = order.contact.is_some() && order.contact.as_ref() == sought.map(Sought::phone);
    let mentioned = is_in(&order.key) || is_in(&order.reference) || is_in(&order.concept) || in_vars(order);
    let own = named || is_contact || (mentioned && order.contact.is_none());
    let mut left = order.clone();
    if own {
        left.contact = None;
        left.vars.clear();
        // A platform that may have it knows it by these: they go when it is settled.
        if !order.state.is_unsettled() {
            left.reference.clear();
            left.concept.clear();
        }
    } else if mentioned {
        if let Some(sought) = sought {
            left.vars.retain(|name, value| !sought.is_in(name.as_bytes()) && !sought.is_in_value(value));
        }
        for text in [&mut left.reference, &mut left.concept] {
            if is_in(text) {
                text.clear();
            }
        }
    }
    if is_in(&order.key) {
        left.key = key(order.number);
    }
    if own && left.forgotten_at.is_none() {
        left.forgotten_at = Some(now);
    }
    (left != *order).then_some(Forgotten { order: left, own })
}

/// A digest that nobody without `secret` can find by trying numbers: of a job that names a person.
pub fn keyed_digest(secret: &[u8], digest: &str) -> String {
    keyed::digest(secret, "forget", &[digest.as_bytes()], DIGEST_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{contact::Phone, money::Amount, order::OrderState, short_code::ShortCode};

    const NOW: EpochMs = EpochMs(1_763_719_200_000);

    fn phone(text: &str) -> Phone {
        Phone::parse(text, None).unwrap()
    }

    fn sought() -> Sought {
        Sought::new(phone("+34600123456"))
    }

    fn order(contact: Option<&str>) -> Order {
        let text = r#"{"name":"Ana","tel":"600 12 34 57"}"#;
        Order {
            state: OrderState::Paid,
            number: 7,
            key: "k-7".to_owned(),
            reference: "A-7".to_owned(),
            concept: "Cuota de Ana".to_owned(),
            amount: Amount::from_minor(1250, u64::MAX).unwrap(),
            contact: contact.map(phone),
            short_code: ShortCode::parse("aB3dE5gH1j").ok(),
            vars: serde_json::from_str(text).unwrap(),
            ..Order::from_json(
                r#"{"state":"paid","expires_at":1,"number":7,"key":"k","amount":1,"short_code":"aB3dE5gH1j","created_at":1}"#,
            )
            .unwrap()
        }
    }

    #[test]
    fn da_9_of_a_persons_order_only_what_counts_is_left() {
        let forgotten = forget(&order(Some("+34600123456")), Some(&sought()), false, NOW).unwrap();
        assert!(forgotten.own);
        let left = forgotten.order;
        assert_eq!((left.contact.clone(), left.vars.len()), (None, 0));
        assert_eq!((left.reference.as_str(), left.concept.as_str(), left.key.as_str()), ("", "", "k-7"));
        assert_eq!((left.state, left.amount.minor(), left.number), (OrderState::Paid, 1250, 7));
        assert_eq!(left.forgotten_at, Some(NOW));
        assert_eq!(forget(&left, Some(&sought()), false, NOW), None);
        assert_eq!(forget(&left, None, true, EpochMs(NOW.0 + 1)), None);
    }

    #[test]
    fn da_9_what_a_platform_may_know_an_order_by_stays_until_it_is_settled() {
        let order = Order { state: OrderState::InDoubt, ..order(Some("+34600123456")) };
        let left = forget(&order, Some(&sought()), false, NOW).unwrap().order;
        assert_eq!((left.reference.as_str(), left.concept.as_str()), ("A-7", "Cuota de Ana"));
        assert_eq!((left.contact, left.vars.len(), left.forgotten_at), (None, 0, Some(NOW)));
    }

    #[test]
    fn a_key_that_holds_the_number_is_replaced() {
        let mut order = order(Some("+34600123456"));
        order.key = "34600123456".to_owned();
        assert_eq!(forget(&order, Some(&sought()), false, NOW).unwrap().order.key, "forgotten:7");
    }

    #[test]
    fn of_somebody_elses_order_nothing_but_the_mention_goes() {
        let mut other = order(Some("+34600123457"));
        assert_eq!(forget(&other, Some(&sought()), false, NOW), None);
        other.vars.insert("guardian".to_owned(), "600-123-456".into());
        let forgotten = forget(&other, Some(&sought()), false, NOW).unwrap();
        assert!(!forgotten.own);
        assert!(forgotten.order.vars.contains_key("name") && !forgotten.order.vars.contains_key("guardian"));
        assert_eq!((forgotten.order.contact, forgotten.order.reference.as_str()), (other.contact, "A-7"));
        assert_eq!(forgotten.order.forgotten_at, None);
    }

    #[test]
    fn an_order_without_a_valid_contact_is_of_whom_it_mentions_or_of_whoever_is_named() {
        let mut order = order(None);
        assert_eq!(forget(&order, Some(&sought()), false, NOW), None);
        assert!(forget(&order, None, true, NOW).unwrap().own);
        order.vars.insert("phone".to_owned(), 600_123_456.into());
        assert!(forget(&order, Some(&sought()), false, NOW).unwrap().own);
    }

    #[test]
    fn a_keyed_digest_needs_the_secret() {
        assert_ne!(keyed_digest(b"a", "d"), keyed_digest(b"b", "d"));
        assert_eq!(keyed_digest(b"a", "d").len(), 16);
    }
}
