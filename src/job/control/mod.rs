//! The job `control`: commands to campaigns, runs and channels, and what happened to an order elsewhere.
//!
//! Which fields an action takes is decided here, so that a field that would be ignored is refused instead: a `cancel`
//! with a mistaken target must not cancel something larger. Whether the target exists and its state allows the action
//! is the handler's question.

mod case;
mod export;
mod forget;
mod opt_out;
mod order_event;
mod preview;
mod receipt;
mod reply;
mod reroute;
mod resolve_orders;
mod target;

use super::codes::RejectionCode;
use super::fields::{Fields, not_one_of};
use super::rejection::Rejection;
use crate::domain::case::CaseAction;
use crate::domain::clock::EpochMs;
use crate::domain::name::{Name, RunName};
use crate::domain::order::OrderEvent;

pub use case::{CaseJob, CaseRef};
pub use export::ExportJob;
pub use forget::Person;
pub use opt_out::{OPT_OUTS_MAX, OptOutJob, Whom};
pub use preview::PreviewJob;
pub use receipt::ReceiptJob;
pub use reply::ReplyJob;
pub use target::{OrderRef, Target};
use target::{run_name, target};

pub(super) const CONTROL_FIELDS: &[&str] = &[
    "action",
    "campaign",
    "run",
    "recurring",
    "channel",
    "cancel_orders",
    "states",
    "order",
    "key",
    "short_code",
    "event",
    "amount",
    "occurred_at",
    "contact",
    "contacts",
    "list",
    "text",
    "country",
    "payment_point",
    "reference",
    "state",
    "reason",
    "provider_id",
    "file",
    "format",
    "order_state",
    "delivery_state",
    "job",
    "samples",
    "queue",
    "case",
    "case_id",
    "outcome",
];
/// Actions of this version.
pub(super) const ACTIONS: &[&str] = &[
    "pause",
    "resume",
    "cancel",
    "retry",
    "run_now",
    "order_event",
    "reroute",
    "resolve_orders",
    "receipt",
    "export",
    "forget",
    "preview",
    "opt_out",
    "opt_in",
    "reply",
    "close_case",
    "reopen_case",
];

/// A decoded job of the queue `control`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlJob {
    /// Nothing further of the target is claimed.
    Pause(Target),
    /// Takes a pause back.
    Resume(Target),
    /// Ends a campaign, a run or a permanent message; what was not sent is skipped.
    Cancel {
        /// Anything but a channel.
        target: Target,
        /// Also cancels the campaign's orders that are still available (PO-20).
        cancel_orders: bool,
    },
    /// Begins a run of a permanent message now.
    RunNow {
        /// The campaign.
        campaign: Name,
        /// The permanent message.
        recurring: Name,
    },
    /// Sends again what failed or is unknown.
    Retry {
        /// The campaign.
        campaign: Name,
        /// The run.
        run: RunName,
        /// Which deliveries.
        states: RetryStates,
    },
    /// The payment platform says what happened to an order.
    OrderEvent {
        /// Which order.
        order: OrderRef,
        /// What happened; never `Expired`, which the clock decides.
        event: OrderEvent,
        /// Of the payment or this refund, minor units, where the platform says them.
        amount_minor: Option<u64>,
        /// When it happened, where the platform says it.
        occurred_at: Option<EpochMs>,
    },
    /// Gives an order that can still be paid another payment point and another link (PO-17).
    Reroute {
        /// Which order.
        order: OrderRef,
        /// Who collects from now on.
        payment_point: Name,
    },
    /// A provider says what became of a message.
    Receipt(ReceiptJob),
    /// Writes the orders of a campaign with their deliveries into a file.
    Export(Box<ExportJob>),
    /// Puts addresses on a list that is not written to, or takes them off it.
    OptOut(OptOutJob),
    /// Closes a case, or opens it again.
    Case(CaseJob),
    /// What somebody answered.
    Reply(Box<ReplyJob>),
    /// Erases a person's data.
    Forget(Person),
    /// Looks again, at once, for the orders of a campaign that a payment platform has not confirmed.
    ResolveOrders {
        /// The campaign.
        campaign: Name,
    },
    /// What would become of a job; nothing is written.
    Preview(PreviewJob),
}

/// Which deliveries a retry returns to queued; never what was sent, delivered or skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryStates {
    /// The failed ones.
    Failed,
    /// The unknown ones: the operator accepts that some may be sent twice.
    Unknown,
    /// Both.
    All,
}

impl RetryStates {
    /// The word of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::All => "all",
        }
    }
}

impl ControlJob {
    /// The campaign it names.
    pub fn campaign(&self) -> Option<&Name> {
        match self {
            Self::Pause(target) | Self::Resume(target) | Self::Cancel { target, .. } => match target {
                Target::Campaign(campaign) | Target::Run { campaign, .. } | Target::Recurring { campaign, .. } => {
                    Some(campaign)
                }
                Target::Channel(_) => None,
            },
            Self::Retry { campaign, .. } | Self::RunNow { campaign, .. } | Self::ResolveOrders { campaign } => {
                Some(campaign)
            }
            Self::Export(export) => Some(&export.campaign),
            Self::Case(CaseJob { case, .. }) | Self::Forget(Person::OfCase(case)) => Some(case.campaign()),
            Self::OrderEvent { order, .. }
            | Self::Reroute { order, .. }
            | Self::Forget(Person::OfOrder(order))
            | Self::OptOut(OptOutJob { whom: Whom::OfOrder(order), .. }) => order.campaign(),
            // A receipt's reference says it, and only the daemon can tell whether it is one of ours.
            // Nothing is done to the campaign that a preview is about.
            // What is opted out is so for the whole company, and where a reply belongs is found out.
            Self::Receipt(_)
            | Self::Forget(Person::Contact(_))
            | Self::Preview(_)
            | Self::OptOut(OptOutJob { whom: Whom::Addresses(_), .. })
            | Self::Reply(_) => None,
        }
    }

