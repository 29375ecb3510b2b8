//! Queues, channels and daemons at one instant, and what moves: the difference of two looks.
//!
//! Measured when it is asked, not read from `remesa:depth`, so that it is true also while no daemon runs. A rate is
//! what came, went or ended between two looks of the same [`Look::take`]: entries added and settled of each queue (a
//! stream counts what was ever added), messages ended of the running runs of each channel. Who looks again and again
//! keeps the last look; who wants one answer takes [`now`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use redis::{FromRedisValue, cmd};
use serde::Serialize;

use crate::{
    config::Config,
    domain::{clock::EpochMs, run::RunState},
    job::QueueName,
    queue::{
        QueueId,
        depth::{self, Depth},
        pressure,
    },
    store::{
        Store, StoreError,
        pressure::is_full,
        system::ServerInfo,
        view::{ChannelState, RunView},
    },
};

use super::{
    channels::{self, ChannelView},
    paused::{self, PausedRun},
    place::place,
};

/// Between the two looks of [`now`].
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Looks that are closer together say nothing of a rate.
const LEAST: Duration = Duration::from_millis(200);

/// Runs whose messages are counted for the rates.
const RUNS: usize = 200;

/// Runs that are shown.
const RUNS_SHOWN: usize = 20;

type Hash = HashMap<String, String>;

/// A campaign's `state` and `paused_by`.
type StateAndPause = (Option<String>, Option<String>);

/// The whole screen.
#[derive(Debug, Clone, Serialize)]
pub struct StatusView {
    /// Redis' clock when it was looked.
    pub now_ms: i64,
    /// The server.
    pub redis: RedisView,
    /// The queues of producers, and those of the channels.
    pub queues: Vec<QueueView>,
    /// The channels.
    pub channels: Vec<ChannelRow>,
    /// Running runs that paused themselves.
    pub paused_runs: Vec<PausedRun>,
    /// How many runs are running, as far as they were looked at.
    pub runs_running: u64,
    /// Those with most recipients left: at most twenty.
    pub runs: Vec<RunView>,
    /// The daemons that beat lately.
    pub daemons: Vec<DaemonView>,
    /// Jobs that were refused and are kept.
    pub rejected: u64,
    /// Jobs that ended dead and are kept.
    pub dead: u64,
}

/// The server.
#[derive(Debug, Clone, Serialize)]
pub struct RedisView {
    /// Its address, without what is secret in it.
    pub place: String,
    /// Its version.
    pub version: String,
    /// In use.
    pub used_memory_bytes: u64,
    /// The limit, 0 for none.
    pub maxmemory_bytes: u64,
    /// Whether nothing new is taken.
    pub full: bool,
}

/// A queue.
#[derive(Debug, Clone, Serialize)]
pub struct QueueView {
    /// Its name, `generate` or `batch:<channel>`.
    pub queue: String,
    /// Entries nobody has.
    pub waiting: u64,
    /// Entries in hand.
    pub running: u64,
    /// Age of the oldest of both.
    pub oldest_ms: u64,
    /// Entries that came; none before the second look.
    pub added_per_second: Option<u64>,
    /// Entries that went; none before the second look.
    pub settled_per_second: Option<u64>,
    /// Why its entries wait, where something holds all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// A channel with what waits for it.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelRow {
    /// Whether it sends.
    #[serde(flatten)]
    pub channel: ChannelView,
    /// Recipients of running runs that are not sent to yet.
    pub recipients_waiting: u64,
    /// Their message parts.
    pub parts_waiting: u64,
    /// Messages ended; none before the second look.
    pub messages_per_second: Option<u64>,
    /// How long what waits takes: at the rate seen, else at the one allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// A daemon.
#[derive(Debug, Clone, Serialize)]
pub struct DaemonView {
    /// What it is called in leases.
    pub incarnation: String,
    /// Its version.
    pub version: String,
    /// The channels it serves, with commas.
    pub channels: String,
    /// Entries in its hand.
    pub in_hand: u64,
    /// Its last beat, epoch ms.
    pub beat_at: i64,
}

/// Everything at one instant.
#[derive(Debug)]
pub struct Look {
    taken: Instant,
    now_ms: i64,
    redis: RedisView,
    depth: Depth,
    counts: Counts,
    runs_running: u64,
    runs: Vec<RunView>,
    channels: Vec<ChannelView>,
    paused_runs: Vec<PausedRun>,
    daemons: Vec<DaemonView>,
    rejected: u64,
    dead: u64,
}

/// What is counted at one instant, for the rates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counts {
    /// Entries ever added, and entries there, by queue.
    entries: BTreeMap<String, (u64, u64)>,
    /// Messages ended of each running run, by campaign and run, with its channel.
    ended: BTreeMap<(String, String), (String, u64)>,
}

