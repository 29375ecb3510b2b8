//! What the sources of jobs leave in Redis: lists of rows that others wrote, who looked for a file, which digest was
//! accepted for later.
//!
//! Lists are read and never changed; whoever filled one removes it.

use std::{collections::HashMap, time::Duration};

use redis::cmd;

use super::{Store, StoreError, entries::millis};

impl Store {
    /// Elements of a list, 0 where there is no such key. `None`: the key holds something else.
    pub async fn list_length(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let kind: String = self.connection.query(cmd("TYPE").arg(key)).await?;
        match kind.as_str() {
            "none" => Ok(Some(0)),
            "list" => Ok(Some(self.connection.query(cmd("LLEN").arg(key)).await?)),
            _ => Ok(None),
        }
    }

    /// Elements of a list from `from` on.
    pub async fn list_elements(&self, key: &str, from: u64, count: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let last = from.saturating_add(count).saturating_sub(1);
        self.connection.query(cmd("LRANGE").arg(key).arg(from).arg(last)).await
    }

    /// Notes that a daemon looked for the file of a job in vain. Returns who did, and when first.
    pub async fn note_sought(
        &self,
        job: &str,
        incarnation: &str,
        keep: Duration,
    ) -> Result<HashMap<String, i64>, StoreError> {
        let (key, now_ms) = (self.keys.sought(job), self.now_ms().await?);
        let mut pipeline = redis::pipe();
        pipeline.cmd("HSETNX").arg(&key).arg(incarnation).arg(now_ms).ignore();
        pipeline.cmd("PEXPIRE").arg(&key).arg(millis(keep)).ignore();
        // As many fields as there are daemons.
        pipeline.cmd("HGETALL").arg(&key);
        let (sought,) = self.connection.pipeline(&pipeline).await?;
        Ok(sought)
    }

    /// Forgets who looked, and returns them.
    pub async fn forget_sought(&self, job: &str) -> Result<Vec<String>, StoreError> {
        let key = self.keys.sought(job);
        let mut pipeline = redis::pipe();
        pipeline.cmd("HKEYS").arg(&key);
        pipeline.cmd("DEL").arg(&key).ignore();
        let (mut looked,): (Vec<String>,) = self.connection.pipeline(&pipeline).await?;
        looked.sort_unstable();
        Ok(looked)
    }

    /// Forgets which source was accepted for a job's time.
    pub async fn forget_accepted_source(&self, campaign: &str, job: &str) -> Result<(), StoreError> {
        let mut delete = cmd("HDEL");
        delete.arg(self.keys.campaign(campaign)).arg(accepted_field(job));
        self.connection.query(&delete).await
    }
}

/// The campaign's field with the digest that was accepted for a job's time.
pub fn accepted_field(job: &str) -> String {
    format!("accepted:{job}")
}
