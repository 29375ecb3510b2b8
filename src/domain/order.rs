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
use super::short_code::ShortCode;
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
            Self::Creating | Self::InDoubt | Self::Expired | Self::Cancelled | Self::Refunded => {
                &[]
            }
        }
    }

    /// The state after `event`, or what would be allowed instead (DA-7).
    pub fn after(self, event: OrderEvent) -> Result<Self, WrongState<Self, OrderEvent>> {
        if !self.allowed().contains(&event) {
            return Err(WrongState {
                state: self,
                allowed: self.allowed(),
            });
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
        Some(chars) => Err(OrderError::ConceptTooLong {
            value: Excerpt::of(text),
            chars,
        }),
        None => Ok(()),
    }
}

/// Refuses a reference of more than 150 characters (PO-11).
pub fn check_reference(text: &str) -> Result<(), OrderError> {
    match longer_than(text, REFERENCE_MAX_CHARS) {
        Some(chars) => Err(OrderError::ReferenceTooLong {
            value: Excerpt::of(text),
            chars,
        }),
        None => Ok(()),
    }
}

/// Refuses a row key that is empty, longer than 150 characters, or holds control characters.
pub fn check_key(text: &str) -> Result<(), OrderError> {
    if let Some(chars) = longer_than(text, KEY_MAX_CHARS) {
        return Err(OrderError::KeyTooLong {
            value: Excerpt::of(text),
            chars,
        });
    }
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(OrderError::InvalidKey {
            value: Excerpt::of(text),
        });
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
    /// The end of its link.
    pub short_code: ShortCode,
    /// When it was generated.
    pub created_at: EpochMs,
    /// Its payment point, where it is not the campaign's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_point: Option<Name>,
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

    /// Whether it can be paid at `now`, which is also whether its message may leave (PO-18).
    pub fn is_payable(&self, now: EpochMs) -> bool {
        self.state_at(now) == OrderState::Available
    }

    /// The state after an event at `now`, or what would be allowed instead.
    pub fn after(
        &self,
        event: OrderEvent,
        now: EpochMs,
    ) -> Result<OrderState, WrongState<OrderState, OrderEvent>> {
        if event == OrderEvent::Expired {
            return self.state.after(event);
        }
        self.state_at(now).after(event)
    }
}
