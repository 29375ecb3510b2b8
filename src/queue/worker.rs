//! What happens to an entry in hand: admitted, run, ended, settled.
//!
//! Guarantees: the outcome is written before the entry is settled, so a crash between the two repeats
//! at most what is written the same way again; a lost entry is never settled; a panic is an outcome.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    domain::{clock::EpochMs, retry::RetryPolicy},
    job::{DeadCode, Envelope, Job, Next, Outcome, QueueName},
    metrics::Metrics,
    store::{
        Store, StoreError,
        entries::EntryBody,
        jobs::JobChange,
        leases::{Lease, Registry, Stage},
        runs::SlotRef,
    },
    telemetry::work::Work,
};

use super::{
    Delivery, Handle, JobTask, QueueId,
    acceptance::{Accepted, Admission, Porter},
    ending::Ending,
    settler::Settle,
};

/// A job without an id is written into its hash when it runs longer than this.
const SHOWN_AFTER: Duration = Duration::from_millis(100);

/// What Redis failed is tried again after so long.
const REST: Duration = Duration::from_secs(1);

/// After a panic in a turn its slot rests so long.
const PANIC_REST: Duration = Duration::from_secs(5);

/// How jobs end and are kept.
#[derive(Debug, Clone)]
pub struct JobPolicy {
    /// Kept after its end, with an id.
    pub retention_with_id: Duration,
    /// Kept after its end, without.
    pub retention: Duration,
    /// Retries of a job.
    pub retry: RetryPolicy,
    /// Deliveries before an entry is poison.
    pub max_deliveries: u32,
    /// Largest job.
    pub max_bytes: usize,
    /// Keys the digest of a job that names a person.
    pub secret: Arc<[u8]>,
}

/// Runs the entries of one queue.
#[derive(Debug)]
pub struct Worker<H> {
    /// Those who do the work.
    pub handle: Arc<H>,
    /// The store.
    pub store: Store,
    /// How jobs end.
    pub policy: JobPolicy,
    /// What is in hand.
    pub registry: Arc<Registry>,
    /// To the queue's settler.
    pub settles: mpsc::UnboundedSender<Settle>,
    /// Back to the queue's apalis worker, after a snooze.
    pub deliveries: mpsc::UnboundedSender<Delivery>,
    /// Tracks snoozing entries.
    pub tracker: TaskTracker,
    /// Ends snoozes.
    pub drain: CancellationToken,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Our consumer name.
    pub incarnation: String,
}

impl<H: Handle> Worker<H> {
    /// Runs one entry to its end.
    pub async fn run(self: Arc<Self>, delivery: Delivery) {
        let (queue, entry) = (Arc::clone(&delivery.queue.name), delivery.entry.id.clone());
        let work = match &delivery.entry.body {
            EntryBody::Slot(slot) => Work::on_slot(slot.clone()),
            EntryBody::Job(_) | EntryBody::Ref(_) | EntryBody::Unknown => {
                Work::on_job(format!("{queue}:{entry}"), delivery.entry.trace)
            }
        };
        let run = async {
            let run = AssertUnwindSafe(Arc::clone(&self).run_entry(delivery)).catch_unwind();
            if run.await.is_err() {
                // apalis would swallow it, and the entry be renewed for ever. So its lease ends, and it counts.
                tracing::error!(%queue, %entry, "a panic outside a handler: the entry is left to the sweeper");
                self.registry.remove(&queue, &entry);
            }
        };
        work.scope(run).await;
    }

    async fn run_entry(self: Arc<Self>, delivery: Delivery) {
        let before = delivery.lease.start();
        if before == Stage::GivenBack {
            return;
        }
        if before == Stage::Waiting && delivery.entry.deliveries <= 1 {
            self.metrics.job_began(&delivery.queue.name, &delivery.entry.id);
        }
        match delivery.queue.id.clone() {
            QueueId::Batch(_) => self.run_slot(delivery).await,
            QueueId::Jobs(queue) => {
                let lease = Arc::clone(&delivery.lease);
                let ending = tokio::select! {
                    ending = self.run_job(queue, &delivery, before == Stage::Resting) => ending,
                    () = lease.lost() => Ok(Ending::Leave),
                };
                match ending {
                    Ok(Ending::Settle) => self.settle(delivery, None),
                    Ok(Ending::GiveBack) => self.give_back(&delivery).await,
                    Ok(Ending::Rest) => self.snooze(delivery, REST),
                    Ok(Ending::Leave) => self.forget(&delivery),
                    // Redis is away: the entry stays pending and is tried again from the start.
                    Err(error) => {
                        tracing::warn!(%queue, entry = %delivery.entry.id, %error, "a job waits for redis");
                        self.snooze(delivery, REST);
                    }
                }
            }
        }
    }

