//! How long messages wait beside a channel whose provider is in trouble, on the same daemon.
//!
//! The channels share the daemon's processor and its Redis, and nothing else: each has its queue, its permits, its
//! connections. So the waiting times beside any trouble are to be those without.

use std::time::Duration;

use super::{
    Common, campaign,
    figures::{Figure, Unit, micros, percentile},
    results::{between, until_state},
    send::Sent,
    stage::{Setting, Stage},
};

/// Recipients of the run on the channel in trouble.
const SICK: u64 = 5_000;

/// Messages that are measured, unless told otherwise.
const COUNT: u64 = 100;

/// The trouble is given so long to show.
const SHOWS_WITHIN: Duration = Duration::from_secs(2);

/// A trouble: ids of its figures, what it is, and how the simulator makes it.
struct Trouble {
    ids: (&'static str, &'static str),
    what: &'static str,
    channel: &'static str,
    arguments: &'static [&'static str],
}

const TROUBLES: [Trouble; 6] = [
    Trouble { ids: ("alone_p50", "alone_p99"), what: "no other", channel: "", arguments: &[] },
    Trouble {
        ids: ("hangs_p50", "hangs_p99"),
        what: "one that never answers",
        channel: "sick",
        arguments: &["--hang-per-mille", "1000"],
    },
    Trouble {
        ids: ("slow_p50", "slow_p99"),
        what: "one that takes 5 s for an answer",
        channel: "sick",
        arguments: &["--latency-min-ms", "5000", "--latency-max-ms", "5000"],
    },
    Trouble {
        ids: ("fails_p50", "fails_p99"),
        what: "one that answers 500",
        channel: "sick",
        arguments: &["--fail-per-mille", "1000"],
    },
    Trouble {
        ids: ("throttles_p50", "throttles_p99"),
        what: "one that answers 429, Retry-After: 1",
        channel: "sick",
        arguments: &["--throttle-per-mille", "1000", "--retry-after-seconds", "1"],
    },
    Trouble {
        ids: ("refuses_p50", "refuses_p99"),
        what: "one that refuses connections",
        channel: "nowhere",
        arguments: &[],
    },
];

/// One run of each trouble.
pub(super) async fn run(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for trouble in &TROUBLES {
        let mut waited = beside(common, trouble).await?;
        let what = |which: &str| format!("a message waits, its provider beside {}: {which}", trouble.what);
        figures.push(Figure::new(trouble.ids.0, what("p50"), Unit::Micros, percentile(&mut waited, 500)));
        figures.push(Figure::new(trouble.ids.1, what("p99"), Unit::Micros, percentile(&mut waited, 990)));
    }
    Ok(figures)
}

async fn beside(common: &Common, trouble: &Trouble) -> anyhow::Result<Vec<u64>> {
    let mut stage = Stage::set(Setting { sick: trouble.arguments, ..common.setting() }).await?;
    campaign::write_csv(&stage.spool("sick.csv"), SICK)?;
    campaign::write_csv(&stage.spool("one.csv"), 1)?;
    stage.start_daemons()?;
    Sent::of(&stage, "warm", "one.csv").await?.finish(&stage).await?;
    if !trouble.channel.is_empty() {
        let job = campaign::job("sick", "sick", "sick.csv", Some(trouble.channel)).to_string();
        stage.store.add_job("generate", job.as_bytes()).await?;
        until_state(&stage.store, &stage.store.keys.job("sick"), &["done"]).await?;
        tokio::time::sleep(SHOWS_WITHIN).await;
    }
    let mut waited = Vec::new();
    for n in 0..common.count.unwrap_or(COUNT) {
        let name = format!("one-{n}");
        let times = Sent::of(&stage, &name, "one.csv").await?.finish(&stage).await?;
        waited.push(micros(between(times.accepted, times.finished)));
    }
    stage.check()?;
    stage.strike().await?;
    Ok(waited)
}
