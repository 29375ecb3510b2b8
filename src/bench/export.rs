//! How fast a campaign is written out, and in how much memory.
//!
//! The orders are generated from a CSV file, and every ledger page is filled as a run that has been sent would leave it,
//! without sending a million messages first: an export reads keys, whoever wrote them. The job's clock is Redis', from
//! its acceptance to its end, in a daemon that has done nothing else; the command is timed from its start to its end.

use std::{process::Stdio, time::Instant};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{
    Common, campaign,
    figures::{Figure, Unit, cpu_per_thousand, per_second},
    process::Process,
    results::{between, number, until_state},
    stage::Stage,
};
use crate::store::keys::LEDGER_PAGE;

/// Orders of one run unless told otherwise.
const COUNT: u64 = 1_000_000;

/// Pages of the ledger written by one command.
const PAGES_AT_ONCE: u64 = 64;

/// One run.
pub(super) async fn run(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let count = common.count.unwrap_or(COUNT);
    let mut stage = Stage::set(common.setting()).await?;
    campaign::write_csv(&stage.spool("orders.csv"), count)?;
    stage.start_daemons()?;
    let job = campaign::job("bench", "bench", "orders.csv", None).to_string();
    stage.store.add_job("generate", job.as_bytes()).await?;
    until_state(&stage.store, &stage.store.keys.job("bench"), &["done"]).await?;
    stage.stop_daemons().await?;
    fill_ledger(&stage, count).await?;
    stage.start_daemons()?;
    let before = stage.cpu()?;
    let (table, bytes) = job_of(&stage, "csv", count).await?;
    let used = stage.cpu()?.since(before);
    let peak = stage.daemon_peak_bytes()?;
    let (lines, _) = job_of(&stage, "ndjson", count).await?;
    stage.check()?;
    let (command, command_peak) = command(&stage, count).await?;
    stage.strike().await?;
    Ok(vec![
        Figure::new("csv_orders_per_second", "orders exported as CSV, by a job", Unit::PerSecond, table)
            .aim("100,000/s"),
        Figure::new("ndjson_orders_per_second", "orders exported as NDJSON, by a job", Unit::PerSecond, lines),
        Figure::new("command_orders_per_second", "orders exported as CSV, by the command", Unit::PerSecond, command),
        Figure::new("daemon_peak_bytes", "most memory of the daemon", Unit::Bytes, peak).aim("80 MiB"),
        Figure::new("command_peak_bytes", "most memory of the command", Unit::Bytes, command_peak).aim("80 MiB"),
        Figure::new("row_bytes", "bytes of a CSV row", Unit::Bytes, bytes / count),
        Figure::new(
            "daemon_cpu",
            "CPU of the daemon per 1,000 orders",
            Unit::CpuMicros,
            cpu_per_thousand(used.daemons, count),
        ),
        Figure::new("redis_cpu", "CPU of Redis per 1,000 orders", Unit::CpuMicros, cpu_per_thousand(used.redis, count)),
    ])
}

/// A finished run over all orders, with a cell for each.
async fn fill_ledger(stage: &Stage, count: u64) -> anyhow::Result<()> {
    let (store, now) = (&stage.store, stage.store.now_ms().await?);
    let mut pipeline = redis::pipe();
    let run = [
        ("state", "finished".to_owned()),
        ("first", "1".to_owned()),
        ("end", count.to_string()),
        ("total", count.to_string()),
        ("sent", count.to_string()),
        ("channel", "bench".to_owned()),
        ("text", campaign::TEXT.to_owned()),
        ("link_base", "https://pay.example/".to_owned()),
        ("currency", "EUR".to_owned()),
        ("finished_at", now.to_string()),
    ];
    pipeline.cmd("HSET").arg(store.keys.run("bench", "delivery@1")).arg(&run).ignore();
    pipeline.cmd("ZADD").arg(store.keys.runs("bench")).arg(now).arg("delivery@1").ignore();
    for page in 0..=count / LEDGER_PAGE {
        let first = page * LEDGER_PAGE;
        let cells: Vec<(u64, String)> = (first.max(1)..(first + LEDGER_PAGE).min(count + 1))
            .map(|n| (n % LEDGER_PAGE, format!("s,1,{now},,sb-{n:016x}")))
            .collect();
        if !cells.is_empty() {
            pipeline.cmd("HSET").arg(store.keys.ledger("bench", "delivery@1", first)).arg(&cells).ignore();
        }
        if page % PAGES_AT_ONCE == 0 {
            store.connection.pipeline::<()>(&pipeline).await?;
            pipeline = redis::pipe();
        }
    }
    store.connection.pipeline::<()>(&pipeline).await?;
    Ok(())
}

/// Orders a second and bytes of an export by a job.
async fn job_of(stage: &Stage, format: &str, count: u64) -> anyhow::Result<(u64, u64)> {
    let job = json!({ "id": format, "action": "export", "campaign": "bench", "format": format }).to_string();
    stage.store.add_job("control", job.as_bytes()).await?;
    let done = until_state(&stage.store, &stage.store.keys.job(format), &["done"]).await?;
    let result: serde_json::Value = serde_json::from_str(done.get("result").context("no result")?)?;
    anyhow::ensure!(result.get("rows") == Some(&count.into()), "not every order was exported: {result}");
    let took = between(number(&done, "accepted_at"), number(&done, "finished_at"));
    Ok((per_second(count, took), result.get("bytes").and_then(serde_json::Value::as_u64).unwrap_or(0)))
}

/// Orders a second and memory of the command.
async fn command(stage: &Stage, count: u64) -> anyhow::Result<(u64, u64)> {
    let out = stage.spool("command.csv");
    let (began, mut command) = (Instant::now(), stage.program(0)?);
    command.args(["export", "bench", "--json", "--out"]).arg(&out).stdout(Stdio::null());
    let mut process = Process::start("remesa export", &mut command)?;
    let (mut looks, mut peak) = (tokio::time::interval(std::time::Duration::from_millis(2)), 0);
    while process.is_running() {
        // It ends between two looks: the last one counts.
        peak = process.peak_bytes().unwrap_or(peak).max(peak);
        looks.tick().await;
    }
    let took = began.elapsed();
    if !out.exists() {
        bail!("remesa export wrote nothing");
    }
    Ok((per_second(count, took), peak))
}
