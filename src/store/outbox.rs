//! Events on their way to the `results` stream.
//!
//! An event is written to its campaign's outbox in the script that makes it true, and copied from
//! there to `results`, which lives in another slot: at least once, recognised by its `event` id.

use std::borrow::Cow;

use redis::{cmd, streams::StreamRangeReply};

use super::{Store, StoreError, scripts};

/// Events that one script publishes.
const PUBLISHED_AT_ONCE: usize = 500;

/// One event as the stream carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id: the same event published twice has the same.
    pub id: String,
    /// `delivery`, `order`, `run`, `campaign`, `job`.
    pub kind: Cow<'static, str>,
    /// The whole event as JSON.
    pub json: String,
}

impl Event {
    /// Splits a JSON array of events, as the scripts and turns write them.
    pub fn split(array: &str) -> Vec<Self> {
        let Ok(values) = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(array) else {
            return Vec::new();
        };
        values.into_iter().filter_map(|raw| Self::of(raw.get())).collect()
    }

    /// Reads the id and kind out of an event's JSON.
    pub fn of(json: &str) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Head {
            event: String,
            #[serde(rename = "type")]
            kind: String,
        }
        let head: Head = serde_json::from_str(json).ok()?;
        Some(Self { id: head.event, kind: head.kind.into(), json: json.to_owned() })
    }
}

impl Store {
    /// Copies events to the results stream.
    pub async fn publish(&self, events: &[Event]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let key = self.keys.results();
        let mut pipeline = redis::pipe();
        for event in events {
            pipeline
                .cmd("XADD")
                .arg(&key)
                .arg("*")
                .arg("event")
                .arg(&event.id)
                .arg("type")
                .arg(&*event.kind)
                .arg("data")
                .arg(&event.json)
                .ignore();
        }
        match self.connection.pipeline(&pipeline).await {
            Err(StoreError::OutOfMemory(_)) => self.publish_over_memory(&key, events).await,
            published => published,
        }
    }

    /// A full Redis may have taken some of them: an event twice is one event, by its id.
    async fn publish_over_memory(&self, key: &str, events: &[Event]) -> Result<(), StoreError> {
        for chunk in events.chunks(PUBLISHED_AT_ONCE) {
            let mut call = scripts::ADD_EVENTS.call(&[key]);
            for event in chunk {
                call.push(&event.id);
                call.push(&*event.kind);
                call.push(&event.json);
            }
            call.run::<u64>(&self.connection).await?;
        }
        Ok(())
    }

    /// Deletes published entries of an outbox.
    pub async fn clear_outbox(&self, campaign: &str, ids: &[String]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.connection.query(cmd("XDEL").arg(self.keys.outbox(campaign)).arg(ids)).await
    }

    /// Entries of an outbox written before `before_ms`, at most `count`: id, run, events.
    pub async fn outbox(
        &self,
        campaign: &str,
        before_ms: i64,
        count: usize,
    ) -> Result<Vec<(String, Vec<Event>)>, StoreError> {
        let mut range = cmd("XRANGE");
        range.arg(self.keys.outbox(campaign)).arg("-").arg(before_ms).arg("COUNT").arg(count);
        let reply: StreamRangeReply = self.connection.query(&range).await?;
        Ok(reply
            .ids
            .into_iter()
            .map(|entry| {
                let events: String = entry.get("events").unwrap_or_default();
                (entry.id, Event::split(&events))
            })
            .collect())
    }

    /// Notes that a campaign is about to have events, so that the reconciler finds them if we die.
    pub(super) async fn announce(&self, campaign: &str) -> Result<(), StoreError> {
        let now_ms = self.now_ms().await?;
        self.touch_active(campaign, "", now_ms).await
    }

    /// Publishes what a script has just written; where that fails the reconciler does it.
    pub(super) async fn publish_soon(&self, campaign: &str, id: &str) {
        if id.is_empty() {
            return;
        }
        if let Err(error) = self.publish_entry(campaign, id).await {
            tracing::warn!(campaign, %error, "events wait in their outbox");
        }
    }

    async fn publish_entry(&self, campaign: &str, id: &str) -> Result<(), StoreError> {
        let mut range = cmd("XRANGE");
        range.arg(self.keys.outbox(campaign)).arg(id).arg(id);
        let reply: StreamRangeReply = self.connection.query(&range).await?;
        for entry in &reply.ids {
            let events: String = entry.get("events").unwrap_or_default();
            self.publish(&Event::split(&events)).await?;
        }
        self.clear_outbox(campaign, &[id.to_owned()]).await
    }

    /// How many entries of an outbox wait.
    pub async fn outbox_len(&self, campaign: &str) -> Result<u64, StoreError> {
        self.connection.query(cmd("XLEN").arg(self.keys.outbox(campaign))).await
    }
}
