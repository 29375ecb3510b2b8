//! Adopted entries, one at a time.
//!
//! An entry that comes back may be the one that killed its daemon. So it starts alone among the
//! adopted ones of its queue, and only when it starts is a delivery counted: those that wait behind
//! the culprit keep their count. At the limit an entry is not run again; it is dead. With the first
//! progress it records it is no suspect any more, and the next one starts beside it. A slot's turn is
//! waited for only as long as a turn claims: one that hangs at its provider keeps no other from its work.
//!
//! Adopted entries have permits of their own, as many as the queue: an idle reader holds all of those
//! while it waits for fresh entries, and the work of the dead should not wait for that.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::store::{
    Store,
    entries::Entry,
    leases::{Lease, Registry},
};

use super::{Delivery, Queue, QueueId};

/// A turn claims for two seconds.
const SLOT_WITHIN: Duration = Duration::from_secs(2);

/// An adopted entry that waits for its turn.
#[derive(Debug)]
pub struct Suspect {
    /// The entry.
    pub entry: Entry,
    /// Renewed while it waits.
    pub lease: Arc<Lease>,
}

/// Lets the adopted entries of one queue run, one after the other.
#[derive(Debug)]
pub struct Suspects {
    /// The queue.
    pub queue: Queue,
    /// The store.
    pub store: Store,
    /// What is in hand.
    pub registry: Arc<Registry>,
    /// Our consumer name.
    pub incarnation: String,
    /// From the sweeper.
    pub suspects: mpsc::UnboundedReceiver<Suspect>,
    /// To the queue's apalis worker.
    pub deliveries: mpsc::UnboundedSender<Delivery>,
}

impl Suspects {
    /// Works until `drain`; what still waits then is given back.
    pub async fn run(mut self, drain: CancellationToken) {
        let one = Arc::new(Semaphore::new(1));
        let beside = Arc::new(Semaphore::new(self.queue.capacity));
        loop {
            let suspect = tokio::select! {
                () = drain.cancelled() => return,
                suspect = self.suspects.recv() => suspect,
            };
            let Some(suspect) = suspect else { return };
            let alone = tokio::select! {
                () = drain.cancelled() => return,
                permit = self.alone(&one) => permit,
            };
            let permit = tokio::select! {
                () = drain.cancelled() => return,
                permit = Arc::clone(&beside).acquire_owned() => permit,
            };
            let Ok(permit) = permit else { return };
            let counted = tokio::select! {
                // Uncounted or counted, it is given back: nothing of it began.
                () = drain.cancelled() => return,
                counted = self.count(&suspect.entry.id) => counted,
            };
            let Some(deliveries) = counted else {
                self.registry.remove(&self.queue.name, &suspect.entry.id);
                continue;
            };
            suspect.lease.count();
            if let Some(alone) = alone {
                suspect.lease.hold_alone(alone);
            }
            let delivery = Delivery {
                queue: self.queue.clone(),
                entry: Entry { deliveries, ..suspect.entry },
                lease: suspect.lease,
                permit,
            };
            if self.deliveries.send(delivery).is_err() {
                return;
            }
        }
    }

    /// Waits until the suspect before is none any more; `None` when that takes too long for a slot.
    async fn alone(&self, one: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let turn = Arc::clone(one).acquire_owned();
        match self.queue.id {
            QueueId::Jobs(_) => turn.await.ok(),
            QueueId::Batch(_) => tokio::time::timeout(SLOT_WITHIN, turn).await.ok()?.ok(),
        }
    }

    async fn count(&self, id: &str) -> Option<u32> {
        let mut back_off = Duration::from_millis(50);
        loop {
            match self.store.count_delivery(&self.queue.name, &self.incarnation, id).await {
                Ok(count) => return count,
                Err(error) if error.is_transient() => {
                    tracing::warn!(queue = %self.queue.name, %error, "an adopted entry waits for redis");
                    tokio::time::sleep(back_off).await;
                    back_off = (back_off * 2).min(Duration::from_secs(2));
                }
                Err(error) => {
                    tracing::warn!(queue = %self.queue.name, %error, "an adopted entry is gone");
                    return None;
                }
            }
        }
    }
}
