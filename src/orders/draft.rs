//! An order before its provider has made it.

use crate::domain::{
    clock::EpochMs,
    contact::Phone,
    money::{Amount, Currency},
    order::{Order, OrderState},
    short_code::ShortCode,
};

/// What an order is made of.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The row's key.
    pub key: String,
    /// Its number in the campaign.
    pub number: u64,
    /// Shown to the payer.
    pub reference: String,
    /// Shown to the payer.
    pub concept: String,
    /// The sum.
    pub amount: Amount,
    /// Its currency, where it is not the campaign's.
    pub currency: Option<Currency>,
    /// Where its message goes.
    pub contact: Option<Phone>,
    /// The row's other columns.
    pub vars: serde_json::Map<String, serde_json::Value>,
    /// When it expires.
    pub expires_at: EpochMs,
    /// When it is generated.
    pub created_at: EpochMs,
    /// Row and line of the source.
    pub origin: (u64, u64),
}

impl Draft {
    /// The order; one that is still to be made by a platform keeps where its row came from.
    pub fn into_order(self, state: OrderState, short_code: Option<ShortCode>) -> Order {
        Order {
            state,
            expires_at: self.expires_at,
            number: self.number,
            key: self.key,
            reference: self.reference,
            concept: self.concept,
            amount: self.amount,
            currency: self.currency,
            contact: self.contact,
            short_code,
            created_at: self.created_at,
            payment_point: None,
            link_base: None,
            platform_id: None,
            tries: 0,
            origin: (state == OrderState::Creating).then_some(self.origin),
            reason: String::new(),
            paid_minor: 0,
            refunded_minor: 0,
            history: Vec::new(),
            former: Vec::new(),
            vars: self.vars,
            forgotten_at: None,
        }
    }
}