    async fn run_slot(self: Arc<Self>, delivery: Delivery) {
        let slot = if let EntryBody::Slot(text) = &delivery.entry.body { SlotRef::parse(text) } else { None };
        let Some(slot) = slot else {
            tracing::warn!(queue = %delivery.queue.name, entry = %delivery.entry.id, "not a slot, dropped");
            return self.settle(delivery, None);
        };
        if delivery.entry.deliveries > self.policy.max_deliveries {
            tracing::error!(%slot, "the turn of this slot ended its daemon too often: its run is paused");
            return match self.handle.poisoned(&slot).await {
                Ok(()) => self.settle(delivery, None),
                Err(_) => self.snooze(delivery, REST),
            };
        }
        let (lease, began) = (Arc::clone(&delivery.lease), Instant::now());
        let outcome = AssertUnwindSafe(self.handle.turn(slot.clone(), lease)).catch_unwind().await;
        self.metrics.job_ran(&delivery.queue.name, began.elapsed());
        if delivery.lease.is_lost() {
            return self.forget(&delivery);
        }
        match outcome {
            Err(_) => {
                tracing::error!(%slot, "a turn panicked");
                self.snooze(delivery, PANIC_REST);
            }
            Ok(Outcome::Again) => self.settle(delivery, Some(slot.to_string())),
            Ok(Outcome::Retry { .. }) => self.snooze(delivery, REST),
            Ok(Outcome::Snooze { until }) => {
                let now = self.store.now_ms().await.unwrap_or(until.0 - 1000);
                self.snooze(delivery, EpochMs(now).until(until));
            }
            Ok(Outcome::Done { next, .. }) => match self.follow(&next).await {
                Ok(()) => self.settle(delivery, None),
                Err(_) => self.snooze(delivery, REST),
            },
            Ok(Outcome::Rejected { .. } | Outcome::Dead { .. }) => self.settle(delivery, None),
        }
    }

    async fn run_job(&self, queue: QueueName, delivery: &Delivery, rested: bool) -> Result<Ending, StoreError> {
        let (max_bytes, secret) = (self.policy.max_bytes, Arc::clone(&self.policy.secret));
        let porter = Porter { store: self.store.clone(), max_bytes, secret };
        let entry = &delivery.entry;
        let poisoned = entry.deliveries > self.policy.max_deliveries;
        let sentence = format!("the job ended its daemon {} times", self.policy.max_deliveries);
        if entry.deliveries > self.policy.max_deliveries + 1 {
            // Already judging it ends the daemon: it dies unread, under its entry's name.
            let unread = Accepted::unread(queue, entry);
            return self.end_dead(queue, &unread, DeadCode::Poisoned, &sentence).await;
        }
        let again = rested || entry.deliveries > 1;
        let judged = AssertUnwindSafe(porter.admit(queue, entry, again)).catch_unwind().await;
        let Ok(admission) = judged else {
            tracing::error!(%queue, entry = %entry.id, "judging a job panicked");
            let unread = Accepted::unread(queue, entry);
            return self.end_dead(queue, &unread, DeadCode::Panicked, "judging the job panicked; see the log").await;
        };
        let admission = admission?;
        if poisoned && let Admission::Run { accepted, .. } = &admission {
            return self.end_dead(queue, accepted, DeadCode::Poisoned, &sentence).await;
        }
        match admission {
            Admission::Absorb => {
                if again {
                    self.tell_again(queue, entry).await?;
                }
                Ok(Ending::Settle)
            }
            Admission::Run { accepted, envelope, job } => {
                self.run_admitted(queue, &delivery.lease, accepted, envelope, job).await
            }
            Admission::Wait { accepted, until, parked } => {
                let state = if parked { "parked" } else { "scheduled" };
                self.delay(queue, &accepted, state, until, &[]).await
            }
            Admission::Refuse { accepted, rejection } => {
                self.end_rejected(queue, &accepted, rejection.code, &rejection.sentence).await
            }
            Admission::Dead { accepted, code, sentence } => self.end_dead(queue, &accepted, code, &sentence).await,
        }
    }

