//! `remesa demo`: a whole campaign on this machine, and a permanent message over its cases, in under a minute.
//!
//! A state folder of its own with an embedded Redis, the provider simulator on a free port, the daemon in this
//! process, and `config/demo/` (compiled in) for configuration, rows and job. The provider reports to the daemon what
//! became of each message, signed. What is shown at the end is read from the documented keys, as any other program
//! would. Nothing is left behind unless `--keep` says so.

mod permanent;
mod report;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::{self, reload::Reloads},
    config::{self, Config},
    job::QueueName,
    lifecycle::Signals,
    operate::jobs,
    sandbox::{ReportSettings, Sandbox, SandboxHandle, SandboxSettings, Stats},
    store::view::RunView,
    telemetry,
};

use super::{context::Context, enqueue, follow, output, progress::Progress};

const CONFIGURATION: &str = include_str!("../../config/demo/remesa.toml");
const CAMPAIGN: &str = include_str!("../../config/demo/campaign.csv");
const JOB: &str = include_str!("../../config/demo/job.json");

/// The file that the job names.
const CAMPAIGN_FILE: &str = "campaign.csv";

/// The daemon is up within this, or something is wrong.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// The provider's reports have come within this: its delays, and a retry.
const RECEIPTS_WITHIN: Duration = Duration::from_secs(15);

/// The channel of the configuration.
const CHANNEL: &str = "sms-main";

/// A socket's path has at most 108 bytes (unix(7)); what we put below the folder takes fewer than 16.
const LONGEST_FOLDER: usize = 90;

const EXAMPLES: &str = "\
Examples:
  remesa demo
  remesa demo --keep          leave its folder behind, and say how to look at it again
  remesa demo --json
  REMESA_LOG__LEVEL=info remesa demo";

/// Arguments of `remesa demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Leave the demo's folder behind.
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the demo.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let folder = folder()?;
    let secret = format!("{:032x}", rand::random::<u128>());
    let sandbox = Sandbox::start(provider(&secret)).await.context("the provider simulator does not start")?;
    let config = Arc::new(configuration(folder.path(), &sandbox.url(), &secret)?);
    telemetry::init(&config.log)?;
    let stop = CancellationToken::new();
    let mut signals = Signals::install()?;
    let mut daemon = TaskTracker::new().spawn(app::run(Arc::clone(&config), Reloads::never(&config), stop.clone()));
    let story = tokio::select! {
        story = story(&config, &sandbox, args.format) => story,
        ended = &mut daemon => return Err(too_early(ended)),
        signal = signals.next() => Err(interrupted(signal)),
    };
    stop.cancel();
    let ended = daemon.await;
    sandbox.shutdown().await;
    story?;
    ended.context("the daemon panicked")?.context("the daemon did not end well")?;
    if args.keep {
        keep(folder, &config, args.format)?;
    }
    Ok(())
}

/// A provider of some latency, whose network does not deliver everything.
fn provider(secret: &str) -> SandboxSettings {
    let reports = ReportSettings {
        secret: Some(secret.to_owned()),
        delay_min_ms: 100,
        delay_max_ms: 1_500,
        undelivered_per_mille: 60,
        expired_per_mille: 15,
        ..ReportSettings::default()
    };
    SandboxSettings { latency_min_ms: 20, latency_max_ms: 60, reports, ..SandboxSettings::default() }
}

/// A folder whose path is short enough for a socket.
fn folder() -> anyhow::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("remesa-demo-");
    let folder = builder.tempdir().context("cannot make a temporary folder (TMPDIR)")?;
    if folder.path().as_os_str().len() <= LONGEST_FOLDER {
        return Ok(folder);
    }
    builder.tempdir_in("/tmp").context("TMPDIR is too long for a socket, and /tmp cannot be used")
}

/// The demo's configuration, with what only this run can know. Of the environment only the log is listened to,
/// and where redis-server is: the demo must not touch another daemon's Redis.
fn configuration(folder: &Path, sandbox_url: &str, secret: &str) -> anyhow::Result<Config> {
    let ours = [
        ("REMESA_STATE_DIR", folder.display().to_string()),
        ("REMESA_CHANNELS__SMS_MAIN__URL", sandbox_url.to_owned()),
        ("REMESA_CHANNELS__SMS_MAIN__RECEIPTS__SECRETS", secret.to_owned()),
    ];
    let theirs = config::environment()
        .filter(|(name, _)| name.starts_with("REMESA_LOG__") || name == "REMESA_REDIS__EMBEDDED_PROGRAM");
    let all = theirs.chain(ours.map(|(name, value)| (name.to_owned(), value)));
    Ok(Config::parse(CONFIGURATION, "config/demo/remesa.toml", all)?)
}

