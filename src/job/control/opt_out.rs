//! `opt_out` and `opt_in`: who is put on a list of addresses that are not written to, or taken off it.

use serde_json::Value;

use super::target::{OrderRef, order_ref};
use crate::domain::contact::{Address, ContactError, Country};
use crate::domain::optout::{Bar, By, Change};
use crate::job::codes::RejectionCode;
use crate::job::fields::{Fields, not_one_of, wrong_type};
use crate::job::rejection::Rejection;

/// Addresses that one job names at most.
pub const OPT_OUTS_MAX: usize = 1_000;

/// A decoded wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOutJob {
    /// On which list, or off it.
    pub change: Change,
    /// Whose.
    pub whom: Whom,
}

/// Whose addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// These.
    Addresses(Vec<Address>),
    /// That of an order.
    OfOrder(OrderRef),
}

pub(super) fn decode(fields: &mut Fields, adds: bool) -> Result<OptOutJob, Rejection> {
    let list = match fields.text("list")? {
        None => Bar::OptedOut,
        Some(word) => Bar::parse(&word).ok_or_else(|| {
            not_one_of(RejectionCode::InvalidValue, "list", &word, &[Bar::OptedOut.as_str(), Bar::Blocked.as_str()])
        })?,
    };
    let change = Change { list, adds, by: By::Job };
    let country = fields.parsed("country", Country::parse, ContactError::code)?;
    let contact = fields.take("contact");
    let contacts = fields.list("contacts")?;
    let (field, written) = match (contact, contacts) {
        (Some(_), Some(_)) => {
            let rule = "at most one of contact and contacts may be given";
            return Err(fields.refuse(RejectionCode::ConflictingFields, "contacts", rule));
        }
        (Some(one), None) => ("contact", vec![one]),
        (None, Some(many)) => ("contacts", many),
        (None, None) if country.is_some() => {
            let rule = "a country says how to read a contact, and there is none";
            return Err(fields.refuse(RejectionCode::ConflictingFields, "country", rule));
        }
        (None, None) if !["campaign", "order", "key", "short_code"].iter().any(|field| fields.has(field)) => {
            let rule = "the person is required: a contact, contacts, or an order by its campaign with order or key";
            return Err(fields.refuse(RejectionCode::MissingField, "contact", rule));
        }
        (None, None) => return Ok(OptOutJob { change, whom: Whom::OfOrder(order_ref(fields)?) }),
    };
    if written.is_empty() || written.len() > OPT_OUTS_MAX {
        let rule = format!("{} contacts; 1 to {OPT_OUTS_MAX} are wanted", written.len());
        return Err(fields.refuse(RejectionCode::InvalidValue, field, rule));
    }
    let mut addresses = Vec::with_capacity(written.len());
    for (index, value) in written.iter().enumerate() {
        let place = if field == "contact" { field.to_owned() } else { format!("{field}[{index}]") };
        let Value::String(text) = value else {
            return Err(wrong_type(&fields.at(&place), value, "a phone number or an e-mail address"));
        };
        // The sentence hides the middle of what was written.
        let address =
            Address::parse(text, country).map_err(|error| fields.refuse(RejectionCode::InvalidValue, &place, error))?;
        addresses.push(address);
    }
    Ok(OptOutJob { change, whom: Whom::Addresses(addresses) })
}
