//! The rules of payment-order campaigns and bulk messages, as plain data.
//!
//! Everything here is pure: time, randomness and secrets come in as arguments, nothing waits,
//! nothing is read or written. A type that exists has been checked (`parse`), so nobody later
//! asks again. Each rule names its number in `docs/rules.md`, and its tests carry that number.
//!
//! Reading order: [`name`], [`money`], [`contact`] (values); [`order`], [`case`], [`campaign`], [`run`],
//! [`delivery`] (states and legal edges); [`message`], [`content`], [`sms`], [`html`] (what is sent); [`expiry`],
//! [`estimate`] (whether in time), [`frequency`] (when again, in a [`zone`]), [`failure`], [`retry`] (when not to,
//! and when again); [`short_code`],
//! [`mod@reference`] (what is recognised when it comes back); [`receipt`], [`reply`], [`signature`] (what a provider tells
//! later, and who says so); [`pass`], [`actor`] (who may see and act, who did); [`optout`], [`unsubscribe`] (who may not be written to); [`standing`], [`lookup`], [`export`] (what others are told).
//! Whose work it was asked for: [`trace`].
//! Whom a message reaches: [`filter`]; when, and how often: [`hours`], [`cap`], together [`contact_rules`].

mod excerpt;
mod keyed;
mod listed;
mod word;

pub mod actor;
pub mod audience;
pub mod campaign;
pub mod cap;
pub mod case;
pub mod cell;
pub mod clock;
pub mod column;
pub mod contact;
pub mod contact_rules;
pub mod content;
pub mod delivery;
pub mod estimate;
pub mod expiry;
pub mod export;
pub mod failure;
pub mod filter;
pub mod forget;
pub mod frequency;
pub mod hours;
pub mod html;
pub mod lookup;
pub mod message;
pub mod money;
pub mod name;
pub mod optout;
pub mod order;
pub mod pass;
pub mod receipt;
pub mod reference;
pub mod reply;
pub mod retry;
pub mod run;
pub mod short_code;
pub mod sift;
pub mod signature;
pub mod sms;
pub mod standing;
pub mod text;
pub mod trace;
pub mod unsubscribe;
pub mod zone;

pub use excerpt::Excerpt;
pub use word::WrongState;
pub(crate) use word::words;
