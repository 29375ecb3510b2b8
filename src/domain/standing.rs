//! How one message to one recipient stands, as everybody is told: its cell in the ledger, under its run (DESIGN 5).
//!
//! The ledger alone is not the whole truth: no cell means queued, the last fields of a cell that waits or is being sent
//! are the daemon's own, and cancelling a run does not touch its cells, so that what waits in it reads as
//! `skipped: cancelled`. This is the one place that knows.

use serde::Serialize;

use super::clock::EpochMs;
use super::delivery::{Cell, DeliveryState, UNKNOWN_REASON};
use super::run::RunState;

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its state.
    pub state: DeliveryState,
    /// The last attempt; 0 before the first.
    pub attempt: u32,
    /// When it came to its state, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<EpochMs>,
    /// Why, as a code.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the provider calls it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_id: String,
}

impl Standing {
    /// What the ledger says of a recipient of a run in this state, which ended at that time if it has.
    pub fn of(cell: Option<&str>, run: Option<RunState>, ended_at: Option<EpochMs>) -> Self {
        let found = cell.and_then(|text| Cell::parse(text).ok());
        let state = found.as_ref().map_or(DeliveryState::Queued, |cell| cell.state);
        let attempt = found.as_ref().map_or(0, |cell| cell.attempt);
        let waits = matches!(state, DeliveryState::Queued | DeliveryState::Retry | DeliveryState::Held);
        if waits {
            let skipped = run.filter(|run| matches!(run, RunState::Cancelled | RunState::Failed | RunState::NotSent));
            return Self {
                state: skipped.map_or(state, |_| DeliveryState::Skipped),
                attempt,
                at: skipped.and(ended_at),
                reason: skipped.map(|run| run.as_str().to_owned()).unwrap_or_default(),
                provider_id: String::new(),
            };
        }
        let told = found.filter(|_| state != DeliveryState::Sending);
        let at = told.as_ref().map(|cell| cell.at);
        let (reason, mut provider_id) = told.map(|cell| (cell.reason, cell.provider_id)).unwrap_or_default();
        if state == DeliveryState::Unknown || is_unknown(state, &reason) {
            // There is none: the field holds the attempt of the idempotency key.
            provider_id = String::new();
        }
        Self { state, attempt, at, reason, provider_id }
    }

    /// Whether the message was handed to a provider, as far as anybody knows.
    pub fn was_handed_over(&self) -> bool {
        use DeliveryState as D;
        matches!(self.state, D::Sent | D::Delivered | D::Undelivered | D::Expired | D::Unknown)
            || is_unknown(self.state, &self.reason)
    }

    /// When the provider accepted it. The cell holds one time, so a receipt takes this one's place.
    pub fn sent_at(&self) -> Option<EpochMs> {
        self.at.filter(|_| self.state == DeliveryState::Sent)
    }

    /// When it came to an end that nothing but a correction changes: refused, skipped, or what a receipt said.
    pub fn final_at(&self) -> Option<EpochMs> {
        use DeliveryState as D;
        let ended = matches!(self.state, D::Failed | D::Skipped | D::Delivered | D::Undelivered | D::Expired);
        self.at.filter(|_| ended)
    }
}

/// Whether a delivery that is called failed may have been sent.
fn is_unknown(state: DeliveryState, reason: &str) -> bool {
    state == DeliveryState::Failed && reason.starts_with(UNKNOWN_REASON)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: EpochMs = EpochMs(1_763_719_200_000);

    fn standing(run: RunState, cell: Option<&str>) -> Standing {
        Standing::of(cell, Some(run), (run != RunState::Running).then_some(AT))
    }

    #[test]
    fn a_recipient_without_a_cell_is_queued_or_skipped_by_the_cancel() {
        assert_eq!(standing(RunState::Running, None).state, DeliveryState::Queued);
        for cell in [None, Some("r,1,1763719100000,http_503,1"), Some("q,1,1763719100000,released,0")] {
            let skipped = standing(RunState::Cancelled, cell);
            assert_eq!((skipped.state, skipped.reason.as_str()), (DeliveryState::Skipped, "cancelled"));
            assert_eq!(skipped.final_at(), Some(AT));
        }
        assert_eq!(standing(RunState::Failed, None).reason, "failed");
    }

    #[test]
    fn what_was_sent_stays_sent_in_a_cancelled_run() {
        let sent = standing(RunState::Cancelled, Some("s,2,1763719100000,,sb-1,x"));
        assert_eq!((sent.state, sent.attempt, sent.provider_id.as_str()), (DeliveryState::Sent, 2, "sb-1,x"));
        assert_eq!((sent.sent_at(), sent.final_at()), (Some(EpochMs(1_763_719_100_000)), None));
        let delivered = standing(RunState::Finished, Some("d,1,1763719100000,,sb-1"));
        assert_eq!((delivered.sent_at(), delivered.final_at()), (None, Some(EpochMs(1_763_719_100_000))));
    }

    #[test]
    fn the_fields_of_a_claim_and_of_a_doubt_are_the_daemons_own() {
        let sending = standing(RunState::Running, Some("c,1,1763719100000,17,3"));
        assert_eq!((sending.state, sending.reason.as_str(), sending.at), (DeliveryState::Sending, "", None));
        let unknown = standing(RunState::Running, Some("n,1,1763719100000,timeout,1?"));
        assert_eq!((unknown.reason.as_str(), unknown.provider_id.as_str()), ("timeout", ""));
        assert!(unknown.was_handed_over() && !sending.was_handed_over());
        let called_failed = standing(RunState::Running, Some("f,1,1763719100000,unknown:timeout,1?"));
        assert_eq!((called_failed.reason.as_str(), called_failed.provider_id.as_str()), ("unknown:timeout", ""));
        let failed = standing(RunState::Running, Some("f,1,1763719100000,refused,"));
        assert!(called_failed.was_handed_over() && !failed.was_handed_over());
    }
}
