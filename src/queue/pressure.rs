//! Back-pressure: while Redis is full no job is taken that would fill it further.
//!
//! Recording, sending and commands go on: they free what is there, or take hardly anything. Jobs that wait stay in their
//! stream; a generate job under way waits at its next slice. When full begins and ends stands in `store/pressure.rs`.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    job::QueueName,
    metrics::Metrics,
    store::{Store, pressure::Pressure},
};

use super::QueueId;

/// How often Redis is asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Whether entries of this queue would fill Redis further.
pub fn fills(queue: &QueueId) -> bool {
    matches!(queue, QueueId::Jobs(QueueName::Generate | QueueName::Import))
}

/// Whether entries of this queue have to wait.
pub fn holds(pressure: &Pressure, queue: &QueueId) -> bool {
    fills(queue) && pressure.is_full()
}

/// Looks each second until `stop`.
pub async fn run(pressure: Pressure, store: Store, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let Ok(info) = store.server_info().await else { continue };
        match pressure.note(&info) {
            Some(true) => tracing::warn!("redis is over 85 % of maxmemory: generate waits until it is below 80 %"),
            Some(false) => tracing::info!("redis has room again: generate goes on"),
            None => {}
        }
        let (used, max) = pressure.memory();
        metrics.redis_memory(used, max, pressure.is_full());
    }
}