    async fn run_admitted(
        &self,
        queue: QueueName,
        lease: &Arc<Lease>,
        mut accepted: Accepted,
        envelope: Envelope,
        job: Job,
    ) -> Result<Ending, StoreError> {
        if envelope.not_after.is_some() {
            // Once begun it goes on, however late: half a campaign is worse than a late one.
            self.show_running(queue, &accepted).await?;
            accepted.written = true;
        }
        let began = Instant::now();
        let task = JobTask {
            id: accepted.id.clone(),
            attempt: accepted.attempt,
            trace: accepted.trace,
            envelope,
            job,
            lease: Arc::clone(lease),
        };
        let mut work = std::pin::pin!(AssertUnwindSafe(self.handle.job(task)).catch_unwind());
        let outcome = if let Ok(outcome) = tokio::time::timeout(SHOWN_AFTER, &mut work).await {
            outcome
        } else {
            self.show_running(queue, &accepted).await?;
            accepted.written = true;
            work.await
        };
        self.metrics.job_ran(queue.as_str(), began.elapsed());
        if lease.is_lost() {
            return Ok(Ending::Leave);
        }
        match outcome {
            Err(_) => {
                tracing::error!(job = %accepted.id, "a job panicked");
                self.retry(queue, &accepted, "panicked", "the handler panicked; see the log", None).await
            }
            Ok(Outcome::Again) if self.drain.is_cancelled() => Ok(Ending::GiveBack),
            Ok(Outcome::Again) => Ok(Ending::Rest),
            Ok(Outcome::Done { result, next }) => {
                self.follow(&next).await?;
                self.end_done(queue, &accepted, &result).await
            }
            Ok(Outcome::Retry { failure_code, sentence, at }) => {
                self.retry(queue, &accepted, &failure_code, &sentence, Some(at)).await
            }
            Ok(Outcome::Snooze { until }) => {
                self.delay(queue, &accepted, "scheduled", until, &[("begun", "1".to_owned())]).await
            }
            Ok(Outcome::Rejected { rejection }) => {
                self.end_rejected(queue, &accepted, rejection.code, &rejection.sentence).await
            }
            Ok(Outcome::Dead { code, sentence }) => self.end_dead(queue, &accepted, code, &sentence).await,
        }
    }

    async fn show_running(&self, queue: QueueName, accepted: &Accepted) -> Result<(), StoreError> {
        let mut fields = accepted.fields(queue, "running");
        fields.push(("attempt", accepted.attempt.to_string()));
        fields.push(("begun", "1".to_owned()));
        let stamp: &[&str] = if accepted.written { &[] } else { &["accepted_at", "started_at"] };
        // A running job without an id is kept for long: its end sets the real time to live.
        let ttl = (!accepted.named).then_some(self.policy.retention_with_id);
        let change = JobChange { ttl, stamp, fields: &fields, ..JobChange::default() };
        self.store.write_job(accepted.id.as_str(), &accepted.entry, &change).await?;
        Ok(())
    }

    /// Wakes the runs that an outcome started or put off.
    async fn follow(&self, next: &[Next]) -> Result<(), StoreError> {
        for Next { campaign, run, at } in next {
            match at {
                Some(at) => self.store.arm(&format!("run|{campaign}|{run}"), at.0).await?,
                None => wake_run(&self.store, campaign, run).await?,
            }
        }
        Ok(())
    }

    fn settle(&self, delivery: Delivery, successor: Option<String>) {
        // The settler outlives the workers; without it the entry stays pending, which is safe.
        let _ = self.settles.send(Settle::new(delivery, successor));
    }

    fn forget(&self, delivery: &Delivery) {
        self.registry.remove(&delivery.queue.name, &delivery.entry.id);
    }

    async fn give_back(&self, delivery: &Delivery) {
        let entry = [(delivery.entry.id.clone(), true)];
        if let Err(error) = self.store.give_back_entries(&delivery.queue.name, &self.incarnation, &entry).await {
            tracing::warn!(queue = %delivery.queue.name, %error, "not given back: its lease will end");
        }
        self.forget(delivery);
    }

    /// Keeps an entry in hand, without a permit, and lets it run again later.
    fn snooze(&self, delivery: Delivery, rest: Duration) {
        let Delivery { queue, entry, lease, permit } = delivery;
        drop(permit);
        lease.rest();
        let (deliveries, drain) = (self.deliveries.clone(), self.drain.clone());
        self.tracker.spawn(async move {
            tokio::select! {
                () = drain.cancelled() => return,
                () = tokio::time::sleep(rest) => {}
            }
            let permit = tokio::select! {
                () = drain.cancelled() => return,
                permit = Arc::clone(&queue.permits).acquire_owned() => permit,
            };
            if let Ok(permit) = permit {
                let _ = deliveries.send(Delivery { queue, entry, lease, permit });
            }
        });
    }
}

/// Arms the idle slots of a run and enqueues them.
pub async fn wake_run(store: &Store, campaign: &str, run: &str) -> Result<(), StoreError> {
    let (channel, slots) = store.arm_slots(campaign, run, None).await?;
    let texts: Vec<String> = slots.iter().map(ToString::to_string).collect();
    store.add_entries(&QueueId::Batch(channel).name(), "slot", &texts).await
}
