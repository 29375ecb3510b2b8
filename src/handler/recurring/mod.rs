//! recurring: a definition is written, and its due times become runs.
//!
//! `define` keeps a permanent message with its campaign; [`tick`] is called by the alarm clock and decides about the due
//! times that have come; `finish` makes the run that was decided. The decision and the run are two scripts, so each of
//! the callers first finishes what a daemon that died in between had decided: exactly one run a tick, whoever comes.

mod act;
mod define;
mod tick;

pub use act::{act, run_now};
pub(in crate::handler) use define::nothing_due;
pub use define::run;
pub use tick::tick;

use crate::{
    domain::clock::EpochMs,
    job::{RecurringJob, Rejection},
    store::{StoreError, recurring::Definition},
};

use super::{
    Context,
    send::{Start, Started, start},
};

/// So often a definition that changes under our hands is read again, before the alarm clock or the queue repeats it.
const LOOKS: usize = 20;

/// A definition as it is kept, decoded. What was accepted once is decoded again by the same rules; a later version of
/// this program that has stricter ones says so instead of sending something else.
fn decoded(campaign: &str, name: &str, definition: &Definition) -> Option<RecurringJob> {
    let read = RecurringJob::of_written(&definition.definition);
    if let Err(rejection) = &read {
        let code = rejection.code.as_str();
        tracing::error!(campaign, recurring = name, code, "a definition that cannot be read any more");
    }
    read.ok()
}

/// Makes the run that was decided, and has its slots put to work. Done already, or not wanted any more, is done; one that
/// cannot be made is counted as missed, and the reason is returned.
async fn finish(
    ctx: &Context,
    campaign: &str,
    name: &str,
    definition: &Definition,
) -> Result<Option<Rejection>, StoreError> {
    let Some(run) = &definition.pending else { return Ok(None) };
    let Some(job) = decoded(campaign, name, definition) else { return Ok(None) };
    let content = serde_json::from_str(&definition.content)
        .map_err(|error| StoreError::Refused(format!("the content of a definition: {error}")))?;
    let due = run.rsplit_once('@').map(|(_, due)| due).unwrap_or_default();
    let fields =
        [("recurring", name.to_owned()), ("version", definition.version.to_string()), ("due_at", due.to_owned())];
    let wanted = Start {
        run,
        message: &job.bulk,
        content: &content,
        job: &definition.job,
        trace: definition.trace,
        definition: name,
        fields: &fields,
    };
    match start(ctx, wanted).await? {
        Started::Run { .. } | Started::Taken { .. } => {
            let now = ctx.store.now_ms().await?;
            ctx.store.arm(&format!("run|{campaign}|{run}"), now).await?;
            Ok(None)
        }
        // Stopped or cancelled between the decision and the run.
        Started::Refused { .. } => Ok(None),
        Started::Impossible(rejection) => {
            let (code, trace_id) = (rejection.code.as_str(), definition.trace.map(|trace| trace.id()));
            tracing::warn!(campaign, run, code, trace_id, "a run of a permanent message cannot be made");
            ctx.store.drop_decided(campaign, name, run, code).await?;
            Ok(Some(rejection))
        }
    }
}

/// When the alarm clock is to ring for a definition: at the next due time, and soon while a run stands in line, or is to be made again.
fn rings_at(definition: &Definition, now: EpochMs) -> Option<EpochMs> {
    if definition.state != "active" {
        return None;
    }
    let line = now.plus(tick::LINE);
    if definition.lost.is_some() {
        // Nothing else is decided before.
        return Some(line);
    }
    definition.next_at.into_iter().chain(definition.queued.map(|_| line)).min()
}
