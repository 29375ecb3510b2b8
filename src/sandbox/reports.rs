//! Delivery reports: one POST to the callback address for each accepted message, some time later.
//!
//! ```json
//! {"reference":"A-1","id":"sb-19a0-7","state":"delivered","at":"2026-11-21T09:00:01.250Z"}
//! ```
//!
//! `state` is `delivered`, `undelivered` or `expired`; `reference` is missing where the message had none. Anything but
//! a 2xx within 10 s is tried again after `retry_ms`, doubled each time, up to `attempts` POSTs: a receiver gets a
//! report at least once, not in order, and recognises a repetition by `id`. A report follows the settings that were in
//! force when its message was accepted. With `secret` it is signed as Standard Webhooks says: `webhook-id`,
//! `webhook-timestamp`, `webhook-signature`. How far it is, the inbox shows.

use std::cmp::Ordering as Compared;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::fate::Dice;
use super::inbox::{Message, ReportTrace};
use super::record::Record;
use super::settings::SandboxSettings;
use super::state::{lock, now_ms};
use super::stats::{LiveReports, bump};
use crate::domain::clock::EpochMs;
use crate::domain::signature;

/// Longest wait for a receiver's answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How a message ended on the simulated network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportState {
    /// It reached the handset.
    Delivered,
    /// It never will.
    Undelivered,
    /// Its validity ran out.
    Expired,
}

/// What is posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The client's reference of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The id that was answered.
    pub id: String,
    /// How it ended.
    pub state: ReportState,
    /// When it ended, RFC 3339 in UTC.
    pub at: String,
}

/// A report on its way.
struct Due {
    /// The number of its message.
    number: u64,
    url: String,
    at: Instant,
    attempt: u32,
    report: Report,
    settings: Arc<SandboxSettings>,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Compared> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The earliest is the greatest, for the heap.
    fn cmp(&self, other: &Self) -> Compared {
        other.at.cmp(&self.at)
    }
}

/// Counters of both sides.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Not yet confirmed nor given up.
    pub(super) waiting: AtomicU64,
    pub(super) ended: LiveReports,
}

/// The side that accepts messages.
pub(super) struct Reporter {
    queue: mpsc::UnboundedSender<Due>,
    pub(super) counts: Arc<Counters>,
}

impl Reporter {
    /// The reporter, and the task that posts.
    pub(super) fn new(
        client: reqwest::Client,
        record: Arc<Mutex<Record>>,
        changed: Arc<Notify>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, incoming) = mpsc::unbounded_channel();
        let counts = Arc::new(Counters::default());
        let (heap, posts) = (BinaryHeap::new(), JoinSet::new());
        let postman = Postman { client, counts: Arc::clone(&counts), record, changed, heap, posts };
        (Self { queue, counts }, postman.run(incoming))
    }

    /// Plans the report of an accepted message, if reports are wanted.
    pub(super) fn plan(
        &self,
        settings: &Arc<SandboxSettings>,
        dice: &mut Dice,
        number: u64,
        now_ms: i64,
        id: &str,
        message: &Message<'_>,
    ) {
        let wanted = &settings.reports;
        let Some(url) = message.callback_url.as_deref().or(wanted.url.as_deref()) else { return };
        let waiting = usize::try_from(self.counts.waiting.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        if waiting >= wanted.waiting {
            bump(&self.counts.ended.dropped);
            return;
        }
        let shares = [
            (wanted.undelivered_per_mille, ReportState::Undelivered),
            (wanted.expired_per_mille, ReportState::Expired),
        ];
        let state = dice.share(&shares).unwrap_or(ReportState::Delivered);
        let delay = Duration::from_millis(dice.between(wanted.delay_min_ms, wanted.delay_max_ms));
        let ended = now_ms.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
        let report = Report {
            reference: message.reference.as_deref().map(str::to_owned),
            id: id.to_owned(),
            state,
            at: EpochMs(ended).to_rfc3339(),
        };
        bump(&self.counts.waiting);
        // The task ends only with the whole simulator.
        let (at, url, settings) = (Instant::now() + delay, url.to_owned(), Arc::clone(settings));
        let _ = self.queue.send(Due { number, url, at, attempt: 1, report, settings });
    }
}

/// The side that posts.
struct Postman {
    client: reqwest::Client,
    counts: Arc<Counters>,
    record: Arc<Mutex<Record>>,
    changed: Arc<Notify>,
    heap: BinaryHeap<Due>,
    /// With the status of each, 0 where there was no answer.
    posts: JoinSet<(Due, u16)>,
}

impl Postman {
    async fn run(mut self, mut incoming: mpsc::UnboundedReceiver<Due>) {
        loop {
            let next = self.heap.peek().filter(|due| self.posts.len() < due.settings.reports.in_flight);
            let (at, free) = (next.map_or_else(Instant::now, |due| due.at), next.is_some());
            tokio::select! {
                due = incoming.recv() => match due {
                    Some(due) => {
                        self.trace(&due, 0, None, false);
                        self.heap.push(due);
                    }
                    None => return,
                },
                Some(Ok((due, status))) = self.posts.join_next() => self.settle(due, status),
                () = sleep_until(at), if free => {
                    if let Some(due) = self.heap.pop() {
                        let client = self.client.clone();
                        self.posts.spawn(async move {
                            let status = post(&client, &due).await;
                            (due, status)
                        });
                    }
                }
            }
        }
    }

    fn settle(&mut self, mut due: Due, status: u16) {
        let confirmed = (200..300).contains(&status);
        let wanted = &due.settings.reports;
        let again = !confirmed && due.attempt < wanted.attempts;
        self.trace(&due, due.attempt, Some(status), !again);
        if again {
            bump(&self.counts.ended.retried);
            let wait = wanted.retry_ms.saturating_mul(1_u64 << (due.attempt - 1).min(20));
            due.attempt += 1;
            due.at = Instant::now() + Duration::from_millis(wait);
            self.heap.push(due);
        } else {
            bump(if confirmed { &self.counts.ended.confirmed } else { &self.counts.ended.given_up });
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.changed.notify_waiters();
    }

    fn trace(&self, due: &Due, tries: u32, status: Option<u16>, ended: bool) {
        let confirmed = status.is_some_and(|status| (200..300).contains(&status));
        let trace =
            ReportTrace { state: due.report.state, tries, status, confirmed_at_ms: confirmed.then(now_ms), ended };
        lock(&self.record).inbox.trace(due.number, trace);
    }
}

/// One POST; the status of its answer, 0 where there was none.
async fn post(client: &reqwest::Client, due: &Due) -> u16 {
    // Our own type always has a JSON form.
    let body = serde_json::to_vec(&due.report).unwrap_or_default();
    let mut request = client.post(&due.url).timeout(TIMEOUT).header(CONTENT_TYPE, "application/json");
    let secret = due.settings.reports.secret.as_deref();
    if let Some(key) = secret.and_then(signature::key) {
        let (id, at) = (format!("{}/{}", due.report.id, due.attempt), now_ms() / 1000);
        request = request.header("webhook-signature", signature::sign_standard(&key, &id, at, &body));
        request = request.header("webhook-id", id).header("webhook-timestamp", at);
    }
    request.body(body).send().await.map_or(0, |answer| answer.status().as_u16())
}
