//! `remesa preview`: what would become of a job; nothing is written.
//!
//! The command does the daemon's work itself, with the same code, over the files that it sees; of Redis it only reads
//! what waits and which campaigns there are. `--remote` asks a daemon instead, whose spool folder and configuration
//! may be others.

mod print;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    domain::clock::EpochMs,
    handler::preview::{Surroundings, report::Report},
    job::{JOB_MAX_BYTES, PreviewJob, QueueName},
    operate::jobs,
};

use super::{
    context::{Context, Globals, quiet_logs},
    control, enqueue,
    error::{Said, Usage},
    follow, format, output,
    progress::Progress,
};

const EXAMPLES: &str = "\
Examples:
  remesa preview generate job.json
  remesa preview generate job.json --rows 10
  remesa preview send reminder.json            whom it reaches, what each would read
  remesa preview recurring welcome.json        the same, and when it is due
  remesa preview generate - --json < job.json
  remesa preview generate job.json --remote    where the files are on the daemon's machine

Nothing is written. The exit code is 1 when the job would not be done.";

/// How often progress is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(250);

/// Arguments of `remesa preview`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The queue the job is for: import, generate, send, recurring.
    queue: String,
    /// The job, a file of one JSON object; - is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Messages shown, beside the longest.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=20))]
    rows: u8,
    /// Ask a daemon, by a control job, instead of reading the source here.
    #[arg(long)]
    remote: bool,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    let queue = PreviewJob::queue_of(&args.queue).map_err(|rejection| Usage(rejection.sentence))?;
    let config = globals.config()?;
    quiet_logs()?;
    let bytes = enqueue::read(&args.file, config.jobs.max_bytes.min(JOB_MAX_BYTES))?;
    let report = match PreviewJob::of_bytes(queue, &bytes, args.rows.into()) {
        Err(rejection) => Report::refused(String::new(), &rejection),
        Ok(asked) if args.remote => remote(config, &asked).await?,
        Ok(asked) => local(config, &asked).await?,
    };
    if args.format.json {
        output::json(&report)?;
    } else {
        print::report(&report)?;
    }
    if report.verdict.state == "done" { Ok(()) } else { Err(Said.into()) }
}

/// The preview made here.
async fn local(config: Arc<Config>, asked: &PreviewJob) -> anyhow::Result<Report> {
    let context = match Context::open(Arc::clone(&config)).await {
        Ok(context) => Some(context),
        Err(error) => {
            output::note(format_args!("{error:#}"));
            output::note(
                "without Redis neither what waits on the channel nor an earlier campaign of this name is known",
            );
            None
        }
    };
    let now = match &context {
        Some(context) => EpochMs(context.store.now_ms().await?),
        None => here_and_now(),
    };
    let folder = std::env::temp_dir();
    let around = Surroundings {
        config: &config,
        store: context.as_ref().map(|context| &context.store),
        now,
        folder: &folder,
        stop: CancellationToken::new(),
    };
    let read = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&read);
    let work = around.preview(asked, move |rows| counter.store(rows, Ordering::Relaxed));
    let mut progress = Progress::new(false);
    let report = tokio::select! {
        report = work => report?,
        () = draw(&mut progress, &read) => None,
    };
    progress.clear();
    let report = report.ok_or_else(|| anyhow!("the preview was ended"))?;
    if report.verdict.error_code.as_deref() == Some("source_missing") && context.is_some() {
        output::note("if the file is on the daemon's machine, ask the daemon: --remote");
    }
    Ok(report)
}

/// Draws how many rows are read, for ever.
async fn draw(progress: &mut Progress, read: &AtomicU64) {
    let mut ticks = tokio::time::interval(DRAWN_EVERY);
    loop {
        ticks.tick().await;
        let rows = read.load(Ordering::Relaxed);
        if rows > 0 {
            progress.stage("reading", &format::counted(rows, "row"));
        }
    }
}

/// The preview of a daemon.
async fn remote(config: Arc<Config>, asked: &PreviewJob) -> anyhow::Result<Report> {
    let context = Context::open(config).await?;
    context.need_daemon().await?;
    let bytes = serde_json::to_vec(&asked.to_json(&control::fresh_id()))?;
    let checked = enqueue::check(QueueName::Control, &bytes)?;
    let enqueued = jobs::put(&context.store, QueueName::Control, &bytes, checked.id).await?;
    let mut progress = Progress::new(false);
    let end = follow::job(&context.store, &enqueued, &mut progress).await?;
    progress.clear();
    if !end.is_done() {
        return Err(anyhow!("{}", end.sentence()));
    }
    serde_json::from_value(end.result.unwrap_or_default()).context("the daemon's answer is of another version")
}

/// The time of this machine, where Redis does not say it.
fn here_and_now() -> EpochMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EpochMs(0).plus(since)
}
