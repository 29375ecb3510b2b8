//! The scheduler: works off the alarm clock.
//!
//! An alarm is taken by hiding it for ten seconds, worked off, and then disarmed: if the daemon dies
//! in between it comes due again, and the state of what it wakes absorbs the repetition. What our own dead
//! incarnations took, and what a call of ours took whose answer was lost, comes due at once: else a message due every
//! few seconds would miss what comes due meanwhile. Any number of daemons may run one. It sleeps until the next alarm;
//! a publish wakes it when an earlier one is set.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreError, alarms::Mark};

use super::{Handle, worker::wake_run};

/// Alarms taken at once.
const LIMIT: usize = 500;

/// Alarms of runs and campaigns worked off side by side.
const AT_ONCE: usize = 16;

/// For how long a taken alarm hides.
const HIDE: Duration = Duration::from_secs(10);

/// Longest sleep: a lost publish delays an alarm by no more.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Works off due alarms.
#[derive(Debug)]
pub struct Scheduler<H> {
    /// The store.
    pub store: Store,
    /// For alarms that are not a job's or a run's.
    pub handle: Arc<H>,
    /// Wakes us early.
    pub nudge: Arc<Notify>,
    /// What we take is marked with it.
    pub mark: Mark,
    /// The marks of our incarnations that are dead.
    pub dead: Vec<Mark>,
}

/// What one look at the alarm clock came to.
struct Look {
    /// When the next alarm is due.
    next: Instant,
    /// Whether something may be hidden that nobody works on: Redis was away.
    left: bool,
}

impl<H: Handle> Scheduler<H> {
    /// Works until `drain`.
    pub async fn run(self, drain: CancellationToken) {
        // Alarms are taken and worked off in turn, so at the beginning of a look none of ours is in anybody's hands.
        let nobodys: Vec<Mark> = self.dead.iter().copied().chain([self.mark]).collect();
        // A call that was given up may reach a Redis that stood still later than those behind it.
        let mut free_until = Instant::now() + HIDE;
        while !drain.is_cancelled() {
            let stale: &[Mark] = if Instant::now() < free_until { &nobodys } else { &[] };
            let look = self.fire(stale).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the alarm clock could not be read");
                Look { next: Instant::now() + SLEEP_MAX, left: true }
            });
            if look.left {
                free_until = Instant::now() + HIDE;
            }
            let latest = Instant::now() + SLEEP_MAX;
            tokio::select! {
                () = drain.cancelled() => return,
                () = self.nudge.notified() => {}
                () = tokio::time::sleep_until(look.next.min(latest).into()) => {}
            }
        }
    }

    /// Works off what is due.
    async fn fire(&self, stale: &[Mark]) -> Result<Look, StoreError> {
        let fired = self.store.fire_alarms(LIMIT, HIDE, self.mark, stale).await?;
        if fired.freed > 0 {
            tracing::info!(alarms = fired.freed, "alarms that nobody worked off are due again");
        }
        let rest = match fired.next_ms {
            _ if fired.due.len() == LIMIT => Duration::ZERO,
            Some(next) => Duration::from_millis(u64::try_from(next - fired.now_ms).unwrap_or(0)),
            None => SLEEP_MAX,
        };
        // Counted from here: what is worked off meanwhile takes its time.
        let next = Instant::now() + rest;
        let left = AtomicBool::new(false);
        let (mut refs, mut others) = (BTreeMap::new(), Vec::new());
        for alarm in fired.due {
            let mut parts = alarm.0.splitn(3, '|').map(str::to_owned);
            if let (Some("job"), Some(queue), Some(id)) = (parts.next().as_deref(), parts.next(), parts.next()) {
                let (ids, alarms): &mut (Vec<_>, Vec<_>) = refs.entry(queue).or_default();
                ids.push(id);
                alarms.push(alarm);
            } else {
                others.push(alarm);
            }
        }
        // Jobs first: one write a queue, and nobody waits for the longer work of the others.
        for (queue, (ids, alarms)) in refs {
            let woken = async {
                self.store.add_entries(&queue, "ref", &ids).await?;
                self.store.disarm(&alarms).await
            };
            if let Err(error) = woken.await {
                tracing::warn!(queue, alarms = alarms.len(), %error, "alarms of jobs come again");
                left.fetch_or(matches!(error, StoreError::Unavailable(_)), Ordering::Relaxed);
            }
        }
        // One that fails stays hidden and comes again; the others do not wait for it.
        futures_util::stream::iter(others)
            .for_each_concurrent(AT_ONCE, async |alarm| {
                if let Err(error) = self.work_off(&alarm).await {
                    tracing::warn!(alarm = alarm.0, %error, "an alarm comes again");
                    left.fetch_or(matches!(error, StoreError::Unavailable(_)), Ordering::Relaxed);
                }
            })
            .await;
        let left = left.into_inner();
        Ok(Look { next: if left { Instant::now() + SLEEP_MAX } else { next }, left })
    }

    /// Works off one alarm that is not a job's, and takes it from the clock.
    async fn work_off(&self, alarm: &(String, String)) -> Result<(), StoreError> {
        let member = &alarm.0;
        let mut parts = member.splitn(3, '|');
        if let (Some("run"), Some(campaign), Some(run)) = (parts.next(), parts.next(), parts.next()) {
            wake_run(&self.store, campaign, run).await?;
        } else if let Some(at_ms) = self.handle.alarm(member).await? {
            // Set anew while it hides, so the disarming below leaves it.
            self.store.arm(member, at_ms).await?;
        }
        self.store.disarm(std::slice::from_ref(alarm)).await
    }
}

/// Listens for publishes of earlier alarms and nudges the scheduler.
pub async fn listen(store: Store, nudge: Arc<Notify>, drain: CancellationToken) {
    while !drain.is_cancelled() {
        // From the server of now on: an opened connection has told which one that is.
        let _ = store.connection.server().await;
        let mut servers = store.connection.servers();
        match store.connection.subscribe(&store.keys.scheduled()).await {
            Ok(mut messages) => loop {
                tokio::select! {
                    () = drain.cancelled() => return,
                    // Nothing is published any more where nobody writes.
                    Ok(()) = servers.changed() => break,
                    message = messages.next() => match message {
                        Some(_) => nudge.notify_one(),
                        None => break,
                    },
                }
            },
            Err(error) => tracing::debug!(%error, "no publishes for now"),
        }
        tokio::select! {
            () = drain.cancelled() => return,
            () = tokio::time::sleep(SLEEP_MAX) => {}
        }
    }
}
