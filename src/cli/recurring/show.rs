//! `remesa recurring show`: one permanent message, and the latest of its runs.

use serde_json::{Value, json};

use crate::cli::{context::Context, format, output};

use super::{Shown, load};

const EXAMPLES: &str = "\
Examples:
  remesa recurring show nov-dues weekly
  remesa recurring show nov-dues weekly --json";

/// Arguments of `remesa recurring show`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The campaign.
    campaign: String,
    /// The permanent message.
    recurring: String,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let (definition, job) = load(&context.store, &args.campaign, &args.recurring).await?;
    let shown = Shown::of(&args.campaign, &args.recurring, &definition, &job);
    let run = match &definition.last_run {
        Some(run) => context.store.run(&args.campaign, run).await?,
        None => std::collections::HashMap::new(),
    };
    let count = |state: &str| run.get(state).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let written: Value = serde_json::from_str(&definition.definition)?;
    if args.format.json {
        let mut all = serde_json::to_value(&shown)?;
        if let Some(fields) = all.as_object_mut() {
            fields.insert("definition".to_owned(), written);
            fields.insert("content".to_owned(), serde_json::from_str(&definition.content)?);
            fields.insert("job".to_owned(), json!(definition.job));
        }
        output::json(&all)?;
        return Ok(());
    }
    let reason = shown.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    output::line(format_args!("{} of {} is {}{reason}", shown.recurring, shown.campaign, shown.state))?;
    output::line(format_args!(" frequency   {} ({})", shown.frequency, shown.timezone))?;
    output::line(format_args!(" next        {}", shown.next_local(&job)))?;
    output::line(format_args!(" channel     {}", shown.channel))?;
    output::line(format_args!(" version     {}, written by {}", shown.version, definition.job))?;
    output::line(format_args!(
        " due times   {} run, {} missed, {} passed over while a run was under way",
        format::count(shown.runs),
        format::count(shown.missed),
        format::count(shown.overlapped)
    ))?;
    if let Some(last) = &shown.last_run {
        let state = run.get("state").map_or("not made yet", String::as_str);
        output::line(format_args!(
            " last run    {last}, {state}: {} of {} sent",
            format::count(count("sent") + count("delivered")),
            format::count(count("total"))
        ))?;
    }
    output::line(format_args!(" definition  {written}"))?;
    Ok(())
}
