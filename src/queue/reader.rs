//! The reader of one queue: permits first, then a blocking read, on a connection of its own.
//!
//! Guarantees: never more entries in hand than permits; an entry whose reply took suspiciously long
//! is confirmed to be ours before it starts; any trouble closes the connection, backs off and goes
//! on, and never reaches apalis.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::store::{
    Store, StoreError,
    entries::{Entry, EntryBody},
    leases::Registry,
    pressure::Pressure,
};

use super::{Delivery, Queue, pressure};

/// How long one read waits for entries.
pub const BLOCK: Duration = Duration::from_secs(1);

/// A reply later than `BLOCK` and this much may be of a lease that is over.
const LATE: Duration = Duration::from_secs(2);

/// Entries taken by one read.
const READ_AT_ONCE: usize = 64;

/// Longest pause between two tries to reach Redis.
const BACK_OFF_MAX: Duration = Duration::from_secs(2);

/// Reads one queue.
#[derive(Debug)]
pub struct Reader {
    /// The queue.
    pub queue: Queue,
    /// A store with a connection of its own: the read blocks it.
    pub store: Store,
    /// What is in hand.
    pub registry: Arc<Registry>,
    /// Our consumer name.
    pub incarnation: String,
    /// To the queue's apalis worker.
    pub deliveries: mpsc::UnboundedSender<Delivery>,
    /// Whether Redis has room for more.
    pub pressure: Pressure,
}

impl Reader {
    /// Reads until `drain`.
    pub async fn run(self, drain: CancellationToken) {
        let mut back_off = Duration::from_millis(50);
        let mut group_known = false;
        while !drain.is_cancelled() {
            if pressure::holds(&self.pressure, &self.queue.id) {
                tokio::select! {
                    () = drain.cancelled() => {}
                    () = tokio::time::sleep(BLOCK) => {}
                }
                continue;
            }
            let step = async {
                if !group_known {
                    self.store.create_group(&self.queue.name).await?;
                }
                self.read(&drain).await
            };
            match step.await {
                Ok(()) => {
                    group_known = true;
                    back_off = Duration::from_millis(50);
                }
                Err(StoreError::Refused(reason)) if reason.contains("NOGROUP") || reason.contains("UNBLOCKED") => {
                    // The stream was deleted, or Redis came back without its data.
                    group_known = false;
                }
                Err(error) => {
                    tracing::warn!(queue = %self.queue.name, %error, "reading failed, reconnecting");
                    self.store.connection.reset().await;
                    group_known = false;
                    tokio::select! {
                        () = drain.cancelled() => {}
                        () = tokio::time::sleep(back_off) => {}
                    }
                    back_off = (back_off * 2).min(BACK_OFF_MAX);
                }
            }
        }
    }

    async fn read(&self, drain: &CancellationToken) -> Result<(), StoreError> {
        let permits = Arc::clone(&self.queue.permits);
        let first = tokio::select! {
            () = drain.cancelled() => return Ok(()),
            permit = permits.acquire_owned() => permit,
        };
        let Ok(mut held) = first else { return Ok(()) };
        while held.num_permits() < READ_AT_ONCE.min(self.queue.capacity) {
            let Ok(more) = Arc::clone(&self.queue.permits).try_acquire_owned() else { break };
            held.merge(more);
        }
        let asked = Instant::now();
        let count = held.num_permits();
        self.queue.reading.store(count, Ordering::Relaxed);
        let read = self.store.read_entries(&self.queue.name, &self.incarnation, count, BLOCK).await;
        self.queue.reading.store(0, Ordering::Relaxed);
        let mut entries = read?;
        if asked.elapsed() > BLOCK + LATE {
            entries = self.confirm(entries).await?;
        }
        self.queue.claimed.fetch_add(entries.len() as u64, Ordering::Relaxed);
        for entry in entries {
            let Some(permit) = held.split(1) else { break };
            let lease = self.registry.add(&self.queue.name, &entry.id);
            let delivery = Delivery { queue: self.queue.clone(), entry, lease, permit };
            if self.deliveries.send(delivery).is_err() {
                tracing::error!(queue = %self.queue.name, "the worker of this queue is gone");
                drain.cancel();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Drops entries that became another daemon's while the reply was on its way.
    async fn confirm(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, StoreError> {
        let ids: Vec<(String, bool)> = entries.iter().map(|e| (e.id.clone(), false)).collect();
        let lost = self.store.renew_entries(&self.queue.name, &self.incarnation, &ids).await?;
        Ok(entries.into_iter().filter(|e| !lost.contains(&e.id)).collect())
    }
}

impl EntryBody {
    /// The payload to keep when the entry is refused.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Job(bytes) => bytes,
            Self::Ref(text) | Self::Slot(text) => text.as_bytes(),
            Self::Unknown => b"",
        }
    }
}
