//! When sending starts and ends at a channel's rate, and which orders expire before their turn
//! (PO-7, PO-19).
//!
//! A channel sends parts one after the other at its rate, over all daemons. What waits on it
//! already is taken to go first: runs share a channel, so ours may end earlier than said, not
//! later, unless more work comes or the provider is slower than its rate. Without a rate nobody
//! knows how fast a provider answers, and no end is said.

use std::time::Duration;

use super::{clock::EpochMs, expiry::Expiry};

/// How the messages of a job leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    /// When the orders are generated.
    pub generated: EpochMs,
    /// When the first of them may leave.
    pub starts: EpochMs,
    /// Parts a second; 0 = not limited.
    pub rate_per_second: u32,
    /// Parts that wait on the channel already.
    pub parts_ahead: u64,
}

impl Course {
    /// The course of a job that is known at `now` and may send from `from` on, behind `parts_waiting`: what of those
    /// leaves before it starts is not ahead of it.
    pub fn new(now: EpochMs, from: EpochMs, rate_per_second: u32, parts_waiting: u64) -> Self {
        let starts = from.max(now);
        let before_ms = u64::try_from(starts.since(now).as_millis()).unwrap_or(u64::MAX);
        let gone = before_ms.saturating_mul(u64::from(rate_per_second)) / 1000;
        Self { generated: starts, starts, rate_per_second, parts_ahead: parts_waiting.saturating_sub(gone) }
    }

    /// The same, where nothing leaves before `opens`: the orders live on meanwhile (PO-23).
    #[must_use]
    pub fn held_until(self, opens: EpochMs) -> Self {
        Self { starts: self.starts.max(opens), ..self }
    }

    /// When a message leaves that `parts_before` parts of its own job precede; `None` where the rate is not limited.
    pub fn leaves(&self, parts_before: u64) -> Option<EpochMs> {
        let ms = self.parts_ahead.saturating_add(parts_before).saturating_mul(1000);
        let wait_ms = ms.checked_div(u64::from(self.rate_per_second))?;
        Some(self.starts.plus(Duration::from_millis(wait_ms)))
    }

    /// When the last of so many parts has left; `None` where the rate is not limited.
    pub fn ends(&self, parts: u64) -> Option<EpochMs> {
        if parts == 0 {
            return self.leaves(0).map(|_| self.starts);
        }
        self.leaves(parts)
    }

    /// Whether an order still has `floor` to live when its message's turn comes. Where the rate
    /// is not limited, its turn is taken to be the start.
    pub fn in_time(&self, parts_before: u64, expiry: &Expiry, floor: Duration) -> bool {
        let turn = self.leaves(parts_before).unwrap_or(self.starts);
        let left = expiry.expires_at(self.generated).since(turn);
        !left.is_zero() && left >= floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: EpochMs = EpochMs(1_763_719_200_000);
    const FLOOR: Duration = Duration::from_mins(5);

    fn course(rate_per_second: u32, parts_ahead: u64) -> Course {
        Course { generated: START, starts: START, rate_per_second, parts_ahead }
    }

    fn after(seconds: u64) -> EpochMs {
        START.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn po_7_sending_ends_when_what_waits_and_our_own_parts_have_left_at_the_rate() {
        assert_eq!(course(50, 0).ends(100), Some(after(2)));
        assert_eq!(course(50, 1000).ends(100), Some(after(22)));
        assert_eq!(course(3, 0).ends(10), Some(START.plus(Duration::from_millis(3333))));
        assert_eq!(course(50, 1000).ends(0), Some(START), "nothing is sent");
        assert_eq!(course(50, 1000).leaves(0), Some(after(20)));
    }

    #[test]
    fn po_7_what_leaves_before_a_scheduled_start_is_not_ahead_of_it() {
        let at = |from, rate| Course::new(START, from, rate, 1000);
        assert_eq!(at(START, 50), course(50, 1000));
        assert_eq!(at(START.minus(FLOOR), 50), course(50, 1000), "a time that has passed is now");
        assert_eq!(at(after(15), 50), Course { generated: after(15), starts: after(15), ..course(50, 250) });
        assert_eq!(at(after(3600), 50), Course { generated: after(3600), starts: after(3600), ..course(50, 0) });
        assert_eq!(at(after(3600), 0), Course { generated: after(3600), starts: after(3600), ..course(0, 1000) });
    }

    #[test]
    fn po_7_without_a_rate_no_end_is_said() {
        assert_eq!(course(0, 1000).ends(100), None);
        assert_eq!(course(0, 0).ends(0), None);
    }

    #[test]
    fn po_19_an_order_is_in_time_as_long_as_the_floor_is_left_at_its_turn() {
        // 10 minutes of life less a floor of 5 are 300 seconds, at 2 parts a second 600 parts.
        let expiry = Expiry::In(Duration::from_mins(10));
        assert!(course(2, 0).in_time(600, &expiry, FLOOR));
        assert!(!course(2, 0).in_time(601, &expiry, FLOOR));
        assert!(course(2, 100).in_time(500, &expiry, FLOOR));
        assert!(!course(2, 100).in_time(501, &expiry, FLOOR));
        let instant = Expiry::At(after(600));
        assert!(course(2, 0).in_time(600, &instant, FLOOR));
        assert!(!course(2, 0).in_time(601, &instant, FLOOR));
        // Without a floor an order must not have expired.
        assert!(course(1, 0).in_time(599, &instant, Duration::ZERO));
        assert!(!course(1, 0).in_time(600, &instant, Duration::ZERO));
    }

    #[test]
    fn po_23_an_order_that_waits_for_the_contact_hours_grows_older_meanwhile() {
        let expiry = Expiry::In(Duration::from_hours(1));
        let held = course(0, 0).held_until(after(3600 - 300));
        assert_eq!(held.starts, after(3300));
        assert!(held.in_time(0, &expiry, FLOOR));
        assert!(!held.held_until(after(3301)).in_time(0, &expiry, FLOOR));
        assert_eq!(course(0, 0).held_until(START.minus(FLOOR)), course(0, 0), "it was open all the time");
    }

    #[test]
    fn po_19_without_a_rate_only_a_floor_above_the_whole_life_makes_orders_late() {
        let expiry = Expiry::In(Duration::from_mins(10));
        assert!(course(0, u64::MAX).in_time(u64::MAX, &expiry, FLOOR));
        assert!(!course(0, 0).in_time(0, &expiry, Duration::from_mins(11)));
    }

    proptest! {
        #[test]
        fn po_7_a_later_message_never_leaves_earlier(rate in 0_u32.., ahead in 0_u64.., a in 0_u64.., b in 0_u64..) {
            let (first, second) = (a.min(b), a.max(b));
            let course = course(rate, ahead);
            prop_assert!(course.leaves(first) <= course.leaves(second));
            let expiry = Expiry::At(after(3600));
            prop_assert!(course.in_time(first, &expiry, FLOOR) || !course.in_time(second, &expiry, FLOOR));
        }
    }
}
