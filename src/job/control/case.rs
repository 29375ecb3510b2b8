//! `close_case` and `reopen_case`: which case, and how it ended.

use super::ControlJob;
use crate::domain::case::CaseAction;
use crate::domain::name::Name;
use crate::job::codes::RejectionCode;
use crate::job::fields::Fields;
use crate::job::rejection::Rejection;

/// Characters of an outcome.
const OUTCOME_MAX_CHARS: usize = 200;

/// How a program outside names a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseRef {
    /// By its number in the campaign.
    Number {
        /// The campaign.
        campaign: Name,
        /// From 1.
        number: u64,
    },
    /// By the producer's id.
    Id {
        /// The campaign.
        campaign: Name,
        /// The `id` it was imported with.
        id: String,
    },
}

impl CaseRef {
    /// The campaign it names.
    pub const fn campaign(&self) -> &Name {
        match self {
            Self::Number { campaign, .. } | Self::Id { campaign, .. } => campaign,
        }
    }
}

/// A decoded command to a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseJob {
    /// What is done.
    pub action: CaseAction,
    /// Which case.
    pub case: CaseRef,
    /// How it ended (typification), of one that is closed.
    pub outcome: Option<String>,
}

pub(super) fn decode(fields: &mut Fields, action: CaseAction) -> Result<ControlJob, Rejection> {
    let case = case_ref(fields)?;
    let outcome = match action {
        CaseAction::Close => fields.text("outcome")?,
        CaseAction::Reopen => None,
    };
    if let Some(outcome) = &outcome {
        let chars = outcome.chars().count();
        if !(1..=OUTCOME_MAX_CHARS).contains(&chars) || outcome.chars().any(char::is_control) {
            let rule =
                format!("{chars} characters; 1 to {OUTCOME_MAX_CHARS} are wanted, none of them a control character");
            return Err(fields.refuse(RejectionCode::InvalidValue, "outcome", rule));
        }
    }
    Ok(ControlJob::Case(CaseJob { action, case, outcome }))
}

/// Whether the fields name a case.
pub(super) fn names_case(fields: &Fields) -> bool {
    fields.has("case") || fields.has("case_id")
}

pub(super) fn case_ref(fields: &mut Fields) -> Result<CaseRef, Rejection> {
    let campaign = fields.name("campaign")?;
    let campaign = fields.required("campaign", campaign)?;
    let number = fields.count("case")?;
    let id = fields.text("case_id")?;
    match (number, id) {
        (Some(number), None) => Ok(CaseRef::Number { campaign, number }),
        (None, Some(id)) => Ok(CaseRef::Id { campaign, id }),
        (Some(_), Some(_)) => {
            let rule = "a case is named by its number or by its id, not by both";
            Err(fields.refuse(RejectionCode::ConflictingFields, "case_id", rule))
        }
        (None, None) => {
            let rule = "the case's number is required, or its case_id";
            Err(fields.refuse(RejectionCode::MissingField, "case", rule))
        }
    }
}
