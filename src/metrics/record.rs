//! How the metrics are fed: one function for each thing that happens, typed where its labels are a closed set.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use super::{
    Metrics,
    labels::{
        ByChannel, ByChannelClass, ByChannelResult, ByChannelState, ByChannelWhy, ByQueue, ByQueueState, ByResult,
        ByWhat, ByWhy, DueResult, HttpRefusal, ReceiptResult, Recovered, ReplyResult, Standing, WaitsFor,
    },
};
use crate::domain::{delivery::DeliveryState, failure::FailureClass};

/// Redis' clock as it was last read, to tell how long an entry waited: its id is a time of that clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    redis_ms: i64,
    read_at: Instant,
}

/// Messages of a channel that ended at this daemon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// A provider accepted them.
    pub sent: u64,
    /// They failed, or nobody knows.
    pub failed: u64,
}

/// The states of a channel, as `channel_state` shows them.
const CHANNEL_STATES: [&str; 4] = ["open", "paused", "blocked", "breaker"];

/// The outcomes of jobs.
const JOB_STATES: [&str; 3] = ["done", "dead", "rejected"];

fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Metrics {
    /// Shows the counters of these queues and channels as 0 before anything happens: a first failure is a change too.
    pub fn expect<'a>(&self, queues: impl IntoIterator<Item = &'a str>, channels: impl IntoIterator<Item = &'a str>) {
        for queue in queues {
            let _ = self.job_seconds.get_or_create(&ByQueue::of(queue));
            let _ = self.job_wait_seconds.get_or_create(&ByQueue::of(queue));
            if !queue.starts_with("batch:") {
                let _ = self.job_retries.get_or_create(&ByQueue::of(queue));
                for state in JOB_STATES {
                    let _ = self.jobs.get_or_create(&ByQueueState::of(queue, state));
                }
            }
        }
        for channel in channels {
            let _ = self.in_flight.get_or_create(&ByChannel::of(channel));
            let _ = self.provider_seconds.get_or_create(&ByChannel::of(channel));
            for state in DeliveryState::ALL.iter().filter(|state| **state != DeliveryState::Sending) {
                let _ = self.deliveries.get_or_create(&ByChannelState::of(channel, state.as_str()));
            }
            for class in FailureClass::ALL {
                let _ = self.provider_failures.get_or_create(&ByChannelClass::of(channel, class.as_str()));
            }
            for why in Standing::ALL {
                let _ = self.channel_held_seconds.get_or_create(&ByChannelWhy::of(channel, why.as_str()));
            }
        }
        for what in Recovered::ALL {
            let _ = self.recovered.get_or_create(&ByWhat::of(what.as_str()));
        }
        for result in DueResult::ALL {
            let _ = self.recurring_due.get_or_create(&ByResult::of(result.as_str()));
        }
        for why in HttpRefusal::ALL {
            let _ = self.http_refused.get_or_create(&ByWhy::of(why.as_str()));
        }
        for result in ["applied", "refused"] {
            let _ = self.reloads.get_or_create(&ByResult::of(result));
        }
    }

    /// A job, or a turn, ran so long.
    pub fn job_ran(&self, queue: &str, took: Duration) {
        self.job_seconds.get_or_create(&ByQueue::of(queue)).observe(took.as_secs_f64());
    }

    /// An entry of this id begins now.
    pub fn job_began(&self, queue: &str, entry: &str) {
        let clock = *self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let written: Option<i64> = entry.split('-').next().and_then(|ms| ms.parse().ok());
        if let (Some(Clock { redis_ms, read_at }), Some(written)) = (clock, written) {
            let since = read_at.elapsed();
            let waited = u64::try_from(redis_ms.saturating_sub(written).saturating_add(millis(since))).unwrap_or(0);
            let waited = Duration::from_millis(waited);
            self.job_wait_seconds.get_or_create(&ByQueue::of(queue)).observe(waited.as_secs_f64());
        }
    }

    /// A job ended.
    pub fn job_ended(&self, queue: &str, state: &str) {
        self.jobs.get_or_create(&ByQueueState::of(queue, state)).inc();
    }

    /// A job is tried again.
    pub fn job_retried(&self, queue: &str) {
        self.job_retries.get_or_create(&ByQueue::of(queue)).inc();
    }

    /// Outcomes were recorded.
    pub fn delivered(&self, channel: &str, state: DeliveryState, count: u64) {
        self.deliveries.get_or_create(&ByChannelState::of(channel, state.as_str())).inc_by(count);
    }

    /// The messages of a channel that ended since this was last asked: each is told once, whoever asks.
    pub fn newly_ended(&self, channel: &str) -> Ended {
        let count =
            |state: DeliveryState| self.deliveries.get_or_create(&ByChannelState::of(channel, state.as_str())).get();
        let ended = Ended {
            sent: count(DeliveryState::Sent),
            failed: count(DeliveryState::Failed) + count(DeliveryState::Unknown),
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = told.insert(channel.to_owned(), ended).unwrap_or_default();
        Ended { sent: ended.sent.saturating_sub(before.sent), failed: ended.failed.saturating_sub(before.failed) }
    }

    /// Receipts came by a channel.
    pub fn received(&self, channel: &str, result: ReceiptResult, count: u64) {
        self.receipts.get_or_create(&ByChannelResult::of(channel, result.as_str())).inc_by(count);
    }

    /// A reply came by a channel.
    pub fn replied(&self, channel: &str, result: ReplyResult) {
        self.replies.get_or_create(&ByChannelResult::of(channel, result.as_str())).inc();
    }

    /// A provider answered.
    pub fn provider_answered(&self, channel: &str, took: Duration) {
        self.provider_seconds.get_or_create(&ByChannel::of(channel)).observe(took.as_secs_f64());
    }

    /// A provider, or the way to it, failed.
    pub fn provider_failed(&self, channel: &str, class: FailureClass) {
        self.provider_failures.get_or_create(&ByChannelClass::of(channel, class.as_str())).inc();
    }

    /// Recipients in flight at a channel changed by so many.
    pub fn in_flight(&self, channel: &str, by: i64) {
        self.in_flight.get_or_create(&ByChannel::of(channel)).inc_by(by);
    }

    /// Entries of a queue in one state, and the age of the oldest.
    pub fn depth(&self, queue: &str, state: &str, entries: u64, oldest: Duration) {
        let labels = ByQueueState::of(queue, state);
        self.queue_depth.get_or_create(&labels).set(gauge(entries));
        self.queue_oldest_seconds.get_or_create(&labels).set(oldest.as_secs_f64());
    }

    /// How many entries of a queue could be taken at once.
    pub fn permits_free(&self, queue: &str, free: usize) {
        self.queue_permits_free.get_or_create(&ByQueue::of(queue)).set(gauge(free as u64));
    }

    /// Recipients that wait at a channel.
    pub fn recipients_waiting(&self, channel: &str, why: WaitsFor, recipients: u64) {
        self.channel_recipients_waiting.get_or_create(&ByChannelWhy::of(channel, why.as_str())).set(gauge(recipients));
    }

    /// Their message parts, and how long these take at the rate of the channel.
    pub fn parts_waiting(&self, channel: &str, parts: u64, drain_seconds: u64) {
        let labels = ByChannel::of(channel);
        self.channel_parts_waiting.get_or_create(&labels).set(gauge(parts));
        self.channel_drain_seconds.get_or_create(&labels).set(gauge(drain_seconds));
    }

    /// The state a channel is in, by its word.
    pub fn channel_is(&self, channel: &str, state: &str) {
        for each in CHANNEL_STATES {
            self.channel_state.get_or_create(&ByChannelState::of(channel, each)).set(i64::from(each == state));
        }
    }

    /// A channel stood still for so long.
    pub fn channel_held(&self, channel: &str, why: Standing, time: Duration) {
        let labels = ByChannelWhy::of(channel, why.as_str());
        self.channel_held_seconds.get_or_create(&labels).inc_by(time.as_secs_f64());
    }

    /// The rate of a channel.
    pub fn rate_limit(&self, channel: &str, parts_per_second: u32) {
        self.channel_rate_limit.get_or_create(&ByChannel::of(channel)).set(i64::from(parts_per_second));
    }

    /// Something that a dead daemon had left was taken up.
    pub fn recovered(&self, what: Recovered, count: usize) {
        if count > 0 {
            self.recovered.get_or_create(&ByWhat::of(what.as_str())).inc_by(count as u64);
        }
    }

    /// Due times of a permanent message were decided about.
    pub fn due(&self, result: DueResult, count: u64) {
        self.recurring_due.get_or_create(&ByResult::of(result.as_str())).inc_by(count);
    }

    /// A due time was decided about so long after it.
    pub fn due_late(&self, late: Duration) {
        self.recurring_late_seconds.observe(late.as_secs_f64());
    }

    /// Redis told its time, and took so long for it.
    pub fn redis_answered(&self, now_ms: i64, took: Duration) {
        let clock = Clock { redis_ms: now_ms, read_at: Instant::now() };
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock);
        self.redis_up.set(1);
        self.redis_round_trip_seconds.observe(took.as_secs_f64());
    }

    /// Redis did not answer.
    pub fn redis_is_away(&self) {
        self.redis_up.set(0);
    }

    /// Broken connections were opened again.
    pub fn redis_reconnected(&self, times: u64) {
        self.redis_reconnects.inc_by(times);
    }

    /// How full Redis is.
    pub fn redis_memory(&self, used_bytes: u64, max_bytes: u64, full: bool) {
        self.redis_used_bytes.set(gauge(used_bytes));
        self.redis_max_bytes.set(gauge(max_bytes));
        self.redis_full.set(i64::from(full));
    }

    /// Outcomes were put into the journal (1), or Redis has them (-1).
    pub fn spooled(&self, sign: i64, outcomes: u64, bytes: u64) {
        self.spool_outcomes.inc_by(sign * gauge(outcomes));
        self.spool_bytes.inc_by(sign * gauge(bytes));
    }

    /// How large the journal is, and whether it cannot be written.
    pub fn journal(&self, bytes: u64, failing: bool) {
        self.journal_bytes.set(gauge(bytes));
        self.journal_failing.set(i64::from(failing));
    }

    /// Deliveries were written again.
    pub fn reasserted(&self, deliveries: u64) {
        self.reasserted.inc_by(deliveries);
    }

    /// Whether the daemon takes work.
    pub fn ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// Channels are not served any more: what stood of them is not shown for ever.
    pub fn forget_channels<'a>(&self, channels: impl IntoIterator<Item = &'a str>) {
        for channel in channels {
            let (labels, queue) = (ByChannel::of(channel), format!("batch:{channel}"));
            self.channel_parts_waiting.remove(&labels);
            self.channel_drain_seconds.remove(&labels);
            self.channel_rate_limit.remove(&labels);
            self.queue_permits_free.remove(&ByQueue::of(&queue));
            for why in WaitsFor::ALL {
                self.channel_recipients_waiting.remove(&ByChannelWhy::of(channel, why.as_str()));
            }
            for state in CHANNEL_STATES {
                self.channel_state.remove(&ByChannelState::of(channel, state));
            }
            for state in ["waiting", "running"] {
                self.queue_depth.remove(&ByQueueState::of(&queue, state));
                self.queue_oldest_seconds.remove(&ByQueueState::of(&queue, state));
            }
        }
    }

    /// A request was turned away.
    pub fn turned_away(&self, why: HttpRefusal) {
        self.http_refused.get_or_create(&ByWhy::of(why.as_str())).inc();
    }

    /// The configuration was read again.
    pub fn reloaded(&self, applied: bool) {
        self.reloads.get_or_create(&ByResult::of(if applied { "applied" } else { "refused" })).inc();
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::DECLARED;

    #[test]
    fn the_text_names_queues_channels_and_states() {
        let metrics = Metrics::default();
        metrics.job_ended("generate", "done");
        metrics.delivered("sms-main", DeliveryState::Sent, 3);
        metrics.depth("generate", "waiting", 5, Duration::from_secs(2));
        metrics.channel_is("sms-main", "breaker");
        let text = metrics.encode();
        for line in [
            r#"remesa_jobs_total{queue="generate",state="done"} 1"#,
            r#"remesa_deliveries_total{channel="sms-main",state="sent"} 3"#,
            r#"remesa_queue_depth{queue="generate",state="waiting"} 5"#,
            r#"remesa_queue_oldest_seconds{queue="generate",state="waiting"} 2.0"#,
            r#"remesa_channel_state{channel="sms-main",state="open"} 0"#,
            r#"remesa_channel_state{channel="sms-main",state="breaker"} 1"#,
            "process_open_fds ",
            "process_resident_memory_bytes ",
            "process_cpu_seconds_total ",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(text.contains(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"")), "{text}");
    }

    #[test]
    fn each_message_that_ended_is_told_once() {
        let metrics = Metrics::default();
        metrics.delivered("sms", DeliveryState::Sent, 3);
        metrics.delivered("sms", DeliveryState::Unknown, 1);
        metrics.delivered("sms", DeliveryState::Skipped, 9);
        assert_eq!(metrics.newly_ended("sms"), Ended { sent: 3, failed: 1 });
        metrics.delivered("sms", DeliveryState::Sent, 2);
        assert_eq!(metrics.newly_ended("sms"), Ended { sent: 2, failed: 0 });
        assert_eq!(metrics.newly_ended("sms"), Ended::default());
    }

    #[test]
    fn an_entry_waited_from_its_id_to_its_start_by_the_clock_of_redis() {
        let metrics = Metrics::default();
        metrics.job_began("generate", "1000-0");
        assert!(!metrics.encode().contains("job_wait_seconds_count"), "without a clock nobody knows");
        metrics.redis_answered(61_000, Duration::from_millis(1));
        metrics.job_began("generate", "1000-0");
        let text = metrics.encode();
        let within = |bound: &str| format!("remesa_job_wait_seconds_bucket{{le=\"{bound}\",queue=\"generate\"}}");
        assert!(text.contains(&(within("15.0") + " 0")), "{text}");
        assert!(text.contains(&(within("300.0") + " 1")), "{text}");
    }

    #[test]
    fn what_may_happen_is_shown_before_it_happens() {
        let metrics = Metrics::default();
        metrics.expect(["generate", "batch:sms"], ["sms"]);
        let text = metrics.encode();
        for line in [
            r#"remesa_jobs_total{queue="generate",state="dead"} 0"#,
            r#"remesa_deliveries_total{channel="sms",state="unknown"} 0"#,
            r#"remesa_provider_failures_total{channel="sms",class="denied"} 0"#,
            r#"remesa_recovered_total{what="recipient"} 0"#,
            r#"remesa_recurring_due_total{result="missed"} 0"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains(r#"remesa_jobs_total{queue="batch:sms""#), "turns have no such outcome");
    }

    #[test]
    fn names_follow_the_conventions_and_say_what_they_are() {
        for (name, help) in DECLARED {
            assert!(name.starts_with("remesa_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert!(!name.ends_with("_total") && !name.ends_with("_ms"), "{name}: the text format adds _total");
            assert!(help.len() > 10 && !help.ends_with('.'), "{name}: {help}");
        }
    }
}
