//! `resolve_orders`: look again, at once, for the orders that a payment platform has not confirmed.

use super::ControlJob;
use crate::job::fields::Fields;
use crate::job::rejection::Rejection;

pub(super) fn decode(fields: &mut Fields) -> Result<ControlJob, Rejection> {
    let campaign = fields.name("campaign")?;
    Ok(ControlJob::ResolveOrders { campaign: fields.required("campaign", campaign)? })
}
