//! `remesa channels`: which there are, whether they send, how much waits; pause, resume and test.

mod probe;

use clap::Subcommand;
use serde_json::json;

use crate::{
    operate::channels::{ChannelView, names, views},
    queue::depth::{ChannelDepth, Depth, measure},
};

use super::{
    context::{Context, Globals},
    control, format,
    output::{self, Column, Rows},
};

/// Examples of the group.
pub const EXAMPLES: &str = "\
Examples:
  remesa channels
  remesa channels pause sms-main
  remesa channels resume sms-main
  remesa channels test sms-main           is its provider there, and does it know us?";

const PAUSE_EXAMPLES: &str = "Examples:\n  remesa channels pause sms-main";
const RESUME_EXAMPLES: &str = "Examples:\n  remesa channels resume sms-main     also closes its breaker and ends a wait that the provider asked for";

/// Arguments of `remesa channels`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    format: output::Format,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Send nothing more over a channel, for all campaigns.
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause(Named),
    /// Take a pause back, the daemon's own included.
    #[command(after_help = RESUME_EXAMPLES)]
    Resume(Named),
    /// Ask its provider whether it knows us, without sending anything; or send one message.
    Test(probe::Args),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The channel.
    channel: String,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    match args.action {
        None => list(&globals.open().await?, args.format).await,
        Some(Action::Test(args)) => probe::run(globals, args).await,
        Some(Action::Pause(named)) => act(globals, "pause", "is paused", &named).await,
        Some(Action::Resume(named)) => act(globals, "resume", "sends again", &named).await,
    }
}

async fn act(globals: &Globals, action: &str, done: &str, named: &Named) -> anyhow::Result<()> {
    let job = json!({ "action": action, "channel": named.channel });
    control::run(globals, job, &format!("the channel {} {done}", named.channel), named.format).await
}

async fn list(context: &Context, shown: output::Format) -> anyhow::Result<()> {
    let now_ms = context.store.now_ms().await?;
    let views = views(&context.store, &context.config, now_ms).await?;
    let depth = measure(&context.store, &names(&context.store, &context.config).await?).await?;
    if shown.json {
        output::json(&with_waiting(&views, &depth)?)?;
        return Ok(());
    }
    if views.is_empty() {
        output::note("no channel is configured: define [channels.<name>] in the configuration");
        return Ok(());
    }
    let mut rows = Rows::new(&[
        Column::Text("CHANNEL"),
        Column::Text("KIND"),
        Column::Number("RATE"),
        Column::Number("WAITING"),
        Column::Text("SERVED"),
        Column::Text("STATE"),
    ]);
    for view in views {
        let rate = match view.rate_per_second {
            None => "?".to_owned(),
            Some(0) => "unlimited".to_owned(),
            Some(rate) => format!("{}/s", format::count(rate)),
        };
        let waiting = depth.channels.get(&view.channel).map_or(0, ChannelDepth::recipients);
        let served = if view.served { "yes" } else { "no daemon" };
        let kind = view.kind.unwrap_or("not in this configuration");
        rows.add([view.channel, kind.to_owned(), rate, format::count(waiting), served.to_owned(), view.shown]);
    }
    rows.print()?;
    Ok(())
}

fn with_waiting(views: &[ChannelView], depth: &Depth) -> Result<Vec<serde_json::Value>, serde_json::Error> {
    let each = views.iter().map(|view| {
        let mut value = serde_json::to_value(view)?;
        if let Some(fields) = value.as_object_mut() {
            let waiting = depth.channels.get(&view.channel).map_or(0, ChannelDepth::recipients);
            fields.insert("recipients_waiting".to_owned(), waiting.into());
        }
        Ok(value)
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::enqueue, job::QueueName};

    #[test]
    fn pausing_a_channel_is_a_job_of_the_contract() {
        let job = json!({ "action": "pause", "channel": "sms-main" });
        assert!(enqueue::check(QueueName::Control, job.to_string().as_bytes()).is_ok());
    }
}
