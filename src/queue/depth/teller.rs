//! The teller: each second it measures the depth and tells it, in `remesa:depth`, in the last hour's history, in the metrics,
//! and to the watchers of progress.
//!
//! Every daemon writes `remesa:depth`; the values are the same. How long a channel stood still is summed from one look
//! to the next, so a pause that begins and ends between two looks counts with at most a second too much or too little.

use std::{collections::HashMap, sync::Arc, time::Duration};

use redis::cmd;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::{
        Metrics,
        labels::{Standing, WaitsFor},
    },
    store::{
        Store, StoreError,
        history::{Told, step},
        pressure::Pressure,
        view::ChannelState,
    },
};

use super::{Depth, Rates, measure, seconds_left};

/// A channel as its hash says it.
type Hash = HashMap<String, String>;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Longest time between two looks that is counted; more than that was not a pause of the channel, but of us.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// Tells the depth.
#[derive(Debug)]
pub struct Teller {
    /// A store with a connection of its own.
    pub store: Store,
    /// The channels of this daemon, with their rates.
    pub rates: Rates,
    /// Whether Redis has room for more.
    pub pressure: Pressure,
    /// Where the numbers are shown.
    pub metrics: Arc<Metrics>,
}

impl Teller {
    /// Works until `stop`; `look` is told what was found, or that Redis did not answer.
    pub async fn run(self, look: impl Fn(Option<&Depth>) + Send, stop: CancellationToken) {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut before_ms, mut reopened) = (None, 0);
        let mut history = Diary::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let Ok((depth, states)) = self.tell(&self.rates).await else {
                self.metrics.redis_is_away();
                look(None);
                before_ms = None;
                continue;
            };
            if stop.is_cancelled() {
                // Another daemon of this process tells from now on.
                return;
            }
            self.show(&depth, &self.rates);
            let times = self.store.connection.times_reopened();
            self.metrics.redis_reconnected(times.saturating_sub(reopened));
            reopened = times;
            for (channel, hash) in self.rates.keys().zip(&states) {
                self.metrics.channel_is(channel, ChannelState::of(hash, depth.now_ms).word());
                let since = depth.now_ms - before_ms.unwrap_or(depth.now_ms);
                self.count_standing(channel, hash, depth.now_ms, since);
            }
            before_ms = Some(depth.now_ms);
            history.note(&depth, self.rates.keys(), &self.metrics);
            if let Some(told) = history.due(depth.now_ms)
                && let Err(error) = self.store.add_to_history(depth.now_ms, &told).await
            {
                tracing::debug!(%error, "the history waits");
                history.untold(told);
            }
            look(Some(&depth));
        }
    }

    /// Measures, and writes what was found for all to read.
    async fn tell(&self, rates: &Rates) -> Result<(Depth, Vec<Hash>), StoreError> {
        let channels: Vec<String> = rates.keys().cloned().collect();
        let depth = measure(&self.store, &channels).await?;
        let mut fields = depth.fields(rates);
        let (used, max) = self.pressure.memory();
        let memory = [("used_bytes", used), ("max_bytes", max), ("full", u64::from(self.pressure.is_full()))];
        fields.extend(memory.map(|(name, value)| (format!("redis:{name}"), value)));
        self.store.surely::<()>("HSET", &self.store.keys.depth(), fields).await?;
        let unlimited: Vec<String> =
            rates.iter().filter(|(_, rate)| **rate == 0).map(|(name, _)| format!("{name}:seconds")).collect();
        if !unlimited.is_empty() {
            // Of a time when the channel had a limit.
            self.store.connection.query::<()>(cmd("HDEL").arg(self.store.keys.depth()).arg(&unlimited)).await?;
        }
        let mut pipeline = redis::pipe();
        for channel in &channels {
            pipeline.cmd("HGETALL").arg(self.store.keys.channel(channel));
        }
        Ok((depth, self.store.connection.pipeline(&pipeline).await?))
    }

    fn show(&self, depth: &Depth, rates: &Rates) {
        self.metrics.redis_answered(depth.now_ms, depth.round_trip);
        for (name, queue) in &depth.queues {
            self.metrics.depth(name, "waiting", queue.waiting, queue.oldest_waiting);
            self.metrics.depth(name, "running", queue.running, queue.oldest_running);
        }
        for (name, channel) in &depth.channels {
            // Of a channel that others serve its daemons tell.
            let Some(rate) = rates.get(name) else { continue };
            self.metrics.recipients_waiting(name, WaitsFor::Turn, channel.turn);
            self.metrics.recipients_waiting(name, WaitsFor::Retry, channel.retry);
            self.metrics.recipients_waiting(name, WaitsFor::Hours, channel.hours);
            self.metrics.recipients_waiting(name, WaitsFor::Resume, channel.resume);
            let seconds = seconds_left(channel.parts, *rate).unwrap_or(0);
            self.metrics.parts_waiting(name, channel.parts, seconds);
            self.metrics.rate_limit(name, *rate);
        }
    }

    fn count_standing(&self, channel: &str, hash: &Hash, now_ms: i64, since_ms: i64) {
        for (why, stood) in standing(hash, now_ms, since_ms) {
            if !stood.is_zero() {
                self.metrics.channel_held(channel, why, stood.min(LONGEST_LOOK));
            }
        }
    }
}

