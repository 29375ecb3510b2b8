//! The reconciler: every ten seconds, what a crash left half done is done.
//!
//! For each run in progress: slots without a live lease and without an entry in the queue are armed
//! again; a retry without an alarm gets one, and (every five minutes) so does a permanent message; outbox entries that a dead daemon left are published;
//! what is over leaves the list. Bounded: so many members a round, in turns, and each channel's queue
//! is read once, whose length is the number of slots. A member that cannot be repaired holds up no other.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    metrics::{Metrics, labels::Recovered},
    store::{Store, StoreError, active::Watched, runs::SlotRef},
};

use super::QueueId;

/// How often.
const INTERVAL: Duration = Duration::from_secs(10);

/// Members looked at in one round, those not looked at for longest first.
const RUNS: usize = 1000;

/// Rounds between two looks at the alarms of permanent messages: they are many, and lost only with a Redis that fails.
const ALARMS_EVERY: u32 = 30;

/// An outbox entry older than this was left behind: publishing takes milliseconds.
const LEFT_BEHIND_MS: i64 = 5_000;

/// Repairs runs.
#[derive(Debug)]
pub struct Reconciler {
    /// The store.
    pub store: Store,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl Reconciler {
    /// Works until `drain`. The first round is at once: a restart repairs what its crash left.
    pub async fn run(self, drain: CancellationToken) {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut round = 0_u32;
        loop {
            tokio::select! {
                () = drain.cancelled() => return,
                _ = tick.tick() => {}
            }
            if let Err(error) = self.reconcile().await {
                tracing::warn!(%error, "reconciling failed");
            }
            if round.is_multiple_of(ALARMS_EVERY) {
                match self.store.rearm_definitions().await {
                    Ok(0) => {}
                    Ok(armed) => {
                        tracing::warn!(armed, "alarms of permanent messages were lost, and are set again");
                        self.metrics.recovered(Recovered::Alarm, armed);
                    }
                    Err(error) => tracing::warn!(%error, "alarms of permanent messages were not looked at"),
                }
            }
            round = round.wrapping_add(1);
        }
    }

    /// One round.
    pub async fn reconcile(&self) -> Result<(), StoreError> {
        let mut waiting: HashMap<String, HashSet<SlotRef>> = HashMap::new();
        for member in self.store.watched(RUNS).await? {
            let done = match self.look_after(&member, &mut waiting).await {
                Ok(done) => done,
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    let Watched { campaign, run, .. } = &member;
                    tracing::warn!(campaign, run, %error, "could not be repaired");
                    false
                }
            };
            self.store.looked_after(&member, done).await?;
        }
        Ok(())
    }

    /// Repairs what a member of the list stands for. Returns whether nothing is left of it.
    async fn look_after(
        &self,
        member: &Watched,
        waiting: &mut HashMap<String, HashSet<SlotRef>>,
    ) -> Result<bool, StoreError> {
        self.publish_leftovers(&member.campaign).await?;
        if member.run.is_empty() {
            return Ok(self.store.outbox_len(&member.campaign).await? == 0);
        }
        self.repair(&member.campaign, &member.run, waiting).await
    }

    async fn publish_leftovers(&self, campaign: &str) -> Result<(), StoreError> {
        loop {
            let before = self.store.now_ms().await? - LEFT_BEHIND_MS;
            let entries = self.store.outbox(campaign, before, 500).await?;
            if entries.is_empty() {
                return Ok(());
            }
            for (_, events) in &entries {
                self.store.publish(events).await?;
            }
            let ids: Vec<String> = entries.into_iter().map(|(id, _)| id).collect();
            self.store.clear_outbox(campaign, &ids).await?;
            self.metrics.recovered(Recovered::Events, ids.len());
        }
    }

    /// Repairs one run. Returns whether it needs no looking after any more.
    async fn repair(
        &self,
        campaign: &str,
        run: &str,
        waiting: &mut HashMap<String, HashSet<SlotRef>>,
    ) -> Result<bool, StoreError> {
        let hash = self.store.run(campaign, run).await?;
        let text = |field: &str| hash.get(field).map_or("", String::as_str);
        let number = |field: &str| text(field).parse::<i64>().unwrap_or(0);
        // A run that is not there was announced and never made: its job announces it again when it makes it.
        let stopped =
            text("state") != "running" || ["paused_by", "auto_paused"].iter().any(|flag| hash.contains_key(*flag));
        if stopped && number("sending") == 0 {
            let over = text("state") != "running";
            return Ok(over && self.store.outbox_len(campaign).await? == 0);
        }
        let now = self.store.now_ms().await?;
        let held_until = Some(number("held_until")).filter(|at| !stopped && *at > now && number("sending") == 0);
        if let Some(at) = held_until {
            // Closed contact hours: its slots are idle, and only the alarm clock wakes them.
            self.store.arm(&format!("run|{campaign}|{run}"), at).await?;
            return Ok(false);
        }
        let next_retry = self.store.next_retry(campaign, run).await?;
        let retry_due = next_retry.is_some_and(|at| at <= now);
        if let Some(at) = next_retry.filter(|at| !stopped && *at > now && *at < now + 86_400_000) {
            self.store.arm(&format!("run|{campaign}|{run}"), at).await?;
        }
        if number("queued") == 0 && number("sending") == 0 && !retry_due {
            return Ok(false);
        }
        let channel = text("channel");
        if !waiting.contains_key(channel) {
            let found = self.slots_waiting(channel).await?;
            waiting.insert(channel.to_owned(), found);
        }
        let there = waiting.get(channel);
        let tokens = self.store.hash(&self.store.keys.slots(campaign, run)).await?;
        let missing: Vec<u32> = (0..u32::try_from(number("slots")).unwrap_or(0))
            .filter(|k| {
                let token = tokens.get(&format!("{k}:token")).and_then(|t| t.parse().ok());
                token.is_none_or(|token| {
                    let slot = SlotRef { campaign: campaign.to_owned(), run: run.to_owned(), slot: *k, token };
                    !there.is_some_and(|slots| slots.contains(&slot))
                })
            })
            .collect();
        if !missing.is_empty() {
            let (channel, slots) = self.store.arm_slots(campaign, run, Some(&missing)).await?;
            if !slots.is_empty() {
                tracing::info!(campaign, run, slots = slots.len(), "slots armed again");
                self.metrics.recovered(Recovered::Slot, slots.len());
            }
            let texts: Vec<String> = slots.iter().map(ToString::to_string).collect();
            self.store.add_entries(&QueueId::Batch(channel).name(), "slot", &texts).await?;
        }
        Ok(false)
    }

    async fn slots_waiting(&self, channel: &str) -> Result<HashSet<SlotRef>, StoreError> {
        let queue = QueueId::Batch(channel.to_owned()).name();
        let mut found = HashSet::new();
        let mut from = "-".to_owned();
        loop {
            let (slots, next) = self.store.slot_entries(&queue, &from).await?;
            found.extend(slots.iter().filter_map(|text| SlotRef::parse(text)));
            match next {
                Some(next) => from = next,
                None => return Ok(found),
            }
        }
    }
}