fn too_early(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("the daemon ended before the demo"),
        Ok(Err(error)) => error.context("the daemon does not start"),
        Err(error) => anyhow::anyhow!(error).context("the daemon panicked"),
    }
}

fn interrupted(signal: &str) -> anyhow::Error {
    anyhow::anyhow!("the demo was interrupted by {signal}")
}

/// The campaign from its job to the last message, and what came of it.
async fn story(config: &Arc<Config>, sandbox: &SandboxHandle, shown: output::Format) -> anyhow::Result<()> {
    let mut progress = Progress::new(false);
    progress.stage("starting", "the daemon, its Redis and the provider");
    let (context, address) = ready(config).await?;
    sandbox.change(|settings| settings.reports.url = Some(format!("http://{address}/receipts/{CHANNEL}")))?;
    let spool = &config.sources.spool_dir;
    std::fs::create_dir_all(spool)?;
    std::fs::write(spool.join(CAMPAIGN_FILE), CAMPAIGN)?;
    let checked = enqueue::check(QueueName::Generate, JOB.as_bytes())?;
    let job = jobs::put(&context.store, QueueName::Generate, JOB.as_bytes(), checked.id).await?;
    let end = follow::job(&context.store, &job, &mut progress).await?;
    if !end.is_done() {
        bail!("the demo's job ended {}", end.sentence());
    }
    let Some(run) = end.run() else { bail!("the demo's job started no run") };
    let run = follow::run(&context.store, &end.campaign, run, &mut progress).await?;
    let run = receipts(&context, sandbox, run, &mut progress).await?;
    let permanent = permanent::play(&context, &mut progress).await?;
    progress.clear();
    report::print(&context, sandbox, &run, &permanent, shown).await
}

/// Waits for the daemon's first heartbeat, which says where it listens.
async fn ready(config: &Arc<Config>) -> anyhow::Result<(Context, String)> {
    let store = app::store(config)?;
    let up = async {
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        loop {
            looks.tick().await;
            let first = store.workers().await.ok().and_then(|workers| workers.into_iter().next());
            if let Some(address) = first.and_then(|(_, mut fields)| fields.remove("http")) {
                return address;
            }
        }
    };
    let address = tokio::time::timeout(READY_WITHIN, up).await.context("the daemon is not ready after 20 s")?;
    Ok((Context { config: Arc::clone(config), store }, address))
}

/// Waits until the provider has reported on all it took, and reads the run again.
async fn receipts(
    context: &Context,
    sandbox: &SandboxHandle,
    run: RunView,
    progress: &mut Progress,
) -> anyhow::Result<RunView> {
    let ended = |stats: &Stats| stats.reports.confirmed + stats.reports.given_up;
    let all = sandbox.stats().counts.accepted;
    let waiting = async {
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        while sandbox.stats().reports_waiting > 0 {
            looks.tick().await;
            progress.part("receipts", ended(&sandbox.stats()), all, "reported by the provider");
        }
    };
    tokio::time::timeout(RECEIPTS_WITHIN, waiting).await.context("the receipts do not come")?;
    let now_ms = context.store.now_ms().await?;
    Ok(RunView::load(&context.store, &run.campaign, &run.run, now_ms).await?.unwrap_or(run))
}

/// Leaves the folder with a configuration beside it that finds it again.
fn keep(folder: TempDir, config: &Config, shown: output::Format) -> anyhow::Result<()> {
    let folder = folder.keep();
    let file = folder.join("remesa.toml");
    let text = format!(
        "state_dir = {:?}\n{CONFIGURATION}# The simulator has ended: `remesa sandbox` starts another at this address.\nurl = \"\"\n",
        folder.display().to_string()
    );
    std::fs::write(&file, text)?;
    if !shown.json {
        output::line("")?;
        output::line(format_args!("kept in {}; look at it again with", config.state_dir.display()))?;
        output::line(format_args!("  remesa run --config {} &", file.display()))?;
        output::line(format_args!("  remesa campaign show demo-dues --config {}", file.display()))?;
    }
    Ok(())
}
