//! Every metric, in one file: names, labels and help for `/metrics` (OpenMetrics text).
//!
//! Labels come from closed sets (queues, channels of the configuration, states); never an id, a
//! campaign or a recipient. Times are split into waiting and running.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{domain::delivery::DeliveryState, job::QueueName};

/// Labels of a queue's entries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct QueueState {
    queue: String,
    state: String,
}

/// Labels of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct QueueLabel {
    queue: String,
}

/// Labels of a channel's recipients.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChannelState {
    channel: String,
    state: String,
}

/// Labels of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChannelLabel {
    channel: String,
}

/// Labels of receipts; the channel is empty where a job brought them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReceiptLabel {
    channel: String,
    result: &'static str,
}

/// What became of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptResult {
    /// The ledger says now what it says.
    Applied,
    /// The ledger knew as much or more.
    Old,
    /// Nothing of ours, or gone.
    Unknown,
    /// A word that means nothing new.
    Ignored,
    /// Not understood.
    Unreadable,
    /// Not believed.
    Unsigned,
    /// Turned away, to come again: too many at once, or Redis is away.
    Busy,
}

impl ReceiptResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Old => "old",
            Self::Unknown => "unknown",
            Self::Ignored => "ignored",
            Self::Unreadable => "unreadable",
            Self::Unsigned => "unsigned",
            Self::Busy => "busy",
        }
    }
}

/// Labels of replies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReplyLabel {
    channel: String,
    result: &'static str,
}

/// What became of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyResult {
    /// It answers a message of ours.
    Kept,
    /// A case was opened for it.
    Opened,
    /// It answers none.
    Unknown,
    /// It was kept before.
    Again,
    /// Not understood.
    Unreadable,
    /// Not believed.
    Unsigned,
}

impl ReplyResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Opened => "opened",
            Self::Unknown => "unknown",
            Self::Again => "again",
            Self::Unreadable => "unreadable",
            Self::Unsigned => "unsigned",
        }
    }
}

type Seconds = Gauge<f64, AtomicU64>;

/// The metrics of one daemon.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    jobs: Family<QueueState, Counter>,
    job_seconds: Family<QueueLabel, Histogram>,
    deliveries: Family<ChannelState, Counter>,
    receipts: Family<ReceiptLabel, Counter>,
    replies: Family<ReplyLabel, Counter>,
    provider_seconds: Family<ChannelLabel, Histogram>,
    in_flight: Family<ChannelLabel, Gauge>,
    depth: Family<QueueState, Gauge>,
    oldest_seconds: Family<QueueLabel, Seconds>,
    recipients_waiting: Family<ChannelLabel, Gauge>,
    spool_outcomes: Gauge,
    spool_bytes: Gauge,
    journal_bytes: Gauge,
    journal_failing: Gauge,
    reasserted: Counter,
    redis_up: Gauge,
    redis_used_bytes: Gauge,
    redis_max_bytes: Gauge,
    redis_full: Gauge,
}

