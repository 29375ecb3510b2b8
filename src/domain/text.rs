//! The text of one order's message, as it is sent and as a preview shows it.
//!
//! One place knows what a text may name besides the row's own columns, so that what a preview counts is
//! what leaves.

use serde_json::{Map, Value};

use super::{
    clock::EpochMs,
    message::{Message, MessageError, Vars},
    money::{Amount, Currency},
};

/// What a text may say of an order.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The sum.
    pub amount: Amount,
    /// Its currency, the order's own or the campaign's.
    pub currency: Option<Currency>,
    /// Shown to the payer.
    pub concept: &'a str,
    /// Shown to the payer.
    pub reference: &'a str,
    /// The end of its link.
    pub short_code: &'a str,
    /// When it expires.
    pub expires_at: EpochMs,
    /// The row's other columns.
    pub vars: &'a Map<String, Value>,
    /// Its link.
    pub url: &'a str,
}

/// Writes the text for one order and tells of each look-alike it replaced. `amount` is in major units, as people
/// read it.
pub fn render(message: &Message, facts: &Facts<'_>, replaced: impl FnMut(char, &str)) -> Result<String, MessageError> {
    let wants = |name: &str| message.variables().contains(name);
    let amount = match facts.currency {
        Some(currency) if wants("amount") => facts.amount.format(currency),
        _ => String::new(),
    };
    let expires_at = if wants("expires_at") { facts.expires_at.to_rfc3339() } else { String::new() };
    let built_in = [
        ("amount", amount.as_str()),
        ("currency", facts.currency.map_or("", |c| c.code())),
        ("concept", facts.concept),
        ("reference", facts.reference),
        ("short_code", facts.short_code),
        ("expires_at", expires_at.as_str()),
    ];
    message.render_telling(&Vars::new(facts.vars, &built_in), facts.url, replaced)
}
