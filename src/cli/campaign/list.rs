//! `remesa campaign list`: campaigns, newest first, filtered, in pages, live.

use std::time::Duration;

use anyhow::anyhow;

use crate::{
    cli::{
        context::Context,
        error::Usage,
        format,
        output::{self, Column, Page, Rows},
        watch::{Frame, watch},
    },
    domain::{
        campaign::CampaignState,
        clock::{EpochMs, parse_duration},
        lookup::NamePattern,
    },
    store::{
        Store,
        view::{CampaignQuery, CampaignView, Listing},
    },
};

use super::words;

const EXAMPLES: &str = "\
Examples:
  remesa campaign list
  remesa campaign list 'nov-*' --state running
  remesa campaign list --since 7d --limit 200 --json
  remesa campaign list --after nov-dues          the page behind that campaign
  remesa campaign list --watch                   until Ctrl-C";

/// Arguments of `remesa campaign list`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A part of the name, or a pattern with * and ?.
    pattern: Option<String>,
    /// Only campaigns in this state.
    #[arg(long, value_parser = words::campaign_state())]
    state: Option<CampaignState>,
    /// Only campaigns created since: a time, or a duration back from now (7d, 12h).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 30, value_name = "N")]
    limit: usize,
    /// How many to leave out.
    #[arg(long, default_value_t = 0, value_name = "N")]
    offset: usize,
    /// The last campaign of the page before.
    #[arg(long, value_name = "CAMPAIGN")]
    after: Option<String>,
    /// Look again and again, until Ctrl-C; with --json a line for each campaign that changed.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let store = &context.store;
    let since = match &args.since {
        None => None,
        Some(text) => Some(since(text, EpochMs(store.now_ms().await?))?),
    };
    let query = CampaignQuery {
        state: args.state,
        since,
        name: args.pattern.as_deref().map(NamePattern::new),
        after: args.after,
        offset: args.offset,
        limit: args.limit,
        look_at: usize::MAX,
    };
    if args.watch {
        return watch(args.format, async || frame(&load(store, &query).await?)).await;
    }
    let listing = load(store, &query).await?;
    if args.format.json {
        output::json(&listing.campaigns)?;
    } else if listing.campaigns.is_empty() {
        output::note(if args.pattern.is_some() || args.state.is_some() || query.since.is_some() {
            "no campaign is like that"
        } else {
            "there is no campaign yet: remesa enqueue generate job.json"
        });
    } else {
        table(&listing.campaigns).print()?;
    }
    if let Some(next) = listing.next {
        output::note(format_args!("there are more: --after {next}"));
    }
    Ok(())
}

/// `7d` is seven days before now.
fn since(text: &str, now: EpochMs) -> anyhow::Result<EpochMs> {
    let back = parse_duration(text).map(|back: Duration| now.minus(back));
    back.or_else(|_| EpochMs::parse(text)).map_err(|error| Usage(format!("--since: {error}, or a duration: 7d")).into())
}

async fn load(store: &Store, query: &CampaignQuery) -> anyhow::Result<Listing> {
    let found = Listing::load(store, query).await?;
    found.ok_or_else(|| anyhow!("--after: there is no campaign \"{}\"", query.after.as_deref().unwrap_or_default()))
}

fn table(campaigns: &[CampaignView]) -> Rows {
    let mut rows = Rows::new(&[
        Column::Text("CAMPAIGN"),
        Column::Text("STATE"),
        Column::Number("ORDERS"),
        Column::Number("PAID"),
        Column::Number("REFUSED"),
        Column::Number("DONE"),
        Column::Text("DELIVERIES"),
        Column::Text("CREATED"),
    ]);
    for view in campaigns {
        let count = |state: &str| view.orders_by_state.get(state).copied().unwrap_or(0);
        let created = view.times.get("created_at").map(|ms| minute(*ms)).unwrap_or_default();
        rows.add([
            view.campaign.clone(),
            view.state.clone(),
            format::count(view.orders),
            format::count(count("paid") + count("partially_refunded") + count("refunded")),
            format::count(view.refused),
            done(view),
            format::or_dash(&format::summary(&view.deliveries_by_state)),
            created,
        ]);
    }
    rows
}

/// `2025-11-21 10:00`, UTC; whoever needs more asks for JSON.
fn minute(ms: i64) -> String {
    EpochMs(ms).to_rfc3339().chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// The share of its deliveries that needs nothing more.
fn done(view: &CampaignView) -> String {
    match (view.ended() * 100).checked_div(view.deliveries) {
        Some(percent) => format!("{percent} %"),
        None => "-".to_owned(),
    }
}

fn frame(listing: &Listing) -> anyhow::Result<Frame> {
    let campaigns = &listing.campaigns;
    let mut page = Page::default();
    if campaigns.is_empty() {
        page.line("no campaign yet");
    } else {
        page.rows(&table(campaigns));
    }
    let each = campaigns.iter().map(|view| format!("{} {} {}", view.campaign, view.state, done(view)));
    Ok(Frame {
        fitted: None,
        text: page.into_text(),
        summary: each.collect::<Vec<_>>().join("; "),
        items: campaigns
            .iter()
            .map(|view| Ok((view.campaign.clone(), serde_json::to_value(view)?)))
            .collect::<anyhow::Result<_>>()?,
        at_rest: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_a_duration_back_from_now() {
        let now = EpochMs(1_763_719_200_000);
        assert_eq!(since("1d", now).unwrap(), EpochMs(1_763_632_800_000));
        assert_eq!(since("2025-11-21T10:00:00Z", now).unwrap(), now);
        assert!(since("yesterday", now).unwrap_err().is::<Usage>());
        assert_eq!(minute(now.0), "2025-11-21 10:00");
    }
}
