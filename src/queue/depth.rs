//! Depth: how much waits and runs, since when, and what it waits for.
//!
//! Measured from the streams (waiting = length less pending; `lag` turns nil after deletes) and from the counters of
//! the runs in progress, whatever their number: one script a queue, some hundred runs a round trip. Any daemon, and
//! `remesa status` without one, finds the same values. [`teller`] tells them each second.

pub mod teller;

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use redis::cmd;

use crate::{
    domain::clock::EpochMs,
    job::QueueName,
    store::{Store, StoreError, queue_length::QueueLength},
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
    /// Age of the oldest entry that waits.
    pub oldest_waiting: Duration,
    /// Age of the oldest entry in hand.
    pub oldest_running: Duration,
}

impl QueueDepth {
    fn of(length: &QueueLength, now_ms: i64) -> Self {
        let age = |at: Option<i64>| at.map_or(Duration::ZERO, |at| EpochMs(now_ms).since(EpochMs(at)));
        Self {
            waiting: length.waiting,
            running: length.in_hand,
            oldest_waiting: age(length.oldest_waiting_ms),
            oldest_running: age(length.oldest_in_hand_ms),
        }
    }

    /// Age of the oldest entry.
    pub fn oldest(&self) -> Duration {
        self.oldest_waiting.max(self.oldest_running)
    }
}

/// What waits at one channel: recipients of runs in progress that are not sent to yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelDepth {
    /// For nothing but their turn.
    pub turn: u64,
    /// For the time of their next attempt.
    pub retry: u64,
    /// For contact hours, or the cap of their address.
    pub hours: u64,
    /// For somebody to resume the run or its campaign.
    pub resume: u64,
    /// The message parts of all of them, as far as a run has shown how many a message has.
    pub parts: u64,
}

impl ChannelDepth {
    /// All of them.
    pub fn recipients(&self) -> u64 {
        self.turn + self.retry + self.hours + self.resume
    }
}

/// Everything `status` shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depth {
    /// By queue name.
    pub queues: BTreeMap<String, QueueDepth>,
    /// By channel.
    pub channels: BTreeMap<String, ChannelDepth>,
    /// Redis' clock when it was measured.
    pub now_ms: i64,
    /// How long Redis took to tell it.
    pub round_trip: Duration,
}

/// Measures all queues of producers and those of `channels`.
pub async fn measure(store: &Store, channels: &[String]) -> Result<Depth, StoreError> {
    let asked = Instant::now();
    let now_ms = store.now_ms().await?;
    let mut depth = Depth { now_ms, round_trip: asked.elapsed(), ..Depth::default() };
    let producers = QueueName::ALL.iter().map(|queue| queue.as_str().to_owned());
    for name in producers.chain(channels.iter().map(|channel| QueueId::Batch(channel.clone()).name())) {
        let length = store.queue_length(&name).await?;
        depth.queues.insert(name, QueueDepth::of(&length, now_ms));
    }
    for channel in channels {
        depth.channels.insert(channel.clone(), ChannelDepth::default());
    }
    for runs in store.active(RUNS).await?.chunks(RUNS_AT_ONCE) {
        count_recipients(store, runs, &mut depth).await?;
    }
    Ok(depth)
}

/// What the hash of a run says of its recipients.
const FIELDS: [&str; 9] =
    ["channel", "state", "queued", "retry", "held", "parts_hint", "paused_by", "auto_paused", "held_until"];

type Fields = (
    Option<String>,
    Option<String>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<String>,
    Option<String>,
    Option<i64>,
);

