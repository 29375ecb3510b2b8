//! One row of an export: the columns of PO-25, in their order.
//!
//! The header is part of the contract: columns are never renamed or moved, new ones come at the end. What is not known
//! is empty (`null` in JSON): `payment_order_id` of an order that Remesa made itself, everything behind `contact` of an
//! order that no run covers, `parts` of a message that never left or can no longer be made, `sent_at` once a receipt
//! has landed (the ledger keeps one time), `final_at` while a message is under way, sent or unknown.

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    domain::{
        clock::EpochMs, contact::Phone, delivery::DeliveryState, money::Currency, order::OrderState, standing::Standing,
    },
    store::records::{Record, Shared},
};

/// The header.
pub const COLUMNS: [&str; 21] = [
    "campaign_id",
    "row",
    "payment_order_id",
    "short_code",
    "reference",
    "concept",
    "amount",
    "currency",
    "payment_point",
    "order_status",
    "creation",
    "expiration",
    "url",
    "contact",
    "delivery_status",
    "reason",
    "provider_id",
    "parts",
    "attempts",
    "sent_at",
    "final_at",
];

/// What a row says. Times are RFC 3339 in UTC, the amount is in minor units.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the columns")]
pub struct Row<'a> {
    campaign_id: &'a str,
    row: u64,
    payment_order_id: Option<&'a str>,
    short_code: Option<&'a str>,
    reference: &'a str,
    concept: &'a str,
    amount: u64,
    currency: Option<&'static str>,
    payment_point: &'a str,
    order_status: OrderState,
    creation: String,
    expiration: String,
    url: Option<String>,
    contact: Option<&'a str>,
    delivery_status: Option<DeliveryState>,
    reason: Option<&'a str>,
    provider_id: Option<&'a str>,
    parts: Option<usize>,
    attempts: Option<u32>,
    sent_at: Option<String>,
    final_at: Option<String>,
}

impl<'a> Row<'a> {
    /// The row of a record with its last delivery.
    pub fn of(record: &'a Record, shared: &'a Shared) -> Self {
        let order = &record.order;
        let delivery = record.deliveries.last();
        let standing = delivery.map(|delivery| &delivery.standing);
        let some = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        let left = delivery.filter(|delivery| delivery.standing.was_handed_over());
        Self {
            campaign_id: &shared.campaign,
            row: order.number,
            payment_order_id: order.platform_id.as_deref(),
            short_code: some(order.code()),
            reference: &order.reference,
            concept: &order.concept,
            amount: order.amount.minor(),
            currency: record.currency(shared).map(Currency::code),
            payment_point: record.payment_point(shared),
            order_status: record.state,
            creation: order.created_at.to_rfc3339(),
            expiration: order.expires_at.to_rfc3339(),
            url: Some(record.link(shared)).filter(|url| !url.is_empty()),
            contact: order.contact.as_ref().map(Phone::as_e164),
            delivery_status: standing.map(|standing| standing.state),
            reason: standing.and_then(|standing| some(&standing.reason)),
            provider_id: standing.and_then(|standing| some(&standing.provider_id)),
            parts: left.and_then(|delivery| delivery.run.parts(order)),
            attempts: standing.map(|standing| standing.attempt),
            sent_at: standing.and_then(Standing::sent_at).map(EpochMs::to_rfc3339),
            final_at: standing.and_then(Standing::final_at).map(EpochMs::to_rfc3339),
        }
    }
    /// The same as texts, in the order of [`COLUMNS`]; empty where nothing is known.
    pub fn cells(&self) -> [Cow<'_, str>; COLUMNS.len()] {
        let some = |text: Option<&'a str>| Cow::Borrowed(text.unwrap_or_default());
        let number = |number: Option<u64>| number.map(|number| Cow::Owned(number.to_string())).unwrap_or_default();
        [
            Cow::Borrowed(self.campaign_id),
            number(Some(self.row)),
            some(self.payment_order_id),
            some(self.short_code),
            Cow::Borrowed(self.reference),
            Cow::Borrowed(self.concept),
            number(Some(self.amount)),
            some(self.currency),
            Cow::Borrowed(self.payment_point),
            Cow::Borrowed(self.order_status.as_str()),
            Cow::Borrowed(&self.creation),
            Cow::Borrowed(&self.expiration),
            Cow::Borrowed(self.url.as_deref().unwrap_or_default()),
            some(self.contact),
            some(self.delivery_status.map(DeliveryState::as_str)),
            some(self.reason),
            some(self.provider_id),
            number(self.parts.and_then(|parts| u64::try_from(parts).ok())),
            number(self.attempts.map(u64::from)),
            Cow::Borrowed(self.sent_at.as_deref().unwrap_or_default()),
            Cow::Borrowed(self.final_at.as_deref().unwrap_or_default()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn po_25_the_header_is_the_fields_in_their_order() {
        let order = r#"{"state":"available","expires_at":1763719200000,"number":7,"key":"k","amount":1250,
            "short_code":"aB3dE5gH1j","created_at":1763546400000}"#;
        let record = Record {
            text: order.to_owned(),
            order: crate::domain::order::Order::from_json(order).unwrap(),
            state: OrderState::Available,
            deliveries: Vec::new(),
        };
        let shared = Shared {
            campaign: "nov".to_owned(),
            currency: Currency::parse("EUR").ok(),
            payment_point: "pp-main".to_owned(),
            link_base: "https://pay.example/".to_owned(),
        };
        let row = Row::of(&record, &shared);
        let json = serde_json::to_string(&row).unwrap();
        let places: Vec<_> = COLUMNS.iter().map(|column| json.find(&format!("\"{column}\":")).unwrap()).collect();
        assert!(places.is_sorted(), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap().as_object().unwrap().len(), COLUMNS.len());
        assert_eq!(
            row.cells().join("|"),
            "nov|7||aB3dE5gH1j|||1250|EUR|pp-main|available|2025-11-19T10:00:00.000Z|2025-11-21T10:00:00.000Z|\
             https://pay.example/?p=aB3dE5gH1j||||||||"
        );
    }
}
