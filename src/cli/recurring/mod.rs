//! `remesa recurring`: permanent messages: list, show, the coming due times; pause, resume, stop, run now.
//!
//! Looks read Redis, as any program can; commands are control jobs.

mod list;
mod next;
mod show;

use anyhow::anyhow;
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use crate::{
    domain::clock::EpochMs,
    job::RecurringJob,
    store::{Store, recurring::Definition},
};

use super::{
    context::{Context, Globals},
    control, output,
};

/// Examples of the group.
pub const EXAMPLES: &str = "\
Examples:
  remesa recurring list
  remesa recurring show nov-dues weekly
  remesa recurring next nov-dues weekly         the coming runs, in local time and UTC
  remesa recurring pause nov-dues weekly
  remesa recurring run-now nov-dues weekly
  remesa recurring stop nov-dues weekly         for good";

const PAUSE_EXAMPLES: &str = "\
Examples:
  remesa recurring pause nov-dues weekly        no new runs; one under way goes on";
const RESUME_EXAMPLES: &str = "\
Examples:
  remesa recurring resume nov-dues weekly       due times that passed meanwhile are not made up for";
const STOP_EXAMPLES: &str = "\
Examples:
  remesa recurring stop nov-dues weekly         for good; a run under way goes on";
const RUN_NOW_EXAMPLES: &str = "\
Examples:
  remesa recurring run-now nov-dues weekly      a run beside its due times, which stay";

/// What to do with permanent messages.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Permanent messages with their state and next due time.
    List(list::Args),
    /// One of them: what it says, when, and what became of its due times.
    Show(show::Args),
    /// The coming due times, in local time and UTC.
    Next(next::Args),
    /// Begin no new runs until it is resumed.
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause(Target),
    /// Take a pause back.
    #[command(after_help = RESUME_EXAMPLES)]
    Resume(Target),
    /// Stop it for good.
    #[command(after_help = STOP_EXAMPLES)]
    Stop(Target),
    /// Begin a run now.
    #[command(after_help = RUN_NOW_EXAMPLES)]
    RunNow(Target),
}

/// What a command is for.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The campaign.
    campaign: String,
    /// The permanent message.
    recurring: String,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub async fn run(globals: &Globals, action: Action) -> anyhow::Result<()> {
    match action {
        Action::List(args) => list::run(&globals.open().await?, args).await,
        Action::Show(args) => show::run(&globals.open().await?, args).await,
        Action::Next(args) => next::run(&globals.open().await?, args).await,
        Action::Pause(target) => act(globals, "pause", "is paused", &target).await,
        Action::Resume(target) => act(globals, "resume", "goes on", &target).await,
        Action::Stop(target) => act(globals, "cancel", "is stopped", &target).await,
        Action::RunNow(target) => act(globals, "run_now", "has begun a run", &target).await,
    }
}

async fn act(globals: &Globals, action: &str, done: &str, target: &Target) -> anyhow::Result<()> {
    let job = json!({ "action": action, "campaign": target.campaign, "recurring": target.recurring });
    let done = format!("{} of {} {done}", target.recurring, target.campaign);
    control::run(globals, job, &done, target.format).await
}

/// A permanent message as it is printed.
#[derive(Debug, Serialize)]
struct Shown {
    campaign: String,
    recurring: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    version: u64,
    frequency: String,
    timezone: &'static str,
    channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<i64>,
    runs: u64,
    missed: u64,
    overlapped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run: Option<String>,
}

impl Shown {
    fn of(campaign: &str, recurring: &str, definition: &Definition, job: &RecurringJob) -> Self {
        Self {
            campaign: campaign.to_owned(),
            recurring: recurring.to_owned(),
            state: definition.state.clone(),
            reason: definition.reason.clone(),
            version: definition.version,
            frequency: job.times.frequency.to_string(),
            timezone: job.times.zone.name(),
            channel: job.bulk.channel.to_string(),
            next_at: definition.next_at.map(|at| at.0),
            runs: definition.runs,
            missed: definition.missed,
            overlapped: definition.overlapped,
            last_run: definition.last_run.clone(),
        }
    }

    /// The next due time as the zone's clocks show it.
    fn next_local(&self, job: &RecurringJob) -> String {
        self.next_at.map_or_else(|| "-".to_owned(), |at| job.times.zone.to_rfc3339(EpochMs(at)))
    }
}

/// A definition and the job it was written by, or the sentence that there is none.
async fn load(store: &Store, campaign: &str, name: &str) -> anyhow::Result<(Definition, RecurringJob)> {
    let Some(definition) = store.definition(campaign, name).await? else {
        return Err(anyhow!(
            "the campaign {campaign} has no permanent message {name}: remesa recurring list {campaign}"
        ));
    };
    let job = read(campaign, name, &definition)?;
    Ok((definition, job))
}

fn read(campaign: &str, name: &str, definition: &Definition) -> anyhow::Result<RecurringJob> {
    RecurringJob::of_written(&definition.definition).map_err(|refused| anyhow!("{name} of {campaign}: {refused}"))
}

/// The campaigns that are looked at: the one named, or all that have permanent messages.
async fn campaigns(context: &Context, named: Option<&str>) -> anyhow::Result<Vec<String>> {
    const STRETCH: usize = 500;
    if let Some(campaign) = named {
        super::campaign::load(&context.store, campaign).await?;
        return Ok(vec![campaign.to_owned()]);
    }
    let mut found = Vec::new();
    let mut offset = 0;
    loop {
        let stretch = context.store.campaign_names(offset, STRETCH).await?;
        let is_last = stretch.len() < STRETCH;
        offset += stretch.len();
        if !stretch.is_empty() {
            found.extend(context.store.with_definitions(&stretch).await?);
        }
        if is_last {
            return Ok(found);
        }
    }
}
