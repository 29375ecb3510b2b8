//! `remesa campaign`: list and show, orders, cases and refused rows, one of each; pause, resume, cancel, retry.
//!
//! One file a look. What they read is read in `store::view` and `store::records`, which the look-up over HTTP uses too,
//! so that its JSON is the same. Commands are control jobs, as any program writes them.

mod case;
mod cases;
mod errors;
mod list;
mod order;
pub mod orders;
mod show;
mod words;

pub use order::code_of;

use anyhow::anyhow;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::store::{
    Store,
    view::{CampaignDetail, CampaignView},
};

use super::{
    context::Globals,
    control::{self, Command},
    error::Usage,
    output,
};

/// Examples of the group.
pub const EXAMPLES: &str = "\
Examples:
  remesa campaign list --state running
  remesa campaign show nov-dues --watch
  remesa campaign orders nov-dues --delivery failed
  remesa campaign order nov-dues 17
  remesa campaign cases nov-dues --active
  remesa campaign errors nov-dues
  remesa campaign pause nov-dues
  remesa campaign retry nov-dues --states failed";

const PAUSE_EXAMPLES: &str = "\
Examples:
  remesa campaign pause nov-dues
  remesa campaign pause nov-dues --run delivery@1";
const RESUME_EXAMPLES: &str = "\
Examples:
  remesa campaign resume nov-dues
  remesa campaign resume nov-dues --run delivery@1";
const CANCEL_EXAMPLES: &str = "\
Examples:
  remesa campaign cancel nov-dues                  what is not sent yet is skipped; orders stay payable
  remesa campaign cancel nov-dues --orders         the orders that are still available are cancelled too
  remesa campaign cancel nov-dues --run delivery@1";
const RETRY_EXAMPLES: &str = "\
Examples:
  remesa campaign retry nov-dues                                 the only run of the campaign
  remesa campaign retry nov-dues delivery@1
  remesa campaign retry nov-dues delivery@1 --states unknown     some may be sent twice";

/// What to do with campaigns.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Campaigns, newest first.
    List(list::Args),
    /// Totals, orders and deliveries by state, runs with their pace and end, warnings.
    Show(show::Args),
    /// The orders with their deliveries, filtered and in pages.
    Orders(orders::Args),
    /// One order with its link and its deliveries.
    Order(order::Args),
    /// The cases, filtered and in pages.
    Cases(cases::Args),
    /// One case with its contacts and what was sent to it.
    Case(case::Args),
    /// The refused rows.
    Errors(errors::Args),
    /// Claim nothing further of a campaign or a run.
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause(Target),
    /// Take a pause back.
    #[command(after_help = RESUME_EXAMPLES)]
    Resume(Target),
    /// Stop a campaign or a run for good.
    #[command(after_help = CANCEL_EXAMPLES)]
    Cancel {
        /// What it is for.
        #[command(flatten)]
        target: Target,
        /// Also cancel the campaign's orders that are still available.
        #[arg(long, conflicts_with = "run")]
        orders: bool,
    },
    /// Send again what failed or is unknown.
    #[command(after_help = RETRY_EXAMPLES)]
    Retry {
        /// The campaign.
        campaign: String,
        /// The run; may be left out where the campaign has only one.
        run: Option<String>,
        /// Which deliveries; of the unknown ones some may be sent twice.
        #[arg(long, value_enum, default_value_t = States::Failed)]
        states: States,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
}

/// What a command is for.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The campaign.
    campaign: String,
    /// One of its runs.
    #[arg(long)]
    run: Option<String>,
    #[command(flatten)]
    format: output::Format,
}

/// Deliveries that a retry returns to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum States {
    /// The failed ones.
    Failed,
    /// Those of which nobody knows whether they were sent.
    Unknown,
    /// Both.
    All,
}

impl States {
    fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::All => "all",
        }
    }
}

