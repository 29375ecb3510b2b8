//! How long a small run takes behind a big one on the same channel.
//!
//! Two runs share a channel turn by turn, so that the small one waits for the turns under way (two seconds), and then has
//! its share. Measured at a rate, and without one; one small run after another, as long as the big one goes on.

use anyhow::ensure;
use redis::cmd;

use super::{
    Common, campaign,
    figures::{Figure, Unit, micros, percentile},
    results::{between, until_state},
    send::Sent,
    stage::{Setting, Stage},
};

/// Recipients of the big run unless told otherwise.
const BIG: u64 = 200_000;

/// Recipients of a small run.
const SMALL: u64 = 100;

/// Small runs, as long as the big one lasts.
const RUNS: usize = 5;

/// Parts a second, where there is a limit: a hundred at half of it are 0.4 s.
const RATE: u32 = 500;

/// Slot turns of a daemon at once, as by default.
const PERMITS: u16 = 4;

/// The big run is well under way when so many of it were sent.
const UNDER_WAY: u64 = 1_000;

/// One run at a rate, and one without.
pub(super) async fn run(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let big = common.count.unwrap_or(BIG);
    let what = |which: &str, at: &str| format!("{SMALL} recipients behind {big}, {at}: {which} to the last outcome");
    let (median, longest) = measure(common, RATE).await?;
    let at = format!("{RATE}/s");
    let mut figures = vec![
        Figure::new("small_run_at_rate", what("median", &at), Unit::Micros, median).aim("0.4 s and a turn of 2 s"),
        Figure::new("small_run_at_rate_longest", what("longest", &at), Unit::Micros, longest),
    ];
    let (median, longest) = measure(common, 0).await?;
    figures.push(Figure::new("small_run", what("median", "no limit"), Unit::Micros, median).aim("a turn of 2 s"));
    figures.push(Figure::new("small_run_longest", what("longest", "no limit"), Unit::Micros, longest));
    Ok(figures)
}

/// Median and longest of the small runs, in microseconds.
async fn measure(common: &Common, rate_per_second: u32) -> anyhow::Result<(u64, u64)> {
    let mut stage = Stage::set(Setting { rate_per_second, permits: PERMITS, ..common.setting() }).await?;
    campaign::write_csv(&stage.spool("big.csv"), common.count.unwrap_or(BIG))?;
    campaign::write_csv(&stage.spool("small.csv"), SMALL)?;
    stage.start_daemons()?;
    Sent::of(&stage, "big", "big.csv").await?;
    let big = stage.store.keys.run("big", "delivery@1");
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
    while sent(&stage, &big).await? < UNDER_WAY {
        looks.tick().await;
    }
    let mut took = Vec::new();
    for n in 0..RUNS {
        let small = format!("small-{n}");
        let times = Sent::of(&stage, &small, "small.csv").await?.finish(&stage).await?;
        if until_state(&stage.store, &big, &["running", "finished"]).await?.get("state").is_none_or(|s| s != "running")
        {
            break;
        }
        took.push(micros(between(times.accepted, times.finished)));
    }
    ensure!(!took.is_empty(), "the big run ended before a small one: it needs more recipients (--count)");
    stage.check()?;
    stage.strike().await?;
    Ok((percentile(&mut took, 500), percentile(&mut took, 1000)))
}

async fn sent(stage: &Stage, run: &str) -> anyhow::Result<u64> {
    let sent: Option<u64> = stage.store.connection.query(cmd("HGET").arg(run).arg("sent")).await?;
    Ok(sent.unwrap_or(0))
}