/// What is to be written into the history: when something changed, and once a step.
#[derive(Debug, Default)]
struct Diary {
    page: Told,
    told: Option<(i64, Told)>,
}

impl Diary {
    /// Takes note of what is seen now, and of what ended since the last time.
    fn note<'a>(&mut self, depth: &Depth, channels: impl Iterator<Item = &'a String>, metrics: &Metrics) {
        self.page.waiting = depth.queues.iter().map(|(name, queue)| (name.clone(), queue.waiting)).collect();
        self.page.recipients =
            depth.channels.iter().map(|(name, channel)| (name.clone(), channel.recipients())).collect();
        for channel in channels {
            let ended = metrics.newly_ended(channel);
            add(&mut self.page.sent, channel, ended.sent);
            add(&mut self.page.failed, channel, ended.failed);
        }
    }

    /// What is to be written now. An idle daemon writes once a step.
    fn due(&mut self, now_ms: i64) -> Option<Told> {
        let now = (step(now_ms), std::mem::take(&mut self.page));
        let moved = now.1.sent.iter().chain(&now.1.failed).any(|(_, number)| *number > 0);
        if !moved && self.told.as_ref() == Some(&now) {
            return None;
        }
        let told = now.1.clone();
        self.told = Some(now);
        Some(told)
    }

    /// What could not be written is told next time.
    fn untold(&mut self, told: Told) {
        self.told = None;
        self.page = told;
    }
}

fn add(numbers: &mut Vec<(String, u64)>, name: &str, more: u64) {
    match numbers.iter_mut().find(|(known, _)| known == name) {
        Some((_, number)) => *number += more,
        None => numbers.push((name.to_owned(), more)),
    }
}

/// How much of the last `since_ms` before `now_ms` a channel stood still, and why.
fn standing(hash: &Hash, now_ms: i64, since_ms: i64) -> [(Standing, Duration); 3] {
    let number = |field: &str| hash.get(field).and_then(|text| text.parse::<i64>().ok());
    let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let until = |field: &str| number(field).map_or(0, |until| until.min(now_ms) - (now_ms - since_ms));
    let paused = number("paused_at").filter(|_| hash.contains_key("paused")).map_or(0, |at| since_ms.min(now_ms - at));
    [
        (Standing::Paused, millis(paused)),
        (Standing::Throttled, millis(until("blocked_until"))),
        (Standing::Breaker, millis(until("breaker_until"))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::DeliveryState;

    #[test]
    fn the_history_is_written_when_something_changed_and_once_a_step() {
        let (mut diary, metrics, depth, channels) =
            (Diary::default(), Metrics::default(), Depth::default(), ["sms".to_owned()]);
        let mut look = |at: i64| {
            diary.note(&depth, channels.iter(), &metrics);
            diary.due(at).map(|told| told.sent)
        };
        let sent = |number| Some(vec![("sms".to_owned(), number)]);
        assert_eq!((look(1_000), look(2_000), look(31_000), look(32_000)), (sent(0), None, sent(0), None));
        metrics.delivered("sms", DeliveryState::Sent, 7);
        assert_eq!((look(33_000), look(34_000)), (sent(7), sent(0)));
        metrics.delivered("sms", DeliveryState::Sent, 2);
        diary.note(&depth, channels.iter(), &metrics);
        let lost = diary.due(35_000).unwrap();
        diary.untold(lost);
        metrics.delivered("sms", DeliveryState::Sent, 1);
        diary.note(&depth, channels.iter(), &metrics);
        assert_eq!(diary.due(36_000).map(|told| told.sent), sent(3), "with what could not be written");
    }

    #[test]
    fn a_channel_stood_still_for_what_lies_between_two_looks() {
        let stood = |fields: &[(&str, &str)]| {
            let hash: Hash = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            standing(&hash, 10_000, 1_000).map(|(_, time)| time.as_millis())
        };
        assert_eq!(stood(&[]), [0, 0, 0]);
        assert_eq!(stood(&[("blocked_until", "9400")]), [0, 400, 0], "it ended meanwhile");
        assert_eq!(stood(&[("blocked_until", "8000")]), [0, 0, 0], "it ended before");
        assert_eq!(stood(&[("breaker_until", "60000")]), [0, 0, 1_000], "it goes on");
        assert_eq!(stood(&[("paused", "ana"), ("paused_at", "9700")]), [300, 0, 0], "it began meanwhile");
    }
}
