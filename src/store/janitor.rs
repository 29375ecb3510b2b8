//! The janitor: keeps the streams within their bytes and campaigns within their retention.
//!
//! Everything goes in small steps: a stream is trimmed by count, a campaign by number, never a big key
//! in one go on Redis' own thread (`UNLINK`, not `DEL`). Any number of daemons may run one.

use std::time::Duration;

use redis::cmd;
use tokio_util::sync::CancellationToken;

use super::{
    Store, StoreError,
    keys::{INDEX_SHARDS, LEDGER_PAGE},
};
use crate::domain::{order::Order, short_code::ShortCode};

/// How often streams are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// Looks at the streams between two looks at the campaigns.
const CAMPAIGNS_EVERY: u32 = 60;

/// Campaigns removed by one look; of campaigns and runs, how many are read at a time.
const CAMPAIGNS: usize = 100;

/// Runs of permanent messages removed by one look.
const TICKS: u64 = 1000;

/// Keys removed by one command.
const STEP: u64 = 500;

/// What is kept.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of the results stream.
    pub results_max_bytes: u64,
    /// Bytes of the rejected jobs.
    pub rejected_max_bytes: u64,
    /// Bytes of the dead jobs.
    pub dead_max_bytes: u64,
    /// Bytes of the audit.
    pub audit_max_bytes: u64,
    /// Campaigns are kept so long after their creation.
    pub campaigns: Duration,
    /// Runs of permanent messages are kept so long after they were made.
    pub recurring_runs: Duration,
    /// Notes of what was forgotten are kept so long.
    pub forgotten: Duration,
}

/// Cleans up until `stop`.
pub async fn run(store: Store, limits: Limits, stop: CancellationToken) {
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut round = 0_u32;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let cleaned = async {
            store.trim_streams(&limits).await?;
            if round.is_multiple_of(CAMPAIGNS_EVERY) {
                store.remove_old_campaigns(limits.campaigns, &stop).await?;
                store.remove_old_ticks(limits.recurring_runs, &stop).await?;
                store.trim_forgotten(limits.forgotten).await?;
            }
            Ok::<(), StoreError>(())
        };
        if let Err(error) = cleaned.await {
            tracing::debug!(%error, "cleaning up waits for redis");
        }
        round = round.wrapping_add(1);
    }
}

impl Store {
    /// Trims the streams to what was acknowledged and to their bytes.
    pub async fn trim_streams(&self, limits: &Limits) -> Result<(), StoreError> {
        let results = self.keys.results();
        self.trim_acknowledged(&results).await?;
        let lost = self.trim_to_bytes(&results, limits.results_max_bytes).await?;
        if lost > 0 {
            tracing::warn!(entries = lost, "results over their bytes: the oldest went, read or not");
        }
        self.trim_to_bytes(&self.keys.rejected(), limits.rejected_max_bytes).await?;
        self.trim_to_bytes(&self.keys.dead(), limits.dead_max_bytes).await?;
        self.trim_to_bytes(&self.keys.audit(), limits.audit_max_bytes).await?;
        Ok(())
    }

    /// Removes campaigns older than `keep` that have come to rest, the oldest first, so many at a look. It goes on behind
    /// those that are under way, however many they are.
    pub async fn remove_old_campaigns(&self, keep: Duration, stop: &CancellationToken) -> Result<u64, StoreError> {
        let before = self.now_ms().await? - i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let (mut removed, mut kept) = (0, 0_usize);
        loop {
            // Those that were removed are not in the range any more.
            let mut range = cmd("ZRANGEBYSCORE");
            range.arg(self.keys.campaigns()).arg("-inf").arg(before).arg("LIMIT").arg(kept).arg(CAMPAIGNS);
            let old: Vec<String> = self.connection.query(&range).await?;
            let is_last = old.len() < CAMPAIGNS;
            for campaign in old {
                if stop.is_cancelled() || removed == CAMPAIGNS as u64 {
                    return Ok(removed);
                }
                let state = self.campaign_fields(&campaign, &["state"]).await?.into_iter().next().flatten();
                let is_under_way = matches!(state.as_deref(), Some("running" | "paused" | "scheduled"));
                // Permanent messages do not move their campaign's state, and go on until they are stopped.
                if is_under_way || self.has_lasting_definitions(&campaign).await? {
                    kept += 1;
                    continue;
                }
                self.remove_campaign(&campaign).await?;
                tracing::info!(campaign, "campaign removed after its retention");
                removed += 1;
            }
            if is_last {
                return Ok(removed);
            }
        }
    }

