//! What a control job is for: a campaign, a run, a channel, one order.
//!
//! The fields that name it are read together, so that a contradiction is refused in one sentence; whether what they
//! name exists is the handler's question.

use crate::domain::name::{Name, NameError, RunName};
use crate::domain::short_code::{ShortCode, ShortCodeError};
use crate::job::codes::RejectionCode;
use crate::job::fields::Fields;
use crate::job::rejection::Rejection;

/// What a command is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A campaign with all its runs.
    Campaign(Name),
    /// One run.
    Run {
        /// Its campaign.
        campaign: Name,
        /// Its name.
        run: RunName,
    },
    /// A permanent message.
    Recurring {
        /// Its campaign.
        campaign: Name,
        /// Its name.
        recurring: Name,
    },
    /// A channel, for all campaigns.
    Channel(Name),
}

/// How a program outside names an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderRef {
    /// By its number in the campaign.
    Number {
        /// The campaign.
        campaign: Name,
        /// From 1.
        number: u64,
    },
    /// By the row's key.
    Key {
        /// The campaign.
        campaign: Name,
        /// The row's `key`, or `<job id>:<row>`.
        key: String,
    },
    /// By the code of its link, which says the campaign too.
    ShortCode(ShortCode),
}

impl OrderRef {
    /// The campaign it names.
    pub fn campaign(&self) -> Option<&Name> {
        match self {
            Self::Number { campaign, .. } | Self::Key { campaign, .. } => Some(campaign),
            Self::ShortCode(_) => None,
        }
    }
}

pub(super) fn run_name(fields: &mut Fields) -> Result<Option<RunName>, Rejection> {
    fields.parsed("run", RunName::parse, NameError::code)
}

pub(super) fn target(fields: &mut Fields) -> Result<Target, Rejection> {
    let campaign = fields.name("campaign")?;
    let run = run_name(fields)?;
    let recurring = fields.name("recurring")?;
    let channel = fields.name("channel")?;
    match (campaign, run, recurring, channel) {
        (Some(campaign), None, None, None) => Ok(Target::Campaign(campaign)),
        (Some(campaign), Some(run), None, None) => Ok(Target::Run { campaign, run }),
        (Some(campaign), None, Some(recurring), None) => Ok(Target::Recurring { campaign, recurring }),
        (None, None, None, Some(channel)) => Ok(Target::Channel(channel)),
        (_, Some(_), Some(_), _) => {
            let rule = "a run and a permanent message are two targets; only one may be given";
            Err(fields.refuse(RejectionCode::ConflictingFields, "recurring", rule))
        }
        (None, Some(_), None, None) | (None, None, Some(_), None) => {
            let rule = "a run or a permanent message is named together with its campaign";
            Err(fields.refuse(RejectionCode::MissingField, "campaign", rule))
        }
        (None, None, None, None) => {
            let rule = "the target is required: a campaign, or with it a run or a permanent message, or a channel";
            Err(fields.refuse(RejectionCode::MissingField, "campaign", rule))
        }
        (_, _, _, Some(_)) => {
            let rule = "a channel is named alone, without a campaign or a part of one";
            Err(fields.refuse(RejectionCode::ConflictingFields, "channel", rule))
        }
    }
}

pub(super) fn order_ref(fields: &mut Fields) -> Result<OrderRef, Rejection> {
    let campaign = fields.name("campaign")?;
    let number = fields.count("order")?;
    let key = fields.text("key")?;
    let short_code = fields.parsed("short_code", ShortCode::parse, ShortCodeError::code)?;
    match (campaign, number, key, short_code) {
        (None, None, None, Some(short_code)) => Ok(OrderRef::ShortCode(short_code)),
        (Some(campaign), Some(number), None, None) => Ok(OrderRef::Number { campaign, number }),
        (Some(campaign), None, Some(key), None) => Ok(OrderRef::Key { campaign, key }),
        (_, _, _, Some(_)) => {
            let rule = "a short code names its order alone, without campaign, order or key";
            Err(fields.refuse(RejectionCode::ConflictingFields, "short_code", rule))
        }
        (_, Some(_), Some(_), None) => {
            let rule = "an order is named by its number or by its key, not by both";
            Err(fields.refuse(RejectionCode::ConflictingFields, "key", rule))
        }
        (None, _, _, None) => {
            let rule = "an order is named by its campaign with order or key, or by short_code alone";
            Err(fields.refuse(RejectionCode::MissingField, "campaign", rule))
        }
        (Some(_), None, None, None) => {
            let rule = "the order's number is required, or its key";
            Err(fields.refuse(RejectionCode::MissingField, "order", rule))
        }
    }
}
