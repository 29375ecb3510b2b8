//! `remesa recurring list`: permanent messages, of one campaign or of all.

use crate::cli::{
    context::Context,
    format,
    output::{self, Column, Rows},
};

use super::{Shown, campaigns, read};

const EXAMPLES: &str = "\
Examples:
  remesa recurring list
  remesa recurring list nov-dues --state active --json";

/// Arguments of `remesa recurring list`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only those of this campaign.
    campaign: Option<String>,
    /// Only those in this state.
    #[arg(long, value_parser = ["active", "paused", "stopped"])]
    state: Option<String>,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let mut rows = Rows::new(&[
        Column::Text("CAMPAIGN"),
        Column::Text("NAME"),
        Column::Text("STATE"),
        Column::Text("FREQUENCY"),
        Column::Text("NEXT"),
        Column::Number("RUNS"),
        Column::Number("MISSED"),
        Column::Text("LAST RUN"),
    ]);
    let mut all = Vec::new();
    for campaign in campaigns(context, args.campaign.as_deref()).await? {
        for (name, definition) in context.store.definitions(&campaign).await? {
            if args.state.as_ref().is_some_and(|state| *state != definition.state) {
                continue;
            }
            let job = read(&campaign, &name, &definition)?;
            let shown = Shown::of(&campaign, &name, &definition, &job);
            rows.add([
                shown.campaign.clone(),
                shown.recurring.clone(),
                shown.state.clone(),
                shown.frequency.clone(),
                shown.next_local(&job),
                format::count(shown.runs),
                format::count(shown.missed + shown.overlapped),
                format::or_dash(shown.last_run.as_deref().unwrap_or_default()),
            ]);
            all.push(shown);
        }
    }
    if args.format.json {
        output::json(&all)?;
    } else if all.is_empty() {
        output::note("there is no permanent message like that: remesa enqueue recurring job.json");
    } else {
        rows.print()?;
    }
    Ok(())
}
