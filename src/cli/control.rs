//! Commands to a daemon: a control job, and its answer.
//!
//! `remesa campaign pause` and the like are control jobs as any program writes them; the command waits
//! for the end of its job and shows the refusal, if it is one. The job's id says who asked: it is what
//! `paused_by` shows later.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use crate::{
    domain::{
        actor::{Way, job_id},
        name::JobId,
    },
    job::QueueName,
    operate::jobs::{self, JobEnd},
};

use super::{
    context::{Context, Globals},
    enqueue,
    error::{Said, Usage},
    follow, format, output,
    progress::Progress,
};

/// A command that a daemon has not answered after this is left to its queue.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// Does `job` (a control job without its id) and prints `done`.
pub async fn run(globals: &Globals, job: Value, done: &str, format: output::Format) -> anyhow::Result<()> {
    let job = Command::check(job)?;
    job.run(&globals.open().await?, done, format).await
}

/// A control job with its id, judged.
#[derive(Debug)]
pub struct Command {
    bytes: Vec<u8>,
    id: Option<JobId>,
}

impl Command {
    /// Gives a job its id and judges it, before anything is opened.
    pub fn check(mut job: Value) -> anyhow::Result<Self> {
        let id = fresh_id();
        if let Some(fields) = job.as_object_mut() {
            fields.insert("id".to_owned(), id.into());
        }
        let bytes = serde_json::to_vec(&job)?;
        // A name that is none is an argument that is none.
        let checked = enqueue::check(QueueName::Control, &bytes).map_err(|refused| Usage(refused.0.sentence))?;
        Ok(Self { bytes, id: checked.id })
    }

    /// Gives it to a daemon, waits for its end and prints that it is `done`.
    pub async fn run(self, context: &Context, done: &str, format: output::Format) -> anyhow::Result<()> {
        context.need_daemon().await?;
        let enqueued = jobs::put(&context.store, QueueName::Control, &self.bytes, self.id).await?;
        let mut progress = Progress::new(true);
        let waited = tokio::time::timeout(ANSWER_WITHIN, follow::job(&context.store, &enqueued, &mut progress)).await;
        let Ok(end) = waited else {
            return Err(anyhow!(
                "no answer yet: the command stays in the queue; follow it with `remesa job {}`",
                enqueued.id
            ));
        };
        print(&enqueued.id, &end.context("the command was enqueued")?, done, format)
    }
}

fn print(id: &JobId, end: &JobEnd, done: &str, shown: output::Format) -> anyhow::Result<()> {
    if shown.json {
        output::json(&json!({ "id": id, "job": end }))?;
        return if end.is_done() { Ok(()) } else { Err(Said.into()) };
    }
    if !end.is_done() {
        let error = end.error.clone().unwrap_or_else(|| end.state.clone());
        return Err(anyhow!("{error}"));
    }
    let result = end.result.as_ref();
    let changed = result.and_then(|result| result.get("changed")).and_then(Value::as_bool);
    output::line(if changed == Some(false) { format!("{done} (it was so already)") } else { done.to_owned() })?;
    let count = |field: &str| result.and_then(|result| result.get(field)).and_then(Value::as_u64);
    if let Some(queued) = count("queued") {
        output::line(format_args!(" {} queued again", format::counted(queued, "message")))?;
    }
    if let Some(cancelled) = count("orders_cancelled") {
        output::line(format_args!(" {} cancelled", format::counted(cancelled, "order")))?;
    }
    Ok(())
}

/// A job id that says who asked.
pub fn fresh_id() -> String {
    job_id(Way::Command, &who(), rand::random())
}

/// Who sits before this terminal.
fn who() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    let host = nix::unistd::gethostname().ok().and_then(|host| host.into_string().ok());
    format!("{}@{}", user.unwrap_or_else(|| "someone".to_owned()), host.unwrap_or_else(|| "host".to_owned()))
}
