//! How fast cases are imported from a CSV file, the first time and again, and what they cost in memory.
//!
//! The clock is Redis': from the job's acceptance to its end, the first pass over the file included. The second import has the same
//! file with another label in every tenth row: nine of ten cases are read and left alone.

use super::{
    Common, campaign,
    figures::{Figure, Unit, cpu_per_thousand, per_second},
    meter,
    results::{between, number},
    stage::Stage,
};

/// Cases of one run unless told otherwise.
const COUNT: u64 = 100_000;

/// Cases imported before anything is measured.
const WARM_UP: u64 = 5_000;

/// One run.
pub(super) async fn run(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let count = common.count.unwrap_or(COUNT);
    let mut stage = Stage::set(common.setting()).await?;
    campaign::write_cases(&stage.spool("warm.csv"), WARM_UP, "new")?;
    campaign::write_cases(&stage.spool("cases.csv"), count, "new")?;
    campaign::write_cases(&stage.spool("again.csv"), count, "again")?;
    stage.start_daemons()?;
    campaign::import(&stage, "warm", "warm", "warm.csv").await?;
    let (memory, cpu) = (meter::data_bytes(&stage.store).await?, stage.cpu()?);
    let first = campaign::import(&stage, "bench", "first", "cases.csv").await?;
    let used = stage.cpu()?.since(cpu);
    let memory = meter::data_bytes(&stage.store).await?.saturating_sub(memory);
    let again = campaign::import(&stage, "bench", "again", "again.csv").await?;
    let took = |job| between(number(job, "accepted_at"), number(job, "finished_at"));
    let figures = vec![
        Figure::new("cases_per_second", "cases imported", Unit::PerSecond, per_second(count, took(&first))),
        Figure::new("again_per_second", "cases imported again", Unit::PerSecond, per_second(count, took(&again))),
        Figure::new("daemon_peak_bytes", "most memory of a daemon", Unit::Bytes, stage.daemon_peak_bytes()?)
            .aim("80 MiB"),
        Figure::new("case_bytes", "Redis memory of a case", Unit::Bytes, memory / count),
        Figure::new(
            "daemon_cpu",
            "CPU of the daemon per 1,000 cases",
            Unit::CpuMicros,
            cpu_per_thousand(used.daemons, count),
        ),
        Figure::new("redis_cpu", "CPU of Redis per 1,000 cases", Unit::CpuMicros, cpu_per_thousand(used.redis, count)),
    ];
    stage.check()?;
    stage.strike().await?;
    Ok(figures)
}
