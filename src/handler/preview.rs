//! preview: what would become of a job; nothing is written.
//!
//! The same checks in the same order as the job's own handler, asked one by one so that a job that would be refused
//! still shows what can be shown of it; one file a queue. It runs in a daemon for
//! the control job, and beside one for the command `remesa preview`; without Redis it knows neither what waits nor
//! which campaigns there are.

use std::{path::Path, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    domain::clock::EpochMs,
    job::{Job, Outcome, PreviewJob},
    store::{Store, StoreError},
};

mod bulk;
mod generate;
mod import;
pub mod report;
mod source;

use report::Report;

use super::{Context, trouble};

/// Previews that a daemon works on at once: commands to campaigns never wait for one that reads a long file.
pub const AT_ONCE: usize = 2;

/// One that has to wait for another looks again after this.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Where a preview looks things up.
#[derive(Debug, Clone)]
pub struct Surroundings<'a> {
    /// The configuration, whose spool folder is read.
    pub config: &'a Config,
    /// Redis, if it is at hand.
    pub store: Option<&'a Store>,
    /// The time.
    pub now: EpochMs,
    /// Where a list or an address is copied to for as long as it is read.
    pub folder: &'a Path,
    /// Ends it.
    pub stop: CancellationToken,
}

/// Runs the control job.
pub async fn run(ctx: &Arc<Context>, asked: &PreviewJob) -> Outcome {
    let report = async {
        let now = EpochMs(ctx.store.now_ms().await?);
        let Ok(_permit) = ctx.previews.try_acquire() else {
            return Ok(Outcome::Snooze { until: now.plus(LOOK_AGAIN) });
        };
        // Ends with this job, however it ends.
        let stop = ctx.drain.child_token();
        let _stopped_with_us = stop.clone().drop_guard();
        let (config, folder) = (&*ctx.config, ctx.config.state_dir.as_path());
        let around = Surroundings { config, store: Some(&ctx.store), now, folder, stop };
        Ok(match around.preview(asked, |_| ()).await? {
            // Plain values: there is nothing to refuse.
            Some(report) => Outcome::done(serde_json::to_value(&report).unwrap_or_default()),
            None => Outcome::Again,
        })
    };
    report.await.unwrap_or_else(|error| trouble::outcome(&error))
}

impl Surroundings<'_> {
    /// What would become of a job; nothing when it was stopped. `told` hears the rows read so far from time to time.
    pub async fn preview(
        &self,
        asked: &PreviewJob,
        told: impl FnMut(u64) + Send + 'static,
    ) -> Result<Option<Report>, StoreError> {
        match asked.decode_job() {
            Ok((envelope, Job::Generate(job))) => self.preview_generate(&envelope, &job, asked.samples, told).await,
            Ok((envelope, Job::Send(job))) => self.preview_send(&envelope, &job, asked.samples, told).await,
            Ok((envelope, Job::Recurring(job))) => self.preview_recurring(&envelope, &job, asked.samples, told).await,
            Ok((envelope, Job::Import(job))) => self.preview_import(&envelope, &job, told).await,
            // A preview is asked for of the queues that have one.
            Ok((_, Job::Control(_))) => Ok(None),
            Err(rejection) => Ok(Some(Report::refused(asked.campaign().unwrap_or_default(), &rejection))),
        }
    }
}
