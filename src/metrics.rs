//! Every metric, declared in one table: what `/metrics` says, in the OpenMetrics text format.
//!
//! A name is the field's with `remesa_` before it; the text format puts `_total` behind counters. Labels come from
//! closed sets (queues, channels of the configuration, states, words of enums in [`labels`]); never an id, a campaign
//! or a recipient, so that a scrape costs the same with one campaign and with thousands, and asks Redis nothing. What
//! stands of the whole installation (depth, channels, Redis) every daemon shows alike, looked up each second; the
//! counters and times are this daemon's own. How they are fed is `record`, and what the process uses is `process`.

pub mod labels;
mod process;
mod record;

use std::{
    collections::HashMap,
    sync::{Mutex, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use labels::{
    Build, ByChannel, ByChannelClass, ByChannelResult, ByChannelState, ByChannelWhy, ByQueue, ByQueueState, ByResult,
    ByWhat, ByWhy,
};

pub use record::Ended;

/// A gauge of seconds.
type Seconds = Gauge<f64, AtomicU64>;
/// A counter of seconds.
type SecondsSpent = Counter<f64, AtomicU64>;

/// How long an answer takes, in seconds.
const ANSWERS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// How long work takes, in seconds.
const WORK: [f64; 12] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0, 3600.0];
/// How long something waits or is late, in seconds.
const WAITS: [f64; 13] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0];

fn answers() -> Histogram {
    Histogram::new(ANSWERS)
}

fn work() -> Histogram {
    Histogram::new(WORK)
}

fn waits() -> Histogram {
    Histogram::new(WAITS)
}

fn family<L: Clone + std::hash::Hash + Eq>(make: fn() -> Histogram) -> Family<L, Histogram> {
    Family::new_with_constructor(make)
}

/// Declares the metrics: one line each, `field: type = how it is made, "what it says";`.
macro_rules! declare {
    ($($field:ident: $type:ty = $make:expr, $help:literal;)*) => {
        /// The metrics of one daemon.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            clock: Mutex<Option<record::Clock>>,
            told: Mutex<HashMap<String, Ended>>,
            $($field: $type,)*
        }

        /// The name of every metric, as it is declared, and what it says.
        pub const DECLARED: &[(&str, &str)] = &[
            ("remesa_build", BUILD),
            $((concat!("remesa_", stringify!($field)), $help),)*
        ];

        impl Default for Metrics {
            fn default() -> Self {
                let mut registry = Registry::default();
                registry.register("remesa_build", BUILD, Info::new(Build::default()));
                $(
                    let $field: $type = $make;
                    registry.register(concat!("remesa_", stringify!($field)), $help, $field.clone());
                )*
                registry.register_collector(Box::new(process::Process::begins()));
                Self { registry, clock: Mutex::default(), told: Mutex::default(), $($field,)* }
            }
        }
    };
}

const BUILD: &str = "What runs here";

declare! {
    // Jobs and queues. A queue is one that producers write to, or `batch:<channel>`, whose entries are turns of runs.
    jobs: Family<ByQueueState, Counter> = Family::default(), "Jobs that ended at this daemon, by outcome";
    job_retries: Family<ByQueue, Counter> = Family::default(), "Jobs that failed for now and are tried again";
    job_wait_seconds: Family<ByQueue, Histogram> = family(waits), "From the entry in the stream, or its due time, to its start";
    job_seconds: Family<ByQueue, Histogram> = family(work), "How long a job, or a turn of a run, ran";
    queue_depth: Family<ByQueueState, Gauge> = Family::default(), "Entries of a queue, waiting or running";
    queue_oldest_seconds: Family<ByQueueState, Seconds> = Family::default(), "Age of the oldest entry that waits or runs, 0 for none";
    queue_permits_free: Family<ByQueue, Gauge> = Family::default(), "Entries that this daemon could take at once, and has not";

    // Messages.
    deliveries: Family<ByChannelState, Counter> = Family::default(), "Outcomes of messages recorded by this daemon";
    provider_seconds: Family<ByChannel, Histogram> = family(answers), "How long a provider took to answer";
    provider_failures: Family<ByChannelClass, Counter> = Family::default(), "Answers of a provider that were failures, by class";
    in_flight: Family<ByChannel, Gauge> = Family::default(), "Recipients claimed by this daemon and not yet recorded";
    receipts: Family<ByChannelResult, Counter> = Family::default(), "Receipts that came to this daemon, by what they did";
    replies: Family<ByChannelResult, Counter> = Family::default(), "Replies that came to this daemon, by what became of them";

    // Channels, of all daemons together.
    channel_recipients_waiting: Family<ByChannelWhy, Gauge> = Family::default(), "Recipients of runs not sent to yet, by what they wait for";
    channel_parts_waiting: Family<ByChannel, Gauge> = Family::default(), "Their message parts";
    channel_drain_seconds: Family<ByChannel, Gauge> = Family::default(), "How long these take at the channel's rate, 0 where it is unlimited";
    channel_state: Family<ByChannelState, Gauge> = Family::default(), "1 for the state that the channel is in";
    channel_held_seconds: Family<ByChannelWhy, SecondsSpent> = Family::default(), "Time that a channel stood still";
    channel_rate_limit: Family<ByChannel, Gauge> = Family::default(), "Message parts a second that the channel may send, 0 for no limit";

    // What went wrong and was put right.
    recovered: Family<ByWhat, Counter> = Family::default(), "What dead daemons left and this one took up";

    // Permanent messages.
    recurring_due: Family<ByResult, Counter> = Family::default(), "Due times of permanent messages, by what became of them";
    recurring_late_seconds: Histogram = waits(), "From a due time to the decision about it";

    // Redis.
    redis_up: Gauge = Gauge::default(), "Whether the last look at Redis was answered";
    redis_round_trip_seconds: Histogram = answers(), "How long Redis takes to answer, once a second";
    redis_reconnects: Counter = Counter::default(), "Connections to Redis that had broken and were opened again";
    redis_used_bytes: Gauge = Gauge::default(), "Memory Redis uses";
    redis_max_bytes: Gauge = Gauge::default(), "maxmemory of Redis, 0 for none";
    redis_full: Gauge = Gauge::default(), "Whether generate and import wait for room in Redis";

    // The journal of this daemon.
    spool_outcomes: Gauge = Gauge::default(), "Outcomes in the journal that Redis does not have yet";
    spool_bytes: Gauge = Gauge::default(), "What these take in the journal";
    journal_bytes: Gauge = Gauge::default(), "The journal on disk";
    journal_failing: Gauge = Gauge::default(), "Whether the journal cannot be written: a full disk";
    reasserted: Counter = Counter::default(), "Deliveries that Redis had lost, or that a dead daemon could not record, and that this daemon wrote again";

    // This daemon.
    http_refused: Family<ByWhy, Counter> = Family::default(), "Requests that were turned away, by why";
    ready: Gauge = Gauge::default(), "1 from the end of the start to the beginning of the drain";
    reloads: Family<ByResult, Counter> = Family::default(), "Reloads of the configuration, by result";
}

impl Metrics {
    /// The text for `/metrics`.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
