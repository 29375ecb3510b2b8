//! How fast a filter goes through the cases of a campaign, from the job to the end of its run.
//!
//! Two runs over the same cases: one whose filter leaves hardly anybody (one case in 5,000), so that what is measured is
//! reading, judging and writing down who was left out; and one that leaves every tenth. The clock is Redis': from the run's
//! creation to its end.

use serde_json::json;

use super::{
    Common, campaign,
    figures::{Figure, Unit, cpu_per_thousand, per_second},
    results::{between, number, until_state},
    stage::Stage,
};

/// Cases unless told otherwise.
const COUNT: u64 = 100_000;

/// One run.
pub(super) async fn run(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let count = common.count.unwrap_or(COUNT);
    let mut stage = Stage::set(common.setting()).await?;
    campaign::write_cases(&stage.spool("cases.csv"), count, "vip")?;
    stage.start_daemons()?;
    campaign::import(&stage, "bench", "cases", "cases.csv").await?;
    let cpu = stage.cpu()?;
    let few =
        send(&stage, "few", &json!({ "column": "vars.debt", "operator": "greater", "value": 5998 }), count).await?;
    let used = stage.cpu()?.since(cpu);
    let tenth =
        send(&stage, "tenth", &json!({ "column": "labels", "operator": "contains", "value": "vip" }), count).await?;
    let cpu_figure = |id, what: &str, cpu| {
        Figure::new(id, what.to_owned() + " per 1,000 cases", Unit::CpuMicros, cpu_per_thousand(cpu, count))
    };
    let figures = vec![
        Figure::new("few_per_second", "cases filtered, one in 5,000 is sent to", Unit::PerSecond, few).aim("100,000/s"),
        cpu_figure("daemon_cpu", "CPU of the daemon", used.daemons),
        cpu_figure("redis_cpu", "CPU of Redis", used.redis),
        Figure::new("tenth_per_second", "cases filtered, every tenth is sent to", Unit::PerSecond, tenth),
        Figure::new("daemon_peak_bytes", "most memory of a daemon", Unit::Bytes, stage.daemon_peak_bytes()?)
            .aim("80 MiB"),
    ];
    stage.check()?;
    stage.strike().await?;
    Ok(figures)
}

/// Sends to the cases that one condition leaves; returns how many cases a second the run went through.
async fn send(stage: &Stage, message: &str, condition: &serde_json::Value, count: u64) -> anyhow::Result<u64> {
    let job = json!({
        "id": message, "message": message, "campaign": "bench", "channel": "bench", "text": "Hola {{ first_name }}, te esperamos",
        "filter": { "all": [condition] },
    });
    stage.store.add_job("send", job.to_string().as_bytes()).await?;
    // A refused job never makes a run.
    until_state(&stage.store, &stage.store.keys.job(message), &["done"]).await?;
    let run = until_state(&stage.store, &stage.store.keys.run("bench", message), &["finished"]).await?;
    let (sent, skipped) = (number(&run, "sent"), number(&run, "skipped"));
    anyhow::ensure!(sent > 0 && sent + skipped == count, "{message}: {sent} sent and {skipped} left out of {count}");
    Ok(per_second(count, between(number(&run, "created_at"), number(&run, "finished_at"))))
}
