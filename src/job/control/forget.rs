//! `forget`: whose data is erased.

use super::case::{CaseRef, case_ref, names_case};
use super::target::{OrderRef, order_ref};
use crate::domain::contact::{ContactError, Country, Phone};
use crate::job::codes::RejectionCode;
use crate::job::fields::Fields;
use crate::job::rejection::Rejection;

/// Who is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    /// Whoever has this number, in all campaigns.
    Contact(Phone),
    /// Whoever this order is for: the order, and its number in all campaigns.
    OfOrder(OrderRef),
    /// Whoever this case is about: the case, and its newest number in all campaigns.
    OfCase(CaseRef),
}

pub(super) fn person(fields: &mut Fields) -> Result<Person, Rejection> {
    let contact = fields.text("contact")?;
    let country = fields.parsed("country", Country::parse, ContactError::code)?;
    let Some(contact) = contact else {
        if country.is_some() {
            let rule = "a country says how to read a contact, and there is none";
            return Err(fields.refuse(RejectionCode::ConflictingFields, "country", rule));
        }
        if names_case(fields) {
            return case_ref(fields).map(Person::OfCase);
        }
        if !["campaign", "order", "key", "short_code"].iter().any(|field| fields.has(field)) {
            let rule = "the person is required: a contact, or an order or a case by its campaign with order, key, case or case_id";
            return Err(fields.refuse(RejectionCode::MissingField, "contact", rule));
        }
        return order_ref(fields).map(Person::OfOrder);
    };
    // The sentence hides the middle digits of what was written.
    let phone = Phone::parse(&contact, country)
        .map_err(|error| fields.refuse(RejectionCode::InvalidValue, "contact", error))?;
    Ok(Person::Contact(phone))
}
