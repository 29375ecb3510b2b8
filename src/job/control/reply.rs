//! `reply`: a program that receives what people answer itself hands one on.
//!
//! Whether a reference is one we signed, and to which message a reply belongs, is the handler's question.

use crate::domain::clock::EpochMs;
use crate::domain::contact::{Address, ContactError, Country};
use crate::domain::name::Name;
use crate::domain::receipt::clean_id;
use crate::domain::reply::cut;
use crate::job::codes::RejectionCode;
use crate::job::fields::Fields;
use crate::job::rejection::Rejection;

/// What somebody answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyJob {
    /// The channel it came by.
    pub channel: Name,
    /// Who.
    pub from: Address,
    /// What, cut.
    pub text: String,
    /// The provider's id of it; empty: none.
    pub provider_id: String,
    /// Our reference of the message that is answered.
    pub reference: Option<String>,
    /// When, by the provider's clock.
    pub occurred_at: Option<EpochMs>,
}

impl ReplyJob {
    /// Decodes its fields. Without `occurred_at` the job's own `at` says when it was: one that has passed delays
    /// nothing.
    pub(super) fn decode(fields: &mut Fields, at: Option<EpochMs>) -> Result<Self, Rejection> {
        let channel = fields.name("channel")?;
        let channel = fields.required("channel", channel)?;
        let country = fields.parsed("country", Country::parse, ContactError::code)?;
        let contact = fields.text("contact")?;
        let contact = fields.required("contact", contact)?;
        let from = Address::parse(&contact, country)
            .map_err(|error| fields.refuse(RejectionCode::InvalidValue, "contact", error))?;
        let text = fields.text("text")?;
        let text = cut(&fields.required("text", text)?);
        let provider_id = clean_id(&fields.text("provider_id")?.unwrap_or_default());
        let reference = fields.text("reference")?;
        let occurred_at = fields.instant("occurred_at")?.or(at);
        Ok(Self { channel, from, text, provider_id, reference, occurred_at })
    }
}
