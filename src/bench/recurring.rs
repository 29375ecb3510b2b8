//! What permanent messages cost while they wait, and how late they begin.
//!
//! First a daemon is watched that has nothing to do, then one with so many definitions whose time has not come; then
//! ten of them tick each second, and each run tells by its name when it was due and by its hash when it was made, both by
//! Redis' clock.

use std::time::Duration;

use redis::{cmd, pipe};
use serde_json::json;

use super::{
    Common, campaign,
    figures::{Figure, Unit, micros, per_second, percentile},
    results::{Results, number},
    stage::{Cpu, Stage},
};

/// Definitions unless told otherwise.
const COUNT: u64 = 10_000;
/// Definitions that tick, and how often each one does.
const TICKING: u64 = 10;
const TICKS: u32 = 15;
/// A day: the first run of those that wait is so far away.
const DAY_MS: i64 = 24 * 3600 * 1000;
/// How long an idle daemon is watched.
const WATCHED: Duration = Duration::from_secs(20);

/// One run.
pub(super) async fn run(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let count = common.count.unwrap_or(COUNT);
    let mut stage = Stage::set(common.setting()).await?;
    campaign::write_cases(&stage.spool("cases.csv"), 1, "new")?;
    stage.start_daemons()?;
    campaign::import(&stage, "idle", "idle", "cases.csv").await?;
    campaign::import(&stage, "ticks", "ticks", "cases.csv").await?;
    let before = idle(&stage).await?;
    let mut results = Results::follow(&stage.store).await?;
    let began = std::time::Instant::now();
    let tomorrow = stage.store.now_ms().await? + DAY_MS;
    for first in (0..count).step_by(1000) {
        let jobs = (first..count.min(first + 1000))
            .map(|n| definition("idle", n, json!({ "every": "24h", "starts_at": tomorrow })));
        add(&stage, jobs).await?;
    }
    until_jobs(&mut results, count).await?;
    let defined = per_second(count, began.elapsed());
    let after = idle(&stage).await?;
    add(&stage, (0..TICKING).map(|n| definition("ticks", n, json!({ "every": "1s", "max_runs": TICKS })))).await?;
    let mut late = lateness(&stage).await?;
    let share = |id, what: &str, used: Cpu| {
        Figure::new(id, what, Unit::Deviation, micros(used.daemons + used.redis) * 1000 / micros(WATCHED))
    };
    let figures = vec![
        Figure::new("late_p50", "a permanent message begins late, p50", Unit::Micros, percentile(&mut late, 500)),
        Figure::new("late_p99", "p99", Unit::Micros, percentile(&mut late, 990)).aim("50 ms"),
        Figure::new("late_max", "at worst", Unit::Micros, percentile(&mut late, 1000)),
        Figure::new("defined_per_second", "definitions made", Unit::PerSecond, defined),
        share("idle_cpu", "CPU of an idle daemon and its Redis, of one core", before),
        share("idle_cpu_defined", &format!("the same with {count} definitions"), after),
    ];
    stage.check()?;
    stage.strike().await?;
    Ok(figures)
}

fn definition(campaign: &str, number: u64, times: serde_json::Value) -> serde_json::Value {
    let mut job = json!({
        "recurring": format!("d-{number}"), "campaign": campaign, "channel": "bench", "text": "Hola {{ first_name }}",
    });
    if let (Some(fields), serde_json::Value::Object(times)) = (job.as_object_mut(), times) {
        fields.extend(times);
    }
    job
}

async fn add(stage: &Stage, jobs: impl Iterator<Item = serde_json::Value>) -> anyhow::Result<()> {
    let mut pipeline = pipe();
    for job in jobs {
        pipeline.cmd("XADD").arg(stage.store.keys.jobs("recurring")).arg("*").arg("job").arg(job.to_string()).ignore();
    }
    Ok(stage.store.connection.pipeline::<()>(&pipeline).await?)
}

/// What an idle stage uses while it is watched.
async fn idle(stage: &Stage) -> anyhow::Result<Cpu> {
    let before = stage.cpu()?;
    tokio::time::sleep(WATCHED).await;
    Ok(stage.cpu()?.since(before))
}

/// Waits for the ends of so many jobs.
async fn until_jobs(results: &mut Results, count: u64) -> anyhow::Result<()> {
    let mut ended = 0;
    while ended < count {
        let events = results.next().await?;
        ended +=
            events.iter().filter(|seen| seen.event.starts_with("recurring:") && seen.event.ends_with("/done")).count()
                as u64;
    }
    Ok(())
}

/// How much later than due the runs of the ticking definitions were made (microseconds).
async fn lateness(stage: &Stage) -> anyhow::Result<Vec<u64>> {
    let wanted = TICKING * u64::from(TICKS);
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    let runs = loop {
        looks.tick().await;
        let runs: Vec<String> =
            stage.store.connection.query(cmd("ZRANGE").arg(stage.store.keys.runs("ticks")).arg(0).arg(-1)).await?;
        if runs.len() as u64 >= wanted {
            break runs;
        }
    };
    let mut late = Vec::new();
    for run in runs {
        let due = run.rsplit_once('@').and_then(|(_, due)| due.parse::<u64>().ok()).unwrap_or(0);
        let hash = stage.store.hash(&stage.store.keys.run("ticks", &run)).await?;
        late.push(number(&hash, "created_at").saturating_sub(due) * 1000);
    }
    Ok(late)
}
