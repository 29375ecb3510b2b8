//! Recording: outcomes into the ledger, events to the publisher, counts into the metrics.
//!
//! Ends of claims that stand as they were made land all at once; whatever else there is (retries, releases,
//! recipients that have moved on, claims of a dead owner) is judged one by one by a slower script.

use std::{collections::HashMap, time::Duration};

use crate::{
    domain::delivery::DeliveryState,
    store::{
        StoreError,
        outbox::Event,
        runs::{Record, Recorded},
    },
};

use super::work::Turn;

impl Turn {
    /// Writes records of our own claims, however long Redis is away: what happened at the provider must
    /// be written, and whoever holds a claim may write it late. A repeat is absorbed by the ledger.
    pub async fn write_surely(&self, records: Vec<Record>) {
        let (ends, open): (Vec<_>, Vec<_>) = records.into_iter().partition(Record::is_final);
        for mut records in [ends, open] {
            let mut back_off = Duration::from_millis(20);
            while let Err(error) = self.write(&mut records).await {
                tracing::warn!(slot = %self.slot, %error, recipients = records.len(), "outcomes wait for redis");
                tokio::time::sleep(back_off).await;
                back_off = (back_off * 2).min(Duration::from_secs(1));
            }
        }
    }

    async fn write(&self, records: &mut [Record]) -> Result<(), StoreError> {
        if records.iter().all(Record::is_final) {
            if records.is_empty() {
                return Ok(());
            }
            if let Some(recorded) = self.ctx.store.land(&self.slot, self.plan.closes_cases, records).await? {
                self.recorded(records, recorded);
                return Ok(());
            }
        }
        self.judge(records, false).await
    }

    /// Lets the ledger judge records one by one; `takeover` when they are about claims of a dead owner.
    pub async fn judge(&self, records: &mut [Record], takeover: bool) -> Result<(), StoreError> {
        let recorded = self.ctx.store.record(&self.slot, self.plan.closes_cases, takeover, records).await?;
        let late = recorded.stale.len().saturating_sub(recorded.overtaken);
        if late > 0 {
            tracing::warn!(slot = %self.slot, recipients = late, "outcomes came too late to count");
        }
        self.recorded(records, recorded);
        Ok(())
    }

    fn recorded(&self, records: &mut [Record], recorded: Recorded) {
        if recorded.stale.len() < records.len() {
            // Whoever gets something done is no poison, however often its daemon dies.
            self.lease.progressed();
        }
        let mut events = Vec::with_capacity(records.len());
        let mut counts: HashMap<DeliveryState, u64> = HashMap::new();
        for (i, record) in records.iter_mut().enumerate() {
            if !recorded.stale.contains(&i) {
                *counts.entry(record.state).or_default() += 1;
                events.extend(record.event.take());
            }
        }
        if let Some(reason) = &recorded.auto_paused {
            let (campaign, run) = (self.slot.campaign.as_str(), self.slot.run.as_str());
            tracing::error!(
                campaign,
                run,
                reason,
                "too many errors: the run has paused itself until somebody resumes it"
            );
        }
        if let Some(added) = &recorded.added {
            events.extend(Event::split(added));
        }
        if let Some(outbox_id) = recorded.outbox_id {
            self.ctx.publish(&self.slot.campaign, outbox_id, events);
        }
        let channel = &self.plan.channel.settings().name;
        for (state, count) in counts {
            self.ctx.metrics.delivered(channel, state, count);
        }
    }
}
