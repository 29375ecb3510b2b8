//! `remesa campaign`: list, show, one order, refused rows; pause, resume, cancel, retry.

use anyhow::anyhow;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::store::{
    Store,
    view::{CampaignView, RunView},
};

use super::{
    context::{Context, Globals},
    control, format, order,
    output::{self, Column, Rows},
};

/// Examples of the group.
pub const EXAMPLES: &str = "\
Examples:
  remesa campaign list
  remesa campaign show nov-dues
  remesa campaign order nov-dues 17
  remesa campaign errors nov-dues
  remesa campaign pause nov-dues
  remesa campaign retry nov-dues delivery@1 --states failed";

const LIST_EXAMPLES: &str = "Examples:\n  remesa campaign list\n  remesa campaign list --limit 200 --json";
const SHOW_EXAMPLES: &str = "Examples:\n  remesa campaign show nov-dues\n  remesa campaign show nov-dues --json";
const ERRORS_EXAMPLES: &str = "\
Examples:
  remesa campaign errors nov-dues
  remesa campaign errors nov-dues --offset 100 --limit 100
  remesa campaign errors nov-dues --limit 10000 --json > refused.json";
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
  remesa campaign retry nov-dues delivery@1
  remesa campaign retry nov-dues delivery@1 --states unknown     some may be sent twice";

