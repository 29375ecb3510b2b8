//! How deep the queues are, as the tellers wrote it a second ago: one hash, whoever looks and how many.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::store::{Store, StoreError};

/// A queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Queue {
    /// Its name.
    #[serde(rename = "queue")]
    pub(super) name: String,
    /// Entries that nobody has taken.
    pub(super) waiting: u64,
    /// Entries in somebody's hands.
    pub(super) running: u64,
    /// Age of the oldest of both.
    pub(super) oldest_ms: u64,
    /// Whether it waits for room in Redis.
    pub(super) waits_for_room: bool,
}

/// What waits at a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Waiting {
    /// Recipients.
    pub(super) recipients: u64,
    /// Their message parts.
    pub(super) parts: u64,
    /// How long these take at its rate, where it has one.
    pub(super) seconds: Option<u64>,
}

/// Everything the tellers wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Depth {
    /// Queues of producers first, then the turns of channels.
    pub(super) queues: Vec<Queue>,
    /// By channel.
    pub(super) channels: BTreeMap<String, Waiting>,
    /// Memory of Redis in use, its limit (0 for none), and whether new work waits for room.
    pub(super) memory: (u64, u64, bool),
}

/// Queues whose work fills Redis further.
const FILLS: [&str; 2] = ["generate", "import"];

impl Depth {
    /// Reads it.
    pub(super) async fn load(store: &Store) -> Result<Self, StoreError> {
        let hash: HashMap<String, u64> = store.connection.query(redis::cmd("HGETALL").arg(store.keys.depth())).await?;
        Ok(Self::of(&hash))
    }

    fn of(hash: &HashMap<String, u64>) -> Self {
        let get = |name: &str| hash.get(name).copied().unwrap_or(0);
        let memory = (get("redis:used_bytes"), get("redis:max_bytes"), get("redis:full") == 1);
        let named = |suffix: &'static str| hash.keys().filter_map(move |field| field.strip_suffix(suffix));
        let mut queues: Vec<Queue> = named(":waiting")
            .map(|queue| Queue {
                name: queue.to_owned(),
                waiting: get(&format!("{queue}:waiting")),
                running: get(&format!("{queue}:running")),
                oldest_ms: get(&format!("{queue}:oldest_ms")),
                waits_for_room: memory.2 && FILLS.contains(&queue),
            })
            .collect();
        queues.sort_by_key(|queue| (queue.name.contains(':'), queue.name.clone()));
        let channels = named(":recipients").map(|channel| {
            let waiting = Waiting {
                recipients: get(&format!("{channel}:recipients")),
                parts: get(&format!("{channel}:parts")),
                seconds: hash.get(&format!("{channel}:seconds")).copied(),
            };
            (channel.to_owned(), waiting)
        });
        Self { queues, channels: channels.collect(), memory }
    }

    /// Entries of all queues that wait.
    pub(super) fn jobs_waiting(&self) -> u64 {
        self.queues.iter().filter(|queue| !queue.name.contains(':')).map(|queue| queue.waiting).sum()
    }

    /// Recipients of all channels that wait.
    pub(super) fn recipients(&self) -> u64 {
        self.channels.values().map(|waiting| waiting.recipients).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_is_read_as_the_tellers_write_it() {
        let fields = [
            ("batch:sms:waiting", 2),
            ("generate:waiting", 3),
            ("generate:oldest_ms", 900),
            ("sms:recipients", 40),
            ("sms:seconds", 8),
            ("mail:recipients", 2),
            ("redis:full", 1),
        ];
        let depth = Depth::of(&fields.map(|(name, number)| (name.to_owned(), number)).into());
        let queues: Vec<_> = depth.queues.iter().map(|q| (q.name.as_str(), q.waiting, q.waits_for_room)).collect();
        assert_eq!(queues, [("generate", 3, true), ("batch:sms", 2, false)]);
        assert_eq!((depth.jobs_waiting(), depth.recipients(), depth.memory), (3, 42, (0, 0, true)));
        assert_eq!((depth.channels["sms"].seconds, depth.channels["mail"].seconds), (Some(8), None));
    }
}
