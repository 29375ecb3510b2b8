//! `remesa status`: queues, channels and daemons on one screen.
//!
//! Measured now, not read from `remesa:depth`, so that it is true also while no daemon runs. Rates are the
//! difference of two looks a second apart: entries added and settled of each queue (a stream counts what was
//! ever added), messages ended of the running runs of each channel.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use redis::cmd;
use serde::Serialize;

use crate::{
    domain::delivery::DeliveryState,
    job::QueueName,
    queue::{
        QueueId,
        depth::{self, Depth},
        pressure,
    },
    store::{Store, StoreError, pressure::is_full},
};

use super::{
    channels::{self, ChannelView},
    context::{Context, Globals, place},
    format,
    output::{self, Column, Rows},
};

const EXAMPLES: &str = "\
Examples:
  remesa status
  remesa status --json
  watch remesa status";

/// Between the two looks of a rate.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Runs whose messages are counted for the rates.
const RUNS: usize = 200;

/// Arguments of `remesa status`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    format: output::Format,
}

/// The whole screen.
#[derive(Debug, Serialize)]
struct StatusView {
    redis: RedisView,
    queues: Vec<QueueView>,
    channels: Vec<ChannelRow>,
    daemons: Vec<DaemonView>,
    rejected: u64,
    dead: u64,
}

#[derive(Debug, Serialize)]
struct RedisView {
    place: String,
    version: String,
    used_memory_bytes: u64,
    maxmemory_bytes: u64,
    full: bool,
}

#[derive(Debug, Serialize)]
struct QueueView {
    queue: String,
    waiting: u64,
    running: u64,
    oldest_ms: u64,
    added_per_second: u64,
    settled_per_second: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct ChannelRow {
    #[serde(flatten)]
    channel: ChannelView,
    recipients_waiting: u64,
    parts_waiting: u64,
    messages_per_second: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<u64>,
}

#[derive(Debug, Serialize)]
struct DaemonView {
    incarnation: String,
    version: String,
    channels: String,
    in_hand: u64,
    beat_at: i64,
}

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    let context = globals.open().await?;
    let status = look(&context).await?;
    if args.format.json {
        output::json(&status)?;
    } else {
        print(&status, context.store.now_ms().await?)?;
    }
    Ok(())
}

/// What is counted at one instant, for the rates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counts {
    /// Entries ever added, and entries there, by queue.
    entries: BTreeMap<String, (u64, u64)>,
    /// Messages ended in running runs, by channel.
    ended: BTreeMap<String, u64>,
}

async fn look(context: &Context) -> anyhow::Result<StatusView> {
    let store = &context.store;
    let now_ms = store.now_ms().await?;
    let channels = channels::views(store, &context.config, now_ms).await?;
    let names: Vec<String> = channels.iter().map(|view| view.channel.clone()).collect();
    let runs: Vec<_> = store.active(RUNS).await?.into_iter().filter(|(_, run)| !run.is_empty()).collect();
    let queues: Vec<String> = depth::measure(store, &names).await?.queues.into_keys().collect();
    let (began, before) = (Instant::now(), count(store, &queues, &runs).await?);
    tokio::time::sleep(BETWEEN_LOOKS).await;
    let (elapsed, after) = (began.elapsed(), count(store, &queues, &runs).await?);
    let depth = depth::measure(store, &names).await?;
    let info = store.server_info().await?;
    // Between the two marks it is what the daemons last saw.
    let seen: Option<u8> = store.connection.query(cmd("HGET").arg(store.keys.depth()).arg("redis:full")).await?;
    let full = is_full(seen == Some(1), info.used_memory_bytes, info.maxmemory_bytes);
    Ok(StatusView {
        redis: RedisView {
            place: place(&context.config),
            version: info.version,
            used_memory_bytes: info.used_memory_bytes,
            maxmemory_bytes: info.maxmemory_bytes,
            full,
        },
        queues: queue_views(&depth, &before, &after, elapsed, full),
        channels: channel_rows(channels, &depth, &before, &after, elapsed),
        daemons: daemons(store).await?,
        rejected: length(store, &store.keys.rejected()).await?,
        dead: length(store, &store.keys.dead()).await?,
    })
}

