//! The settler of one queue: acknowledges and deletes entries in batches, and adds the successor
//! where a turn goes on.
//!
//! Guarantees: an entry's permit is free only when the entry is settled; an entry held for long is
//! looked at first and left alone when it is another's; trouble with Redis is waited out.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::store::{Store, entries::Settlement};

use super::{Delivery, lease::Registry};

/// Entries settled by one script.
const BATCH: usize = 256;

/// An entry held longer than this may have been taken from us.
const LOOK_AFTER: Duration = Duration::from_secs(5);

/// An entry to settle, with what it holds until then.
#[derive(Debug)]
pub struct Settle {
    settlement: Settlement,
    _permit: OwnedSemaphorePermit,
    _suspect: Option<OwnedSemaphorePermit>,
}

impl Settle {
    /// Settles a delivery; `successor` is the slot text of the entry that follows it.
    pub fn new(delivery: Delivery, successor: Option<String>) -> Self {
        Self {
            settlement: Settlement {
                look: successor.is_some() || delivery.lease.since.elapsed() > LOOK_AFTER,
                id: delivery.entry.id,
                successor,
            },
            _permit: delivery.permit,
            _suspect: delivery.suspect,
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
                self.registry.remove(&self.queue, &done.settlement.id);
            }
            batch.clear();
        }
    }

    async fn settle(&self, batch: &[Settle]) {
        let settlements: Vec<Settlement> = batch.iter().map(|s| s.settlement.clone()).collect();
        let mut back_off = Duration::from_millis(20);
        loop {
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
