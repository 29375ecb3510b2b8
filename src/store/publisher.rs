//! The publisher: copies events from turns to the results stream, and clears their outbox.
//!
//! It takes the events from memory, so that nothing is read back on the main path. When it cannot
//! keep up, or the daemon dies, the outbox still holds them and the reconciler publishes them: at
//! least once, recognised by their id.

use std::collections::HashMap;

use tokio::sync::mpsc;

use super::{Store, outbox::Event};

/// Outbox entries that may wait in memory.
const WAITING: usize = 4096;

/// Outbox entries published by one pipeline.
const BATCH: usize = 64;

/// One outbox entry on its way.
#[derive(Debug)]
pub struct Parcel {
    /// The campaign.
    pub campaign: String,
    /// Its outbox entry.
    pub outbox_id: String,
    /// What it holds.
    pub events: Vec<Event>,
}

/// Hands parcels to the publisher.
#[derive(Debug, Clone)]
pub struct Publisher {
    parcels: mpsc::Sender<Parcel>,
}

/// The publisher's other end.
#[derive(Debug)]
pub struct PublisherTask {
    store: Store,
    parcels: mpsc::Receiver<Parcel>,
}

impl Publisher {
    /// A publisher over `store`; the task is to be spawned.
    pub fn new(store: &Store) -> (Self, PublisherTask) {
        let (sender, parcels) = mpsc::channel(WAITING);
        (Self { parcels: sender }, PublisherTask { store: store.separate(), parcels })
    }

    /// Hands over a parcel; where the publisher is behind, the outbox keeps it.
    pub fn publish(&self, parcel: Parcel) {
        let _ = self.parcels.try_send(parcel);
    }
}

impl PublisherTask {
    /// Publishes until every [`Publisher`] is gone.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.parcels.recv_many(&mut batch, BATCH).await > 0 {
            if let Err(error) = self.publish(&mut batch).await {
                tracing::warn!(%error, "events wait in their outbox");
            }
            batch.clear();
        }
    }

    async fn publish(&self, batch: &mut [Parcel]) -> Result<(), super::StoreError> {
        let mut events = Vec::new();
        let mut cleared: HashMap<&str, Vec<String>> = HashMap::new();
        for parcel in batch {
            events.append(&mut parcel.events);
            cleared.entry(&parcel.campaign).or_default().push(std::mem::take(&mut parcel.outbox_id));
        }
        self.store.publish(&events).await?;
        for (campaign, ids) in cleared {
            self.store.clear_outbox(campaign, &ids).await?;
        }
        Ok(())
    }
}
