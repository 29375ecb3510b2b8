//! The yardstick: a client without a queue.
//!
//! It POSTs the same JSON to the same provider over keep-alive, so many at once, reads the id of each
//! answer and writes each result to the same Redis in pipelines. No claims, no ledger, no rate, no
//! retries: what is left when everything that makes a delivery safe is taken away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    campaign,
    figures::per_second,
    process::own_cpu,
    stage::{Stage, client},
};

/// Results written by one pipeline.
const BATCH: usize = 64;

/// What it did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bare {
    /// Messages a second.
    pub(super) per_second: u64,
    /// CPU time it used.
    pub(super) cpu: Duration,
}

/// Sends so many messages, `in_flight` at once.
pub(super) async fn send(stage: &Stage, count: u64, in_flight: u32) -> anyhow::Result<Bare> {
    let client = client()?;
    let url: Arc<str> = format!("{}/messages", stage.provider_url()).into();
    let (results, written) = mpsc::channel(BATCH * 4);
    let (began, cpu) = (Instant::now(), own_cpu()?);
    let mut tasks = JoinSet::new();
    for first in 0..u64::from(in_flight) {
        let (client, url, results) = (client.clone(), Arc::clone(&url), results.clone());
        tasks.spawn(async move {
            for row in (first..count).step_by(usize::try_from(in_flight)?) {
                let answer = client
                    .post(&*url)
                    .header("idempotency-key", format!("bare/delivery@1/{row}.0/1"))
                    .json(&campaign::bare_body(row))
                    .send()
                    .await?;
                let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await?)?;
                let id = answer.get("id").and_then(|id| id.as_str()).context("the provider gave no id")?;
                results.send((row, id.to_owned())).await?;
            }
            Ok::<(), anyhow::Error>(())
        });
    }
    drop(results);
    write_results(stage, written).await?;
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(Bare { per_second: per_second(count, began.elapsed()), cpu: own_cpu()?.saturating_sub(cpu) })
}

async fn write_results(stage: &Stage, mut results: mpsc::Receiver<(u64, String)>) -> anyhow::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    while results.recv_many(&mut batch, BATCH).await > 0 {
        let mut pipeline = redis::pipe();
        for (row, id) in batch.drain(..) {
            pipeline.cmd("HSET").arg(format!("bare:{}", row / 128)).arg(row % 128).arg(id).ignore();
        }
        stage.store.connection.pipeline::<()>(&pipeline).await?;
    }
    Ok(())
}
