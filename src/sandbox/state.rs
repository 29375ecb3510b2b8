//! What all connections of one simulator share: the settings, the record, the counters.
//!
//! One short lock a message (the record), one read lock (the settings). Whoever waits for something to have happened
//! ([`State::until`]) is woken after every message and looks again, so that tests need no sleep.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};

use super::fate::{Dice, by_shares};
use super::payments::Payments;
use super::record::Record;
use super::reports::Reporter;
use super::settings::{Fate, SandboxSettings};
use super::stats::{InFlight, LiveAnswers, Stats};

/// Shared by all connections.
pub(super) struct State {
    settings: RwLock<Arc<SandboxSettings>>,
    script: Mutex<VecDeque<Fate>>,
    /// Whether answers are held, for those who wait for the end of it.
    held: watch::Sender<bool>,
    drawn: AtomicU64,
    record: Arc<Mutex<Record>>,
    pub(super) answers: LiveAnswers,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) reporter: Reporter,
    pub(super) payments: Payments,
    payments_held: watch::Sender<bool>,
    changed: Arc<Notify>,
    /// Part of every id, so that those of two runs differ.
    started_ms: i64,
}

impl State {
    pub(super) fn new(
        settings: SandboxSettings,
        reporter: Reporter,
        record: Arc<Mutex<Record>>,
        changed: Arc<Notify>,
    ) -> Self {
        Self {
            script: Mutex::new(settings.script.iter().copied().collect()),
            held: watch::Sender::new(settings.hold),
            payments: Payments::new(&settings.payments),
            payments_held: watch::Sender::new(settings.payments.hold),
            settings: RwLock::new(Arc::new(settings)),
            drawn: AtomicU64::new(0),
            record,
            answers: LiveAnswers::default(),
            in_flight: Arc::new(InFlight::new(Arc::clone(&changed))),
            reporter,
            changed,
            started_ms: now_ms(),
        }
    }

    pub(super) fn settings(&self) -> Arc<SandboxSettings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts checked settings in force. A script or a seed begins anew only if it is another one.
    pub(super) fn change(&self, settings: SandboxSettings) {
        let (hold, payments_hold) = (settings.hold, settings.payments.hold);
        {
            let mut present = self.settings.write().unwrap_or_else(PoisonError::into_inner);
            if present.seed != settings.seed {
                self.drawn.store(0, Ordering::Relaxed);
            }
            if present.script != settings.script {
                *lock(&self.script) = settings.script.iter().copied().collect();
            }
            self.payments.begin_scripts(&present.payments, &settings.payments);
            *present = Arc::new(settings);
        }
        self.held.send_replace(hold);
        self.payments_held.send_replace(payments_hold);
        self.changed.notify_waiters();
    }

    /// The fate of the message that has just arrived, and the dice for the rest of its life.
    pub(super) fn draw(&self, settings: &SandboxSettings) -> (Fate, Dice) {
        let mut dice = Dice::of(settings.seed, self.drawn.fetch_add(1, Ordering::Relaxed));
        let by_shares = by_shares(settings, &mut dice);
        let scripted = if settings.script.is_empty() { None } else { lock(&self.script).pop_front() };
        (scripted.unwrap_or(by_shares), dice)
    }

    /// Waits until answers are no longer held.
    pub(super) async fn released(&self) {
        // An error would mean that the sender is gone, and it is in `self`.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
    }

    /// The same for the payment platform.
    pub(super) async fn payments_released(&self) {
        let _ = self.payments_held.subscribe().wait_for(|held| !held).await;
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }

    /// The id of an accepted message.
    pub(super) fn id(&self, number: u64) -> String {
        format!("sb-{:x}-{number}", self.started_ms)
    }

    /// Wakes those who wait in [`State::until`].
    pub(super) fn tell(&self) {
        self.changed.notify_waiters();
    }

    pub(super) fn stats(&self) -> Stats {
        let (in_flight, most_in_flight) = self.in_flight.shown();
        let (counts, inbox, per_second) = {
            let record = self.record();
            (record.counts(), record.inbox.len(), record.seconds())
        };
        let answers = self.answers.shown();
        Stats {
            requests: answers.total(),
            counts,
            answers,
            in_flight,
            most_in_flight,
            inbox: u64::try_from(inbox).unwrap_or(u64::MAX),
            reports_waiting: self.reporter.counts.waiting.load(Ordering::Relaxed),
            reports: self.reporter.counts.ended.shown(),
            per_second,
            payments: self.payments.counts(),
        }
    }

    pub(super) fn clear_stats(&self) {
        self.record().clear();
        self.answers.clear();
        self.in_flight.clear();
        self.reporter.counts.ended.clear();
        self.payments.clear();
        self.tell();
    }

    /// Waits until the statistics are as wanted.
    pub(super) async fn until(&self, wanted: impl Fn(&Stats) -> bool) -> Stats {
        loop {
            let mut changed = pin!(self.changed.notified());
            // From here on nothing that happens is missed.
            changed.as_mut().enable();
            let stats = self.stats();
            if wanted(&stats) {
                return stats;
            }
            changed.await;
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Waits for the lock, whatever became of its last holder.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