/// Runs the command.
pub async fn run(globals: &Globals, action: Action) -> anyhow::Result<()> {
    match action {
        Action::List(args) => list::run(&globals.open().await?, args).await,
        Action::Show(args) => show::run(&globals.open().await?, args).await,
        Action::Orders(args) => orders::run(&globals.open().await?, args).await,
        Action::Order(args) => order::run(&globals.open().await?, args).await,
        Action::Cases(args) => cases::run(&globals.open().await?, args).await,
        Action::Case(args) => case::run(&globals.open().await?, args).await,
        Action::Errors(args) => errors::run(&globals.open().await?, args).await,
        Action::Pause(target) => act(globals, "pause", "is paused", &target, false).await,
        Action::Resume(target) => act(globals, "resume", "goes on", &target, false).await,
        Action::Cancel { target, orders } => act(globals, "cancel", "is cancelled", &target, orders).await,
        Action::Retry { campaign, run, states, format } => {
            let context = globals.open().await?;
            let run = match run {
                Some(run) => run,
                None => only_run(&context.store, &campaign).await?,
            };
            let job = json!({ "action": "retry", "campaign": campaign, "run": run, "states": states.word() });
            let done = format!("the run {run} of {campaign} is tried again");
            Command::check(job)?.run(&context, &done, format).await
        }
    }
}

/// The run of a campaign that has one.
async fn only_run(store: &Store, campaign: &str) -> anyhow::Result<String> {
    load(store, campaign).await?;
    let mut runs = store.run_names(campaign).await?;
    match (runs.pop(), runs.as_slice()) {
        (Some(only), []) => Ok(only),
        (None, _) => Err(anyhow!("{campaign} has no run: nothing was to be sent")),
        (Some(first), others) => {
            let all: Vec<_> = std::iter::once(first.as_str()).chain(others.iter().rev().map(String::as_str)).collect();
            Err(Usage(format!("{campaign} has several runs, name one: {}", all.join(", "))).into())
        }
    }
}

async fn act(globals: &Globals, action: &str, done: &str, target: &Target, orders: bool) -> anyhow::Result<()> {
    control::run(globals, command(action, target, orders), &format!("{} {done}", named(target)), target.format).await
}

fn command(action: &str, target: &Target, orders: bool) -> Value {
    let mut job = json!({ "action": action, "campaign": target.campaign });
    if let Some(fields) = job.as_object_mut() {
        if let Some(run) = &target.run {
            fields.insert("run".to_owned(), run.as_str().into());
        }
        if orders {
            fields.insert("cancel_orders".to_owned(), true.into());
        }
    }
    job
}

fn named(target: &Target) -> String {
    match &target.run {
        Some(run) => format!("the run {run} of {}", target.campaign),
        None => format!("the campaign {}", target.campaign),
    }
}

/// A campaign, or the sentence that there is none.
pub async fn load(store: &Store, campaign: &str) -> anyhow::Result<CampaignView> {
    CampaignView::load(store, campaign).await?.ok_or_else(|| none(campaign))
}

/// The same with its runs.
async fn detail(store: &Store, campaign: &str) -> anyhow::Result<CampaignDetail> {
    CampaignDetail::load(store, campaign).await?.ok_or_else(|| none(campaign))
}

/// The sentence that there is no such campaign.
pub fn none(campaign: &str) -> anyhow::Error {
    anyhow!("there is no campaign \"{campaign}\": see `remesa campaign list`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::enqueue, job::QueueName};

    fn target(run: Option<&str>) -> Target {
        Target { campaign: "nov-dues".to_owned(), run: run.map(str::to_owned), format: output::Format::default() }
    }

    #[test]
    fn every_command_of_the_group_is_a_job_of_the_contract() {
        let jobs = [
            command("pause", &target(None), false),
            command("resume", &target(Some("delivery@1")), false),
            command("cancel", &target(None), true),
            command("cancel", &target(Some("delivery@1")), false),
        ];
        for job in jobs {
            let checked = enqueue::check(QueueName::Control, job.to_string().as_bytes());
            assert!(checked.is_ok(), "{job}: {checked:?}");
        }
        assert_eq!(named(&target(Some("delivery@1"))), "the run delivery@1 of nov-dues");
    }

    #[test]
    fn the_states_of_a_retry_are_the_words_of_the_contract() {
        for states in States::value_variants() {
            let job = json!({ "action": "retry", "campaign": "c", "run": "r", "states": states.word() });
            assert!(enqueue::check(QueueName::Control, job.to_string().as_bytes()).is_ok(), "{job}");
        }
    }
}
