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
    store::{GROUP, Store, StoreError, pressure::Pressure},
};

use super::QueueId;

/// Runs whose recipients are counted.
const RUNS: usize = 5000;

/// Runs asked for in one go.
const RUNS_AT_ONCE: usize = 500;

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
    /// Their message parts, as far as a run has shown how many a message has, by channel.
    pub parts: BTreeMap<String, u64>,
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
        depth.parts.insert(channel.clone(), 0);
    }
    for runs in store.active(RUNS).await?.chunks(RUNS_AT_ONCE) {
        count_recipients(store, runs, &mut depth).await?;
    }
    Ok(depth)
}

/// Channel, state, queued, retry, held, parts of a message.
type Counts = (Option<String>, Option<String>, Option<u64>, Option<u64>, Option<u64>, Option<u64>);

async fn count_recipients(store: &Store, runs: &[(String, String)], depth: &mut Depth) -> Result<(), StoreError> {
    const FIELDS: [&str; 6] = ["channel", "state", "queued", "retry", "held", "parts_hint"];
    let mut pipeline = redis::pipe();
    for (campaign, run) in runs.iter().filter(|(_, run)| !run.is_empty()) {
        pipeline.cmd("HMGET").arg(store.keys.run(campaign, run)).arg(&FIELDS);
    }
    let found: Vec<Counts> = store.connection.pipeline(&pipeline).await?;
    for (channel, state, queued, retry, held, parts_hint) in found {
        if let (Some(channel), Some("running")) = (channel, state.as_deref()) {
            let waiting = queued.unwrap_or(0) + retry.unwrap_or(0) + held.unwrap_or(0);
            *depth.parts.entry(channel.clone()).or_default() += waiting * parts_hint.unwrap_or(1);
            *depth.recipients.entry(channel).or_default() += waiting;
        }
    }
    Ok(())
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
    let oldest = store.oldest_entry(name).await?;
    let born = oldest.and_then(|id| id.split('-').next()?.parse::<i64>().ok());
    let age_ms = born.map_or(0, |at| u64::try_from(now_ms - at).unwrap_or(0));
    Ok(QueueDepth {
        waiting: length.saturating_sub(pending),
        running: pending.min(length),
        oldest: Duration::from_millis(age_ms),
    })
}

impl Depth {
    /// The fields of `remesa:depth`: `<queue>:waiting`, `:running`, `:oldest_ms`, `<channel>:recipients`, `:parts`,
    /// and `:seconds` that the parts take at the channel's rate, where it has one.
    pub fn fields(&self, rates: &Rates) -> Vec<(String, u64)> {
        let mut fields = Vec::new();
        for (name, queue) in &self.queues {
            fields.push((format!("{name}:waiting"), queue.waiting));
            fields.push((format!("{name}:running"), queue.running));
            fields.push((format!("{name}:oldest_ms"), u64::try_from(queue.oldest.as_millis()).unwrap_or(u64::MAX)));
        }
        for (channel, waiting) in &self.recipients {
            fields.push((format!("{channel}:recipients"), *waiting));
        }
        for (channel, parts) in &self.parts {
            fields.push((format!("{channel}:parts"), *parts));
            if let Some(seconds) = seconds_left(*parts, rates.get(channel).copied().unwrap_or(0)) {
                fields.push((format!("{channel}:seconds"), seconds));
            }
        }
        fields
    }
}

/// Parts a second of each channel, 0 for no limit.
pub type Rates = BTreeMap<String, u32>;

/// How long so many parts take; nothing where the rate is unlimited.
pub fn seconds_left(parts: u64, rate_per_second: u32) -> Option<u64> {
    (rate_per_second > 0).then(|| parts.div_ceil(u64::from(rate_per_second)))
}

/// Measures and writes the depth each second until `stop`; `look` is told what was found, or that Redis
/// did not answer.
pub async fn run(
    store: Store,
    rates: Rates,
    pressure: Pressure,
    metrics: Arc<Metrics>,
    look: impl Fn(Option<&Depth>) + Send,
    stop: CancellationToken,
) {
    let channels: Vec<String> = rates.keys().cloned().collect();
    let unlimited: Vec<String> =
        rates.iter().filter(|(_, rate)| **rate == 0).map(|(name, _)| format!("{name}:seconds")).collect();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let measuring = async {
            let depth = measure(&store, &channels).await?;
            let mut fields = depth.fields(&rates);
            let (used, max) = pressure.memory();
            let memory = [("used_bytes", used), ("max_bytes", max), ("full", u64::from(pressure.is_full()))];
            fields.extend(memory.map(|(name, value)| (format!("redis:{name}"), value)));
            store.surely::<()>("HSET", &store.keys.depth(), fields).await?;
            if !unlimited.is_empty() {
                // Of a time when the channel had a limit.
                store.connection.query::<()>(cmd("HDEL").arg(store.keys.depth()).arg(&unlimited)).await?;
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_shows_its_parts_and_how_long_they_take_where_its_rate_is_limited() {
        let of = |n| BTreeMap::from([("fast".to_owned(), n), ("slow".to_owned(), n)]);
        let depth = Depth { queues: BTreeMap::new(), recipients: of(100), parts: of(201) };
        let rates = Rates::from([("fast".to_owned(), 0), ("slow".to_owned(), 20)]);
        let fields: BTreeMap<String, u64> = depth.fields(&rates).into_iter().collect();
        let expected = [("fast:parts", 201), ("fast:recipients", 100), ("slow:parts", 201), ("slow:recipients", 100)];
        let expected = expected.into_iter().chain([("slow:seconds", 11)]);
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value)).collect());
    }
}
