//! Channels: whether each sends, why not, its rate, what waits at it, what it sent in the last minutes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::json;

use super::{
    Desk,
    depth::{Depth, Waiting},
    page::{Page, Shown, Title},
};
use crate::store::{Store, StoreError, history::Moment, system::SEEN, view::ChannelState};

/// A channel as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Its name.
    pub(super) channel: String,
    /// `open`, `paused`, `blocked`, `breaker`.
    pub(super) state: &'static str,
    /// Why it does not send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// Until when, where that is known (epoch ms).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<i64>,
    /// Since when it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<i64>,
    /// Whether a daemon seen lately serves it.
    pub(super) served: bool,
    /// Message parts a second; 0 for no limit; nothing where no daemon ever said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate_per_second: Option<u64>,
    /// What waits.
    pub(super) waiting: Waiting,
    /// In tenths of a message a second.
    pub(super) sent_tenths: u64,
    /// Messages of the last hour.
    pub(super) sent_in_an_hour: u64,
    /// The same of those that failed, or of which nobody knows.
    pub(super) failed_in_an_hour: u64,
}

impl Row {
    /// Whether somebody should look at it.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.state != "open" || (!self.served && self.waiting.recipients > 0)
    }
}

/// The page.
pub(super) async fn page(desk: &Desk) -> Shown {
    let store = &desk.state.store;
    let now = store.now_ms().await?;
    let (depth, moments) = (Depth::load(store).await?, store.history(now).await?);
    let channels = rows(store, &depth, &moments, now).await?;
    Ok(Page::live("channels.html", "channels", Title::Word("channels"), json!({ "now": now, "channels": channels })))
}

/// Every channel that a daemon serves, or at which something waits.
pub(super) async fn rows(
    store: &Store,
    depth: &Depth,
    moments: &[Moment],
    now_ms: i64,
) -> Result<Vec<Row>, StoreError> {
    let mut names: BTreeSet<String> = depth.channels.keys().cloned().collect();
    for (_, worker) in store.workers().await? {
        let channels = worker.get("channels").map_or("", String::as_str).split(',');
        names.extend(channels.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipeline = redis::pipe();
    for name in &names {
        pipeline.cmd("HGETALL").arg(store.keys.channel(name));
    }
    let hashes: Vec<HashMap<String, String>> = store.connection.pipeline(&pipeline).await?;
    let (sent, failed) = (totals(moments, "sent"), totals(moments, "failed"));
    // Of the step before the one that has just begun, and of that: half a minute to a minute.
    let lately: Vec<Moment> = moments.iter().rev().take(2).filter(|moment| moment.is_known()).cloned().collect();
    let window: u64 = lately.iter().map(|moment| moment.seconds(now_ms)).sum();
    let lately = totals(&lately, "sent");
    let seen_ms = i64::try_from(SEEN.as_millis()).unwrap_or(i64::MAX);
    let rows = names.into_iter().zip(hashes).map(|(channel, hash)| {
        let number = |field: &str| hash.get(field).and_then(|text| text.parse::<i64>().ok());
        let state = ChannelState::of(&hash, now_ms);
        let (reason, until) = match &state {
            ChannelState::Open => (None, None),
            ChannelState::Paused { reason } => (Some(reason.clone()), None),
            ChannelState::Blocked { until, reason } | ChannelState::Breaker { until, reason } => {
                (Some(reason.clone()), Some(until.0))
            }
        };
        let of = |totals: &BTreeMap<String, u64>| totals.get(&channel).copied().unwrap_or(0);
        Row {
            state: state.word(),
            reason,
            until,
            since: number("paused_at").filter(|_| hash.contains_key("paused")),
            served: number("seen_at").is_some_and(|at| now_ms.saturating_sub(at) < seen_ms),
            rate_per_second: number("rate_per_second").and_then(|rate| u64::try_from(rate).ok()),
            waiting: depth.channels.get(&channel).cloned().unwrap_or_default(),
            sent_tenths: of(&lately).saturating_mul(10).checked_div(window).unwrap_or(0),
            sent_in_an_hour: of(&sent),
            failed_in_an_hour: of(&failed),
            channel,
        }
    });
    Ok(rows.collect())
}

fn totals(moments: &[Moment], kind: &str) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for moment in moments {
        for (name, number) in moment.of(kind) {
            *totals.entry(name.to_owned()).or_default() += number;
        }
    }
    totals
}