/// One answer: two looks a second apart.
pub async fn now(store: &Store, config: &Config) -> Result<StatusView, StoreError> {
    let before = Look::take(store, config, None).await?;
    tokio::time::sleep(BETWEEN_LOOKS).await;
    Ok(Look::take(store, config, Some(&before)).await?.view(Some(&before)))
}

impl Look {
    /// Looks. The runs of the look before are counted again, also those that are over since.
    pub async fn take(store: &Store, config: &Config, before: Option<&Self>) -> Result<Self, StoreError> {
        let now_ms = store.now_ms().await?;
        let channels = channels::views(store, config, now_ms).await?;
        let names: Vec<String> = channels.iter().map(|view| view.channel.clone()).collect();
        let depth = depth::measure(store, &names).await?;
        let running = store.active(RUNS).await?.into_iter().filter(|(_, run)| !run.is_empty());
        let known = before.into_iter().flat_map(|before| before.counts.ended.keys().cloned());
        let asked: BTreeSet<_> = running.chain(known.take(RUNS)).collect();
        // What the rates are made of is read last, and timed.
        let taken = Instant::now();
        let mut counts = count(store, depth.queues.keys()).await?;
        let mut runs = run_views(store, &asked, now_ms).await?;
        let ended = |run: &RunView| ((run.campaign.clone(), run.run.clone()), (run.channel.clone(), run.ended()));
        counts.ended = runs.iter().map(ended).collect();
        runs.retain(|run| run.state == RunState::Running.as_str());
        runs.sort_by_key(|run| std::cmp::Reverse(run.total.saturating_sub(run.ended())));
        let info = store.server_info().await?;
        Ok(Self {
            taken,
            now_ms,
            redis: redis_view(store, config, info).await?,
            depth,
            counts,
            runs_running: u64::try_from(runs.len()).unwrap_or(u64::MAX),
            runs: runs.into_iter().take(RUNS_SHOWN).collect(),
            channels,
            paused_runs: paused::by_themselves(store, &asked).await?,
            daemons: daemons(store).await?,
            rejected: length(store, &store.keys.rejected()).await?,
            dead: length(store, &store.keys.dead()).await?,
        })
    }

    /// What it shows, with the rates since the look before.
    pub fn view(&self, before: Option<&Self>) -> StatusView {
        let since = before.map(|before| (&before.counts, self.taken.saturating_duration_since(before.taken)));
        let since = since.filter(|(_, elapsed)| *elapsed >= LEAST);
        StatusView {
            now_ms: self.now_ms,
            redis: self.redis.clone(),
            queues: queue_views(&self.depth, &self.counts, since, self.redis.full),
            channels: channel_rows(&self.channels, &self.depth, &self.counts, since),
            paused_runs: self.paused_runs.clone(),
            runs_running: self.runs_running,
            runs: self.runs.iter().map(|run| self.paced(run, since)).collect(),
            daemons: self.daemons.clone(),
            rejected: self.rejected,
            dead: self.dead,
        }
    }
}

impl Look {
    /// A run with its pace, where two looks saw it.
    fn paced(&self, run: &RunView, since: Since<'_>) -> RunView {
        let mut run = run.clone();
        let key = (run.campaign.clone(), run.run.clone());
        if let Some((before, elapsed)) = since
            && let Some((_, then)) = before.ended.get(&key)
        {
            run.estimate(run.ended().saturating_sub(*then), elapsed, EpochMs(self.now_ms));
        }
        run
    }
}

async fn redis_view(store: &Store, config: &Config, info: ServerInfo) -> Result<RedisView, StoreError> {
    // Between the two marks it is what the daemons last saw.
    let seen: Option<u8> = store.connection.query(cmd("HGET").arg(store.keys.depth()).arg("redis:full")).await?;
    Ok(RedisView {
        place: place(config),
        full: is_full(seen == Some(1), info.used_memory_bytes, info.maxmemory_bytes),
        version: info.version,
        used_memory_bytes: info.used_memory_bytes,
        maxmemory_bytes: info.maxmemory_bytes,
    })
}

async fn count(store: &Store, queues: impl Iterator<Item = &String>) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    for queue in queues {
        let key = store.keys.jobs(queue);
        let mut info = cmd("XINFO");
        info.arg("STREAM").arg(&key);
        // A stream that is not there yet has added nothing.
        let there = match store.connection.query::<HashMap<String, redis::Value>>(&info).await {
            Ok(info) => (field(&info, "entries-added"), field(&info, "length")),
            Err(StoreError::Refused(_)) => (0, 0),
            Err(error) => return Err(error),
        };
        counts.entries.insert(queue.clone(), there);
    }
    Ok(counts)
}

