//! `order_event`: what a payment platform says happened to an order.

use super::ControlJob;
use super::target::order_ref;
use crate::domain::order::OrderEvent;
use crate::job::codes::RejectionCode;
use crate::job::fields::{Fields, not_one_of};
use crate::job::rejection::Rejection;

/// What a platform may tell; that an order has expired is told by the clock.
const EVENTS: &[&str] = &["paid", "cancelled", "partially_refunded", "refunded"];

pub(super) fn decode(fields: &mut Fields) -> Result<ControlJob, Rejection> {
    let order = order_ref(fields)?;
    let event = fields.text("event")?;
    let event = fields.required("event", event)?;
    let known = OrderEvent::parse(&event).filter(|_| EVENTS.contains(&event.as_str()));
    let event = known.ok_or_else(|| not_one_of(RejectionCode::InvalidValue, "event", &event, EVENTS))?;
    let amount_minor = fields.count("amount")?;
    let occurred_at = fields.instant("occurred_at")?;
    match (event, amount_minor) {
        (OrderEvent::Cancelled, Some(_)) => {
            let rule = "the field does not go with the event \"cancelled\"";
            Err(fields.refuse(RejectionCode::ConflictingFields, "amount", rule))
        }
        (OrderEvent::PartiallyRefunded, None) => {
            let rule = "a partial refund says how much, in minor units";
            Err(fields.refuse(RejectionCode::MissingField, "amount", rule))
        }
        _ => Ok(ControlJob::OrderEvent { order, event, amount_minor, occurred_at }),
    }
}
