//! The scheduler: works off the alarm clock.
//!
//! An alarm is taken by hiding it for ten seconds, worked off, and then disarmed: if the daemon dies
//! in between it comes due again, and the state of what it wakes absorbs the repetition. Any number
//! of daemons may run one. It sleeps until the next alarm; a publish wakes it when an earlier one is set.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreError};

use super::{Handle, worker::wake_run};

/// Alarms taken at once.
const LIMIT: usize = 500;

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
}

impl<H: Handle> Scheduler<H> {
    /// Works until `drain`.
    pub async fn run(self, drain: CancellationToken) {
        while !drain.is_cancelled() {
            let rest = match self.fire().await {
                Ok(rest) => rest,
                Err(error) => {
                    tracing::warn!(%error, "the alarm clock could not be read");
                    SLEEP_MAX
                }
            };
            if rest.is_zero() {
                continue;
            }
            tokio::select! {
                () = drain.cancelled() => return,
                () = self.nudge.notified() => {}
                () = tokio::time::sleep(rest.min(SLEEP_MAX)) => {}
            }
        }
    }

    /// Works off what is due. Returns how long until the next alarm.
    async fn fire(&self) -> Result<Duration, StoreError> {
        let fired = self.store.fire_alarms(LIMIT, HIDE).await?;
        let rest = match fired.next_ms {
            _ if fired.due.len() == LIMIT => Duration::ZERO,
            Some(next) => Duration::from_millis(u64::try_from(next - fired.now_ms).unwrap_or(0)),
            None => SLEEP_MAX,
        };
        let mut refs: Vec<(&str, Vec<String>)> = Vec::new();
        let mut done = Vec::with_capacity(fired.due.len());
        for (member, score) in &fired.due {
            let mut parts = member.splitn(3, '|');
            match (parts.next(), parts.next(), parts.next()) {
                (Some("job"), Some(queue), Some(id)) => {
                    match refs.iter_mut().find(|(q, _)| *q == queue) {
                        Some((_, ids)) => ids.push(id.to_owned()),
                        None => refs.push((queue, vec![id.to_owned()])),
                    }
                    done.push((member.clone(), score.clone()));
                }
                (Some("run"), Some(campaign), Some(run)) => {
                    wake_run(&self.store, campaign, run).await?;
                    done.push((member.clone(), score.clone()));
                }
                _ => {
                    let again = self.handle.alarm(member).await?;
                    done.push((member.clone(), score.clone()));
                    if let Some(at_ms) = again {
                        // Set anew while it hides, so the disarming below leaves it.
                        self.store.arm(member, at_ms).await?;
                    }
                }
            }
        }
        for (queue, ids) in refs {
            self.store.add_entries(queue, "ref", &ids).await?;
        }
        self.store.disarm(&done).await?;
        Ok(rest)
    }
}

/// Listens for publishes of earlier alarms and nudges the scheduler.
pub async fn listen(store: Store, nudge: Arc<Notify>, drain: CancellationToken) {
    use futures_util::StreamExt as _;
    while !drain.is_cancelled() {
        match store.connection.subscribe(&store.keys.scheduled()).await {
            Ok(mut messages) => loop {
                tokio::select! {
                    () = drain.cancelled() => return,
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