/// Runs as they are shown; those that are gone are left out.
async fn run_views(store: &Store, runs: &BTreeSet<(String, String)>, now_ms: i64) -> Result<Vec<RunView>, StoreError> {
    let mut pipeline = redis::pipe();
    for (campaign, run) in runs {
        pipeline.cmd("HGETALL").arg(store.keys.run(campaign, run));
        pipeline.cmd("HMGET").arg(store.keys.campaign(campaign)).arg("state").arg("paused_by");
    }
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<(Hash, StateAndPause)> = pairs(store.connection.pipeline(&pipeline).await?)?;
    let channels: BTreeSet<String> = found.iter().filter_map(|(hash, _)| hash.get("channel").cloned()).collect();
    let mut states = BTreeMap::new();
    for channel in channels {
        let state = ChannelState::of(&store.channel(&channel).await?, now_ms);
        states.insert(channel, state);
    }
    let there = runs.iter().zip(found).filter(|(_, (hash, _))| !hash.is_empty());
    let views = there.map(|((campaign, run), (hash, (state, paused_by)))| {
        let channel = hash.get("channel").and_then(|channel| states.get(channel)).unwrap_or(&ChannelState::Open);
        let paused_by = paused_by.filter(|_| state.as_deref() == Some("paused"));
        RunView::of(campaign, run, &hash, paused_by, channel)
    });
    Ok(views.collect())
}

/// Answers that come by two.
fn pairs<A: FromRedisValue, B: FromRedisValue>(answers: Vec<redis::Value>) -> Result<Vec<(A, B)>, StoreError> {
    let mut answers = answers.into_iter();
    let mut pairs = Vec::new();
    while let (Some(first), Some(second)) = (answers.next(), answers.next()) {
        let unread = |error: redis::ParsingError| StoreError::Refused(error.to_string());
        pairs.push((redis::from_redis_value(first).map_err(unread)?, redis::from_redis_value(second).map_err(unread)?));
    }
    Ok(pairs)
}

fn field(info: &HashMap<String, redis::Value>, name: &str) -> u64 {
    info.get(name).and_then(|value| redis::from_redis_value_ref(value).ok()).unwrap_or(0)
}

async fn length(store: &Store, key: &str) -> Result<u64, StoreError> {
    store.connection.query(cmd("XLEN").arg(key)).await
}

async fn daemons(store: &Store) -> Result<Vec<DaemonView>, StoreError> {
    let workers = store.workers().await?.into_iter();
    let views = workers.map(|(incarnation, mut fields)| {
        let number = |name: &str| fields.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        DaemonView {
            beat_at: number("beat_at"),
            in_hand: u64::try_from(number("in_hand")).unwrap_or(0),
            version: fields.remove("version").unwrap_or_default(),
            channels: fields.remove("channels").unwrap_or_default(),
            incarnation,
        }
    });
    Ok(views.collect())
}

/// The counts before, and how long ago that was.
type Since<'a> = Option<(&'a Counts, Duration)>;

fn queue_views(depth: &Depth, after: &Counts, since: Since<'_>, full: bool) -> Vec<QueueView> {
    let views = depth.queues.iter().map(|(name, queue)| {
        let counts = |counts: &Counts| counts.entries.get(name).copied().unwrap_or_default();
        let rates = since.map(|(before, elapsed)| {
            let ((added_then, there_then), (added, there)) = (counts(before), counts(after));
            let added = added.saturating_sub(added_then);
            (per_second(added, elapsed), per_second((there_then + added).saturating_sub(there), elapsed))
        });
        QueueView {
            queue: name.clone(),
            waiting: queue.waiting,
            running: queue.running,
            oldest_ms: u64::try_from(queue.oldest().as_millis()).unwrap_or(u64::MAX),
            added_per_second: rates.map(|(added, _)| added),
            settled_per_second: rates.map(|(_, settled)| settled),
            note: note(name, full),
        }
    });
    views.collect()
}

/// Why the entries of a queue wait.
fn note(name: &str, full: bool) -> Option<&'static str> {
    let fills = QueueName::parse(name).is_some_and(|queue| pressure::fills(&QueueId::Jobs(queue)));
    (fills && full).then_some("waits: Redis is full (85 % of maxmemory); it goes on below 80 %")
}

