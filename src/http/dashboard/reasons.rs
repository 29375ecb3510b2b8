//! Why deliveries of a run failed, were skipped or wait: counted from its ledger.
//!
//! A run counts its states, not its reasons: those stand in the ledger, and a run may have a million recipients. So a look
//! counts a stretch of it and no more, the next look goes on, and what was counted is kept until the run's counters say
//! that something changed. Then it is counted anew, at most every few seconds, while the page shows what was known.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    domain::delivery::{Cell, DeliveryState, PAGE},
    store::{Store, StoreError, view::RunView},
};

/// Pages of the ledger read by one round trip.
const AT_ONCE: u64 = 50;

/// Round trips of one look: 25,600 recipients.
const TRIPS: u64 = 4;

/// Runs whose counts are kept.
const KEPT: usize = 16;

/// Reasons of a state that are told apart; a provider may invent any number.
const REASONS: usize = 100;

/// Between two counts of a run that changes.
const AGAIN: Duration = Duration::from_secs(5);

type Counts = BTreeMap<(DeliveryStateKey, String), u64>;
/// A state by its place in [`DeliveryState::ALL`].
type DeliveryStateKey = usize;

/// What is counted of some runs.
#[derive(Debug, Default)]
pub(super) struct Tallies(Mutex<Vec<Tally>>);

/// What is counted of one run.
#[derive(Debug)]
struct Tally {
    campaign: String,
    run: String,
    /// The counters that it belongs to.
    stamp: BTreeMap<String, u64>,
    begun: Instant,
    next_page: u64,
    counts: Counts,
    /// What was counted before the run changed.
    before: Option<Counts>,
}

impl Tally {
    fn new(view: &RunView, before: Option<Counts>) -> Self {
        Self {
            campaign: view.campaign.clone(),
            run: view.run.clone(),
            stamp: view.deliveries_by_state.clone(),
            begun: Instant::now(),
            next_page: view.first / PAGE,
            counts: Counts::new(),
            before,
        }
    }

    const fn is_whole(&self, view: &RunView) -> bool {
        self.next_page > view.end / PAGE
    }
}

impl Tallies {
    /// The reasons of a run by state, as far as they are counted.
    pub(super) async fn of(&self, store: &Store, view: &RunView) -> Result<Value, StoreError> {
        // One look at a time: two that ask for the same run at once share what the first one counts.
        let mut kept = self.0.lock().await;
        let place = kept.iter().position(|tally| tally.campaign == view.campaign && tally.run == view.run);
        let mut tally = place.map_or_else(|| Tally::new(view, None), |place| kept.remove(place));
        if tally.is_whole(view) && tally.stamp != view.deliveries_by_state && tally.begun.elapsed() > AGAIN {
            tally = Tally::new(view, Some(tally.counts));
        }
        for _ in 0..TRIPS {
            if tally.is_whole(view) {
                tally.before = None;
                break;
            }
            let upto = (tally.next_page + AT_ONCE - 1).min(view.end / PAGE);
            for cell in store.ledger_cells(&view.campaign, &view.run, tally.next_page..=upto).await? {
                add(&mut tally.counts, &cell);
            }
            tally.next_page = upto + 1;
        }
        let shown = shown(&tally, view);
        kept.insert(0, tally);
        kept.truncate(KEPT);
        Ok(shown)
    }
}

fn add(counts: &mut Counts, cell: &str) {
    let Ok(cell) = Cell::parse(cell) else { return };
    if cell.reason.is_empty() || matches!(cell.state, DeliveryState::Sending | DeliveryState::Queued) {
        return;
    }
    let Some(state) = DeliveryState::ALL.iter().position(|state| *state == cell.state) else { return };
    let known = counts.keys().filter(|(of, _)| *of == state).count();
    let key = (state, cell.reason);
    let key = if known >= REASONS && !counts.contains_key(&key) { (state, String::new()) } else { key };
    *counts.entry(key).or_default() += 1;
}

fn shown(tally: &Tally, view: &RunView) -> Value {
    let counts = tally.before.as_ref().unwrap_or(&tally.counts);
    let mut by_state = serde_json::Map::new();
    for (place, state) in DeliveryState::ALL.iter().enumerate() {
        let mut found: Vec<_> =
            counts.iter().filter(|((of, _), _)| *of == place).map(|((_, reason), n)| (reason, *n)).collect();
        found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        if !found.is_empty() {
            let each = found.into_iter().map(|(reason, n)| json!({ "reason": reason, "n": n }));
            by_state.insert(state.to_string(), each.collect());
        }
    }
    let recipients = (view.end + 1).saturating_sub(view.first);
    let counted = (tally.next_page * PAGE).saturating_sub(view.first).min(recipients);
    let is_whole = tally.is_whole(view) || tally.before.is_some();
    json!({ "by_state": by_state, "counted": counted, "of": recipients, "is_whole": is_whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_counted_by_state_and_reason() {
        let mut counts = Counts::new();
        for cell in ["f,1,5,http_400,", "f,1,5,http_400,", "k,0,5,case_closed,", "s,1,5,,id", "q,0,5,operator,1", "x"] {
            add(&mut counts, cell);
        }
        let found: Vec<_> =
            counts.iter().map(|((state, reason), n)| (DeliveryState::ALL[*state], reason.as_str(), *n)).collect();
        assert_eq!(found, [(DeliveryState::Failed, "http_400", 2), (DeliveryState::Skipped, "case_closed", 1)]);
    }

    #[test]
    fn a_provider_that_invents_reasons_fills_no_memory() {
        let mut counts = Counts::new();
        for n in 0..1_000 {
            add(&mut counts, &format!("f,1,5,code_{n},"));
        }
        assert_eq!(counts.len(), REASONS + 1);
        assert_eq!(counts.values().sum::<u64>(), 1_000);
    }
}
