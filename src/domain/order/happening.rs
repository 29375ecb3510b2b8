//! What an event does to an order: the edge, and the sums behind it.
//!
//! A payment is recorded as the platform tells it; refunds are taken from what was paid. A refund of
//! less than what is left leads to `partially_refunded`, one of all that is left to `refunded`,
//! whichever of the two names it comes under. Platforms tell things twice: a payment, a cancellation
//! or a full refund that is known already changes nothing, and neither does a partial refund that
//! says the same time and sum as one in the history. Two partial refunds without a time are two.

use super::{EpochMs, Order, OrderEvent, OrderState, WrongState};
use serde::{Deserialize, Serialize};

/// What an order remembers at most; the sums know of everything.
pub const KEPT: usize = 20;

/// One thing that happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// What.
    pub event: OrderEvent,
    /// When: as the platform says, else when we were told.
    pub at: EpochMs,
    /// The sum of this payment or refund, in minor units.
    #[serde(default, rename = "amount", skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<u64>,
}

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The state does not allow it (DA-7).
    #[error("{0}")]
    Wrong(WrongState<OrderState, OrderEvent>),
    /// More is given back than is left, or nothing.
    #[error("a refund of {asked} is not from 1 to {left}, which is what is left of the payment")]
    OutOfRange {
        /// The sum told.
        asked: u64,
        /// What is left.
        left: u64,
    },
    /// `refunded` says that all is given back, and the sum says otherwise.
    #[error("a refund of {asked} leaves something of {left}: that is partially_refunded, not refunded")]
    NotAll {
        /// The sum told.
        asked: u64,
        /// What is left.
        left: u64,
    },
}

impl Order {
    /// The order after an event at `at`, which the platform may have told (`is_told`) or we assume. `None`: it is
    /// known already and changes nothing. `now` is our clock: nobody pays in the future.
    pub fn happen(
        &self,
        event: OrderEvent,
        at: EpochMs,
        is_told: bool,
        amount_minor: Option<u64>,
        now: EpochMs,
    ) -> Result<Option<Self>, EventError> {
        if self.knows(event, is_told.then_some(at), amount_minor) {
            return Ok(None);
        }
        let to = self.after(event, at.min(now)).map_err(EventError::Wrong)?;
        let mut next = Self { state: to, ..self.clone() };
        let amount_minor = match event {
            OrderEvent::Paid => {
                next.paid_minor = amount_minor.unwrap_or(self.amount.minor());
                Some(next.paid_minor)
            }
            OrderEvent::PartiallyRefunded | OrderEvent::Refunded => {
                let left = self.left_minor();
                let asked = amount_minor.unwrap_or(left);
                if asked == 0 || asked > left {
                    return Err(EventError::OutOfRange { asked, left });
                }
                if event == OrderEvent::Refunded && asked < left {
                    return Err(EventError::NotAll { asked, left });
                }
                next.refunded_minor = self.refunded_minor.saturating_add(asked);
                if asked == left {
                    next.state = OrderState::Refunded;
                }
                Some(asked)
            }
            OrderEvent::Cancelled | OrderEvent::Expired => None,
        };
        // Its time tells of an expiry; everything else is kept.
        if event != OrderEvent::Expired {
            next.history.push(Happened { event, at, amount_minor });
            let surplus = next.history.len().saturating_sub(KEPT);
            next.history.drain(..surplus);
        }
        Ok(Some(next))
    }

    /// What was paid and not given back.
    pub fn left_minor(&self) -> u64 {
        let paid = if self.paid_minor == 0 { self.amount.minor() } else { self.paid_minor };
        paid.saturating_sub(self.refunded_minor)
    }