fn channel_rows(channels: &[ChannelView], depth: &Depth, after: &Counts, since: Since<'_>) -> Vec<ChannelRow> {
    let rows = channels.iter().map(|channel| {
        let rate = since.map(|(before, elapsed)| per_second(ended(&channel.channel, before, after), elapsed));
        let depth = depth.channels.get(&channel.channel).cloned().unwrap_or_default();
        let (waiting, parts) = (depth.recipients(), depth.parts);
        let limit = channel.rate_per_second.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(0);
        // What it does now; where it does nothing yet, what its limit allows.
        let measured = rate.and_then(|rate| (rate > 0).then(|| waiting.div_ceil(rate)));
        ChannelRow {
            recipients_waiting: waiting,
            parts_waiting: parts,
            messages_per_second: rate,
            seconds_left: measured.or_else(|| depth::seconds_left(parts, limit)).filter(|_| waiting > 0),
            channel: channel.clone(),
        }
    });
    rows.collect()
}

/// Messages of a channel that ended between two looks, in the runs that both saw.
fn ended(channel: &str, before: &Counts, after: &Counts) -> u64 {
    let of_channel = after.ended.iter().filter(|(_, (of, _))| of == channel);
    // A retry takes back what had ended.
    let each = of_channel.filter_map(|(run, (_, now))| Some(now.saturating_sub(before.ended.get(run)?.1)));
    each.sum()
}

fn per_second(number: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    (number.saturating_mul(1000) + millis / 2) / millis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::depth::{ChannelDepth, QueueDepth};

    fn counts(queue: &str, added: u64, length: u64) -> Counts {
        Counts { entries: BTreeMap::from([(queue.to_owned(), (added, length))]), ended: BTreeMap::new() }
    }

    fn ended(runs: &[(&str, u64)]) -> Counts {
        let each = runs.iter().map(|(run, n)| (("nov".to_owned(), (*run).to_owned()), ("sms".to_owned(), *n)));
        Counts { entries: BTreeMap::new(), ended: each.collect() }
    }

    fn depth(queue: &str, waiting: u64) -> Depth {
        let depth = QueueDepth { waiting, running: 1, oldest_waiting: Duration::from_secs(3), ..QueueDepth::default() };
        Depth { queues: BTreeMap::from([(queue.to_owned(), depth)]), ..Depth::default() }
    }

    fn sms() -> ChannelView {
        ChannelView {
            channel: "sms".to_owned(),
            state: "open",
            shown: "sends".to_owned(),
            served: true,
            configured: true,
            kind: None,
            rate_per_second: None,
        }
    }

    #[test]
    fn the_rates_of_a_queue_are_what_came_and_what_went_between_two_looks() {
        let (before, after) = (counts("control", 100, 9), counts("control", 140, 19));
        let views = queue_views(&depth("control", 5), &after, Some((&before, Duration::from_secs(2))), true);
        let rates: Vec<_> = views.iter().map(|view| (view.added_per_second, view.settled_per_second)).collect();
        assert_eq!(rates, [(Some(20), Some(15))]);
        assert_eq!(views[0].note, None);
        let alone = queue_views(&depth("control", 5), &after, None, true);
        assert_eq!((alone[0].added_per_second, alone[0].waiting), (None, 5), "one look says nothing of a rate");
    }

    #[test]
    fn a_queue_that_waits_for_room_in_redis_says_so() {
        let none = Counts::default();
        let views = queue_views(&depth("batch:sms-main", 2), &none, None, true);
        assert_eq!(views[0].note, None);
        let views = queue_views(&depth("generate", 0), &none, None, true);
        assert!(views[0].note.is_some_and(|note| note.contains("Redis is full")));
    }

    #[test]
    fn the_time_left_of_a_channel_follows_from_its_rate() {
        let waiting = ChannelDepth { turn: 1000, hours: 1, ..ChannelDepth::default() };
        let depth = Depth { channels: BTreeMap::from([("sms".to_owned(), waiting)]), ..Depth::default() };
        let (before, after) = (ended(&[("a", 50)]), ended(&[("a", 150)]));
        let rows = channel_rows(&[sms()], &depth, &after, Some((&before, Duration::from_secs(1))));
        assert_eq!((rows[0].messages_per_second, rows[0].seconds_left), (Some(100), Some(11)));
    }

    #[test]
    fn a_run_that_begins_or_is_tried_again_between_two_looks_makes_no_rate_of_its_past() {
        let (before, after) = (ended(&[("a", 50), ("b", 900)]), ended(&[("a", 60), ("b", 800), ("c", 5000)]));
        let rows = channel_rows(&[sms()], &Depth::default(), &after, Some((&before, Duration::from_secs(1))));
        assert_eq!(rows[0].messages_per_second, Some(10));
    }
}
