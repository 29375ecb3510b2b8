//! `remesa enqueue`: a job into a queue, judged before it goes.
//!
//! What the daemon would refuse for its form is refused here already, with the same code and sentence,
//! and nothing is written. `--wait` follows the job, and then the run it started, to the end.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::json;

use crate::{
    job::{ControlJob, JOB_MAX_BYTES, Job, QueueName, Rejection},
    operate::jobs::{self, Checked, Enqueued, JobEnd},
    store::view::RunView,
};

use super::{
    context::{Context, Globals},
    error::{Refused, Said, Usage},
    follow, format, output,
    progress::Progress,
};

const EXAMPLES: &str = "\
Examples:
  remesa enqueue generate job.json
  remesa enqueue generate job.json --wait
  echo '{\"action\":\"pause\",\"campaign\":\"nov-dues\"}' | remesa enqueue control -
  remesa enqueue generate job.json --json

A job without \"id\" is called <queue>:<entry id>. With --wait the exit code is 1 when the job ends dead or rejected.";

/// Arguments of `remesa enqueue`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The queue: import, generate, send, recurring or control.
    queue: String,
    /// The job, a file of one JSON object; - is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Follow the job, and then its run, to the end.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    let config = globals.config()?;
    let max_bytes = config.jobs.max_bytes.min(JOB_MAX_BYTES);
    let (queue, bytes, checked) = match judge(&args, max_bytes) {
        Err(error) if args.format.json => return Err(refused_as_json(error)),
        judged => judged?,
    };
    super::context::quiet_logs()?;
    let context = Context::open(config).await?;
    let enqueued = jobs::put(&context.store, queue, &bytes, checked.id).await?;
    if !args.wait {
        print_enqueued(&context, &enqueued, args.format).await?;
        return Ok(());
    }
    let mut progress = Progress::new(false);
    if context.daemons().await? == 0 {
        progress.stage("waiting", "no daemon is running: start one with `remesa run`");
    }
    let end = follow::job(&context.store, &enqueued, &mut progress).await?;
    let run = match end.run().filter(|_| sends(&checked.job)) {
        Some(run) => Some(follow::run(&context.store, &end.campaign, run, &mut progress).await?),
        None => None,
    };
    progress.clear();
    print_end(&enqueued, &end, run.as_ref(), args.format)?;
    if end.is_done() { Ok(()) } else { Err(Said.into()) }
}

fn judge(args: &Args, max_bytes: usize) -> anyhow::Result<(QueueName, Vec<u8>, Checked)> {
    let queue = queue(&args.queue)?;
    let bytes = read(&args.file, max_bytes)?;
    let checked = check(queue, &bytes)?;
    Ok((queue, bytes, checked))
}

/// Whether the run that a job names in its result is one that it set in motion.
fn sends(job: &Job) -> bool {
    matches!(job, Job::Generate(_) | Job::Send(_) | Job::Control(ControlJob::Retry { .. }))
}

/// The queue of that name.
pub fn queue(name: &str) -> anyhow::Result<QueueName> {
    let all = || QueueName::ALL.into_iter().map(QueueName::as_str);
    QueueName::parse(name).ok_or_else(|| {
        let known = all().collect::<Vec<_>>().join(", ");
        let meant = format::nearest(name, all()).map(|near| format!(", did you mean \"{near}\"?"));
        Usage(format!("there is no queue \"{name}\"{}; there are {known}", meant.unwrap_or_default())).into()
    })
}

/// A job as a file or standard input holds it, at most `max_bytes` of it.
pub fn read(path: &Path, max_bytes: usize) -> anyhow::Result<Vec<u8>> {
    if path != Path::new("-") {
        let cannot = || format!("cannot read {}", path.display());
        let file = File::open(path).with_context(cannot)?;
        let length = file.metadata().with_context(cannot)?.len();
        return read_from(file, max_bytes, usize::try_from(length).ok(), cannot);
    }
    let input = io::stdin();
    if input.is_terminal() {
        return Err(Usage("name a file, or give the job on standard input".to_owned()).into());
    }
    read_from(input.lock(), max_bytes, None, || "cannot read standard input".to_owned())
}