    /// Whether this very event is known.
    fn knows(&self, event: OrderEvent, at: Option<EpochMs>, amount_minor: Option<u64>) -> bool {
        use OrderState as S;
        let same_sum = |known: u64| amount_minor.is_none_or(|told| told == known);
        let in_history = || {
            self.history.iter().any(|h| {
                let partial = h.event == OrderEvent::PartiallyRefunded;
                partial && at == Some(h.at) && (amount_minor.is_none() || amount_minor == h.amount_minor)
            })
        };
        match event {
            // A payment told again, even after it was given back.
            OrderEvent::Paid => {
                let paid = if self.paid_minor == 0 { self.amount.minor() } else { self.paid_minor };
                matches!(self.state, S::Paid | S::PartiallyRefunded | S::Refunded) && same_sum(paid)
            }
            OrderEvent::Cancelled => self.state == S::Cancelled,
            OrderEvent::Expired => self.state == S::Expired,
            OrderEvent::PartiallyRefunded => in_history(),
            OrderEvent::Refunded => {
                let last = self.history.last().and_then(|h| h.amount_minor).unwrap_or(self.refunded_minor);
                self.state == S::Refunded && (same_sum(last) || same_sum(self.refunded_minor))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::tests::{EXPIRY, order};
    use proptest::prelude::*;

    const NOW: EpochMs = EpochMs(EXPIRY.0 - 3_600_000);

    fn told(order: &Order, event: OrderEvent, at_ms: i64, amount: Option<u64>) -> Result<Option<Order>, EventError> {
        order.happen(event, EpochMs(NOW.0 - at_ms), true, amount, NOW)
    }

    fn paid() -> Order {
        told(&order(), OrderEvent::Paid, 900, None).unwrap().unwrap()
    }

    #[test]
    fn a_payment_is_recorded_as_told_with_its_time() {
        let paid = told(&order(), OrderEvent::Paid, 5, Some(1250)).unwrap().unwrap();
        assert_eq!((paid.state, paid.paid_minor, paid.left_minor()), (OrderState::Paid, 1250, 1250));
        let happened = Happened { event: OrderEvent::Paid, at: EpochMs(NOW.0 - 5), amount_minor: Some(1250) };
        assert_eq!(paid.history, [happened]);
        assert!(paid.to_json().contains("{\"event\":\"paid\",\"at\":1763715599995,\"amount\":1250}"));
    }

    #[test]
    fn refunds_below_the_rest_are_partial_and_the_rest_is_all_of_it() {
        let first = told(&paid(), OrderEvent::PartiallyRefunded, 800, Some(250)).unwrap().unwrap();
        assert_eq!((first.state, first.refunded_minor, first.left_minor()), (OrderState::PartiallyRefunded, 250, 1000));
        let second = told(&first, OrderEvent::PartiallyRefunded, 700, Some(400)).unwrap().unwrap();
        assert_eq!((second.state, second.refunded_minor), (OrderState::PartiallyRefunded, 650));
        for (event, amount) in [
            (OrderEvent::PartiallyRefunded, Some(600)),
            (OrderEvent::Refunded, Some(600)),
            (OrderEvent::Refunded, None),
        ] {
            let all = told(&second, event, 600, amount).unwrap().unwrap();
            assert_eq!((all.state, all.refunded_minor, all.left_minor()), (OrderState::Refunded, 1250, 0), "{event}");
        }
    }

    #[test]
    fn a_refund_of_nothing_of_too_much_or_of_less_than_it_says_is_refused() {
        for (event, amount) in [
            (OrderEvent::PartiallyRefunded, 0),
            (OrderEvent::PartiallyRefunded, 1251),
            (OrderEvent::Refunded, 1251),
            (OrderEvent::PartiallyRefunded, u64::MAX),
        ] {
            let error = told(&paid(), event, 1, Some(amount)).unwrap_err();
            assert_eq!(error, EventError::OutOfRange { asked: amount, left: 1250 });
        }
        let error = told(&paid(), OrderEvent::Refunded, 1, Some(1249)).unwrap_err();
        assert_eq!(error, EventError::NotAll { asked: 1249, left: 1250 });
    }

    #[test]
    fn what_is_told_twice_happens_once() {
        let unchanged =
            |order: &Order, event, at, amount| assert_eq!(told(order, event, at, amount), Ok(None), "{event}");
        unchanged(&paid(), OrderEvent::Paid, 900, None);
        unchanged(&paid(), OrderEvent::Paid, 10, Some(1250));
        assert!(matches!(told(&paid(), OrderEvent::Paid, 10, Some(1)), Err(EventError::Wrong(_))), "another sum");
        let part = told(&paid(), OrderEvent::PartiallyRefunded, 800, Some(250)).unwrap().unwrap();
        unchanged(&part, OrderEvent::PartiallyRefunded, 800, Some(250));
        unchanged(&part, OrderEvent::Paid, 1, None);
        let again = told(&part, OrderEvent::PartiallyRefunded, 799, Some(250)).unwrap().unwrap();
        assert_eq!(again.refunded_minor, 500, "another time is another refund");
        let untimed = part.happen(OrderEvent::PartiallyRefunded, NOW, false, Some(250), NOW).unwrap().unwrap();
        assert_eq!(untimed.refunded_minor, 500, "without a time nobody knows that it is the same");
        let all = told(&part, OrderEvent::Refunded, 5, None).unwrap().unwrap();
        unchanged(&all, OrderEvent::Refunded, 1, None);
        unchanged(&all, OrderEvent::Refunded, 1, Some(1000));
        unchanged(&all, OrderEvent::PartiallyRefunded, 800, Some(250));
        assert!(matches!(told(&all, OrderEvent::PartiallyRefunded, 3, Some(1)), Err(EventError::Wrong(_))));
        let cancelled = told(&order(), OrderEvent::Cancelled, 5, None).unwrap().unwrap();
        unchanged(&cancelled, OrderEvent::Cancelled, 1, None);
    }

    #[test]
    fn the_history_is_short_and_the_sums_are_whole() {
        let mut order = told(&order(), OrderEvent::Paid, 0, Some(1000)).unwrap().unwrap();
        for at in 0..100 {
            order = told(&order, OrderEvent::PartiallyRefunded, at, Some(1)).unwrap().unwrap();
        }
        assert_eq!((order.history.len(), order.refunded_minor), (KEPT, 100));
    }

    proptest! {
        #[test]
        fn no_series_of_refunds_gives_back_more_than_was_paid(sums in proptest::collection::vec(0..900_u64, 1..20)) {
            let mut order = paid();
            for (at, sum) in sums.into_iter().enumerate() {
                let event = if sum % 7 == 0 { OrderEvent::Refunded } else { OrderEvent::PartiallyRefunded };
                if let Ok(Some(next)) = told(&order, event, i64::try_from(at).unwrap(), Some(sum)) {
                    prop_assert_eq!(next.refunded_minor, order.refunded_minor + sum);
                    order = next;
                }
                prop_assert!(order.refunded_minor <= order.paid_minor);
                prop_assert_eq!(order.state == OrderState::Refunded, order.left_minor() == 0);
            }
        }
    }
}
