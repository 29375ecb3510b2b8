//! The queue alone: jobs and slot turns a second, pick-up, lateness, start.
//!
//! Throughput is what is settled a second: the entries are there before the daemon starts, and the
//! first tenth is its warm-up. Pick-up is what a producer sees: from its `XADD` to the job's `done` event,
//! one job at a time on a daemon with nothing else to do.

use std::time::{Duration, Instant};

use anyhow::bail;
use redis::cmd;
use serde_json::json;

use super::{
    Common, campaign,
    figures::{Figure, Unit, micros, per_second, percentile},
    results::{Results, until_state},
    stage::Stage,
};

/// Jobs, and slot turns of each kind, of one run unless told otherwise.
const COUNT: u64 = 50_000;

/// Jobs whose pick-up is timed, and those before them.
const PICK_UPS: usize = 1_000;
const WARM_UP: usize = 100;

/// Jobs due at one instant.
const CROWD: usize = 1_000;

/// Jobs due alone, and the time between two of them.
const SINGLES: usize = 20;
const SINGLES_EVERY_MS: u64 = 50;

/// How long after they were enqueued delayed jobs are due: time enough to accept them all.
const DUE_IN_MS: u64 = 1_500;

/// Slots of the channel `nowhere` of the stage.
const SLOTS: u64 = 64;

/// The cheapest job there is: it changes nothing.
const NO_OP: &str = r#"{"action":"resume","channel":"bench"}"#;

/// One run.
pub(super) async fn run(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let count = common.count.unwrap_or(COUNT);
    let mut stage = Stage::set(common.setting()).await?;
    let start = start_to_first_job(&mut stage).await?;
    let mut pick_ups = pick_ups(&stage).await?;
    let mut crowd = late(&stage, "crowd", CROWD, 0).await?;
    let mut singles = late(&stage, "single", SINGLES, SINGLES_EVERY_MS).await?;
    let over = ended_run(&stage).await?;
    let idle = idle_run(&stage).await?;
    stage.check()?;
    stage.stop_daemons().await?;
    let jobs = drain(&mut stage, "control", "job", &[NO_OP.to_owned()], count).await?;
    let over = drain(&mut stage, "batch:bench", "slot", &over, count).await?;
    let idle = drain(&mut stage, "batch:nowhere", "slot", &idle, count).await?;
    stage.strike().await?;
    let late_ms = |samples: &mut [u64], per_mille| percentile(samples, per_mille) * 1000;
    Ok(vec![
        Figure::new("jobs_per_second", "no-op jobs with status", Unit::PerSecond, jobs).aim("30,000/s"),
        Figure::new("turns_of_ended_run_per_second", "slot turns of a run that is over", Unit::PerSecond, over)
            .aim("60,000/s"),
        Figure::new("idle_turns_per_second", "slot turns that claim and find nothing due", Unit::PerSecond, idle),
        Figure::new("pick_up_p50", "from XADD to done, p50", Unit::Micros, percentile(&mut pick_ups, 500))
            .aim("0.3 ms"),
        Figure::new("pick_up_p99", "from XADD to done, p99", Unit::Micros, percentile(&mut pick_ups, 990)).aim("1 ms"),
        Figure::new(
            "crowd_late_p50",
            "1,000 jobs due at one instant: late, p50",
            Unit::Micros,
            late_ms(&mut crowd, 500),
        ),
        Figure::new(
            "crowd_late_p99",
            "1,000 jobs due at one instant: late, p99",
            Unit::Micros,
            late_ms(&mut crowd, 990),
        )
        .aim("20 ms"),
        Figure::new("single_late_p50", "a single delayed job: late, p50", Unit::Micros, late_ms(&mut singles, 500))
            .aim("2 ms"),
        Figure::new("single_late_max", "a single delayed job: late, worst", Unit::Micros, late_ms(&mut singles, 1000)),
        Figure::new("start_to_first_job", "from start to the end of the first job", Unit::Micros, micros(start))
            .aim("300 ms"),
    ])
}

/// A job waits; how long after the start of a daemon is it done?
async fn start_to_first_job(stage: &mut Stage) -> anyhow::Result<Duration> {
    let mut results = Results::follow(&stage.store).await?;
    let entry = stage.store.add_job("control", NO_OP.as_bytes()).await?;
    let began = Instant::now();
    stage.start_daemons()?;
    results.until(&format!("control:{entry}/done")).await?;
    Ok(began.elapsed())
}

