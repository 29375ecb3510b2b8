//! What the daemons report, seen as another program sees it: the results stream, and hashes by polling.
//!
//! Where many events come at once the hashes are polled instead of the stream, so that reading along
//! costs next to nothing of the cores that are measured.

use std::{collections::HashMap, time::Duration};

use anyhow::bail;
use redis::{cmd, streams::StreamReadReply};

use crate::store::Store;

/// Longest wait for anything: a measurement that hangs must end.
const WITHIN: Duration = Duration::from_mins(10);

/// How often a hash is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Follows the results stream from where it was.
#[derive(Debug)]
pub(super) struct Results {
    store: Store,
    last: String,
}

/// An event.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Its `event` id.
    pub(super) event: String,
}

impl Results {
    /// Follows from now on.
    pub(super) async fn follow(store: &Store) -> anyhow::Result<Self> {
        let mut newest = cmd("XREVRANGE");
        newest.arg(store.keys.results()).arg("+").arg("-").arg("COUNT").arg(1);
        let found: redis::streams::StreamRangeReply = store.connection.query(&newest).await?;
        let last = found.ids.first().map_or_else(|| "0-0".to_owned(), |entry| entry.id.clone());
        // A connection of its own: its reads block.
        Ok(Self { store: store.separate(), last })
    }

    /// The next events, at least one.
    pub(super) async fn next(&mut self) -> anyhow::Result<Vec<Seen>> {
        for _ in 0..WITHIN.as_secs() {
            let mut read = cmd("XREAD");
            read.arg("COUNT").arg(1000).arg("BLOCK").arg(1000);
            read.arg("STREAMS").arg(self.store.keys.results()).arg(&self.last);
            let reply: Option<StreamReadReply> = self.store.connection.query(&read).await?;
            let entries: Vec<_> = reply.map(|r| r.keys).unwrap_or_default().into_iter().flat_map(|k| k.ids).collect();
            if let Some(last) = entries.last() {
                self.last.clone_from(&last.id);
                let seen = |entry: &redis::streams::StreamId| Seen { event: entry.get("event").unwrap_or_default() };
                return Ok(entries.iter().map(seen).collect());
            }
        }
        bail!("nothing happened for {} s", WITHIN.as_secs())
    }

    /// Waits for one event.
    pub(super) async fn until(&mut self, event: &str) -> anyhow::Result<()> {
        loop {
            if self.next().await?.iter().any(|seen| seen.event == event) {
                return Ok(());
            }
        }
    }
}

/// Waits until a hash has one of these states, and returns it.
pub(super) async fn until_state(store: &Store, key: &str, wanted: &[&str]) -> anyhow::Result<HashMap<String, String>> {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    for _ in 0..WITHIN.as_millis() / LOOK_EVERY.as_millis() {
        looks.tick().await;
        let state: Option<String> = store.connection.query(cmd("HGET").arg(key).arg("state")).await?;
        match state.as_deref() {
            Some(state) if wanted.contains(&state) => return Ok(store.hash(key).await?),
            Some("rejected" | "dead" | "failed" | "cancelled") => {
                let hash = store.hash(key).await?;
                bail!("{key} ended {}: {}", hash.get("state").map_or("", |s| s), hash.get("error").map_or("", |s| s))
            }
            _ => {}
        }
    }
    bail!("{key} did not become {} within {} s", wanted.join(" or "), WITHIN.as_secs())
}

/// A number of a hash; 0 where it is missing.
pub(super) fn number(hash: &HashMap<String, String>, field: &str) -> u64 {
    hash.get(field).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The time between two fields that hold epoch ms.
pub(super) fn between(from: u64, to: u64) -> Duration {
    Duration::from_millis(to.saturating_sub(from))
}
