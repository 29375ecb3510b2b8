//! `remesa recurring next`: the coming due times, in local time and UTC.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::{
    cli::{
        context::Context,
        enqueue,
        error::Refused,
        output::{self, Column, Rows},
    },
    domain::{clock::EpochMs, frequency::Schedule, zone::Zone},
    job::{JOB_MAX_BYTES, Job, QueueName},
};

use super::load;

const EXAMPLES: &str = "\
Examples:
  remesa recurring next nov-dues weekly
  remesa recurring next nov-dues weekly --count 30 --json
  remesa recurring next --job job.json          of a job that is not enqueued yet";

/// Arguments of `remesa recurring next`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The campaign.
    #[arg(required_unless_present = "job", requires = "recurring")]
    campaign: Option<String>,
    /// The permanent message.
    recurring: Option<String>,
    /// A job of the queue `recurring`, or of `send` with `every` or `cron`; - is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "campaign")]
    job: Option<PathBuf>,
    /// How many.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    #[command(flatten)]
    format: output::Format,
}

/// What is due, and what is said about it.
struct Due {
    campaign: String,
    recurring: String,
    state: String,
    zone: Zone,
    coming: Vec<EpochMs>,
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let count = usize::try_from(args.count).unwrap_or(usize::MAX);
    let due = match (&args.job, &args.campaign, &args.recurring) {
        (None, Some(campaign), Some(recurring)) => of_definition(context, campaign, recurring, count).await?,
        (Some(path), ..) => of_job(context, path, count).await?,
        (None, ..) => return Ok(()),
    };
    print(&due, args.format)
}

async fn of_definition(context: &Context, campaign: &str, recurring: &str, count: usize) -> anyhow::Result<Due> {
    let (definition, job) = load(&context.store, campaign, recurring).await?;
    let after = match definition.next_at {
        Some(next_at) => EpochMs(next_at.0 - 1),
        None => EpochMs(context.store.now_ms().await?),
    };
    let left = match definition.state.as_str() {
        "stopped" => 0,
        _ => job.times.max_runs.map_or(u64::MAX, |max_runs| max_runs.saturating_sub(definition.runs)),
    };
    Ok(Due {
        campaign: campaign.to_owned(),
        recurring: recurring.to_owned(),
        state: definition.state.clone(),
        zone: job.times.zone,
        coming: take(&job.times.schedule(definition.first), after, left, count),
    })
}

/// The same of a job, as if it were accepted now.
async fn of_job(context: &Context, path: &Path, count: usize) -> anyhow::Result<Due> {
    let bytes = enqueue::read(path, JOB_MAX_BYTES)?;
    let judged = enqueue::check(QueueName::Recurring, &bytes);
    // Of a job for the other queue the refusal here would be beside the point.
    let as_send = enqueue::check(QueueName::Send, &bytes).ok().filter(|it| matches!(it.job, Job::Recurring(_)));
    let checked = judged.or_else(|refused: Refused| as_send.ok_or(refused))?;
    let Job::Recurring(job) = checked.job else { anyhow::bail!("the job is not a permanent message") };
    job.times.frequency.check(context.config.recurring_min_interval)?;
    let now = EpochMs(context.store.now_ms().await?);
    let schedule = job.times.schedule(job.times.starts_at.unwrap_or(now));
    Ok(Due {
        campaign: job.bulk.campaign.to_string(),
        recurring: job.recurring.to_string(),
        state: "not enqueued".to_owned(),
        zone: job.times.zone,
        coming: take(&schedule, EpochMs(now.0 - 1), job.times.max_runs.unwrap_or(u64::MAX), count),
    })
}

fn take(schedule: &Schedule, after: EpochMs, left: u64, count: usize) -> Vec<EpochMs> {
    schedule.coming(after).take(count.min(usize::try_from(left).unwrap_or(usize::MAX))).collect()
}

fn print(due: &Due, format: output::Format) -> anyhow::Result<()> {
    let Due { campaign, recurring, state, zone, coming } = due;
    if format.json {
        let each = coming.iter().map(|at| json!({ "at": at.0, "utc": at.to_rfc3339(), "local": zone.to_rfc3339(*at) }));
        return Ok(output::json(&json!({
            "campaign": campaign,
            "recurring": recurring,
            "state": state,
            "timezone": zone.name(),
            "coming": each.collect::<Vec<_>>(),
        }))?);
    }
    if coming.is_empty() {
        output::note(format_args!("{recurring} is {state}: nothing is due any more"));
        return Ok(());
    }
    let mut rows = Rows::new(&[Column::Text(zone.name()), Column::Text("UTC")]);
    for at in coming {
        rows.add([zone.to_rfc3339(*at), at.to_rfc3339()]);
    }
    rows.print()?;
    if state == "paused" {
        output::note(format_args!("{recurring} is paused: none of these runs until it is resumed"));
    }
    Ok(())
}
