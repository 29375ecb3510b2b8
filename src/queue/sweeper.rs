//! The sweeper: adopts entries of daemons that are gone, and removes their consumers.
//!
//! Entries idle beyond the lease are anybody's; those of our own dead incarnations are ours at once.
//! A dead consumer is removed only when nothing is pending with it, because removing it would lose
//! what is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::{Metrics, labels::Recovered},
    store::{Store, leases::Registry},
};

use super::{Queue, suspects::Suspect};

/// Entries adopted by one sweep of one queue.
const LIMIT: usize = 100;

/// How often consumers are looked through for those that nobody is any more.
const CLEAN_UP: Duration = Duration::from_hours(1);

/// A daemon that lives and got nothing for so long loses nothing: its next entry makes its consumer anew.
const NOBODY_AFTER: Duration = Duration::from_hours(24);

/// Sweeps every queue this daemon serves.
#[derive(Debug)]
pub struct Sweeper {
    /// The queues, each with its way to its suspects.
    pub queues: Vec<(Queue, mpsc::UnboundedSender<Suspect>)>,
    /// The store.
    pub store: Store,
    /// What is in hand.
    pub registry: Arc<Registry>,
    /// Our consumer name.
    pub incarnation: String,
    /// Incarnations of this instance that are dead.
    pub dead: Vec<String>,
    /// How often.
    pub interval: Duration,
    /// Entries idle for longer are anybody's.
    pub lease: Duration,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl Sweeper {
    /// Sweeps until `drain`.
    pub async fn run(self, drain: CancellationToken) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut cleaned: Option<Instant> = None;
        let mut dead: Vec<Vec<String>> = vec![self.dead.clone(); self.queues.len()];
        loop {
            tokio::select! {
                () = drain.cancelled() => return,
                _ = tick.tick() => {}
            }
            for ((queue, suspects), dead) in self.queues.iter().zip(&mut dead) {
                if let Err(error) = self.sweep(queue, suspects, dead).await {
                    tracing::warn!(queue = %queue.name, %error, "sweeping failed");
                }
            }
            if cleaned.is_none_or(|at| at.elapsed() >= CLEAN_UP) {
                cleaned = Some(Instant::now());
                self.clean_up().await;
            }
        }
    }

    /// Removes the consumers of hosts that are gone for good.
    async fn clean_up(&self) {
        for (queue, _) in &self.queues {
            match self.store.remove_idle_consumers(&queue.name, NOBODY_AFTER).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(queue = %queue.name, removed, "consumers of old daemons removed"),
                Err(error) => tracing::warn!(queue = %queue.name, %error, "old consumers stay for now"),
            }
        }
    }

    async fn sweep(
        &self,
        queue: &Queue,
        suspects: &mpsc::UnboundedSender<Suspect>,
        dead: &mut Vec<String>,
    ) -> Result<(), crate::store::StoreError> {
        let adopted = self.store.adopt_entries(&queue.name, &self.incarnation, self.lease, LIMIT, dead).await?;
        for entry in adopted {
            if self.registry.has(&queue.name, &entry.id) {
                continue;
            }
            tracing::info!(queue = %queue.name, entry = %entry.id, deliveries = entry.deliveries, "adopted");
            self.metrics.recovered(Recovered::Entry, 1);
            let lease = self.registry.adopt(&queue.name, &entry.id);
            if suspects.send(Suspect { entry, lease }).is_err() {
                return Ok(());
            }
        }
        // One that still has something pending is looked at again by the next sweep.
        while let Some(consumer) = dead.last() {
            if !self.store.remove_consumer(&queue.name, consumer).await? {
                break;
            }
            dead.pop();
        }
        Ok(())
    }
}