async fn count(store: &Store, queues: &[String], runs: &[(String, String)]) -> Result<Counts, StoreError> {
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
    if runs.is_empty() {
        return Ok(counts);
    }
    let states: Vec<&str> = DeliveryState::ALL.iter().filter(|s| !s.is_open()).map(|s| s.as_str()).collect();
    let mut pipeline = redis::pipe();
    for (campaign, run) in runs {
        pipeline.cmd("HMGET").arg(store.keys.run(campaign, run)).arg("channel").arg(&states);
    }
    let found: Vec<Vec<Option<String>>> = store.connection.pipeline(&pipeline).await?;
    for mut fields in found.into_iter().map(Vec::into_iter) {
        if let Some(Some(channel)) = fields.next() {
            let ended: u64 = fields.flatten().filter_map(|text| text.parse::<u64>().ok()).sum();
            *counts.ended.entry(channel).or_default() += ended;
        }
    }
    Ok(counts)
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

fn queue_views(depth: &Depth, before: &Counts, after: &Counts, elapsed: Duration, full: bool) -> Vec<QueueView> {
    let views = depth.queues.iter().map(|(name, queue)| {
        let counts = |counts: &Counts| counts.entries.get(name).copied().unwrap_or_default();
        let ((added_then, there_then), (added, there)) = (counts(before), counts(after));
        let added = added.saturating_sub(added_then);
        let settled = (there_then + added).saturating_sub(there);
        QueueView {
            queue: name.clone(),
            waiting: queue.waiting,
            running: queue.running,
            oldest_ms: u64::try_from(queue.oldest().as_millis()).unwrap_or(u64::MAX),
            added_per_second: per_second(added, elapsed),
            settled_per_second: per_second(settled, elapsed),
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

fn channel_rows(
    channels: Vec<ChannelView>,
    depth: &Depth,
    before: &Counts,
    after: &Counts,
    elapsed: Duration,
) -> Vec<ChannelRow> {
    let rows = channels.into_iter().map(|channel| {
        let ended = |counts: &Counts| counts.ended.get(&channel.channel).copied().unwrap_or(0);
        let rate = per_second(ended(after).saturating_sub(ended(before)), elapsed);
        let depth = depth.channels.get(&channel.channel).cloned().unwrap_or_default();
        let (waiting, parts) = (depth.recipients(), depth.parts);
        let limit = channel.rate_per_second.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(0);
        // What it does now; where it does nothing yet, what its limit allows.
        let measured = (rate > 0).then(|| waiting.div_ceil(rate));
        ChannelRow {
            recipients_waiting: waiting,
            parts_waiting: parts,
            messages_per_second: rate,
            seconds_left: measured.or_else(|| depth::seconds_left(parts, limit)).filter(|_| waiting > 0),
            channel,
        }
    });
    rows.collect()
}

fn per_second(number: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    (number.saturating_mul(1000) + millis / 2) / millis
}

fn print(status: &StatusView, now_ms: i64) -> std::io::Result<()> {
    let redis = &status.redis;
    let limit = match redis.maxmemory_bytes {
        0 => String::new(),
        limit => format!(" of {}", format::bytes(limit)),
    };
    let used = format::bytes(redis.used_memory_bytes);
    output::line(format_args!("Redis {} at {}, {used}{limit} in use", redis.version, redis.place))?;
    output::line("")?;
    print_queues(&status.queues)?;
    output::line("")?;
    print_channels(&status.channels)?;
    output::line("")?;
    print_daemons(&status.daemons, now_ms)?;
    let letters = |count: u64, word: &str| match count {
        0 => format!("0 {word}"),
        _ => format!("{} {word} (remesa {word} list)", format::count(count)),
    };
    output::line("")?;
    output::line(format_args!(" jobs: {}, {}", letters(status.rejected, "rejected"), letters(status.dead, "dead")))
}

fn print_queues(queues: &[QueueView]) -> std::io::Result<()> {
    let mut rows = Rows::new(&[
        Column::Text("QUEUE"),
        Column::Number("WAITING"),
        Column::Number("RUNNING"),
        Column::Number("OLDEST"),
        Column::Number("IN"),
        Column::Number("OUT"),
        Column::Text(""),
    ]);
    let second = Duration::from_secs(1);
    for queue in queues {
        let oldest = match queue.waiting + queue.running {
            0 => "-".to_owned(),
            _ => format::duration(Duration::from_millis(queue.oldest_ms)),
        };
        rows.add([
            queue.queue.clone(),
            format::count(queue.waiting),
            format::count(queue.running),
            oldest,
            format::rate(queue.added_per_second, second),
            format::rate(queue.settled_per_second, second),
            queue.note.unwrap_or_default().to_owned(),
        ]);
    }
    rows.print()
}

fn print_channels(channels: &[ChannelRow]) -> std::io::Result<()> {
    if channels.is_empty() {
        return output::line(" no channel is configured: define [channels.<name>] in the configuration");
    }
    let mut rows = Rows::new(&[
        Column::Text("CHANNEL"),
        Column::Number("RECIPIENTS WAITING"),
        Column::Number("PARTS"),
        Column::Number("RATE"),
        Column::Number("LEFT"),
        Column::Text("STATE"),
    ]);
    for row in channels {
        let left = row.seconds_left.map_or_else(|| "-".to_owned(), |s| format::duration(Duration::from_secs(s)));
        let rate = format::rate(row.messages_per_second, Duration::from_secs(1));
        let nobody = if row.channel.served { "" } else { "; no daemon serves it" };
        let state = format!("{}{nobody}", row.channel.shown);
        let (recipients, parts) = (format::count(row.recipients_waiting), format::count(row.parts_waiting));
        rows.add([row.channel.channel.clone(), recipients, parts, rate, left, state]);
    }
    rows.print()
}

fn print_daemons(daemons: &[DaemonView], now_ms: i64) -> std::io::Result<()> {
    if daemons.is_empty() {
        return output::line(" no daemon is running: start one with `remesa run` (or `systemctl start remesa`)");
    }
    let columns = [
        Column::Text("DAEMON"),
        Column::Text("VERSION"),
        Column::Number("IN HAND"),
        Column::Number("SEEN"),
        Column::Text("CHANNELS"),
    ];
    let mut rows = Rows::new(&columns);
    for daemon in daemons {
        let age = Duration::from_millis(u64::try_from(now_ms.saturating_sub(daemon.beat_at)).unwrap_or(0));
        rows.add([
            daemon.incarnation.clone(),
            daemon.version.clone(),
            format::count(daemon.in_hand),
            format!("{} ago", format::duration(age)),
            format::or_dash(&daemon.channels),
        ]);
    }
    rows.print()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::depth::{ChannelDepth, QueueDepth};

    fn counts(queue: &str, added: u64, length: u64) -> Counts {
        Counts { entries: BTreeMap::from([(queue.to_owned(), (added, length))]), ended: BTreeMap::new() }
    }

    fn depth(queue: &str, waiting: u64) -> Depth {
        let depth = QueueDepth { waiting, running: 1, oldest_waiting: Duration::from_secs(3), ..QueueDepth::default() };
        Depth { queues: BTreeMap::from([(queue.to_owned(), depth)]), ..Depth::default() }
    }

    #[test]
    fn the_rates_of_a_queue_are_what_came_and_what_went_between_two_looks() {
        let two_seconds = Duration::from_secs(2);
        let views = queue_views(
            &depth("control", 5),
            &counts("control", 100, 9),
            &counts("control", 140, 19),
            two_seconds,
            true,
        );
        let rates: Vec<_> = views.iter().map(|view| (view.added_per_second, view.settled_per_second)).collect();
        assert_eq!(rates, [(20, 15)]);
        assert_eq!(views[0].note, None);
    }

    #[test]
    fn a_queue_that_waits_for_room_in_redis_says_so() {
        let none = Counts::default();
        let views = queue_views(&depth("batch:sms-main", 2), &none, &none, Duration::from_secs(1), true);
        assert_eq!(views[0].note, None);
        let views = queue_views(&depth("generate", 0), &none, &none, Duration::from_secs(1), true);
        assert!(views[0].note.is_some_and(|note| note.contains("Redis is full")));
    }

    #[test]
    fn the_time_left_of_a_channel_follows_from_its_rate() {
        let channel = ChannelView {
            channel: "sms".to_owned(),
            state: "open",
            shown: "sends".to_owned(),
            served: true,
            configured: true,
            kind: None,
            rate_per_second: None,
        };
        let waiting = ChannelDepth { turn: 1000, hours: 1, ..ChannelDepth::default() };
        let depth = Depth { channels: BTreeMap::from([("sms".to_owned(), waiting)]), ..Depth::default() };
        let ended = |n| Counts { entries: BTreeMap::new(), ended: BTreeMap::from([("sms".to_owned(), n)]) };
        let rows = channel_rows(vec![channel], &depth, &ended(50), &ended(150), Duration::from_secs(1));
        assert_eq!((rows[0].messages_per_second, rows[0].seconds_left), (100, Some(11)));
    }
}
