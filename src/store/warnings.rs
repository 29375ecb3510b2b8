//! What a campaign's hash tells in advance: `warnings` of all its jobs, `warnings:<job>` of one; when sending will
//! start and end, `estimated_start` and `estimated_end` of its latest job, `estimate:<job>` of each.
//!
//! A warning stands once, however often a job is repeated: the same code and sentence are added once. Beside them the small
//! key by which a source is known again (PO-21).

use std::time::Duration;

use redis::cmd;

use super::{Store, StoreError, entries::millis, scripts};
use crate::{domain::clock::EpochMs, job::Warning};

impl Store {
    /// Adds warnings of a job to its campaign. A campaign that is gone takes none.
    pub async fn add_warnings(&self, campaign: &str, job: &str, warnings: &[Warning]) -> Result<(), StoreError> {
        if warnings.is_empty() {
            return Ok(());
        }
        let mut call = scripts::ADD_WARNINGS.call(&[&self.keys.campaign(campaign)]).arg(job);
        for warning in warnings {
            call.push(warning.to_json());
        }
        call.run::<u8>(&self.connection).await?;
        Ok(())
    }

    /// Writes when a job's messages will have left: as its result shows it, and as the campaign's latest estimate.
    pub async fn set_estimate(
        &self,
        campaign: &str,
        job: &str,
        shown: &str,
        (start, end): (EpochMs, Option<EpochMs>),
    ) -> Result<(), StoreError> {
        let key = self.keys.campaign(campaign);
        let mut pipeline = redis::pipe();
        let mut set = cmd("HSET");
        set.arg(&key).arg(format!("estimate:{job}")).arg(shown).arg("estimated_start").arg(start.0);
        if let Some(end) = end {
            set.arg("estimated_end").arg(end.0);
        } else {
            pipeline.cmd("HDEL").arg(&key).arg("estimated_end").ignore();
        }
        pipeline.add_command(set).ignore();
        self.connection.pipeline(&pipeline).await
    }

    /// What [`Store::set_estimate`] wrote of one job.
    pub async fn estimate_of(&self, campaign: &str, job: &str) -> Result<Option<String>, StoreError> {
        let field = format!("estimate:{job}");
        Ok(self.campaign_fields(campaign, &[&field]).await?.into_iter().next().flatten())
    }

    /// The warnings of one job, as a result shows them.
    pub async fn warnings_of(&self, campaign: &str, job: &str) -> Result<Vec<serde_json::Value>, StoreError> {
        let field = format!("warnings:{job}");
        let found = self.campaign_fields(campaign, &[&field]).await?.into_iter().next().flatten();
        Ok(found.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Notes that `job` of `campaign` has the source with this digest. Returns the other campaign and job that had it
    /// first, while that is remembered.
    pub async fn remember_source(
        &self,
        digest: &str,
        campaign: &str,
        job: &str,
        keep: Duration,
    ) -> Result<Option<(String, String)>, StoreError> {
        let ours = format!("{campaign}/{job}");
        let mut set = cmd("SET");
        set.arg(self.keys.source(digest)).arg(&ours).arg("NX").arg("GET").arg("PX").arg(millis(keep));
        let first: Option<String> = self.connection.query(&set).await?;
        let other = first.filter(|first| *first != ours);
        Ok(other.and_then(|first| first.split_once('/').map(|(c, j)| (c.to_owned(), j.to_owned()))))
    }
}
