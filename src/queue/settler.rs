//! The settler of one queue: acknowledges and deletes entries in batches, and adds the successor
//! where a turn goes on.
//!
//! Guarantees: an entry's permit is free only when the entry is settled; an entry held for long is
//! looked at first and left alone when it is another's; trouble with Redis is waited out.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::store::{
    Store,
    entries::Settlement,
    leases::{Lease, Registry},
};

use super::Delivery;

/// Entries settled by one script.
const BATCH: usize = 256;

/// An entry to settle, with what it holds until then.
#[derive(Debug)]
pub struct Settle {
    id: String,
    successor: Option<String>,
    lease: Arc<Lease>,
    _permit: OwnedSemaphorePermit,
}

impl Settle {
    /// Settles a delivery; `successor` is the slot text of the entry that follows it.
    pub fn new(delivery: Delivery, successor: Option<String>) -> Self {
        Self { id: delivery.entry.id, successor, lease: delivery.lease, _permit: delivery.permit }
    }

    /// What to ask of Redis now. An entry held for longer than `look_after` may have been taken from us.
    fn settlement(&self, look_after: Duration) -> Settlement {
        Settlement {
            id: self.id.clone(),
            look: self.successor.is_some() || self.lease.since.elapsed() > look_after,
            successor: self.successor.clone(),
        }
    }
}

/// Settles the entries of one queue.
#[derive(Debug)]
pub struct Settler {
    /// The queue's name.
    pub queue: Arc<str>,
    /// The store.
    pub store: Store,
    /// What is in hand.
    pub registry: Arc<Registry>,
    /// Our consumer name.
    pub incarnation: String,
    /// For how long an entry is surely ours: half a lease.
    pub look_after: Duration,
    /// Entries to settle.
    pub settles: mpsc::UnboundedReceiver<Settle>,
}

impl Settler {
    /// Settles until every sender is gone and everything is settled.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.settles.recv_many(&mut batch, BATCH).await > 0 {
            self.settle(&batch).await;
            for done in &batch {
                self.registry.remove(&self.queue, &done.id);
            }
            batch.clear();
        }
    }

    async fn settle(&self, batch: &[Settle]) {
        let mut back_off = Duration::from_millis(20);
        loop {
            // Judged at each try: while Redis was away an entry may have become another's.
            let settlements: Vec<Settlement> = batch.iter().map(|s| s.settlement(self.look_after)).collect();
            match self.store.settle_entries(&self.queue, &self.incarnation, &settlements).await {
                Ok(lost) => {
                    for id in lost {
                        tracing::warn!(queue = %self.queue, entry = %id, "not settled: another daemon has it");
                    }
                    return;
                }
                Err(error) if error.is_transient() => {
                    tracing::warn!(queue = %self.queue, %error, "settling waits for redis");
                    tokio::time::sleep(back_off).await;
                    back_off = (back_off * 2).min(Duration::from_secs(2));
                }
                Err(error) => {
                    // The group or stream is gone: there is nothing left to settle.
                    tracing::warn!(queue = %self.queue, %error, "nothing to settle");
                    return;
                }
            }
        }
    }
}
