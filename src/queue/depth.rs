//! Depth: how much waits, runs, and for how long, each second, in `remesa:depth` and the metrics.
//!
//! Waiting is the stream's length less what is pending (`lag` turns nil after deletes). Every daemon
//! writes it; the values are the same.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use redis::cmd;
use tokio_util::sync::CancellationToken;

use crate::{
    job::QueueName,
    metrics::Metrics,
    store::{GROUP, Store, StoreError},
};

use super::QueueId;

/// Runs whose recipients are counted.
const RUNS: usize = 1000;

/// One queue's numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Entries nobody has.
    pub waiting: u64,
    /// Entries in hand.
    pub running: u64,
    /// Age of the oldest entry.
    pub oldest: Duration,
}

/// Everything `status` shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depth {
    /// By queue name.
    pub queues: BTreeMap<String, QueueDepth>,
    /// Recipients of running runs not yet sent to, by channel.
    pub recipients: BTreeMap<String, u64>,
}

/// Measures all queues of producers and those of `channels`.
pub async fn measure(store: &Store, channels: &[String]) -> Result<Depth, StoreError> {
    let now_ms = store.now_ms().await?;
    let names: Vec<String> = QueueName::ALL
        .iter()
        .map(|q| q.as_str().to_owned())
        .chain(channels.iter().map(|c| QueueId::Batch(c.clone()).name()))
        .collect();
    let mut depth = Depth::default();
    for name in names {
        let queue = measure_queue(store, &name, now_ms).await?;
        depth.queues.insert(name, queue);
    }
    for channel in channels {
        depth.recipients.insert(channel.clone(), 0);
    }
    let active = store.active(RUNS).await?;
    let mut pipeline = redis::pipe();
    for (campaign, run) in &active {
        let key = store.keys.run(campaign, run);
        pipeline.cmd("HMGET").arg(key).arg("channel").arg("queued").arg("retry").arg("held").arg("state");
    }
    if !active.is_empty() {
        type Counts = (Option<String>, Option<u64>, Option<u64>, Option<u64>, Option<String>);
        let counts: Vec<Counts> = store.connection.pipeline(&pipeline).await?;
        for (channel, queued, retry, held, state) in counts {
            if let (Some(channel), Some("running")) = (channel, state.as_deref()) {
                let waiting = queued.unwrap_or(0) + retry.unwrap_or(0) + held.unwrap_or(0);
                *depth.recipients.entry(channel).or_default() += waiting;
            }
        }
    }
    Ok(depth)
}

async fn measure_queue(store: &Store, name: &str, now_ms: i64) -> Result<QueueDepth, StoreError> {
    let key = store.keys.jobs(name);
    let length: u64 = store.connection.query(cmd("XLEN").arg(&key)).await?;
    let pending: u64 = match store.connection.query::<redis::Value>(cmd("XPENDING").arg(&key).arg(GROUP)).await {
        Ok(redis::Value::Array(parts)) => match parts.first() {
            Some(redis::Value::Int(count)) => u64::try_from(*count).unwrap_or(0),
            _ => 0,
        },
        // No stream or no group yet: nothing is pending.
        Ok(_) | Err(StoreError::Refused(_)) => 0,
        Err(error) => return Err(error),
    };
    let first: redis::streams::StreamRangeReply =
        store.connection.query(cmd("XRANGE").arg(&key).arg("-").arg("+").arg("COUNT").arg(1)).await?;
    let born = first.ids.first().and_then(|e| e.id.split('-').next()?.parse::<i64>().ok());
    let age_ms = born.map_or(0, |at| u64::try_from(now_ms - at).unwrap_or(0));
    Ok(QueueDepth {
        waiting: length.saturating_sub(pending),
        running: pending.min(length),
        oldest: Duration::from_millis(age_ms),
    })
}

impl Depth {
    /// The fields of `remesa:depth`: `<queue>:waiting`, `:running`, `:oldest_ms`, `<channel>:recipients`.
    pub fn fields(&self) -> Vec<(String, u64)> {
        let mut fields = Vec::new();
        for (name, queue) in &self.queues {
            fields.push((format!("{name}:waiting"), queue.waiting));
            fields.push((format!("{name}:running"), queue.running));
            fields.push((format!("{name}:oldest_ms"), u64::try_from(queue.oldest.as_millis()).unwrap_or(u64::MAX)));
        }
        for (channel, waiting) in &self.recipients {
            fields.push((format!("{channel}:recipients"), *waiting));
        }
        fields
    }
}

/// Measures and writes the depth each second until `stop`; `look` is told what was found, or that Redis
/// did not answer.
pub async fn run(
    store: Store,
    channels: Vec<String>,
    metrics: Arc<Metrics>,
    look: impl Fn(Option<&Depth>) + Send,
    stop: CancellationToken,
) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let measuring = async {
            let depth = measure(&store, &channels).await?;
            let mut write = cmd("HSET");
            write.arg(store.keys.depth()).arg(depth.fields());
            store.connection.query::<()>(&write).await?;
            Ok::<Depth, StoreError>(depth)
        };
        let Ok(depth) = measuring.await else {
            metrics.redis_up(false);
            look(None);
            continue;
        };
        metrics.redis_up(true);
        look(Some(&depth));
        for (name, queue) in &depth.queues {
            metrics.depth(name, queue.waiting, queue.running, queue.oldest);
        }
        for (channel, waiting) in &depth.recipients {
            metrics.recipients_waiting(channel, *waiting);
        }
    }
}
