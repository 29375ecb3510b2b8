//! Orders with their deliveries, read in stretches: for commands, the look-up and exports.
//!
//! A stretch is one round trip, whatever it holds: the states of the runs, then their ledger pages, then the orders,
//! then the clock. That order makes each record consistent in itself: a run that reads as cancelled was so when its
//! cells were read, and an order is never older than what its delivery says of it. Memory is one stretch. Numbers
//! never change, so paging by number stays right while a campaign runs.

mod record;

use std::{collections::BTreeMap, sync::Arc};

use redis::{Value, from_redis_value_ref};

use crate::domain::{clock::EpochMs, lookup::Filter, order::Order, run::RunState, standing::Standing};

use super::{Store, StoreError, keys::LEDGER_PAGE};

pub use record::{Delivery, Record, RunFacts, Shared};

/// Numbers read by one round trip: four pages of the ledger.
pub const STRETCH: u64 = 4 * LEDGER_PAGE;

/// A page of which more fields are wanted is read whole.
const WHOLE_PAGE: usize = 48;

/// Which deliveries are joined to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// Those of every run that covers it.
    All,
    /// That of the newest run that covers it.
    Newest,
    /// That of this run.
    Named(String),
}

/// Reads the orders of one campaign.
#[derive(Debug, Clone)]
pub struct Reader {
    store: Store,
    /// What its orders share.
    pub shared: Arc<Shared>,
    /// Newest first.
    runs: Vec<Arc<RunFacts>>,
    only_newest: bool,
    /// The highest number there was when the reader was opened; 0 of none.
    pub last: u64,
}

/// Some records, as they stood at one instant.
#[derive(Debug)]
pub struct Stretch {
    /// Redis' clock.
    pub now: EpochMs,
    /// The orders that are there, in the order asked for.
    pub records: Vec<Record>,
}

/// A page of records that passed a filter.
#[derive(Debug)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where the next page begins (`after`); none at the end.
    pub next: Option<u64>,
}

impl Store {
    /// A reader of a campaign's orders; none without such a campaign, or without the run that is named.
    pub async fn reader(&self, campaign: &str, runs: &Runs) -> Result<Option<Reader>, StoreError> {
        let fields = ["state", "next", "currency", "payment_point", "link_base"];
        let mut found = self.campaign_fields(campaign, &fields).await?.into_iter();
        let mut next = || found.next().flatten();
        if next().is_none() {
            return Ok(None);
        }
        let last = next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(1).saturating_sub(1);
        let shared = Shared::new(campaign, next(), next(), next());
        let names = match runs {
            Runs::Named(run) => vec![run.clone()],
            Runs::All | Runs::Newest => self.run_names(campaign).await?,
        };
        let facts = self.run_facts(campaign, &names).await?;
        if facts.is_empty() && matches!(runs, Runs::Named(_)) {
            return Ok(None);
        }
        let only_newest = *runs == Runs::Newest;
        Ok(Some(Reader { store: self.clone(), shared: Arc::new(shared), runs: facts, only_newest, last }))
    }

    async fn run_facts(&self, campaign: &str, names: &[String]) -> Result<Vec<Arc<RunFacts>>, StoreError> {
        let mut pipeline = redis::pipe();
        for name in names {
            pipeline.cmd("HMGET").arg(self.keys.run(campaign, name)).arg(&RunFacts::FIELDS);
        }
        let found: Vec<Vec<Option<String>>> = self.connection.pipeline(&pipeline).await?;
        Ok(names.iter().zip(found).filter_map(|(name, fields)| RunFacts::of(name, fields).map(Arc::new)).collect())
    }
}

/// A run as it stood when a stretch was read, with its cells.
#[derive(Debug)]
struct Seen<'a> {
    run: &'a Arc<RunFacts>,
    state: Option<RunState>,
    ended_at: Option<EpochMs>,
    cells: BTreeMap<u64, String>,
}

