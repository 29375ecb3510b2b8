//! From a claimed recipient to a message ready to leave, or the reason why there is none.

use crate::{
    domain::{clock::EpochMs, contact::Phone, failure::Attempt, order::Order, reference, sms, text},
    store::runs::{Recipient, SlotRef},
};

use super::plan::RunPlan;

/// Who a message is for, as far as its record and its event need it.
#[derive(Debug, Clone)]
pub struct Who {
    /// The recipient's number.
    pub ordinal: u64,
    /// Which attempt.
    pub attempt: u32,
    /// The attempt whose idempotency key is used.
    pub key_attempt: u32,
    /// Whether an attempt under that key may have been accepted.
    pub doubt: bool,
    /// Its ledger cell as it was claimed.
    pub cell: String,
    /// The row's key.
    pub key: String,
    /// The order's reference.
    pub reference: String,
    /// The address, masked for events.
    pub masked: String,
    /// When the order expires.
    pub expires_at: EpochMs,
    /// Parts of the message.
    pub parts: usize,
    /// The digest under which its address counts towards a cap; empty where it does not.
    pub reserved: String,
}

/// A message ready to leave.
#[derive(Debug)]
pub struct Letter {
    /// Who it is for.
    pub who: Who,
    /// The address.
    pub to: Phone,
    /// The text, link included.
    pub text: String,
    /// Where its recipient may unsubscribe, if it is commercial.
    pub unsubscribe: Option<String>,
    /// Our reference, signed.
    pub reference: String,
    /// The same for every attempt that the provider may recognise.
    pub idempotency_key: String,
}

/// Why a recipient gets no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsent {
    /// Nothing is wrong with us: it is not to be sent.
    Skipped(String),
    /// It cannot be made.
    Failed(String),
    /// There was no time for it: it goes back to the queue.
    Released,
    /// Its address has had its messages for now.
    Held {
        /// Until then.
        until: EpochMs,
        /// Why.
        reason: String,
    },
    /// Its order is not confirmed by the payment platform yet.
    Waits(String),
}

/// Makes the message of one recipient.
pub fn prepare(
    plan: &RunPlan,
    secret: &[u8],
    slot: &SlotRef,
    recipient: &Recipient,
) -> Result<Letter, Box<(Who, Unsent)>> {
    let mut who = Who {
        ordinal: recipient.ordinal,
        attempt: recipient.attempt,
        key_attempt: recipient.key_attempt,
        doubt: recipient.doubt,
        cell: recipient.cell.clone(),
        key: String::new(),
        reference: String::new(),
        masked: String::new(),
        expires_at: EpochMs(0),
        parts: 0,
        reserved: String::new(),
    };
    let Ok(order) = Order::from_json(&recipient.order) else {
        let reason = if recipient.skip.is_empty() { "order_unreadable" } else { &recipient.skip };
        return Err(Box::new((who, Unsent::Skipped(reason.to_owned()))));
    };
    who.key.clone_from(&order.key);
    who.reference.clone_from(&order.reference);
    who.expires_at = order.expires_at;
    if order.state.is_unsettled() && recipient.skip != "order_expired" {
        return Err(Box::new((who, Unsent::Waits(recipient.skip.clone()))));
    }
    if !recipient.skip.is_empty() {
        return Err(Box::new((who, Unsent::Skipped(recipient.skip.clone()))));
    }
    let Some(to) = order.contact.clone() else {
        let reason = if order.forgotten_at.is_some() { "forgotten" } else { "no_valid_contact" };
        return Err(Box::new((who, Unsent::Skipped(reason.to_owned()))));
    };
    who.masked = to.masked();
    let unsubscribe = plan.offer.as_ref().map(|offer| offer.link(secret, recipient.ordinal));
    let farewell = plan.offer.as_ref().zip(unsubscribe.as_deref()).map(|(offer, link)| offer.farewell(link));
    let text = match text::of_order(&plan.message, &order, plan.currency, &plan.link_base, farewell) {
        Ok(text) => text,
        Err(error) => return Err(Box::new((who, Unsent::Failed(error.reason())))),
    };
    who.parts = sms::parts(&text);
    if who.parts > plan.max_parts {
        return Err(Box::new((who, Unsent::Failed("text_too_long".to_owned()))));
    }
    let attempt = Attempt::new(recipient.attempt).unwrap_or(Attempt::FIRST);
    Ok(Letter {
        reference: reference::sign(secret, &slot.campaign, &slot.run, recipient.ordinal, 0, attempt),
        idempotency_key: idempotency_key(slot, recipient.ordinal, recipient.key_attempt),
        who,
        to,
        text,
        unsubscribe,
    })
}

/// The key a provider recognises a repeat by.
fn idempotency_key(slot: &SlotRef, ordinal: u64, key_attempt: u32) -> String {
    format!("{}/{}/{ordinal}.0/{key_attempt}", slot.campaign, slot.run)
}
