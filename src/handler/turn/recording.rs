//! Recording: outcomes into the ledger, events to the publisher, counts into the metrics.
//!
//! Outcomes stand in the journal before they are handed to Redis. Ends of claims that stand as they were made land all at
//! once; whatever else there is (retries, releases, recipients that have moved on, claims of a dead owner) is judged one
//! by one by a slower script. Where the whole run is lost, they are left for its job, which makes it again.

use std::{collections::HashMap, time::Duration};

use crate::{
    domain::delivery::DeliveryState,
    store::{
        Store, StoreError,
        audit::{AuditEntry, Thing},
        outbox::Event,
        reassert::{Origin, Reasserted, Reassertion},
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
            if records.is_empty() {
                continue;
            }
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
            let store = self.ctx.barrier.to_record(&self.ctx.store).await;
            if let Some(recorded) = store.land(&self.slot, self.plan.closes_cases, records).await? {
                self.recorded(records, recorded).await;
                return Ok(());
            }
        }
        self.judge(records, false).await
    }

    /// Lets the ledger judge records one by one; `takeover` when they are about claims of a dead owner.
    pub async fn judge(&self, records: &mut [Record], takeover: bool) -> Result<(), StoreError> {
        let store = self.ctx.barrier.to_record(&self.ctx.store).await;
        let Some(recorded) = store.record(&self.slot, self.plan.closes_cases, takeover, records).await? else {
            return self.leave_early(&store, records).await;
        };
        let late = recorded.stale.len().saturating_sub(recorded.overtaken);
        if late > 0 {
            tracing::warn!(slot = %self.slot, recipients = late, "outcomes came too late to count");
        }
        self.recorded(records, recorded).await;
        Ok(())
    }

    /// There is no such run: its server is gone, and lost it. The outcomes wait for the job that makes it again.
    async fn leave_early(&self, store: &Store, records: &[Record]) -> Result<(), StoreError> {
        tracing::warn!(slot = %self.slot, recipients = records.len(), "outcomes of a run that is not there");
        let remembered = records.iter().map(Record::remembered).collect();
        let left = Reassertion { origin: Origin::clone(&self.origin), held: false, remembered };
        for Reasserted { outbox_id, events, .. } in
            store.reassert(&self.ctx.incarnation, self.ctx.config.leases.lease, &[left]).await?
        {
            match outbox_id {
                Some(outbox_id) => self.ctx.publish(&self.slot.campaign, outbox_id, events),
                None => store.publish(&events).await?,
            }
        }
        Ok(())
    }

    async fn recorded(&self, records: &mut [Record], recorded: Recorded) {
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
            let of = Thing { campaign: campaign.to_owned(), run: run.to_owned(), ..Thing::default() };
            self.ctx.store.audit_own(&AuditEntry::by_daemon("auto_pause", of, reason)).await;
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
