//! The orders of the simulated payment platform, and what was asked of it.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::clock::EpochMs;
use crate::store::script::digest;

/// What the platform counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCounts {
    /// `POST /payment-orders` that arrived with a known key, whatever their fate.
    pub asked: u64,
    /// Orders made.
    pub created: u64,
    /// Different idempotency keys among them.
    pub distinct: u64,
    /// Orders made for a key that had one: what must never be.
    pub duplicates: u64,
    /// Repeated keys answered with their first order.
    pub replayed: u64,
    /// Orders cancelled.
    pub cancelled: u64,
    /// Lists and details asked for.
    pub looked_up: u64,
    /// Requests with another api key.
    pub unauthorised: u64,
}

/// The body of `POST /payment-orders`; fields that it does not know are ignored.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Wanted {
    pub(super) amount: u64,
    pub(super) currency: String,
    #[serde(default)]
    pub(super) concept: String,
    #[serde(default)]
    pub(super) reference: String,
    #[serde(default)]
    pub(super) expiration_date: Option<String>,
}

/// One order of the platform.
#[derive(Debug, Clone)]
pub(super) struct PaymentOrder {
    id: String,
    short_code: String,
    wanted: Wanted,
    payment_point: String,
    status: &'static str,
    refunded: u64,
    created: EpochMs,
    expires: EpochMs,
}

impl PaymentOrder {
    fn status_at(&self, now: EpochMs) -> &'static str {
        if self.status == "AVAILABLE" && now >= self.expires { "EXPIRED" } else { self.status }
    }

    pub(super) fn shown(&self, now: EpochMs) -> Value {
        json!({
            "payment_order_id": self.id, "short_code": self.short_code, "amount": self.wanted.amount,
            "currency": self.wanted.currency, "concept": self.wanted.concept, "reference": self.wanted.reference,
            "status": self.status_at(now), "creation_date": self.created.to_rfc3339(),
            "expiration_date": self.expires.to_rfc3339(), "payment_point": { "id": self.payment_point },
            "refunded_amount": self.refunded,
        })
    }
}

/// What a list is filtered by.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Filter {
    pub(super) q: Option<String>,
    pub(super) status: Option<String>,
    pub(super) payment_points: Option<String>,
    pub(super) page: Option<usize>,
    pub(super) limit: Option<usize>,
}

/// What is to become of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing: it is only shown.
    Show,
    /// Cancelled, if it is available.
    Cancel,
    /// Paid, if it is available.
    Pay,
    /// Given back, so much or all that is left.
    Refund(Option<u64>),
}

/// Orders and counts.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) counts: PaymentCounts,
    orders: HashMap<u64, PaymentOrder>,
    by_id: HashMap<String, u64>,
    by_key: HashMap<String, u64>,
    keys: HashSet<String>,
    age: VecDeque<u64>,
    number: u64,
}

/// Codes of 6 letters and digits there are, and an odd number without a factor of it: a walk that meets each once.
const CODES: u64 = 62_u64.pow(6);
const STEP: u64 = 22_695_477_001;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn short_code(number: u64) -> String {
    let spread = u128::from(number) * u128::from(STEP) % u128::from(CODES);
    let mut left = u64::try_from(spread).unwrap_or_default();
    let mut code = String::with_capacity(6);
    for _ in 0..6 {
        let digit = usize::try_from(left % 62).unwrap_or_default();
        code.push(DIGITS.get(digit).map_or('0', |byte| char::from(*byte)));
        left /= 62;
    }
    code
}

