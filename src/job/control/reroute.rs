//! `reroute`: another payment point, and another link, for an order that can still be paid (PO-17).

use super::ControlJob;
use super::target::order_ref;
use crate::job::fields::Fields;
use crate::job::rejection::Rejection;

pub(super) fn decode(fields: &mut Fields) -> Result<ControlJob, Rejection> {
    let order = order_ref(fields)?;
    let payment_point = fields.name("payment_point")?;
    let payment_point = fields.required("payment_point", payment_point)?;
    Ok(ControlJob::Reroute { order, payment_point })
}
