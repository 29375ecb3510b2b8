//! Whether Redis has room: the last look at its memory, shared by all that would fill it further.
//!
//! Full is from 85 % of `maxmemory` on, and no longer below 80 %: between the two it stays what it was, so that work
//! does not begin and stop each second. What is left above is for recording what is under way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::system::ServerInfo;

/// From so many percent of `maxmemory` on nothing new is taken.
pub const FULL_PERCENT: u64 = 85;

/// Below so many it is taken again.
pub const ROOM_PERCENT: u64 = 80;

/// Between two looks of somebody who waits for room.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What was seen last. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Pressure(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    full: AtomicBool,
    used_bytes: AtomicU64,
    max_bytes: AtomicU64,
}

impl Pressure {
    /// Whether nothing new may be taken.
    pub fn is_full(&self) -> bool {
        self.0.full.load(Ordering::Relaxed)
    }

    /// Bytes in use, and the limit, 0 for none.
    pub fn memory(&self) -> (u64, u64) {
        (self.0.used_bytes.load(Ordering::Relaxed), self.0.max_bytes.load(Ordering::Relaxed))
    }

    /// Takes note of a look. Returns what it is now, where that changed.
    pub fn note(&self, info: &ServerInfo) -> Option<bool> {
        let (used, max) = (info.used_memory_bytes, info.maxmemory_bytes);
        self.0.used_bytes.store(used, Ordering::Relaxed);
        self.0.max_bytes.store(max, Ordering::Relaxed);
        let full = is_full(self.is_full(), used, max);
        (self.0.full.swap(full, Ordering::Relaxed) != full).then_some(full)
    }

    /// Waits until there is room.
    pub async fn room(&self) {
        while self.is_full() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Whether Redis is full, where it was so before or not.
pub fn is_full(before: bool, used_bytes: u64, max_bytes: u64) -> bool {
    let percent = if before { ROOM_PERCENT } else { FULL_PERCENT };
    max_bytes > 0 && u128::from(used_bytes) * 100 >= u128::from(max_bytes) * u128::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_begins_at_85_percent_and_ends_below_80() {
        assert!(!is_full(false, 8_499, 10_000));
        assert!(is_full(false, 8_500, 10_000));
        assert!(is_full(true, 8_000, 10_000));
        assert!(!is_full(true, 7_999, 10_000));
        assert!(!is_full(false, u64::MAX, 0), "without a limit it is never full");
        assert!(is_full(false, u64::MAX, u64::MAX));
    }
}
