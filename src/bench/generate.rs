//! How fast orders are made of a CSV file, and what they cost in memory.
//!
//! The clock is Redis': from the job's acceptance to its end, the first pass over the file included.

use super::{
    Common, campaign,
    figures::{Figure, Unit, cpu_per_thousand, per_second},
    meter,
    results::{between, number, until_state},
    stage::Stage,
};

/// Orders of one run unless told otherwise.
const COUNT: u64 = 100_000;

/// Orders made before anything is measured.
const WARM_UP: u64 = 5_000;

/// One run.
pub(super) async fn run(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let count = common.count.unwrap_or(COUNT);
    let mut stage = Stage::set(common.setting()).await?;
    campaign::write_csv(&stage.spool("warm.csv"), WARM_UP)?;
    campaign::write_csv(&stage.spool("orders.csv"), count)?;
    stage.start_daemons()?;
    generate(&stage, "warm", "warm.csv").await?;
    let (memory, cpu) = (meter::data_bytes(&stage.store).await?, stage.cpu()?);
    let job = generate(&stage, "bench", "orders.csv").await?;
    let used = stage.cpu()?.since(cpu);
    let took = between(number(&job, "accepted_at"), number(&job, "finished_at"));
    let memory = meter::data_bytes(&stage.store).await?.saturating_sub(memory);
    let figures = vec![
        Figure::new("orders_per_second", "orders generated", Unit::PerSecond, per_second(count, took)).aim("50,000/s"),
        Figure::new("daemon_peak_bytes", "most memory of a daemon", Unit::Bytes, stage.daemon_peak_bytes()?)
            .aim("80 MiB"),
        Figure::new("order_bytes", "Redis memory of an order, not yet sent", Unit::Bytes, memory / count),
        Figure::new(
            "daemon_cpu",
            "CPU of the daemon per 1,000 orders",
            Unit::CpuMicros,
            cpu_per_thousand(used.daemons, count),
        ),
        Figure::new("redis_cpu", "CPU of Redis per 1,000 orders", Unit::CpuMicros, cpu_per_thousand(used.redis, count)),
    ];
    stage.check()?;
    stage.strike().await?;
    Ok(figures)
}

async fn generate(stage: &Stage, name: &str, file: &str) -> anyhow::Result<std::collections::HashMap<String, String>> {
    let job = campaign::job(name, name, file, None).to_string();
    stage.store.add_job("generate", job.as_bytes()).await?;
    until_state(&stage.store, &stage.store.keys.job(name), &["done"]).await
}
