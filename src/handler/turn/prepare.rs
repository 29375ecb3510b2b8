//! From a claimed recipient to a message ready to leave, or the reason why there is none.
//!
//! An order has one contact; of a case the delivery says which (BM-12, BM-13), judged on the case as it is now (BM-9).

use crate::{
    domain::{
        audience::Contacts,
        case::{Case, ContactKind},
        clock::EpochMs,
        contact::Address,
        content::Rendered,
        delivery::DeliveryId,
        failure::Attempt,
        message::MessageError,
        order::Order,
        reference, sms,
        text::{self, Words},
        unsubscribe::Farewell,
    },
    store::runs::{Recipient, SlotRef},
};

use super::plan::Writing;

/// Who a message is for, as far as its record and its event need it.
#[derive(Debug, Clone)]
pub struct Who {
    /// Which delivery.
    pub of: DeliveryId,
    /// Which attempt.
    pub attempt: u32,
    /// The attempt whose idempotency key is used.
    pub key_attempt: u32,
    /// Whether an attempt under that key may have been accepted.
    pub doubt: bool,
    /// Its ledger cell as it was claimed.
    pub cell: String,
    /// The order or case, as far as it could be read.
    pub about: About,
    /// The address, masked for events.
    pub masked: String,
    /// When the order expires, if it is about one.
    pub expires_at: Option<EpochMs>,
    /// Parts of the message.
    pub parts: usize,
    /// The digest under which its address counts towards a cap; empty where it does not.
    pub reserved: String,
}

/// What a message is about, for its event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The case's id; none where the run is for orders.
    pub case_id: Option<String>,
    /// The number of the order of a case.
    pub order: Option<u64>,
    /// The row's key of the order.
    pub key: String,
    /// The order's reference.
    pub reference: String,
}

/// A message ready to leave.
#[derive(Debug)]
pub struct Letter {
    /// Who it is for.
    pub who: Who,
    /// The address.
    pub to: Address,
    /// What it says, link included.
    pub message: Rendered,
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

impl Unsent {
    fn skipped(reason: &str) -> Self {
        Self::Skipped(reason.to_owned())
    }
}

impl Who {
    /// Of whom nothing is known but the claim.
    fn of_claim(recipient: &Recipient, is_case: bool) -> Self {
        Self {
            of: recipient.of,
            attempt: recipient.attempt,
            key_attempt: recipient.key_attempt,
            doubt: recipient.doubt,
            cell: recipient.cell.clone(),
            about: About { case_id: is_case.then(String::new), ..About::default() },
            masked: String::new(),
            expires_at: None,
            parts: 0,
            reserved: String::new(),
        }
    }
}

impl About {
    /// An order.
    pub fn order(order: &Order) -> Self {
        Self { key: order.key.clone(), reference: order.reference.clone(), ..Self::default() }
    }