    /// Removes a campaign: links and orders, cases, index, runs with their ledgers, then itself.
    pub async fn remove_campaign(&self, campaign: &str) -> Result<(), StoreError> {
        let next = self.campaign_fields(campaign, &["next"]).await?.into_iter().next().flatten();
        let end: u64 = next.and_then(|n| n.parse().ok()).unwrap_or(1);
        let mut from = 1;
        while from < end {
            let upto = end.min(from + STEP);
            let texts = self.orders(campaign, from..upto).await?;
            let mut pipeline = redis::pipe();
            for (first, rest) in &self.links_held(campaign, &texts).await? {
                pipeline.cmd("HDEL").arg(self.keys.links(first)).arg(rest).ignore();
            }
            let keys: Vec<String> = (from..upto).map(|n| self.keys.order(campaign, n)).collect();
            pipeline.cmd("UNLINK").arg(keys).ignore();
            self.connection.pipeline::<()>(&pipeline).await?;
            from = upto;
        }
        self.drop_cases(campaign, STEP).await?;
        self.drop_circles(campaign).await?;
        let shards: Vec<String> = (0..INDEX_SHARDS).map(|shard| self.keys.index_at(campaign, shard)).collect();
        self.unlink(&shards).await?;
        for run in self.run_names(campaign).await? {
            // Cases are numbered apart from orders.
            let last = self.run_field(campaign, &run, "end").await?.and_then(|end| end.parse::<u64>().ok());
            let definition = self.run_field(campaign, &run, "definition").await?.unwrap_or_default();
            self.unlink(&[self.keys.unknown(campaign, &definition)]).await?;
            self.remove_run(campaign, &run, last.unwrap_or(end).max(end)).await?;
        }
        let names: Vec<String> =
            self.connection.query(cmd("ZRANGE").arg(self.keys.definitions(campaign)).arg(0).arg(-1)).await?;
        let definitions: Vec<String> = names.iter().map(|name| self.keys.recurring(campaign, name)).collect();
        self.unlink(&definitions).await?;
        self.unlink(&[
            self.keys.runs(campaign),
            self.keys.definitions(campaign),
            self.keys.errors(campaign),
            self.keys.creating(campaign),
            self.keys.asked(campaign),
            self.keys.doubt(campaign),
            self.keys.promised(campaign),
            self.keys.outbox(campaign),
            self.keys.campaign(campaign),
        ])
        .await?;
        self.connection.query(cmd("ZREM").arg(self.keys.campaigns()).arg(campaign)).await
    }

    /// A run with its ledger, which has no recipient above `end`.
    async fn remove_run(&self, campaign: &str, run: &str, end: u64) -> Result<(), StoreError> {
        let pages = (0..=end / LEDGER_PAGE).map(|page| self.keys.ledger(campaign, run, page * LEDGER_PAGE));
        let others = [self.keys.retry(campaign, run), self.keys.slots(campaign, run), self.keys.run(campaign, run)];
        let keys: Vec<String> = pages.chain(others).collect();
        self.unlink(&keys).await
    }

    /// Removes runs of permanent messages that were made more than `keep` ago and have ended, so many at a look: a
    /// campaign whose messages go on for ever must not grow for ever. Its totals count them still.
    pub async fn remove_old_ticks(&self, keep: Duration, stop: &CancellationToken) -> Result<u64, StoreError> {
        let before = self.now_ms().await? - i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let (mut removed, mut offset) = (0, 0);
        loop {
            let names = self.campaign_names(offset, CAMPAIGNS).await?;
            offset += names.len();
            if names.is_empty() {
                return Ok(removed);
            }
            for campaign in self.with_definitions(&names).await? {
                removed += self.remove_ticks_of(&campaign, before, TICKS - removed, stop).await?;
                if stop.is_cancelled() || removed == TICKS {
                    return Ok(removed);
                }
            }
        }
    }

    /// The same of one campaign, `most` at most: the oldest first, behind those that are no ticks or still under way.
    async fn remove_ticks_of(
        &self,
        campaign: &str,
        before: i64,
        most: u64,
        stop: &CancellationToken,
    ) -> Result<u64, StoreError> {
        let (mut removed, mut kept) = (0, 0_usize);
        loop {
            let mut range = cmd("ZRANGEBYSCORE");
            range.arg(self.keys.runs(campaign)).arg("-inf").arg(before).arg("LIMIT").arg(kept).arg(CAMPAIGNS);
            let old: Vec<String> = self.connection.query(&range).await?;
            let is_last = old.len() < CAMPAIGNS;
            for run in old {
                if stop.is_cancelled() || removed == most {
                    return Ok(removed);
                }
                let mut look = cmd("HMGET");
                look.arg(self.keys.run(campaign, &run)).arg(&["state", "recurring", "end"]);
                let found: Vec<Option<String>> = self.connection.query(&look).await?;
                let [Some(state), Some(_), Some(end)] = found.as_slice() else {
                    kept += 1;
                    continue;
                };
                if state == "running" {
                    kept += 1;
                    continue;
                }
                self.remove_run(campaign, &run, end.parse().unwrap_or(0)).await?;
                let mut forget = cmd("ZREM");
                forget.arg(self.keys.runs(campaign)).arg(&run);
                self.connection.query::<()>(&forget).await?;
                removed += 1;
            }
            if is_last {
                return Ok(removed);
            }
        }
    }

    /// The links of these orders that lead to this campaign. Two platforms may have given the same short code, which
    /// then leads to whoever had it first.
    async fn links_held(&self, campaign: &str, texts: &[Option<String>]) -> Result<Vec<(String, String)>, StoreError> {
        let orders: Vec<Order> = texts.iter().flatten().filter_map(|text| Order::from_json(text).ok()).collect();
        let links = orders.iter().flat_map(Order::codes).map(ShortCode::split);
        let mut links: Vec<(String, String)> = links.map(|(first, rest)| (first.to_owned(), rest.to_owned())).collect();
        if links.is_empty() {
            return Ok(links);
        }
        let mut pipeline = redis::pipe();
        for (first, rest) in &links {
            pipeline.cmd("HGET").arg(self.keys.links(first)).arg(rest);
        }
        let targets: Vec<Option<String>> = self.connection.pipeline(&pipeline).await?;
        let mut targets = targets.into_iter();
        links.retain(|_| {
            let target = targets.next().flatten();
            target.as_deref().and_then(|target| target.rsplit_once('/')).is_some_and(|(holder, _)| holder == campaign)
        });
        Ok(links)
    }

    async fn unlink(&self, keys: &[String]) -> Result<(), StoreError> {
        for chunk in keys.chunks(usize::try_from(STEP).unwrap_or(500)) {
            self.connection.query::<()>(cmd("UNLINK").arg(chunk)).await?;
        }
        Ok(())
    }
}
