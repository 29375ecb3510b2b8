//! Recording: outcomes into the ledger, events to the publisher, counts into the metrics.

use std::{collections::HashMap, time::Duration};

use crate::{
    domain::delivery::DeliveryState,
    store::{StoreError, outbox::Event, runs::Record},
};

use super::work::Turn;

impl Turn {
    /// Writes records once.
    pub async fn write(&self, records: &[(Record, DeliveryState)], takeover: bool) -> Result<(), StoreError> {
        let plain: Vec<Record> = records.iter().map(|(record, _)| record.clone()).collect();
        let recorded = self.ctx.store.record(&self.slot, self.fence, takeover, &plain).await?;
        if !recorded.stale.is_empty() {
            tracing::warn!(slot = %self.slot, recipients = recorded.stale.len(), "outcomes came too late to count");
        }
        let mut events = Vec::with_capacity(records.len());
        let mut counts: HashMap<DeliveryState, u64> = HashMap::new();
        for (i, (record, state)) in records.iter().enumerate() {
            if !recorded.stale.contains(&i) {
                *counts.entry(*state).or_default() += 1;
                events.extend(record.event.as_deref().and_then(Event::of));
            }
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
        Ok(())
    }

    /// Writes records, however long Redis is away: what happened at the provider must be written,
    /// and whoever holds a claim may write it late. A repeat is absorbed by the ledger.
    pub async fn write_surely(&self, records: &[(Record, DeliveryState)]) {
        let mut back_off = Duration::from_millis(20);
        while let Err(error) = self.write(records, false).await {
            tracing::warn!(slot = %self.slot, %error, recipients = records.len(), "outcomes wait for redis");
            tokio::time::sleep(back_off).await;
            back_off = (back_off * 2).min(Duration::from_secs(1));
        }
    }
}
