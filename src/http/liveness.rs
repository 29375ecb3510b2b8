//! Whether the daemon moves: what `/livez` and systemd's watchdog ask.
//!
//! Plain data, fed by two tasks: a heartbeat that ticks each second, and whoever measures the depth, who
//! says of each queue how much waits, how many permits are free and how much was claimed so far.
//! The daemon stands still when its heartbeat is older than [`BEAT_LIMIT`], or when for [`CLAIM_LIMIT`]
//! Redis answered, work waited that nothing holds back, permits were free, and nothing was claimed.
//! A Redis that is away, a full house or an empty queue is no reason to be killed: none of them ends by
//! a restart.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A heartbeat older than this means that the event loop stands still.
pub const BEAT_LIMIT: Duration = Duration::from_secs(10);

/// Work that could be claimed and is not for this long means that a reader stands still.
pub const CLAIM_LIMIT: Duration = Duration::from_mins(1);

/// No queue stands still.
const NEVER: u64 = u64::MAX;

/// One queue at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLook<'a> {
    /// Its name.
    pub queue: &'a str,
    /// Entries that wait and that nothing holds back (leave out what a full Redis or a pause keeps waiting).
    pub waiting: u64,
    /// Entries that could be taken at once: an idle reader's permits are free too.
    pub permits_free: usize,
    /// Entries this daemon has claimed since its start; only its change matters.
    pub claimed: u64,
}

/// Why the daemon counts as dead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Standstill {
    /// The event loop does not tick.
    #[error("the event loop last ticked {} s ago", age.as_secs())]
    EventLoop {
        /// Age of the last tick.
        age: Duration,
    },
    /// A queue with waiting work and free permits claims nothing.
    #[error("a queue with waiting work and free permits has claimed nothing for {} s", age.as_secs())]
    Claims {
        /// For so long.
        age: Duration,
    },
}

/// The signs of life of one daemon.
#[derive(Debug)]
pub struct Liveness {
    born: Instant,
    beat_ms: AtomicU64,
    idle_since_ms: AtomicU64,
    queues: Mutex<HashMap<String, Claims>>,
}

#[derive(Debug, Clone, Copy)]
struct Claims {
    claimed: u64,
    since_ms: u64,
}

impl Liveness {
    /// Signs of life from `now` on.
    pub fn new(now: Instant) -> Self {
        Self { born: now, beat_ms: AtomicU64::new(0), idle_since_ms: AtomicU64::new(NEVER), queues: Mutex::default() }
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(NEVER - 1)
    }

    /// The event loop ticks.
    pub fn beat(&self, now: Instant) {
        self.beat_ms.fetch_max(self.ms(now), Ordering::Relaxed);
    }

    /// Redis answered, and this is how the queues stand. Call it about once a second.
    pub fn look<'a>(&self, now: Instant, queues: impl IntoIterator<Item = QueueLook<'a>>) {
        let now_ms = self.ms(now);
        let mut known = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let mut idle_since = NEVER;
        for look in queues {
            let claims =
                known.entry(look.queue.to_owned()).or_insert(Claims { claimed: look.claimed, since_ms: now_ms });
            if look.waiting == 0 || look.permits_free == 0 || look.claimed != claims.claimed {
                *claims = Claims { claimed: look.claimed, since_ms: now_ms };
            }
            if claims.since_ms < now_ms {
                idle_since = idle_since.min(claims.since_ms);
            }
        }
        self.idle_since_ms.store(idle_since, Ordering::Relaxed);
    }

    /// Redis did not answer: whatever waits is held back by that.
    pub fn redis_is_away(&self) {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.idle_since_ms.store(NEVER, Ordering::Relaxed);
    }

    /// Whether the daemon moves, as it stands at `now`.
    pub fn check(&self, now: Instant) -> Result<(), Standstill> {
        let now_ms = self.ms(now);
        let age = |since_ms: u64| Duration::from_millis(now_ms.saturating_sub(since_ms));
        let beat = age(self.beat_ms.load(Ordering::Relaxed));
        if beat > BEAT_LIMIT {
            return Err(Standstill::EventLoop { age: beat });
        }
        let idle = age(self.idle_since_ms.load(Ordering::Relaxed));
        if idle > CLAIM_LIMIT {
            return Err(Standstill::Claims { age: idle });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn look(queue: &str, waiting: u64, permits_free: usize, claimed: u64) -> QueueLook<'_> {
        QueueLook { queue, waiting, permits_free, claimed }
    }

    /// Looks each second for `for_seconds`, with a beat each time, and judges after the last one.
    fn after(for_seconds: u64, mut each: impl FnMut(&Liveness, Instant, u64)) -> Result<(), Standstill> {
        let start = Instant::now();
        let liveness = Liveness::new(start);
        for second in 0..=for_seconds {
            let now = start + seconds(second);
            liveness.beat(now);
            each(&liveness, now, second);
        }
        liveness.check(start + seconds(for_seconds))
    }

    #[test]
    fn a_heartbeat_older_than_ten_seconds_is_a_standstill() {
        let start = Instant::now();
        let liveness = Liveness::new(start);
        liveness.beat(start + seconds(5));
        assert_eq!(liveness.check(start + seconds(15)), Ok(()));
        let late = liveness.check(start + seconds(16));
        assert_eq!(late, Err(Standstill::EventLoop { age: seconds(11) }));
    }

    #[test]
    fn waiting_work_with_free_permits_and_no_claim_for_a_minute_is_a_standstill() {
        let idle = |l: &Liveness, now, _| l.look(now, [look("generate", 3, 2, 7)]);
        assert_eq!(after(60, idle), Ok(()));
        assert_eq!(after(61, idle), Err(Standstill::Claims { age: seconds(61) }));
    }

    #[test]
    fn one_queue_that_stands_still_is_not_hidden_by_another_that_moves() {
        let one = |l: &Liveness, now, second| l.look(now, [look("generate", 3, 2, 7), look("control", 1, 8, second)]);
        assert!(after(90, one).is_err());
    }

    #[test]
    fn an_empty_queue_a_full_house_and_a_slow_claim_are_alive() {
        assert_eq!(after(200, |l, now, _| l.look(now, [look("generate", 0, 2, 7)])), Ok(()));
        assert_eq!(after(200, |l, now, _| l.look(now, [look("generate", 9, 0, 7)])), Ok(()));
        assert_eq!(after(200, |l, now, second| l.look(now, [look("generate", 9, 1, second / 50)])), Ok(()));
    }

    #[test]
    fn a_minute_without_redis_does_not_count() {
        let away = |l: &Liveness, now, second| {
            if (30..100).contains(&second) { l.redis_is_away() } else { l.look(now, [look("generate", 3, 2, 7)]) }
        };
        assert_eq!(after(130, away), Ok(()));
    }

    #[test]
    fn a_claim_after_a_standstill_brings_it_back() {
        let back = |l: &Liveness, now, second| l.look(now, [look("generate", 3, 2, second / 80)]);
        assert_eq!(after(80, back), Ok(()));
    }
}
