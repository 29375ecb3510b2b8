//! How long a queue is, and since when its oldest entries are there, in one step.

use super::{GROUP, Store, StoreError, scripts};

/// How a queue stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueLength {
    /// Entries that nobody has.
    pub waiting: u64,
    /// Entries that somebody has.
    pub in_hand: u64,
    /// When the oldest one that waits was written (epoch ms).
    pub oldest_waiting_ms: Option<i64>,
    /// When the oldest one in hand was written (epoch ms).
    pub oldest_in_hand_ms: Option<i64>,
}

impl Store {
    /// How a queue stands; what its entries carry stays where it is.
    pub async fn queue_length(&self, queue: &str) -> Result<QueueLength, StoreError> {
        let call = scripts::QUEUE_LENGTH.call(&[&self.keys.jobs(queue)]).arg(GROUP);
        let (entries, in_hand, waits, runs): (u64, u64, String, String) = call.run(&self.connection).await?;
        let written = |id: &str| id.split('-').next()?.parse().ok();
        Ok(QueueLength {
            waiting: entries.saturating_sub(in_hand),
            in_hand: in_hand.min(entries),
            oldest_waiting_ms: written(&waits),
            oldest_in_hand_ms: written(&runs),
        })
    }
}
