//! `remesa campaign show`: everything about one campaign on one screen, live.

use std::collections::HashMap;

use crate::{
    cli::{
        context::Context,
        format,
        output::{self, Column, Page, Rows},
        watch::{Frame, watch},
    },
    domain::clock::EpochMs,
    operate::pace::Pace,
    store::view::{CampaignDetail, RunView},
};

use super::detail;

const EXAMPLES: &str = "\
Examples:
  remesa campaign show nov-dues
  remesa campaign show nov-dues --json
  remesa campaign show nov-dues --watch            live, until the campaign is at rest or Ctrl-C
  remesa campaign show nov-dues --watch --json     a line of JSON for each change";

/// Characters of a progress bar.
const BAR: u64 = 20;

/// Arguments of `remesa campaign show`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The campaign.
    campaign: String,
    /// Look again and again, until the campaign is at rest or Ctrl-C.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let store = &context.store;
    if args.watch {
        let mut paces = HashMap::new();
        return watch(args.format, async || {
            let mut detail = detail(store, &args.campaign).await?;
            let now = EpochMs(store.now_ms().await?);
            measure(&mut paces, &mut detail.runs, now);
            frame(&detail, now)
        })
        .await;
    }
    let detail = detail(store, &args.campaign).await?;
    if args.format.json {
        output::json(&detail)?;
    } else {
        page(&detail, EpochMs(store.now_ms().await?)).print()?;
    }
    Ok(())
}

/// Puts the pace of the last seconds in the place of that since the beginning.
fn measure(paces: &mut HashMap<String, Pace>, runs: &mut [RunView], now: EpochMs) {
    for run in runs {
        let pace = paces.entry(run.run.clone()).or_default();
        pace.look(now, run.ended());
        if let Some(speed) = pace.speed() {
            run.estimate(speed.done, speed.within, now);
        }
    }
}

fn frame(detail: &CampaignDetail, now: EpochMs) -> anyhow::Result<Frame> {
    let view = &detail.campaign;
    let runs = detail.runs.iter().map(|run| {
        let done = format!("{} of {}", format::count(run.ended()), format::count(run.total));
        format!("; {} {} {done} {}", run.run, run.shown, ends(run, now)).trim_end().to_owned()
    });
    let mut value = serde_json::to_value(detail)?;
    settle(&mut value);
    Ok(Frame {
        fitted: None,
        text: page(detail, now).into_text(),
        summary: format!(
            "{} {}: {}{}",
            view.campaign,
            view.state,
            format::counted(view.orders, "order"),
            runs.collect::<String>()
        ),
        items: vec![(view.campaign.clone(), value)],
        at_rest: view.is_at_rest(),
    })
}

/// A change of the estimate alone is no change: it goes with the next one.
fn settle(value: &mut serde_json::Value) {
    for run in value.get_mut("runs").and_then(serde_json::Value::as_array_mut).into_iter().flatten() {
        let end = run.get("estimated_end_at").and_then(serde_json::Value::as_i64);
        if let (Some(end), Some(fields)) = (end, run.as_object_mut()) {
            fields.insert("estimated_end_at".to_owned(), (end / 1000 * 1000).into());
        }
    }
}

fn page(detail: &CampaignDetail, now: EpochMs) -> Page {
    let view = &detail.campaign;
    let mut page = Page::default();
    let reason = view.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    page.line(format_args!("{} is {}{reason}", view.campaign, view.state));
    let mut pairs = vec![("name", view.name.clone())];
    pairs.extend(view.settings.iter().map(|(name, value)| (name.as_str(), shown(name, value))));
    pairs.extend(view.times.iter().map(|(name, ms)| (name.as_str(), EpochMs(*ms).to_rfc3339())));
    page.pairs(pairs);
    page.line("");
    let totals = |total: u64, counts: String| match total {
        0 => "0".to_owned(),
        _ => format!("{}: {counts}", format::count(total)),
    };
    page.pairs([
        ("orders", totals(view.orders, format::summary(&view.orders_by_state))),
        ("cases", totals(view.cases, format::summary(&view.cases_by_state))),
        ("deliveries", totals(view.deliveries, format::summary(&view.deliveries_by_state))),
        ("refused rows", totals(view.refused, format::summary(&view.refused_by_code))),
        ("error file", view.error_file.clone().unwrap_or_default()),
    ]);
    for warning in format::warnings(Some(&serde_json::Value::Array(view.warnings.clone()))) {
        page.line(format_args!(" warning: {warning}"));
    }
    if !detail.runs.is_empty() {
        page.line("");
        page.rows(&runs(&detail.runs, now));
    }
    page
}

/// Instants among the settings are shown as such.
fn shown(name: &str, value: &str) -> String {
    if name.ends_with("_at") { format::time(value) } else { value.to_owned() }
}

fn runs(runs: &[RunView], now: EpochMs) -> Rows {
    let mut rows = Rows::new(&[
        Column::Text("RUN"),
        Column::Text("STATE"),
        Column::Text("CHANNEL"),
        Column::Text("DONE"),
        Column::Number("OF"),
        Column::Number("RATE"),
        Column::Text("ENDS"),
        Column::Text("DELIVERIES"),
        Column::Text("WHY"),
    ]);
    for run in runs {
        let rate = run.messages_per_second.map(|rate| format!("{}/s", format::count(rate)));
        rows.add([
            run.run.clone(),
            run.shown.clone(),
            run.channel.clone(),
            format::bar(run.ended(), run.total, BAR),
            format::count(run.total),
            rate.unwrap_or_else(|| "-".to_owned()),
            ends(run, now),
            format::summary(&run.deliveries_by_state),
            run.reason.clone().unwrap_or_default(),
        ]);
    }
    rows
}

/// When a run ends, or how long it took.
fn ends(run: &RunView, now: EpochMs) -> String {
    if let Some(end) = run.estimated_end_at.map(EpochMs) {
        let clock: String = end.to_rfc3339().chars().skip(11).take(8).collect();
        return format!("in {}, at {clock}", format::duration(whole_seconds(now.until(end))));
    }
    if run.times.contains_key("finished_at") {
        return format!("took {}", format::duration(run.took(now.0)));
    }
    "-".to_owned()
}

fn whole_seconds(duration: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_secs(duration.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX))
}
