//! The renewer: renews what is in hand, on a thread of its own.
//!
//! Each `renew` interval one script a queue looks whether the entries are still ours and renews
//! those; a lost one is told. The thread has a runtime and a connection of its own, so that neither a
//! busy worker nor a slow reply starves it.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::store::{Store, leases::Registry};

/// Renews everything in hand.
#[derive(Debug)]
pub struct Renewer {
    /// A store with a connection of its own.
    pub store: Store,
    /// What is in hand.
    pub registry: Arc<Registry>,
    /// Our consumer name.
    pub incarnation: String,
    /// How often.
    pub interval: Duration,
    /// For how long a slot is leased.
    pub lease: Duration,
}

/// Entries renewed by one call, so that no script is long.
const CHUNK: usize = 500;

impl Renewer {
    /// Starts the thread. It ends with `stop`.
    pub fn spawn(self, stop: CancellationToken) -> std::io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("leases".into()).spawn(move || runtime.block_on(self.run(stop)))
    }

    async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => self.renew().await,
                () = self.registry.nudged() => self.renew().await,
            }
        }
    }

    /// One round. A fresh entry has its whole lease before it, so only older ones are renewed.
    pub async fn renew(&self) {
        for (queue, entries) in self.registry.entries_older_than(self.interval / 2) {
            for chunk in entries.chunks(CHUNK) {
                let ids: Vec<(String, bool)> = chunk.iter().map(|(id, p, _)| (id.clone(), *p)).collect();
                match self.store.renew_entries(&queue, &self.incarnation, &ids).await {
                    Ok(lost) => {
                        for (id, _, lease) in chunk.iter().filter(|(id, ..)| lost.contains(id)) {
                            // Settled in the meantime looks the same as lost.
                            if self.registry.has(&queue, id) {
                                tracing::warn!(%queue, entry = %id, "entry lost to another daemon");
                                lease.lose();
                            }
                        }
                    }
                    Err(error) => tracing::warn!(%queue, %error, "leases could not be renewed"),
                }
            }
        }
        for held in self.registry.held_slots() {
            match self.store.renew_slot(&held.slot, held.fence, &self.incarnation, self.lease).await {
                Ok(true) => {}
                Ok(false) => held.lose(),
                Err(error) => tracing::warn!(slot = %held.slot, %error, "slot could not be renewed"),
            }
        }
    }
}
