//! The first page: is everything well, how deep are the queues, how fast do messages leave, what runs.

use serde_json::{Value, json};

use super::{
    Desk, channels,
    chart::{Kind, chart},
    depth::Depth,
    letters,
    page::{Ask, Page, Shown, Title},
    words,
};
use crate::{
    domain::run::ShownState,
    store::view::{CampaignQuery, Listing, RunView},
};

/// Runs under way that are shown.
const RUNS: usize = 30;

/// Members of the list of what is in progress that are looked at for them.
const LOOKED_AT: usize = 200;

/// Campaigns that are shown.
const CAMPAIGNS: usize = 8;

/// A job that waits longer than this, while none of its queue runs, is worth a word.
const LONG_MS: u64 = 60_000;

/// The page.
pub(super) async fn page(desk: &Desk, ask: &Ask) -> Shown {
    let store = &desk.state.store;
    let now = store.now_ms().await?;
    let (depth, moments) = (Depth::load(store).await?, store.history(now).await?);
    let channels = channels::rows(store, &depth, &moments, now).await?;
    let active: Vec<_> = store.active(LOOKED_AT).await?.into_iter().filter(|(_, run)| !run.is_empty()).collect();
    let more_runs = active.len().saturating_sub(RUNS);
    let mut runs = RunView::load_all(store, active.get(..RUNS).unwrap_or(&active), now).await?;
    runs.retain(|run| run.state == "running");
    runs.sort_by_key(|run| std::cmp::Reverse(run.times.get("created_at").copied()));
    let query = CampaignQuery { limit: CAMPAIGNS, look_at: LOOKED_AT, ..CampaignQuery::default() };
    let campaigns = Listing::load(store, &query).await?.unwrap_or_default().campaigns;
    let letters = letters::counts(store).await?;
    let word = |key| words::plain(ask.language, key).unwrap_or_default();
    let charts = [Kind::Throughput, Kind::Recipients, Kind::Jobs]
        .map(|kind| chart(kind, &moments, now, ask.language, word("state.failed"), word("others")));
    let [throughput, recipients, jobs] = charts;
    let workers = store.workers().await?.len();
    let attention = attention(&depth, &channels, &runs, &letters, workers);
    let (used, max, full) = depth.memory;
    let context = json!({
        "now": now,
        "attention": attention,
        "jobs_waiting": depth.jobs_waiting(),
        "recipients_waiting": depth.recipients(),
        "sent_tenths": channels.iter().map(|row| row.sent_tenths).sum::<u64>(),
        "sent_in_an_hour": channels.iter().map(|row| row.sent_in_an_hour).sum::<u64>(),
        "workers": workers,
        "memory": { "used": used, "max": max, "full": full },
        "letters": letters,
        "throughput": throughput,
        "recipients": recipients,
        "jobs": jobs,
        "queues": depth.queues,
        "channels": channels,
        "runs": runs.iter().map(super::runs::row).collect::<Vec<_>>(),
        "more_runs": more_runs,
        "campaigns": campaigns.iter().map(super::campaigns::row).collect::<Vec<_>>(),
    });
    Ok(Page::live("overview.html", "overview", Title::Word("overview"), context))
}

/// What somebody should look at, the gravest first.
fn attention(
    depth: &Depth,
    channels: &[channels::Row],
    runs: &[RunView],
    letters: &Value,
    workers: usize,
) -> Vec<Value> {
    let mut found = Vec::new();
    if workers == 0 {
        found.push(json!({ "what": "no_daemon" }));
    }
    if depth.memory.2 {
        found.push(json!({ "what": "redis_full", "to": "/dashboard/workers" }));
    }
    for row in channels.iter().filter(|row| row.is_in_trouble()) {
        let what = if row.state == "open" { "unserved" } else { row.state };
        found.push(json!({ "what": format!("channel_{what}"), "name": row.channel, "reason": row.reason,
                           "until": row.until, "n": row.waiting.recipients, "to": "/dashboard/channels" }));
    }
    let stands = [ShownState::Paused.as_str(), ShownState::Held.as_str()];
    for run in runs.iter().filter(|run| stands.contains(&run.shown.as_str())) {
        let to = super::runs::address(&run.campaign, &run.run);
        let name = format!("{} · {}", run.campaign, run.run);
        found.push(json!({ "what": format!("run_{}", run.shown), "name": name, "reason": run.reason, "to": to }));
    }
    for queue in &depth.queues {
        if queue.oldest_ms > LONG_MS && queue.waiting > 0 && queue.running == 0 && !queue.waits_for_room {
            found.push(json!({ "what": "queue_waits", "name": queue.name, "ms": queue.oldest_ms }));
        }
    }
    for which in ["dead", "rejected"] {
        let count = letters.pointer(&format!("/{which}/count")).and_then(Value::as_u64).unwrap_or(0);
        if count > 0 {
            let at = letters.pointer(&format!("/{which}/newest"));
            found.push(json!({ "what": which, "n": count, "at": at, "to": format!("/dashboard/letters/{which}") }));
        }
    }
    found
}