impl Reader {
    /// The records of these numbers, which ascend. Whoever asks for many asks in stretches.
    pub async fn read(&self, numbers: &[u64]) -> Result<Stretch, StoreError> {
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
            return Ok(Stretch { now: EpochMs(self.store.now_ms().await?), records: Vec::new() });
        };
        let runs = self.covering(*first, *last);
        let campaign = self.shared.campaign.as_str();
        let keys = &self.store.keys;
        let mut pipeline = redis::pipe();
        for run in &runs {
            pipeline.cmd("HMGET").arg(keys.run(campaign, &run.name)).arg("state").arg("finished_at");
        }
        let pages = pages(numbers);
        for run in &runs {
            for (page, fields) in &pages {
                let key = keys.ledger(campaign, &run.name, page * LEDGER_PAGE);
                if fields.len() > WHOLE_PAGE {
                    pipeline.cmd("HGETALL").arg(key);
                } else {
                    pipeline.cmd("HMGET").arg(key).arg(fields);
                }
            }
        }
        let orders: Vec<String> = numbers.iter().map(|number| keys.order(campaign, *number)).collect();
        pipeline.cmd("MGET").arg(orders);
        pipeline.cmd("TIME");
        let answers: Vec<Value> = self.store.connection.pipeline(&pipeline).await?;
        let mut answers = answers.iter();
        let mut seen: Vec<Seen<'_>> = Vec::with_capacity(runs.len());
        for run in runs {
            let (state, ended_at): (Option<String>, Option<i64>) = take(&mut answers)?;
            let state = state.as_deref().and_then(RunState::parse);
            seen.push(Seen { run, state, ended_at: ended_at.map(EpochMs), cells: BTreeMap::new() });
        }
        for run in &mut seen {
            for (page, fields) in &pages {
                let first = page * LEDGER_PAGE;
                if fields.len() > WHOLE_PAGE {
                    let cells: Vec<(u64, String)> = take(&mut answers)?;
                    run.cells.extend(cells.into_iter().map(|(field, cell)| (first + field, cell)));
                } else {
                    let cells: Vec<Option<String>> = take(&mut answers)?;
                    let found = fields.iter().zip(cells);
                    run.cells.extend(found.filter_map(|(field, cell)| Some((first + field, cell?))));
                }
            }
        }
        let orders: Vec<Option<String>> = take(&mut answers)?;
        let (seconds, micros): (i64, i64) = take(&mut answers)?;
        let now = EpochMs(seconds * 1000 + micros / 1000);
        let found = orders.into_iter().flatten();
        // What does not read as an order is passed over, as everywhere.
        let read = found.filter_map(|text| Order::from_json(&text).ok().map(|order| (text, order)));
        let records = read.map(|(text, order)| {
            let deliveries = self.deliveries(&seen, order.number);
            Record { state: order.state_at(now), text, order, deliveries }
        });
        Ok(Stretch { now, records: records.collect() })
    }

    /// The runs that cover a part of these numbers.
    fn covering(&self, first: u64, last: u64) -> Vec<&Arc<RunFacts>> {
        let mut found = Vec::new();
        for run in &self.runs {
            if run.first > last || run.last < first {
                continue;
            }
            found.push(run);
            // An older run shows only where no newer one covers the order.
            if self.only_newest && run.first <= first && run.last >= last {
                break;
            }
        }
        found
    }

    /// Oldest first, as they came about.
    fn deliveries(&self, seen: &[Seen<'_>], number: u64) -> Vec<Delivery> {
        let covering = seen.iter().filter(|seen| (seen.run.first..=seen.run.last).contains(&number));
        let most = if self.only_newest { 1 } else { usize::MAX };
        let each = covering.take(most).map(|seen| Delivery {
            run: Arc::clone(seen.run),
            standing: Standing::of(seen.cells.get(&number).map(String::as_str), seen.state, seen.ended_at),
        });
        let mut deliveries: Vec<Delivery> = each.collect();
        deliveries.reverse();
        deliveries
    }

    /// The numbers of the stretch that begins after `after`; none at the end.
    pub fn stretch_after(&self, after: u64) -> Option<Vec<u64>> {
        let first = after.saturating_add(1);
        // Stretches end with a page of the ledger.
        let end = (first / STRETCH + 1) * STRETCH - 1;
        (first <= self.last).then(|| (first..=end.min(self.last)).collect())
    }

    /// Up to `limit` records that pass, numbered above `after`; at most `most` orders are looked at.
    pub async fn page(&self, filter: &Filter, after: u64, limit: usize, most: u64) -> Result<Page, StoreError> {
        let mut page = Page { records: Vec::new(), next: None };
        let (mut after, mut looked_at) = (after, 0);
        while let Some(mut numbers) = self.stretch_after(after) {
            if page.records.len() >= limit || looked_at >= most {
                page.next = Some(after);
                break;
            }
            if filter.is_open() {
                numbers.truncate(limit - page.records.len());
            }
            looked_at += numbers.len() as u64;
            let stretch = self.read(&numbers).await?;
            after = numbers.last().copied().unwrap_or(self.last);
            for record in stretch.records.into_iter().filter(|record| record.passes(filter)) {
                if page.records.len() == limit {
                    after = page.records.last().map_or(after, |last: &Record| last.order.number);
                    break;
                }
                page.records.push(record);
            }
        }
        Ok(page)
    }
}

/// Ascending numbers by page, as fields of it.
fn pages(numbers: &[u64]) -> Vec<(u64, Vec<u64>)> {
    let mut pages: Vec<(u64, Vec<u64>)> = Vec::new();
    for number in numbers {
        let (page, field) = (number / LEDGER_PAGE, number % LEDGER_PAGE);
        match pages.last_mut() {
            Some((last, fields)) if *last == page => fields.push(field),
            _ => pages.push((page, vec![field])),
        }
    }
    pages
}

fn take<'a, T: redis::FromRedisValue>(answers: &mut impl Iterator<Item = &'a Value>) -> Result<T, StoreError> {
    let answer = answers.next().ok_or_else(|| StoreError::Refused("a pipeline answered too little".into()))?;
    from_redis_value_ref(answer).map_err(|error| StoreError::Refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fall_into_the_pages_of_the_ledger() {
        assert_eq!(pages(&[1, 127, 128, 300]), [(0, vec![1, 127]), (1, vec![0]), (2, vec![44])]);
        assert!(pages(&[]).is_empty());
    }
}
