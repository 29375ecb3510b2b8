//! Where a payment order stands, what can happen to it, and which edge leads where (DESIGN 5, DA-7).

use crate::domain::word::{WrongState, words};

words! {
    /// Where a payment order stands.
    pub enum OrderState {
        /// Asked of a payment platform, not answered yet.
        Creating = "creating",
        /// The platform's answer was lost.
        InDoubt = "in_doubt",
        /// Can be paid.
        Available = "available",
        /// Its time passed unpaid.
        Expired = "expired",
        /// Withdrawn before it was paid.
        Cancelled = "cancelled",
        /// Paid.
        Paid = "paid",
        /// Paid, and a part given back.
        PartiallyRefunded = "partially_refunded",
        /// Paid, and all given back.
        Refunded = "refunded",
    }
}

words! {
    /// What can happen to a payment order.
    pub enum OrderEvent {
        /// The payer paid.
        Paid = "paid",
        /// Somebody withdrew it.
        Cancelled = "cancelled",
        /// Its time passed.
        Expired = "expired",
        /// A part was given back.
        PartiallyRefunded = "partially_refunded",
        /// All was given back.
        Refunded = "refunded",
    }
}

impl OrderState {
    /// What may happen in this state. An order that is being created takes no event.
    pub const fn allowed(self) -> &'static [OrderEvent] {
        use OrderEvent as E;
        match self {
            Self::Available => &[E::Paid, E::Cancelled, E::Expired],
            Self::Paid | Self::PartiallyRefunded => &[E::PartiallyRefunded, E::Refunded],
            Self::Creating | Self::InDoubt | Self::Expired | Self::Cancelled | Self::Refunded => &[],
        }
    }

    /// The state after `event`, or what would be allowed instead (DA-7).
    pub fn after(self, event: OrderEvent) -> Result<Self, WrongState<Self, OrderEvent>> {
        if !self.allowed().contains(&event) {
            return Err(WrongState { state: self, allowed: self.allowed() });
        }
        Ok(match event {
            OrderEvent::Paid => Self::Paid,
            OrderEvent::Cancelled => Self::Cancelled,
            OrderEvent::Expired => Self::Expired,
            OrderEvent::PartiallyRefunded => Self::PartiallyRefunded,
            OrderEvent::Refunded => Self::Refunded,
        })
    }

    /// Whether a payment platform has yet to say that it has it.
    pub const fn is_unsettled(self) -> bool {
        matches!(self, Self::Creating | Self::InDoubt)
    }

    /// Whether nothing can happen any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Expired | Self::Cancelled | Self::Refunded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_edges_of_the_table_are_legal() {
        use OrderEvent as E;
        use OrderState as S;
        let legal = [
            (S::Available, E::Paid, S::Paid),
            (S::Available, E::Cancelled, S::Cancelled),
            (S::Available, E::Expired, S::Expired),
            (S::Paid, E::PartiallyRefunded, S::PartiallyRefunded),
            (S::Paid, E::Refunded, S::Refunded),
            (S::PartiallyRefunded, E::PartiallyRefunded, S::PartiallyRefunded),
            (S::PartiallyRefunded, E::Refunded, S::Refunded),
        ];
        for state in S::ALL {
            for event in E::ALL {
                let expected = legal.iter().find(|(s, e, _)| s == state && e == event).map(|(_, _, next)| *next);
                assert_eq!(state.after(*event).ok(), expected, "{event} in {state}");
            }
            assert_eq!(state.is_final(), state.allowed().is_empty() && !matches!(state, S::Creating | S::InDoubt));
        }
    }

    #[test]
    fn da_7_an_illegal_event_is_answered_with_state_and_allowed_events() {
        let wrong = OrderState::Paid.after(OrderEvent::Cancelled).unwrap_err();
        assert_eq!(wrong.to_string(), "the state is paid, which allows only partially_refunded, refunded");
        let wrong = OrderState::Cancelled.after(OrderEvent::Paid).unwrap_err();
        assert_eq!(wrong.to_string(), "the state is cancelled, which allows nothing further");
    }
}
