//! `export`: the orders of a campaign with their deliveries, as a file in the folder `exports` of the spool folder.
//!
//! The file appears whole or not at all, so a job that is killed and done again leaves one file. Other jobs do not wait
//! for it: it reads in stretches and writes on a thread of its own.

use std::fs::File;

use serde_json::json;

use crate::{
    domain::name::JobId,
    export::{
        self, ExportError, Format,
        folder::{Draft, EXPORTS, FolderError},
    },
    job::{ExportJob, Outcome, Rejection, RejectionCode},
    store::{
        StoreError,
        leases::Lease,
        records::{Reader, Runs},
    },
};

use super::{Context, trouble};

/// Runs the job.
pub async fn run(ctx: &Context, id: &JobId, job: &ExportJob, lease: &Lease) -> Outcome {
    match reader(ctx, job).await {
        Ok(Ok(reader)) => write(ctx, id, job, &reader, lease).await,
        Ok(Err(rejection)) => rejection.into(),
        Err(error) => trouble::outcome(&error),
    }
}

async fn reader(ctx: &Context, job: &ExportJob) -> Result<Result<Reader, Rejection>, StoreError> {
    let campaign = job.campaign.as_str();
    let runs = job.run.as_ref().map_or(Runs::Newest, |run| Runs::Named(run.to_string()));
    if let Some(reader) = ctx.store.reader(campaign, &runs).await? {
        return Ok(Ok(reader));
    }
    let is_there = ctx.store.campaign_fields(campaign, &["state"]).await?.into_iter().flatten().next().is_some();
    Ok(Err(match &job.run {
        Some(run) if is_there => {
            let rule = format!("the campaign \"{campaign}\" has no run \"{run}\"");
            Rejection::of_field(RejectionCode::UnknownRun, "run", rule)
        }
        _ => {
            let rule = format!("there is no campaign \"{campaign}\"");
            Rejection::of_field(RejectionCode::UnknownCampaign, "campaign", rule)
        }
    }))
}

async fn write(ctx: &Context, id: &JobId, job: &ExportJob, reader: &Reader, lease: &Lease) -> Outcome {
    let (draft, file) = match Draft::begin(&ctx.config.sources.spool_dir, &job.file, id.as_str(), rand::random()) {
        Ok(begun) => begun,
        Err(error @ FolderError::Outside) => {
            return Rejection::of_field(RejectionCode::PathOutsideSpool, "file", error).into();
        }
        Err(FolderError::Io(error)) => return again(&error.into()),
    };
    let format = Format { rows: job.file.format(), gzip: job.file.is_gzip() };
    let go_on = |_| {
        lease.progressed();
        !ctx.drain.is_cancelled() && !lease.is_lost()
    };
    let (written, file): (_, File) = match export::run(reader, job.filter.clone(), format, file, go_on).await {
        Ok(done) => done,
        Err(ExportError::Stopped) => return Outcome::Again,
        Err(ExportError::Store(error)) => return trouble::outcome(&error),
        Err(error @ ExportError::Write(_)) => return again(&error),
    };
    let finished = tokio::task::spawn_blocking(move || draft.finish(&file)).await;
    match finished {
        Ok(Ok(())) => Outcome::done(json!({
            "action": "export", "campaign": job.campaign.as_str(), "run": job.run.as_ref().map(ToString::to_string),
            "file": format!("{EXPORTS}/{}", job.file.as_str()), "format": job.file.format(),
            "rows": written.rows, "bytes": written.bytes, "digest": written.digest,
        })),
        Ok(Err(error)) => again(&error.into()),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A disk that is full or away may have room later.
fn again(error: &ExportError) -> Outcome {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Outcome::Retry {
        failure_code: "export_unwritable".into(),
        sentence: format!("{error}{cause}"),
        at: crate::domain::clock::EpochMs(0),
    }
}
