//! Redis in trouble under a running daemon: away, slow, cut off, full, read-only, loading, or back with less than it had.
//!
//! Counted at the provider: nobody is sent to twice, nobody is lost, and what was achieved while Redis was away is there
//! when it is back.

mod barrier;
mod chain;
mod lost_run;
mod lost_tail;
mod lost_word;
mod network;
mod reloaded;
mod spool;
mod states;

use std::collections::BTreeSet;

use redis::AsyncCommands as _;
use redis::streams::StreamRangeReply;
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::http;
use crate::support::ledger::{Counted, campaign_audit};
use crate::support::scene::Scene;
use crate::support::wait;

/// A metric without labels, as it is now.
async fn metric(daemon: &Daemon, name: &str) -> u64 {
    let (_, metrics) = http::get(daemon.http().await, "/metrics").await;
    http::count(&metrics, &format!("remesa_{name}")).unwrap_or_else(|| panic!("{name} in {metrics}"))
}

/// Waits until a metric is so much.
async fn metric_is(daemon: &Daemon, name: &str, value: u64) {
    let series = format!("remesa_{name}");
    let is = |metrics: &str| http::count(metrics, &series) == Some(value);
    http::metrics_where(daemon.http().await, &format!("{name} is {value}"), is).await;
}

/// The first delivery of the campaign is over, and what the ledger says is what the provider saw: nobody twice, nobody
/// lost, at most `unknown` unknown, and one event at least for each.
async fn sent_once(scene: &mut Scene, campaign: &str, recipients: u64, unknown: u64) -> Counted {
    scene.finished(campaign).await;
    scene.campaign_is(campaign, "delivered").await;
    let ledger = campaign_audit(&mut scene.db, campaign).await;
    let count = |state: &str| ledger.get(state).copied().unwrap_or(0);
    let counts = scene.sandbox.stats().counts;
    assert_eq!(counts.repeated_recipients, 0, "sent twice: {ledger:?} {counts:?}");
    assert_eq!(count("sent") + count("unknown"), recipients, "lost: {ledger:?} {counts:?}");
    assert!(count("unknown") <= unknown, "{ledger:?} {counts:?}");
    assert!((count("sent")..=recipients).contains(&counts.accepted), "{ledger:?} {counts:?}");
    let outbox = format!("remesa:{{{campaign}}}:outbox");
    wait::until("the events are published", async || {
        (scene.db.xlen::<_, u64>(&outbox).await.unwrap() == 0).then_some(())
    })
    .await;
    let told = told(scene).await;
    for state in ["sent", "unknown"] {
        let of_state = told.iter().filter(|(_, told)| told == state).count();
        assert!(of_state as u64 >= count(state), "{of_state} events of {ledger:?}");
    }
    ledger
}

/// Whom the delivery events are about, and what they say.
async fn told(scene: &mut Scene) -> BTreeSet<(u64, String)> {
    let found: StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
    let of_deliveries = found.ids.iter().filter(|entry| entry.get::<String>("type").as_deref() == Some("delivery"));
    let read = |data: String| serde_json::from_str::<Value>(&data).unwrap();
    of_deliveries
        .map(|entry| read(entry.get("data").unwrap()))
        .map(|event| {
            let number = event["order"].as_u64().or(event["case"].as_u64()).unwrap();
            (number, event["state"].as_str().unwrap().to_owned())
        })
        .collect()
}
