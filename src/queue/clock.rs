//! The clock watch: notices that Redis' clock was set, and starts the leases of what is in hand anew when it went back.
//!
//! Redis' clock rules every lease. Set forward, leases end early: work changes hands, and nothing more. Set back, the
//! entries of a daemon that died just before would stay its own for as long as the clock went back: Redis measures how
//! long an entry lies idle by the same clock. So their leases begin again, each with its own owner: those who live renew
//! them, those who do not lose them a lease later. What waits for a time of day (a schedule, a retry) goes by the new
//! clock. What it does not do: judge which clock is right.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreError};

use super::Queue;

/// How often the clocks are compared.
const INTERVAL: Duration = Duration::from_secs(1);

/// Clocks that run apart by less are not set, but slow: a lease has room for it.
const SLACK_MS: i64 = 1_000;

/// Watches Redis' clock.
#[derive(Debug)]
pub struct ClockWatch {
    /// The store.
    pub store: Store,
    /// The queues whose entries have leases.
    pub queues: Vec<Queue>,
}

/// One look at Redis' clock, between two instants of our own, which nobody sets.
#[derive(Debug, Clone, Copy)]
struct Look {
    asked: Instant,
    redis_ms: i64,
    answered: Instant,
}

/// How far Redis' clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Back(i64),
    Forward(i64),
}

impl ClockWatch {
    /// Watches until `drain`.
    pub async fn run(self, drain: CancellationToken) {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut before, mut owed) = (None, false);
        loop {
            tokio::select! {
                () = drain.cancelled() => return,
                _ = tick.tick() => {}
            }
            let Ok(look) = self.look().await else { continue };
            match before.replace(look).and_then(|before: Look| before.set_since(&look)) {
                Some(Set::Back(by_ms)) => {
                    tracing::warn!(by_ms, "redis' clock was set back: leases begin anew");
                    owed = true;
                }
                Some(Set::Forward(by_ms)) => {
                    tracing::warn!(by_ms, "redis' clock was set forward: leases end early, work may change hands");
                }
                None => {}
            }
            if owed {
                match self.begin_anew().await {
                    Ok(()) => owed = false,
                    Err(error) => tracing::warn!(%error, "leases do not begin anew yet"),
                }
            }
        }
    }

    async fn look(&self) -> Result<Look, StoreError> {
        let asked = Instant::now();
        let redis_ms = self.store.now_ms().await?;
        Ok(Look { asked, redis_ms, answered: Instant::now() })
    }

    async fn begin_anew(&self) -> Result<(), StoreError> {
        for queue in &self.queues {
            self.store.begin_leases_anew(&queue.name).await?;
        }
        Ok(())
    }
}

impl Look {
    /// Whether the clock was set between this look and a later one: it went less than the least, or more than the most
    /// time that can have passed between its two readings.
    fn set_since(&self, later: &Self) -> Option<Set> {
        let ms =
            |from: Instant, to: Instant| i64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(0);
        let went = later.redis_ms - self.redis_ms;
        let (least, most) = (ms(self.answered, later.asked), ms(self.asked, later.answered));
        if went < least - SLACK_MS {
            Some(Set::Back(least - went))
        } else if went > most + SLACK_MS {
            Some(Set::Forward(went - most))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// A second look one second after the first, answered after `took_ms`, by a clock set by `set_ms` in between.
    fn set(set_ms: i64, took_ms: u64) -> Option<Set> {
        let began = Instant::now();
        let took = Duration::from_millis(took_ms);
        let first = Look { asked: began, redis_ms: 10 * HOUR, answered: began };
        let asked = began + Duration::from_secs(1);
        // Redis reads its clock when it comes to it: here at the very end.
        let redis_ms = 10 * HOUR + 1_000 + i64::try_from(took_ms).unwrap() + set_ms;
        first.set_since(&Look { asked, redis_ms, answered: asked + took })
    }

    #[test]
    fn a_clock_that_nobody_sets_is_left_alone_however_late_it_answers() {
        for took_ms in [0, 900, 10_000] {
            assert_eq!(set(0, took_ms), None);
        }
    }

    #[test]
    fn a_clock_that_runs_a_little_apart_was_not_set() {
        assert_eq!((set(900, 1), set(-900, 1)), (None, None));
    }

    #[test]
    fn an_hour_forward_and_back_is_seen_also_behind_a_late_answer() {
        assert_eq!(set(HOUR, 0), Some(Set::Forward(HOUR)));
        assert_eq!(set(-HOUR, 0), Some(Set::Back(HOUR)));
        assert_eq!(set(HOUR, 3_000), Some(Set::Forward(HOUR)));
        assert!(matches!(set(-HOUR, 3_000), Some(Set::Back(_))));
    }
}