const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("remesa");
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let metrics = Self {
            jobs: Family::default(),
            job_seconds: Family::new_with_constructor(histogram),
            deliveries: Family::default(),
            receipts: Family::default(),
            replies: Family::default(),
            provider_seconds: Family::new_with_constructor(histogram),
            in_flight: Family::default(),
            depth: Family::default(),
            oldest_seconds: Family::default(),
            recipients_waiting: Family::default(),
            spool_outcomes: Gauge::default(),
            spool_bytes: Gauge::default(),
            journal_bytes: Gauge::default(),
            journal_failing: Gauge::default(),
            reasserted: Counter::default(),
            redis_up: Gauge::default(),
            redis_used_bytes: Gauge::default(),
            redis_max_bytes: Gauge::default(),
            redis_full: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("jobs", "Jobs that ended at this daemon, by outcome", metrics.jobs.clone());
        registry.register("job_seconds", "Time a handler ran", metrics.job_seconds.clone());
        registry.register("deliveries", "Recorded outcomes of messages at this daemon", metrics.deliveries.clone());
        registry.register(
            "replies",
            "Replies that came to this daemon, by what became of them",
            metrics.replies.clone(),
        );
        registry.register("receipts", "Receipts that came to this daemon, by what they did", metrics.receipts.clone());
        registry.register("provider_seconds", "Time a provider took to answer", metrics.provider_seconds.clone());
        registry.register("in_flight", "Recipients claimed and not yet recorded", metrics.in_flight.clone());
        registry.register("queue_depth", "Entries of a queue, waiting or running", metrics.depth.clone());
        registry.register("queue_oldest_seconds", "Age of the oldest waiting entry", metrics.oldest_seconds.clone());
        registry.register(
            "channel_recipients_waiting",
            "Recipients of running runs not yet sent to",
            metrics.recipients_waiting.clone(),
        );
        registry.register("redis_used_bytes", "Memory Redis uses", metrics.redis_used_bytes.clone());
        registry.register("redis_max_bytes", "maxmemory of Redis, 0 for none", metrics.redis_max_bytes.clone());
        registry.register("redis_full", "Whether generate waits for room in Redis", metrics.redis_full.clone());
        registry.register(
            "spool_outcomes",
            "Outcomes in the journal that Redis does not have yet",
            metrics.spool_outcomes.clone(),
        );
        registry.register("spool_bytes", "What these take in the journal", metrics.spool_bytes.clone());
        registry.register("journal_bytes", "The journal on disk", metrics.journal_bytes.clone());
        registry.register(
            "journal_failing",
            "Whether the journal cannot be written: a full disk",
            metrics.journal_failing.clone(),
        );
        registry.register(
            "reasserted",
            "Deliveries that Redis had lost, or that a dead daemon could not record, and that this daemon wrote again",
            metrics.reasserted.clone(),
        );
        registry.register("redis_up", "Whether the last look at Redis was answered", metrics.redis_up.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// The text for `/metrics`.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A handler ran so long.
    pub fn job_ran(&self, queue: QueueName, took: Duration) {
        let label = QueueLabel { queue: queue.to_string() };
        self.job_seconds.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// A job ended.
    pub fn job_ended(&self, queue: QueueName, state: &str) {
        let label = QueueState { queue: queue.to_string(), state: state.to_owned() };
        self.jobs.get_or_create(&label).inc();
    }

    /// Outcomes were recorded.
    pub fn delivered(&self, channel: &str, state: DeliveryState, count: u64) {
        let label = ChannelState { channel: channel.to_owned(), state: state.as_str().to_owned() };
        self.deliveries.get_or_create(&label).inc_by(count);
    }

    /// Receipts came by a channel.
    pub fn received(&self, channel: &str, result: ReceiptResult, count: u64) {
        let label = ReceiptLabel { channel: channel.to_owned(), result: result.as_str() };
        self.receipts.get_or_create(&label).inc_by(count);
    }

    /// A reply came by a channel.
    pub fn replied(&self, channel: &str, result: ReplyResult) {
        let label = ReplyLabel { channel: channel.to_owned(), result: result.as_str() };
        self.replies.get_or_create(&label).inc();
    }

    /// A provider answered.
    pub fn provider_answered(&self, channel: &str, took: Duration) {
        let label = ChannelLabel { channel: channel.to_owned() };
        self.provider_seconds.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// Recipients in flight at a channel changed by so many.
    pub fn in_flight(&self, channel: &str, by: i64) {
        let label = ChannelLabel { channel: channel.to_owned() };
        self.in_flight.get_or_create(&label).inc_by(by);
    }

    /// Depth of a queue.
    pub fn depth(&self, queue: &str, waiting: u64, running: u64, oldest: Duration) {
        let state = |state: &str| QueueState { queue: queue.to_owned(), state: state.to_owned() };
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.depth.get_or_create(&state("waiting")).set(gauge(waiting));
        self.depth.get_or_create(&state("running")).set(gauge(running));
        let label = QueueLabel { queue: queue.to_owned() };
        self.oldest_seconds.get_or_create(&label).set(oldest.as_secs_f64());
    }

    /// Recipients that wait at a channel.
    pub fn recipients_waiting(&self, channel: &str, waiting: u64) {
        let label = ChannelLabel { channel: channel.to_owned() };
        self.recipients_waiting.get_or_create(&label).set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// How full Redis is.
    pub fn redis_memory(&self, used_bytes: u64, max_bytes: u64, full: bool) {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.redis_used_bytes.set(gauge(used_bytes));
        self.redis_max_bytes.set(gauge(max_bytes));
        self.redis_full.set(i64::from(full));
    }

    /// Outcomes were put into the journal (1), or Redis has them (-1).
    pub fn spooled(&self, sign: i64, outcomes: u64, bytes: u64) {
        let by = |n: u64| sign * i64::try_from(n).unwrap_or(0);
        self.spool_outcomes.inc_by(by(outcomes));
        self.spool_bytes.inc_by(by(bytes));
    }

    /// How large the journal is, and whether it cannot be written.
    pub fn journal(&self, bytes: u64, failing: bool) {
        self.journal_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.journal_failing.set(i64::from(failing));
    }

    /// Deliveries were written again.
    pub fn reasserted(&self, deliveries: u64) {
        self.reasserted.inc_by(deliveries);
    }

    /// Whether Redis answered.
    pub fn redis_up(&self, up: bool) {
        self.redis_up.set(i64::from(up));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_queues_channels_and_states() {
        let metrics = Metrics::default();
        metrics.job_ended(QueueName::Generate, "done");
        metrics.delivered("sms-main", DeliveryState::Sent, 3);
        metrics.depth("generate", 5, 1, Duration::from_secs(2));
        let text = metrics.encode();
        assert!(text.contains(r#"remesa_jobs_total{queue="generate",state="done"} 1"#), "{text}");
        assert!(text.contains(r#"remesa_deliveries_total{channel="sms-main",state="sent"} 3"#), "{text}");
        assert!(text.contains(r#"remesa_queue_depth{queue="generate",state="waiting"} 5"#), "{text}");
        assert!(text.contains(r#"remesa_queue_oldest_seconds{queue="generate"} 2.0"#), "{text}");
    }
}
