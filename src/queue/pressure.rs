//! Back-pressure: over 85 % of `maxmemory` no job is taken that would fill Redis further.
//!
//! Recording, sending and commands go on: they free what is there. Jobs that wait stay in their stream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{job::QueueName, store::Store};

use super::QueueId;

/// How often Redis is asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Whether Redis is nearly full, as of the last look.
#[derive(Debug, Clone, Default)]
pub struct Pressure(Arc<AtomicBool>);

impl Pressure {
    /// Whether entries of this queue have to wait.
    pub fn holds(&self, queue: &QueueId) -> bool {
        let fills = matches!(queue, QueueId::Jobs(QueueName::Generate | QueueName::Import));
        fills && self.0.load(Ordering::Relaxed)
    }

    /// Looks each second until `stop`.
    pub async fn run(self, store: Store, stop: CancellationToken) {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let Ok(info) = store.server_info().await else { continue };
            let full = info.is_nearly_full();
            if self.0.swap(full, Ordering::Relaxed) != full {
                if full {
                    tracing::warn!("redis is over 85 % of maxmemory: generate waits");
                } else {
                    tracing::info!("redis has room again: generate goes on");
                }
            }
        }
    }
}
