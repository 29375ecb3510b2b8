//! The action `export`: what is written, as which file, and which orders are wanted.

use crate::domain::contact::{ContactError, Phone};
use crate::domain::delivery::DeliveryState;
use crate::domain::export::{ExportFormat, ExportName, ExportNameError};
use crate::domain::lookup::Filter;
use crate::domain::name::{Name, RunName};
use crate::domain::order::OrderState;
use crate::job::codes::RejectionCode;
use crate::job::fields::{Fields, not_one_of};
use crate::job::rejection::Rejection;

use super::target::run_name;

/// An export into the folder `exports` of the spool folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportJob {
    /// The campaign.
    pub campaign: Name,
    /// The run whose deliveries are shown; none = for each order the newest that covers it.
    pub run: Option<RunName>,
    /// The file, which tells format and packing.
    pub file: ExportName,
    /// The orders wanted.
    pub filter: Filter,
}

pub(super) fn decode(fields: &mut Fields) -> Result<ExportJob, Rejection> {
    let campaign = fields.name("campaign")?;
    let campaign = fields.required("campaign", campaign)?;
    let run = run_name(fields)?;
    let format = word(fields, "format", ExportFormat::ALL, ExportFormat::as_str)?;
    let file = match fields.parsed("file", ExportName::parse, ExportNameError::code)? {
        None => ExportName::of_campaign(campaign.as_str(), format.unwrap_or_default()),
        Some(file) => {
            if format.is_some_and(|format| format != file.format()) {
                let rule = format!("the file \"{}\" tells another format", file.as_str());
                return Err(fields.refuse(RejectionCode::ConflictingFields, "format", rule));
            }
            file
        }
    };
    let filter = Filter {
        state: word(fields, "order_state", OrderState::ALL, OrderState::as_str)?,
        delivery: word(fields, "delivery_state", DeliveryState::ALL, DeliveryState::as_str)?,
        reason: fields.text("reason")?,
        reference: fields.text("reference")?,
        contact: fields.parsed("contact", |text| Phone::parse(text, None), |_: &ContactError| "invalid_value")?,
    };
    Ok(ExportJob { campaign, run, file, filter })
}

/// One of the words of the contract.
fn word<T: Copy>(
    fields: &mut Fields,
    name: &str,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Result<Option<T>, Rejection> {
    let Some(text) = fields.text(name)? else { return Ok(None) };
    if let Some(value) = all.iter().find(|value| as_str(**value) == text) {
        return Ok(Some(*value));
    }
    let known: Vec<&str> = all.iter().map(|value| as_str(*value)).collect();
    Err(not_one_of(RejectionCode::InvalidValue, name, &text, &known))
}
