//! Messages that wait for their time: each holds its name in its campaign, with its words.
//!
//! A name is taken in one step, so that two jobs cannot both have it; a cancelled message keeps it.

use redis::cmd;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::domain::{clock::EpochMs, content::Content};

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promised {
    /// The job that sends it.
    pub job: String,
    /// When.
    pub at: EpochMs,
    /// What it says.
    pub content: Content,
    /// Nobody wants it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

impl Store {
    /// The message of that name that waits in a campaign, or waited there.
    pub async fn promised_message(&self, campaign: &str, message: &str) -> Result<Option<Promised>, StoreError> {
        let key = self.keys.promised(campaign);
        let found: Option<String> = self.connection.query(cmd("HGET").arg(key).arg(message)).await?;
        found.map(|text| read(&text)).transpose()
    }

    /// Takes a message's name. Returns who holds it.
    pub async fn promise_message(
        &self,
        campaign: &str,
        message: &str,
        promise: &Promised,
    ) -> Result<Promised, StoreError> {
        let key = self.keys.promised(campaign);
        // A content is made of texts: there is nothing to refuse.
        let text = serde_json::to_string(promise).unwrap_or_default();
        let mut take = cmd("HSETNX");
        take.arg(key).arg(message).arg(text);
        let taken: bool = self.connection.query(&take).await?;
        if taken {
            return Ok(promise.clone());
        }
        Ok(self.promised_message(campaign, message).await?.unwrap_or_else(|| promise.clone()))
    }

    /// Nobody wants a message that waits any more. Returns what it was; no run of it is made from here on.
    pub async fn cancel_promised(&self, campaign: &str, message: &str) -> Result<Option<Promised>, StoreError> {
        let Some(promise) = self.promised_message(campaign, message).await? else { return Ok(None) };
        let cancelled = Promised { cancelled: true, ..promise.clone() };
        // A content is made of texts: there is nothing to refuse.
        let text = serde_json::to_string(&cancelled).unwrap_or_default();
        self.surely::<()>("HSET", &self.keys.promised(campaign), (message, text)).await?;
        Ok(Some(promise))
    }
}

fn read(text: &str) -> Result<Promised, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Refused(format!("a message that waits: {error}")))
}
