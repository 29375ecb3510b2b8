//! The reading side of a job with rows: what `generate` and `import` have in common.
//!
//! A source is found or waited for (`seek`), copied where it does not lie in the spool folder (`stage`), read through once
//! before anything is written (`first`), then judged in stretches ahead of the writer (`reading`); what is refused
//! goes into the error file (`error_log`). What a row becomes and how it is written is the job's own.

use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    config::Config,
    domain::{column::Table, name::JobId},
    job::{Outcome, Rejection, RowsSpec},
    source::{Format, SourceLimits},
    store::{StoreError, leases::Lease},
};

pub mod error_log;
pub mod first;
pub mod reading;
mod seek;
pub(super) mod stage;

use super::Context;

/// How a step ends the job before its end.
pub(super) enum Stop {
    /// With this outcome.
    With(Box<Outcome>),
    /// Because Redis failed it.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::With(Box::new(rejection.into()))
    }
}

impl From<Outcome> for Stop {
    fn from(outcome: Outcome) -> Self {
        Self::With(Box::new(outcome))
    }
}

/// The source of a job of which something was written before.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    /// Its digest.
    pub(super) digest: String,
    /// The format of its copy.
    pub(super) format: Option<Format>,
}

/// The source of one job under way.
pub(super) struct Intake<'a> {
    pub(super) ctx: &'a Arc<Context>,
    pub(super) id: &'a JobId,
    pub(super) lease: &'a Lease,
    pub(super) rows: &'a RowsSpec,
    /// Cancelled when the daemon drains, and when the job is somebody else's: reading ends.
    pub(super) stop: CancellationToken,
    _stopped_with_us: DropGuard,
}

impl<'a> Intake<'a> {
    /// The intake of a job.
    pub(super) fn new(ctx: &'a Arc<Context>, id: &'a JobId, rows: &'a RowsSpec, lease: &'a Lease) -> Self {
        let stop = ctx.drain.child_token();
        Self { ctx, id, lease, rows, _stopped_with_us: stop.clone().drop_guard(), stop }
    }

    /// Waits while Redis is full: what is left of it is for recording. The job keeps its place.
    pub(super) async fn room(&self) -> Result<(), Stop> {
        tokio::select! {
            biased;
            () = self.ctx.pressure.room() => Ok(()),
            () = self.ctx.drain.cancelled() => Err(Outcome::Again.into()),
            () = self.lease.lost() => Err(Outcome::Again.into()),
        }
    }

    /// Whether the daemon drains or somebody else has the job.
    pub(super) fn is_stopped(&self) -> bool {
        self.ctx.drain.is_cancelled() || self.lease.is_lost()
    }

    /// Rows that stand in the job itself cannot change, but that one is forgotten, in its place.
    pub(super) fn may_change(&self) -> bool {
        !matches!(self.rows, RowsSpec::Inline(_))
    }

    /// The host of this daemon, for the names of error files.
    pub(super) fn host(&self) -> &'a str {
        self.ctx.incarnation.rsplit_once(':').map_or(self.ctx.incarnation.as_str(), |(host, _)| host)
    }
}

/// The bounds that the configuration sets for a source.
pub(super) fn source_limits(config: &Config, table: &'static Table, stop: CancellationToken) -> SourceLimits {
    SourceLimits {
        table,
        spool_dir: config.sources.spool_dir.clone(),
        max_rows: config.sources.max_rows,
        max_line_bytes: config.sources.max_line_bytes,
        max_bytes: config.sources.max_bytes,
        stop,
    }
}