impl Book {
    /// Makes an order, or finds the one that the key has.
    pub(super) fn create(
        &mut self,
        wanted: Wanted,
        key: &str,
        point: &str,
        idempotency: bool,
        kept: usize,
        now: EpochMs,
    ) -> Value {
        if idempotency && let Some(order) = self.by_key.get(key).and_then(|number| self.orders.get(number)) {
            self.counts.replayed += 1;
            return order.shown(now);
        }
        self.number += 1;
        self.counts.created += 1;
        if key.is_empty() || self.keys.insert(key.to_owned()) {
            self.counts.distinct += 1;
        } else {
            self.counts.duplicates += 1;
        }
        let expires = wanted.expiration_date.as_deref().and_then(|text| EpochMs::parse(text).ok());
        let order = PaymentOrder {
            id: digest(format!("{}/{}", now.0, self.number).as_bytes()),
            short_code: short_code(self.number),
            wanted,
            payment_point: point.to_owned(),
            status: "AVAILABLE",
            refunded: 0,
            created: now,
            expires: expires.unwrap_or_else(|| now.plus(std::time::Duration::from_hours(24))),
        };
        let shown = order.shown(now);
        self.by_id.insert(order.id.clone(), self.number);
        if !key.is_empty() {
            self.by_key.entry(key.to_owned()).or_insert(self.number);
        }
        self.orders.insert(self.number, order);
        self.age.push_back(self.number);
        while self.age.len() > kept {
            let Some(order) = self.age.pop_front().and_then(|oldest| self.orders.remove(&oldest)) else { break };
            self.by_id.remove(&order.id);
        }
        shown
    }

    /// Shows or changes one order. `None`: there is none; an error: its state does not allow it.
    pub(super) fn change(&mut self, id: &str, wish: Wish, now: EpochMs) -> Option<Result<Value, String>> {
        let order = self.by_id.get(id).and_then(|number| self.orders.get_mut(number))?;
        let (status, amount) = (order.status_at(now), order.wanted.amount);
        let refused = || Some(Err(format!("the order is {status}")));
        match (wish, status) {
            (Wish::Show, _) => self.counts.looked_up += 1,
            (Wish::Cancel, "AVAILABLE") => {
                order.status = "CANCELLED";
                self.counts.cancelled += 1;
            }
            (Wish::Pay, "AVAILABLE") => order.status = "PAID",
            (Wish::Refund(asked), "PAID" | "PARTIALLY_REFUNDED") => {
                let left = amount - order.refunded;
                let asked = asked.unwrap_or(left);
                if asked == 0 || asked > left {
                    return Some(Err(format!("a refund is from 1 to {left}")));
                }
                order.refunded += asked;
                order.status = if asked == left { "REFUNDED" } else { "PARTIALLY_REFUNDED" };
            }
            (Wish::Cancel | Wish::Pay | Wish::Refund(_), _) => return refused(),
        }
        Some(Ok(order.shown(now)))
    }

    /// One page, the newest first.
    pub(super) fn list(&mut self, filter: &Filter, now: EpochMs) -> Value {
        self.counts.looked_up += 1;
        let (page, limit) = (filter.page.unwrap_or(1).max(1), filter.limit.unwrap_or(20).clamp(1, 100));
        let one_of = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.split(',').any(|one| one.eq_ignore_ascii_case(value)))
        };
        let found: Vec<&PaymentOrder> = self
            .age
            .iter()
            .rev()
            .filter_map(|number| self.orders.get(number))
            .filter(|order| {
                let texts = [&order.wanted.concept, &order.wanted.reference, &order.short_code];
                filter.q.as_ref().is_none_or(|q| texts.iter().any(|text| text.contains(q.as_str())))
                    && one_of(&filter.status, order.status_at(now))
                    && one_of(&filter.payment_points, &order.payment_point)
            })
            .collect();
        let content: Vec<Value> =
            found.iter().skip((page - 1) * limit).take(limit).map(|order| order.shown(now)).collect();
        json!({
            "page": page, "limit": limit, "total_elements": found.len(), "number_of_elements": content.len(),
            "first": page == 1, "last": page * limit >= found.len(), "empty": content.is_empty(), "content": content,
        })
    }

    /// Forgets orders and counts.
    pub(super) fn clear(&mut self) {
        let number = self.number;
        *self = Self { number, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_six_characters_and_differ() {
        let codes: HashSet<String> = (0..20_000).map(short_code).collect();
        assert_eq!(codes.len(), 20_000);
        assert!(codes.iter().all(|code| code.len() == 6));
        assert!([2, 31].iter().all(|factor| !STEP.is_multiple_of(*factor)), "the walk meets every code");
    }
}