    /// The run it names.
    pub fn run(&self) -> Option<&RunName> {
        match self {
            Self::Pause(Target::Run { run, .. })
            | Self::Resume(Target::Run { run, .. })
            | Self::Cancel { target: Target::Run { run, .. }, .. }
            | Self::Retry { run, .. } => Some(run),
            Self::Export(export) => export.run.as_ref(),
            Self::Pause(_)
            | Self::Resume(_)
            | Self::Cancel { .. }
            | Self::RunNow { .. }
            | Self::OrderEvent { .. }
            | Self::Reroute { .. }
            | Self::ResolveOrders { .. }
            | Self::Receipt(_)
            | Self::OptOut(_)
            | Self::Case(_)
            | Self::Reply(_)
            | Self::Forget(_)
            | Self::Preview(_) => None,
        }
    }

    /// Decodes the fields that the envelope left; `at` is the envelope's.
    pub(super) fn decode(mut fields: Fields, at: Option<EpochMs>) -> Result<Self, Rejection> {
        let action = fields.text("action")?;
        let action = fields.required("action", action)?;
        let job = match action.as_str() {
            "pause" => Self::Pause(target(&mut fields)?),
            "resume" => Self::Resume(target(&mut fields)?),
            "cancel" => cancel(&mut fields)?,
            "retry" => retry(&mut fields)?,
            "run_now" => run_now(&mut fields)?,
            "order_event" => order_event::decode(&mut fields)?,
            "reroute" => reroute::decode(&mut fields)?,
            "resolve_orders" => resolve_orders::decode(&mut fields)?,
            "receipt" => Self::Receipt(ReceiptJob::decode(&mut fields, at)?),
            "export" => Self::Export(Box::new(export::decode(&mut fields)?)),
            "forget" => Self::Forget(forget::person(&mut fields)?),
            "opt_out" => Self::OptOut(opt_out::decode(&mut fields, true)?),
            "opt_in" => Self::OptOut(opt_out::decode(&mut fields, false)?),
            "reply" => Self::Reply(Box::new(ReplyJob::decode(&mut fields, at)?)),
            "close_case" => case::decode(&mut fields, CaseAction::Close)?,
            "reopen_case" => case::decode(&mut fields, CaseAction::Reopen)?,
            "preview" => Self::Preview(PreviewJob::decode(&mut fields)?),
            other => return Err(refused_action(other)),
        };
        fields.nothing_else(&format!("the action \"{action}\""))?;
        Ok(job)
    }
}

/// The refusal of an action that nobody knows; asked before anything else of the job.
pub(super) fn refused_action(action: &str) -> Rejection {
    not_one_of(RejectionCode::UnknownAction, "action", action, ACTIONS)
}

fn cancel(fields: &mut Fields) -> Result<ControlJob, Rejection> {
    let target = target(fields)?;
    let cancel_orders = fields.flag("cancel_orders")?;
    match target {
        Target::Channel(_) => {
            let rule =
                "a channel cannot be cancelled, only paused; cancel takes a campaign, a run or a permanent message";
            Err(fields.refuse(RejectionCode::ConflictingFields, "channel", rule))
        }
        Target::Run { .. } | Target::Recurring { .. } if cancel_orders => {
            let rule = "orders belong to the campaign; cancel the campaign to cancel them";
            Err(fields.refuse(RejectionCode::ConflictingFields, "cancel_orders", rule))
        }
        Target::Campaign(_) | Target::Run { .. } | Target::Recurring { .. } => {
            Ok(ControlJob::Cancel { target, cancel_orders })
        }
    }
}

fn run_now(fields: &mut Fields) -> Result<ControlJob, Rejection> {
    let (campaign, recurring) = (fields.name("campaign")?, fields.name("recurring")?);
    let campaign = fields.required("campaign", campaign)?;
    Ok(ControlJob::RunNow { campaign, recurring: fields.required("recurring", recurring)? })
}

fn retry(fields: &mut Fields) -> Result<ControlJob, Rejection> {
    let campaign = fields.name("campaign")?;
    let campaign = fields.required("campaign", campaign)?;
    let run = run_name(fields)?;
    let run = fields.required("run", run)?;
    let states = fields.text("states")?;
    let states = match fields.required("states", states)?.as_str() {
        "failed" => RetryStates::Failed,
        "unknown" => RetryStates::Unknown,
        "all" => RetryStates::All,
        other => {
            return Err(not_one_of(RejectionCode::InvalidValue, "states", other, &["failed", "unknown", "all"]));
        }
    };
    Ok(ControlJob::Retry { campaign, run, states })
}