async fn pick_ups(stage: &Stage) -> anyhow::Result<Vec<u64>> {
    let mut results = Results::follow(&stage.store).await?;
    let mut samples = Vec::with_capacity(PICK_UPS);
    for number in 0..WARM_UP + PICK_UPS {
        let began = Instant::now();
        let entry = stage.store.add_job("control", NO_OP.as_bytes()).await?;
        results.until(&format!("control:{entry}/done")).await?;
        if number >= WARM_UP {
            samples.push(micros(began.elapsed()));
        }
    }
    Ok(samples)
}

/// How late, in ms, `count` jobs start that come due `every_ms` after one another, by Redis' clock.
async fn late(stage: &Stage, name: &str, count: usize, every_ms: u64) -> anyhow::Result<Vec<u64>> {
    let mut results = Results::follow(&stage.store).await?;
    let first_due = u64::try_from(stage.store.now_ms().await?)? + DUE_IN_MS;
    let due = |number: u64| first_due + number * every_ms;
    let mut jobs = redis::pipe();
    for number in 0..u64::try_from(count)? {
        let id = format!("{name}-{number}");
        let job = json!({ "id": id, "at": due(number), "action": "resume", "channel": "bench" });
        jobs.cmd("XADD").arg(stage.store.keys.jobs("control")).arg("*").arg("job").arg(job.to_string()).ignore();
    }
    stage.store.connection.pipeline::<()>(&jobs).await?;
    let mut done = 0;
    while done < count {
        done += results.next().await?.iter().filter(|seen| seen.event.ends_with("/done")).count();
    }
    let mut starts = redis::pipe();
    for number in 0..count {
        starts.cmd("HGET").arg(stage.store.keys.job(&format!("{name}-{number}"))).arg("started_at");
    }
    let starts: Vec<u64> = stage.store.connection.pipeline(&starts).await?;
    Ok(starts.into_iter().zip(0..).map(|(at, number)| at.saturating_sub(due(number))).collect())
}

/// Slot texts of a run that was sent to its end.
async fn ended_run(stage: &Stage) -> anyhow::Result<Vec<String>> {
    send(stage, "over", "bench").await?;
    until_state(&stage.store, &stage.store.keys.run("over", "delivery@1"), &["finished"]).await?;
    slots(stage, "over").await
}

/// Slot texts of a run whose only recipient waits for a retry in the far future.
async fn idle_run(stage: &Stage) -> anyhow::Result<Vec<String>> {
    send(stage, "idle", "nowhere").await?;
    let key = stage.store.keys.run("idle", "delivery@1");
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..2_000 {
        looks.tick().await;
        let waiting: Option<u64> = stage.store.connection.query(cmd("HGET").arg(&key).arg("retry")).await?;
        if waiting == Some(1) {
            return slots(stage, "idle").await;
        }
    }
    bail!("the recipient of the idle run does not wait for a retry")
}

async fn send(stage: &Stage, name: &str, channel: &str) -> anyhow::Result<()> {
    let file = format!("{name}.csv");
    campaign::write_csv(&stage.spool(&file), 1)?;
    let job = campaign::job(name, name, &file, Some(channel)).to_string();
    stage.store.add_job("generate", job.as_bytes()).await?;
    until_state(&stage.store, &stage.store.keys.job(name), &["done"]).await?;
    Ok(())
}

/// The entries that stand for the slots of a run now.
async fn slots(stage: &Stage, name: &str) -> anyhow::Result<Vec<String>> {
    let slots = stage.store.hash(&stage.store.keys.slots(name, "delivery@1")).await?;
    let token = |slot: u64| Some((slot, slots.get(&format!("{slot}:token"))?));
    Ok((0..SLOTS).filter_map(token).map(|(slot, token)| format!("{name}/delivery@1/{slot}/{token}")).collect())
}

/// Entries settled a second, of `count` that wait when the daemons start; the first tenth is not counted.
async fn drain(stage: &mut Stage, queue: &str, field: &str, values: &[String], count: u64) -> anyhow::Result<u64> {
    let all: Vec<String> = values.iter().cycle().take(usize::try_from(count)?).cloned().collect();
    for some in all.chunks(5_000) {
        stage.store.add_entries(queue, field, some).await?;
    }
    stage.start_daemons()?;
    let mut length = cmd("XLEN");
    length.arg(stage.store.keys.jobs(queue));
    let mut looks = tokio::time::interval(Duration::from_millis(2));
    let mut began = None;
    loop {
        looks.tick().await;
        let left: u64 = stage.store.connection.query(&length).await?;
        match began {
            None if left <= count - count / 10 => began = Some((Instant::now(), left)),
            Some((began, from)) if left == 0 => {
                let rate = per_second(from, Instant::now().duration_since(began));
                stage.stop_daemons().await?;
                return Ok(rate);
            }
            _ => stage.check()?,
        }
    }
}