/// What to do with campaigns.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// The newest campaigns.
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// How many.
        #[arg(long, default_value_t = 30, value_name = "N")]
        limit: usize,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
    /// Totals, orders and deliveries by state, runs.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// The campaign.
        campaign: String,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
    /// One order with its link and its deliveries.
    Order(order::Args),
    /// The refused rows.
    #[command(after_help = ERRORS_EXAMPLES)]
    Errors {
        /// The campaign.
        campaign: String,
        /// Rows to leave out at the beginning.
        #[arg(long, default_value_t = 0, value_name = "N")]
        offset: usize,
        /// How many.
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
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
        /// The run.
        run: String,
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
        Action::List { limit, format } => list(&globals.open().await?, limit, format).await,
        Action::Show { campaign, format } => show(&globals.open().await?, &campaign, format).await,
        Action::Order(args) => order::run(globals, args).await,
        Action::Errors { campaign, offset, limit, format } => {
            errors(&globals.open().await?, &campaign, offset, limit, format).await
        }
        Action::Pause(target) => act(globals, "pause", "is paused", &target, false).await,
        Action::Resume(target) => act(globals, "resume", "goes on", &target, false).await,
        Action::Cancel { target, orders } => act(globals, "cancel", "is cancelled", &target, orders).await,
        Action::Retry { campaign, run, states, format } => {
            let job = json!({ "action": "retry", "campaign": campaign, "run": run, "states": states.word() });
            control::run(globals, job, &format!("the run {run} of {campaign} is tried again"), format).await
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

async fn list(context: &Context, limit: usize, shown: output::Format) -> anyhow::Result<()> {
    let mut views = Vec::new();
    for name in context.store.campaign_names(0, limit).await? {
        // One that was removed meanwhile is left out.
        views.extend(CampaignView::load(&context.store, &name).await?);
    }
    if shown.json {
        output::json(&views)?;
        return Ok(());
    }
    if views.is_empty() {
        output::note("there is no campaign yet: remesa enqueue generate job.json");
        return Ok(());
    }
    let mut rows = Rows::new(&[
        Column::Text("CAMPAIGN"),
        Column::Text("STATE"),
        Column::Number("ORDERS"),
        Column::Number("REFUSED"),
        Column::Text("DELIVERIES"),
        Column::Text("CREATED"),
    ]);
    for view in views {
        let created = view.times.get("created_at").map(|ms| format::time(&ms.to_string())).unwrap_or_default();
        rows.add([
            view.campaign,
            view.state,
            format::count(view.orders),
            format::count(view.refused),
            format::or_dash(&format::summary(&view.deliveries_by_state)),
            created,
        ]);
    }
    rows.print()?;
    Ok(())
}

/// A campaign, or the sentence that there is none.
pub async fn load(store: &Store, campaign: &str) -> anyhow::Result<CampaignView> {
    let view = CampaignView::load(store, campaign).await?;
    view.ok_or_else(|| anyhow!("there is no campaign \"{campaign}\": see `remesa campaign list`"))
}

/// The runs of a campaign, oldest first.
pub async fn runs(store: &Store, campaign: &str) -> anyhow::Result<Vec<RunView>> {
    let now_ms = store.now_ms().await?;
    let mut runs = Vec::new();
    for name in store.run_names(campaign).await?.into_iter().rev() {
        runs.extend(RunView::load(store, campaign, &name, now_ms).await?);
    }
    Ok(runs)
}

async fn show(context: &Context, campaign: &str, shown: output::Format) -> anyhow::Result<()> {
    let view = load(&context.store, campaign).await?;
    let runs = runs(&context.store, campaign).await?;
    if shown.json {
        let mut value = serde_json::to_value(&view)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("runs".to_owned(), serde_json::to_value(&runs)?);
        }
        output::json(&value)?;
        return Ok(());
    }
    let now_ms = context.store.now_ms().await?;
    print(&view, &runs, now_ms)?;
    Ok(())
}

fn print(view: &CampaignView, runs: &[RunView], now_ms: i64) -> std::io::Result<()> {
    let reason = view.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    output::line(format_args!("{} is {}{reason}", view.campaign, view.state))?;
    let mut pairs = vec![("name", view.name.clone())];
    pairs.extend(view.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
    pairs.extend(view.times.iter().map(|(name, ms)| (name.as_str(), format::time(&ms.to_string()))));
    output::pairs(pairs)?;
    output::line("")?;
    let totals = |total: u64, counts: String| match total {
        0 => "0".to_owned(),
        _ => format!("{}: {counts}", format::count(total)),
    };
    output::pairs([
        ("orders", totals(view.orders, format::summary(&view.orders_by_state))),
        ("deliveries", totals(view.deliveries, format::summary(&view.deliveries_by_state))),
        ("refused rows", totals(view.refused, format::summary(&view.refused_by_code))),
    ])?;
    if runs.is_empty() {
        return Ok(());
    }
    output::line("")?;
    let mut rows = Rows::new(&[
        Column::Text("RUN"),
        Column::Text("STATE"),
        Column::Text("CHANNEL"),
        Column::Number("TOTAL"),
        Column::Text("DELIVERIES"),
        Column::Number("TOOK"),
        Column::Text("WHY"),
    ]);
    for run in runs {
        rows.add([
            run.run.clone(),
            run.shown.clone(),
            run.channel.clone(),
            format::count(run.total),
            format::summary(&run.deliveries_by_state),
            format::duration(run.took(now_ms)),
            run.reason.clone().unwrap_or_default(),
        ]);
    }
    rows.print()
}

async fn errors(
    context: &Context,
    campaign: &str,
    offset: usize,
    limit: usize,
    shown: output::Format,
) -> anyhow::Result<()> {
    let view = load(&context.store, campaign).await?;
    let texts = context.store.campaign_errors(campaign, offset, limit).await?;
    let refused: Vec<Value> = texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
    if shown.json {
        output::json(&refused)?;
        return Ok(());
    }
    if view.refused == 0 {
        output::note(format_args!("no row of {campaign} was refused"));
        return Ok(());
    }
    let mut rows = Rows::new(&[Column::Number("LINE"), Column::Text("CODE"), Column::Text("WHY"), Column::Text("ROW")]);
    for row in &refused {
        let text = |field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default();
        let line = row.get("line").map(Value::to_string).unwrap_or_default();
        rows.add([line, text("code").to_owned(), format::cut(text("error"), 90), format::cut(text("input"), 60)]);
    }
    rows.print()?;
    let total = format::counted(view.refused, "row");
    output::note(format_args!(
        "{} of {total} refused: {}",
        format::count(refused.len() as u64),
        format::summary(&view.refused_by_code)
    ));
    Ok(())
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
