//! `remesa bench`: how fast this machine does what Remesa does.
//!
//! Each run sets a `stage` of its own (a private Redis, the provider simulator, daemons, all separate
//! processes) and strikes it again; what is printed is the median and the best of several runs, with
//! what we aim at on two cores that also run Redis and the provider. Nothing outside the temporary
//! folder is touched. Nothing is timed in a test: a slow machine is not a failure.
//!
//! Reading order: `stage` and `process`, `figures`, then the measurements `queue`, `generate`, `import`, `filter`,
//! `recurring`, `export`, `send` (with `bare`, its yardstick, and `pace`, the accuracy of the rate), `receipts`, `recovery`,
//! `fairness`, `trouble`.

mod bare;
mod campaign;
mod export;
mod fairness;
mod figures;
mod filter;
mod generate;
mod import;
mod meter;
mod pace;
mod process;
mod queue;
mod receipts;
mod recovery;
mod recurring;
mod results;
mod send;
mod stage;
mod trouble;

use std::io::Write as _;

use clap::{Args, Subcommand};

use figures::Report;
use stage::Setting;

/// What to measure.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

/// The measurements.
#[derive(Debug, Subcommand)]
enum What {
    /// Jobs and slot turns a second, pick-up, lateness of delayed jobs, start
    Queue(Common),
    /// Payment orders a second from a CSV file, memory
    Generate(Common),
    /// Cases a second from a CSV file, new and again, memory
    Import(Common),
    /// Cases a second through a filter, from the job to the end of its run
    Filter(Common),
    /// Lateness of permanent messages, CPU time of a daemon with many that wait
    Recurring(Common),
    /// Messages a second against a bare client, CPU time, Redis load, accuracy of the rate
    Send(Common),
    /// Orders a second into a file, memory
    Export(Common),
    /// Receipts a second into the ledger, one a request and in lists
    Receipts(Common),
    /// How soon messages leave again after kill -9 of the daemon that sent them
    Recovery(Common),
    /// How exactly one daemon, and three together, keep to a rate
    Rate(Common),
    /// How long 100 recipients take behind 200,000 on the same channel
    Fairness(Common),
    /// How long messages wait beside a channel whose provider is in trouble
    Trouble(Common),
}

impl What {
    fn common(&self) -> &Common {
        match self {
            Self::Queue(common)
            | Self::Generate(common)
            | Self::Import(common)
            | Self::Filter(common)
            | Self::Recurring(common)
            | Self::Send(common)
            | Self::Export(common)
            | Self::Receipts(common)
            | Self::Recovery(common)
            | Self::Rate(common)
            | Self::Fairness(common)
            | Self::Trouble(common) => common,
        }
    }
}

/// What all measurements take.
#[derive(Debug, Clone, Args)]
struct Common {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Jobs, orders or messages of one run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..=5_000_000))]
    count: Option<u64>,
    /// Runs, each on a fresh Redis; the median and the best are shown
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    /// Daemons beside each other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    daemons: u8,
    /// Messages at the provider at once, of each daemon and of the bare client
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    in_flight: u32,
    /// Control jobs and slot turns in hand at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    permits: u16,
    /// Redis keeps an append-only file (appendfsync everysec)
    #[arg(long)]
    durable: bool,
    /// Seconds that the accuracy of the rate is measured for; 0 = not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 12, value_parser = clap::value_parser!(u8).range(0..=120))]
    rate_seconds: u8,
}

impl Common {
    fn setting(&self) -> Setting {
        Setting {
            daemons: usize::from(self.daemons),
            permits: self.permits,
            in_flight: self.in_flight,
            rate_per_second: 0,
            durable: self.durable,
            slots: 0,
            sick: &[],
        }
    }
}

/// Measures and prints. An interrupt ends the processes that were started.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    let common = args.what.common();
    let json = common.json;
    let report = tokio::select! {
        report = measure(&args.what) => report?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            anyhow::bail!("interrupted")
        }
    };
    let text = if json { serde_json::to_string_pretty(&report.json())? } else { report.table() };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(())
}

async fn measure(what: &What) -> anyhow::Result<Report> {
    let common = what.common();
    let mut report = Report::default();
    for run in 1..=common.runs {
        if !common.json {
            // Progress, not data.
            let _ = writeln!(std::io::stderr(), "run {run} of {} ...", common.runs);
        }
        report.add(match what {
            What::Queue(_) => queue::run(common).await?,
            What::Generate(_) => generate::run(common).await?,
            What::Import(_) => import::run(common).await?,
            What::Filter(_) => filter::run(common).await?,
            What::Recurring(_) => recurring::run(common).await?,
            What::Send(_) => send::run(common).await?,
            What::Export(_) => export::run(common).await?,
            What::Receipts(_) => receipts::run(common).await?,
            What::Recovery(_) => recovery::run(common).await?,
            What::Rate(_) => pace::compare(common).await?,
            What::Fairness(_) => fairness::run(common).await?,
            What::Trouble(_) => trouble::run(common).await?,
        });
    }
    report.notes = notes(common, what);
    Ok(report)
}

fn notes(common: &Common, what: &What) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut notes = vec![format!(
        "{} run(s), {} daemon(s), Redis {} an append-only file, all on the {cores} core(s) of this machine.",
        common.runs,
        common.daemons,
        if common.durable { "with" } else { "without" },
    )];
    notes.push(match what {
        What::Queue(_) => format!(
            "A no-op job resumes a channel that is not paused: decoded, judged, run, its status and event written, \
             settled. {} jobs in hand.",
            common.permits
        ),
        What::Export(_) => {
            "Orders of one campaign with a finished run, filters none; the command also starts.".to_owned()
        }
        What::Generate(_) => "Orders from a CSV file in the spool folder, without delivery.".to_owned(),
        What::Import(_) => "Cases with two contacts, two labels and two variables from a CSV file in the spool folder; again: the same \
                            file with another label in every tenth row."
            .to_owned(),
        What::Filter(_) => "Cases with two contacts, two labels and two variables; those left out are written down.".to_owned(),
        What::Recovery(_) => "A run of one slot; the longest of three deaths each, leases as by default (12 s).".to_owned(),
        What::Recurring(_) => "Definitions of one campaign over one case; the clock is Redis'.".to_owned(),
        What::Receipts(_) => format!(
            "{} requests at once, each answered when its receipts are written; the client shares the cores.",
            common.in_flight
        ),
        What::Rate(_) => "Messages of one part, counted at the provider by the second; the first and the last second are left out; \
                          --daemons does not count."
            .to_owned(),
        What::Fairness(_) => "From the acceptance of the small job to its last recorded outcome, by Redis' clock, while the big run \
                              goes on."
            .to_owned(),
        What::Trouble(_) => "Jobs of one message each, one after the other, from acceptance to recorded outcome by Redis' clock; \
                             beside them a run of 5,000 on a channel in trouble, of the same daemon."
            .to_owned(),
        What::Send(_) => format!(
            "{} messages in flight; the bare client POSTs the same JSON and writes each result to Redis in pipelines.",
            common.in_flight
        ),
    });
    if cfg!(debug_assertions) {
        notes.push("This is a debug build: the figures say nothing.".to_owned());
    }
    notes
}
