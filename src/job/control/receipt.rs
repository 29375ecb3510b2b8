//! `receipt`: a program that receives a provider's reports itself hands one on.
//!
//! Whether the reference is one we signed is the handler's question: the secret is not known here.

use crate::domain::clock::EpochMs;
use crate::domain::delivery::DeliveryState;
use crate::domain::receipt::{REPORTED, clean_id, clean_reason};
use crate::job::codes::RejectionCode;
use crate::job::fields::{Fields, not_one_of};
use crate::job::rejection::Rejection;

/// What a provider says of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptJob {
    /// Our reference, as the provider got it with the message.
    pub reference: String,
    /// Where the message stands: one of [`REPORTED`].
    pub state: DeliveryState,
    /// The provider's code, as the ledger keeps it.
    pub reason: String,
    /// The provider's id of the message.
    pub provider_id: String,
    /// When, by the provider's clock.
    pub occurred_at: Option<EpochMs>,
}

impl ReceiptJob {
    /// Decodes its fields. Without `occurred_at` the job's own `at` says when it was: one that has passed delays
    /// nothing.
    pub(super) fn decode(fields: &mut Fields, at: Option<EpochMs>) -> Result<Self, Rejection> {
        let reference = fields.text("reference")?;
        let reference = fields.required("reference", reference)?;
        let state = fields.text("state")?;
        let word = fields.required("state", state)?;
        let known = REPORTED.map(DeliveryState::as_str);
        let state = REPORTED.into_iter().find(|state| state.as_str() == word);
        let state = state.ok_or_else(|| not_one_of(RejectionCode::InvalidValue, "state", &word, &known))?;
        let reason = fields.text("reason")?.unwrap_or_default();
        let provider_id = fields.text("provider_id")?.unwrap_or_default();
        Ok(Self {
            reference,
            state,
            reason: clean_reason(&reason),
            provider_id: clean_id(&provider_id),
            occurred_at: fields.instant("occurred_at")?.or(at),
        })
    }
}