fn read_from(
    source: impl Read,
    max_bytes: usize,
    length_bytes: Option<usize>,
    cannot: impl FnOnce() -> String,
) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(max_bytes as u64 + 1).read_to_end(&mut bytes).with_context(cannot)?;
    if bytes.len() > max_bytes {
        // Of a pipe only so much is known.
        let length_bytes = length_bytes.unwrap_or(0).max(bytes.len());
        return Err(Refused(Rejection::too_big(length_bytes, max_bytes)).into());
    }
    Ok(bytes)
}

/// Judges a job as the daemon will.
pub fn check(queue: QueueName, bytes: &[u8]) -> Result<Checked, Refused> {
    jobs::check(queue, bytes).map_err(Refused)
}

fn refused_as_json(error: anyhow::Error) -> anyhow::Error {
    let Some(Refused(rejection)) = error.downcast_ref::<Refused>() else { return error };
    let mut shown = json!({ "state": "refused", "error_code": rejection.code.as_str(), "error": rejection.sentence });
    if let (Some(shown), Some(field)) = (shown.as_object_mut(), &rejection.field) {
        shown.insert("field".to_owned(), field.clone().into());
    }
    match output::json(&shown) {
        Ok(()) => Said.into(),
        Err(error) => error.into(),
    }
}

async fn print_enqueued(context: &Context, job: &Enqueued, format: output::Format) -> anyhow::Result<()> {
    let stream = context.store.keys.jobs(job.queue.as_str());
    if format.json {
        output::json(&json!({ "id": job.id, "queue": job.queue.as_str(), "stream": stream, "entry": job.entry }))?;
    } else {
        output::line(format_args!("{} is in {stream} as {}", job.id, job.entry))?;
        output::note(format_args!("follow it: remesa job {}", job.id));
    }
    if context.daemons().await? == 0 {
        output::note("no daemon is running: the job waits until one is started (remesa run)");
    }
    Ok(())
}

fn print_end(job: &Enqueued, end: &JobEnd, run: Option<&RunView>, format: output::Format) -> anyhow::Result<()> {
    if format.json {
        let shown = json!({ "id": job.id, "queue": job.queue.as_str(), "entry": job.entry, "job": end, "run": run });
        output::json(&shown)?;
        return Ok(());
    }
    if !end.is_done() {
        output::line(format_args!("{} is {}", job.id, end.sentence()))?;
        return Ok(());
    }
    output::line(format_args!("{} is done", job.id))?;
    if let Some(result) = end.result.as_ref().and_then(|result| result.as_object()) {
        let shown = result.iter().filter(|(name, _)| *name != "warnings");
        output::pairs(shown.map(|(name, value)| (name.as_str(), format::value(value))))?;
        for warning in format::warnings(result.get("warnings")) {
            output::line(format_args!("warning: {warning}"))?;
        }
    }
    if let Some(run) = run {
        output::line(format_args!(
            "the run {} is {}: {}",
            run.run,
            run.shown,
            format::summary(&run.deliveries_by_state)
        ))?;
        output::note(format_args!("look further: remesa campaign show {}", run.campaign));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence<T: std::fmt::Debug>(result: anyhow::Result<T>) -> String {
        format!("{:#}", result.unwrap_err())
    }

    #[test]
    fn a_mistaken_queue_is_told_the_nearest_one() {
        assert_eq!(queue("generate").unwrap(), QueueName::Generate);
        assert!(sentence(queue("genrate")).contains("did you mean \"generate\"?"));
        assert!(queue("genrate").unwrap_err().is::<Usage>());
    }

    #[test]
    fn a_job_over_the_limit_is_refused_before_it_is_read_whole() {
        let big = read_from(io::repeat(b' '), 100, Some(1_572_864), String::new);
        assert!(sentence(big).starts_with("not enqueued: job_too_big: the job has 1572864 bytes, the maximum is 100"));
        assert!(sentence(read_from(io::repeat(b' '), 100, None, String::new)).contains("the job has 101 bytes"));
        assert_eq!(read_from(&b"{}"[..], 2, Some(2), String::new).unwrap(), b"{}");
    }

    #[test]
    fn a_job_that_is_refused_says_that_it_was_not_enqueued() {
        let refused = check(QueueName::Generate, br#"{"campain":"x"}"#).unwrap_err().to_string();
        assert!(refused.starts_with("not enqueued: unknown_field: ") && refused.contains("campaign"), "{refused}");
        let pause = check(QueueName::Control, br#"{"id":"p-1","action":"pause","campaign":"nov"}"#).unwrap();
        assert!(!sends(&pause.job));
    }
}