async fn count_recipients(store: &Store, runs: &[(String, String)], depth: &mut Depth) -> Result<(), StoreError> {
    let runs: Vec<&(String, String)> = runs.iter().filter(|(_, run)| !run.is_empty()).collect();
    let mut pipeline = redis::pipe();
    for (campaign, run) in &runs {
        pipeline.cmd("HMGET").arg(store.keys.run(campaign, run)).arg(&FIELDS);
    }
    let found: Vec<Fields> = store.connection.pipeline(&pipeline).await?;
    let mut counts: Vec<(&str, String, ChannelDepth)> = Vec::new();
    for ((campaign, _), fields) in runs.iter().zip(found) {
        let (channel, state, queued, retry, held, parts_hint, paused_by, auto_paused, held_until) = fields;
        let (Some(channel), Some("running")) = (channel, state.as_deref()) else { continue };
        let [queued, retry, held] = [queued, retry, held].map(|count| count.unwrap_or(0));
        let waiting = queued + retry + held;
        if waiting == 0 {
            continue;
        }
        let parts = waiting * parts_hint.unwrap_or(1);
        let count = if paused_by.is_some() || auto_paused.is_some() {
            ChannelDepth { resume: waiting, parts, ..ChannelDepth::default() }
        } else if held_until.is_some_and(|at| at > depth.now_ms) {
            ChannelDepth { hours: waiting, parts, ..ChannelDepth::default() }
        } else {
            ChannelDepth { turn: queued, retry, hours: held, resume: 0, parts }
        };
        counts.push((campaign.as_str(), channel, count));
    }
    let paused = paused_among(store, counts.iter().filter(|(.., count)| count.resume == 0).map(|(c, ..)| *c)).await?;
    for (campaign, channel, mut count) in counts {
        if paused.get(campaign) == Some(&true) {
            count = ChannelDepth { resume: count.recipients(), parts: count.parts, ..ChannelDepth::default() };
        }
        let sum = depth.channels.entry(channel).or_default();
        sum.turn += count.turn;
        sum.retry += count.retry;
        sum.hours += count.hours;
        sum.resume += count.resume;
        sum.parts += count.parts;
    }
    Ok(())
}

/// Which of these campaigns are paused.
async fn paused_among<'a>(
    store: &Store,
    campaigns: impl Iterator<Item = &'a str>,
) -> Result<HashMap<&'a str, bool>, StoreError> {
    let mut paused: HashMap<&str, bool> = campaigns.map(|campaign| (campaign, false)).collect();
    let mut pipeline = redis::pipe();
    for campaign in paused.keys() {
        pipeline.add_command(cmd("HGET").arg(store.keys.campaign(campaign)).arg("state").clone());
    }
    let states: Vec<Option<String>> = store.connection.pipeline(&pipeline).await?;
    for (paused, state) in paused.values_mut().zip(states) {
        *paused = state.as_deref() == Some("paused");
    }
    Ok(paused)
}

impl Depth {
    /// The fields of `remesa:depth`: `<queue>:waiting`, `:running`, `:oldest_ms`, `<channel>:recipients`, `:parts`,
    /// and `:seconds` that the parts take at the channel's rate, where it has one.
    pub fn fields(&self, rates: &Rates) -> Vec<(String, u64)> {
        let mut fields = Vec::new();
        for (name, queue) in &self.queues {
            fields.push((format!("{name}:waiting"), queue.waiting));
            fields.push((format!("{name}:running"), queue.running));
            fields.push((format!("{name}:oldest_ms"), u64::try_from(queue.oldest().as_millis()).unwrap_or(u64::MAX)));
        }
        for (name, channel) in &self.channels {
            fields.push((format!("{name}:recipients"), channel.recipients()));
            fields.push((format!("{name}:parts"), channel.parts));
            if let Some(seconds) = seconds_left(channel.parts, rates.get(name).copied().unwrap_or(0)) {
                fields.push((format!("{name}:seconds"), seconds));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_shows_its_parts_and_how_long_they_take_where_its_rate_is_limited() {
        let waiting = ChannelDepth { turn: 60, retry: 10, hours: 10, resume: 20, parts: 201 };
        let channels = BTreeMap::from([("fast".to_owned(), waiting.clone()), ("slow".to_owned(), waiting)]);
        let depth = Depth { channels, ..Depth::default() };
        let rates = Rates::from([("fast".to_owned(), 0), ("slow".to_owned(), 20)]);
        let fields: BTreeMap<String, u64> = depth.fields(&rates).into_iter().collect();
        let expected = [("fast:parts", 201), ("fast:recipients", 100), ("slow:parts", 201), ("slow:recipients", 100)];
        let expected = expected.into_iter().chain([("slow:seconds", 11)]);
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value)).collect());
    }

    #[test]
    fn the_oldest_that_waits_is_told_from_the_oldest_that_runs() {
        let length = QueueLength { waiting: 1, in_hand: 1, oldest_waiting_ms: Some(9_000), oldest_in_hand_ms: None };
        let depth = QueueDepth::of(&length, 10_000);
        let seconds = Duration::from_secs;
        assert_eq!((depth.oldest_waiting, depth.oldest_running, depth.oldest()), (seconds(1), seconds(0), seconds(1)));
        // A clock that went back makes nothing younger than now.
        assert_eq!(QueueDepth::of(&length, 8_000).oldest(), Duration::ZERO);
    }
}
