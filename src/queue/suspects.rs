//! Adopted entries, one at a time.
//!
//! An entry that comes back may be the one that killed its daemon. So it starts alone among the
//! adopted ones of its queue, and only when it starts is a delivery counted: those that wait behind
//! the culprit keep their count. At the limit an entry is not run again; it is dead. With the first
//! progress it records it is no suspect any more, and the next one starts beside it.
//!
//! Adopted entries have permits of their own, as many as the queue: an idle reader holds all of those
//! while it waits for fresh entries, and the work of the dead should not wait for that.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::store::{
    Store,
    entries::Entry,
    leases::{Lease, Registry},
};

use super::{Delivery, Queue};

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
                permit = Arc::clone(&one).acquire_owned() => permit,
            };
            let permit = tokio::select! {
                () = drain.cancelled() => return,
                permit = Arc::clone(&beside).acquire_owned() => permit,
            };
            let (Ok(alone), Ok(permit)) = (alone, permit) else { return };
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
            suspect.lease.hold_alone(alone);
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
