//! How fast something goes, and when it will be done: the difference of looks a few seconds apart.

use std::{collections::VecDeque, time::Duration};

use crate::domain::clock::EpochMs;

/// Looks that are older do not count.
const WINDOW: Duration = Duration::from_secs(5);

/// Between two looks that say something.
const LEAST: Duration = Duration::from_millis(800);

/// What was done at which time.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    looks: VecDeque<(EpochMs, u64)>,
}

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speed {
    /// What was done.
    pub done: u64,
    /// In this time.
    pub within: Duration,
}

impl Pace {
    /// Takes in a look: so many are done at `now`.
    pub fn look(&mut self, now: EpochMs, done: u64) {
        // A retry takes back what was done: what was seen before says nothing then.
        if self.looks.back().is_some_and(|(_, before)| *before > done) {
            self.looks.clear();
        }
        self.looks.push_back((now, done));
        while self.looks.len() > 2 && self.looks.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.looks.pop_front();
        }
    }

    /// The speed of the last seconds, once there is one.
    pub fn speed(&self) -> Option<Speed> {
        let ((from, before), (to, after)) = (self.looks.front()?, self.looks.back()?);
        let within = to.since(*from);
        (within >= LEAST).then(|| Speed { done: after.saturating_sub(*before), within })
    }
}

impl Speed {
    /// How long `left` more take; none when nothing moves.
    pub fn time_for(self, left: u64) -> Option<Duration> {
        let millis = u64::try_from(self.within.as_millis()).unwrap_or(u64::MAX);
        left.saturating_mul(millis).checked_div(self.done).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> EpochMs {
        EpochMs(1_763_719_200_000 + ms)
    }

    #[test]
    fn the_speed_is_that_of_the_last_seconds() {
        let mut pace = Pace::default();
        pace.look(at(0), 0);
        assert_eq!(pace.speed(), None);
        for second in 1..=10 {
            pace.look(at(second * 1000), if second <= 5 { 0 } else { (second.unsigned_abs() - 5) * 100 });
        }
        let speed = pace.speed().unwrap();
        assert_eq!(speed, Speed { done: 500, within: Duration::from_secs(5) });
        assert_eq!(speed.time_for(1000), Some(Duration::from_secs(10)));
    }

    #[test]
    fn what_stands_still_or_was_taken_back_has_no_end() {
        let mut pace = Pace::default();
        pace.look(at(0), 50);
        pace.look(at(1000), 50);
        assert_eq!(pace.speed().unwrap().time_for(10), None);
        pace.look(at(2000), 20);
        assert_eq!(pace.speed(), None);
    }
}