    /// A case, and its order where the message is about it.
    pub fn case(case: &Case, order: Option<&Order>) -> Self {
        let of_order = order.map(Self::order).unwrap_or_default();
        Self { case_id: Some(case.id.clone()), order: order.map(|order| order.number), ..of_order }
    }
}

/// Makes the message of one recipient.
pub fn prepare(
    writing: &Writing,
    secret: &[u8],
    slot: &SlotRef,
    recipient: &Recipient,
) -> Result<Letter, Box<(Who, Unsent)>> {
    let unsubscribe = writing.offer.as_ref().map(|offer| offer.link(secret, recipient.of.n));
    let (who, written) = compose(writing, recipient, unsubscribe.as_deref());
    let (to, message) = match written {
        Ok(written) => written,
        Err(unsent) => return Err(Box::new((who, unsent))),
    };
    let attempt = Attempt::new(recipient.attempt).unwrap_or(Attempt::FIRST);
    let DeliveryId { n, contact } = recipient.of;
    Ok(Letter {
        reference: reference::sign(secret, &slot.campaign, &slot.run, n, contact, attempt),
        idempotency_key: idempotency_key(slot, recipient.of, recipient.key_attempt),
        who,
        to,
        message,
        unsubscribe,
    })
}

/// Where the message of one recipient goes and what it says, or why there is none; for a preview, too.
pub fn compose(
    writing: &Writing,
    recipient: &Recipient,
    unsubscribe: Option<&str>,
) -> (Who, Result<(Address, Rendered), Unsent>) {
    let is_case = writing.sieve.is_some();
    let mut who = Who::of_claim(recipient, is_case);
    let farewell = writing.offer.as_ref().zip(unsubscribe).map(|(offer, link)| offer.farewell(link));
    let make = if is_case { of_case } else { of_order };
    let written = make(writing, recipient, farewell, &mut who).and_then(|(to, message)| {
        who.masked = to.masked();
        who.parts = if writing.address == ContactKind::Mobile { sms::parts(&message.text) } else { 1 };
        if who.parts > writing.max_parts {
            return Err(Unsent::Failed("text_too_long".to_owned()));
        }
        Ok((to, message))
    });
    (who, written)
}

/// The message for an order.
fn of_order(
    writing: &Writing,
    recipient: &Recipient,
    farewell: Option<Farewell<'_>>,
    who: &mut Who,
) -> Result<(Address, Rendered), Unsent> {
    let Ok(order) = Order::from_json(&recipient.order) else {
        return Err(Unsent::skipped(if recipient.skip.is_empty() { "order_unreadable" } else { &recipient.skip }));
    };
    who.about = About::order(&order);
    who.expires_at = Some(order.expires_at);
    may_be_paid(&order, &recipient.skip)?;
    let Some(to) = order.contact.clone() else {
        return Err(Unsent::skipped(if order.forgotten_at.is_some() { "forgotten" } else { "no_valid_contact" }));
    };
    let message = writing.words.of_order(&order, writing.currency, &writing.link_base, farewell).map_err(failed)?;
    Ok((to.into(), message))
}

/// The message for a case, or for one of its further contacts.
fn of_case(
    writing: &Writing,
    recipient: &Recipient,
    farewell: Option<Farewell<'_>>,
    who: &mut Who,
) -> Result<(Address, Rendered), Unsent> {
    let Ok(case) = Case::from_json(&recipient.case) else {
        return Err(Unsent::skipped(if recipient.skip.is_empty() { "case_unreadable" } else { &recipient.skip }));
    };
    let order = Order::from_json(&recipient.order).ok();
    who.about = About::case(&case, order.as_ref());
    who.expires_at = order.as_ref().map(|order| order.expires_at);
    match &order {
        Some(order) => may_be_paid(order, &recipient.skip)?,
        None if recipient.skip.is_empty() => {}
        None => return Err(Unsent::skipped(&recipient.skip)),
    }
    if case.forgotten_at.is_some() {
        return Err(Unsent::skipped("forgotten"));
    }
    let to = contact_of(writing, &case, recipient.of.contact).ok_or_else(|| Unsent::skipped("no_contact"))?.clone();
    who.masked = to.masked();
    // Nothing else compiles into a run for cases.
    let Words::Bulk(content) = &writing.words else { return Err(Unsent::skipped("no_content")) };
    if content.wants_url() && order.is_none() {
        return Err(Unsent::skipped("no_order"));
    }
    let written = text::of_case(content, &case, &to, order.as_ref(), (writing.currency, &writing.link_base), farewell);
    Ok((to, written.map_err(failed)?))
}

/// Where a delivery goes: to its further contact, or to the newest or the first one.
fn contact_of<'a>(writing: &Writing, case: &'a Case, further: u32) -> Option<&'a Address> {
    let channel = writing.address;
    let all = writing.sieve.as_ref().is_some_and(|sieve| sieve.contacts == Contacts::All);
    let index = match usize::try_from(further) {
        Ok(0) if all => case.primary(channel)?,
        Ok(0) => return case.latest(channel).map(|usable| usable.address),
        Ok(index) => index,
        Err(_) => return None,
    };
    case.contacts.get(index)?.usable(channel)
}

/// Looks at what the claim found of an order.
fn may_be_paid(order: &Order, skip: &str) -> Result<(), Unsent> {
    if order.state.is_unsettled() && skip != "order_expired" {
        return Err(Unsent::Waits(skip.to_owned()));
    }
    if skip.is_empty() { Ok(()) } else { Err(Unsent::skipped(skip)) }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: MessageError) -> Unsent {
    Unsent::Failed(error.reason())
}

/// The key a provider recognises a repeat by.
fn idempotency_key(slot: &SlotRef, of: DeliveryId, key_attempt: u32) -> String {
    let DeliveryId { n, contact } = of;
    format!("{}/{}/{n}.{contact}/{key_attempt}", slot.campaign, slot.run)
}
