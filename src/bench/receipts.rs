//! How many receipts a second come in: one a request as most providers do it, and in lists.
//!
//! A campaign is sent first. Then every message is reported delivered, over keep-alive, `in_flight` requests at once;
//! a request is answered only when its receipts are in the ledger. A second time, everything is reported again in lists
//! of a hundred: those are duplicates, which cost the look and not the writing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    Common, campaign,
    figures::{Figure, Unit, cpu_per_thousand, per_second},
    send::Sent,
    stage::{Stage, client},
};
use crate::domain::{failure::Attempt, reference};

/// Receipts of one run unless told otherwise.
const COUNT: u64 = 20_000;

/// Receipts of one list.
const LIST: usize = 100;

/// The channel of the stage that sends.
const CHANNEL: &str = "bench";

/// The name of the campaign.
const CAMPAIGN: &str = "bench";

/// One run.
pub(super) async fn run(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let count = common.count.unwrap_or(COUNT);
    let mut stage = Stage::set(common.setting()).await?;
    campaign::write_csv(&stage.spool("orders.csv"), count)?;
    stage.start_daemons()?;
    let sent = Sent::of(&stage, CAMPAIGN, "orders.csv").await?;
    sent.finish(&stage).await?;
    let post = Poster::of(&stage, common.in_flight).await?;
    let secret = stage.store.secret("").await?;
    let reports: Vec<Value> = (1..=count)
        .map(|n| {
            let reference = reference::sign(secret.as_bytes(), CAMPAIGN, "delivery@1", n, 0, Attempt::FIRST);
            json!({ "reference": reference, "id": format!("p-{n}"), "state": "delivered" })
        })
        .collect();
    let lists: Vec<Value> = reports.chunks(LIST).map(|chunk| Value::from(chunk.to_vec())).collect();
    let cpu = stage.cpu()?;
    let (singly, applied) = post.all(reports).await?;
    ensure!(applied == count, "{applied} of {count} receipts were applied");
    let cpu = stage.cpu()?.since(cpu);
    let (in_lists, again) = post.all(lists).await?;
    ensure!(again == 0, "{again} receipts were applied twice");
    Ok(vec![
        Figure::new("receipts_per_second", "receipts, one a request", Unit::PerSecond, per_second(count, singly)),
        Figure::new("listed_per_second", "duplicates in lists of 100", Unit::PerSecond, per_second(count, in_lists)),
        Figure::new(
            "daemon_cpu",
            "CPU of the daemon per 1,000 receipts, one a request",
            Unit::CpuMicros,
            cpu_per_thousand(cpu.daemons, count),
        ),
        Figure::new(
            "redis_cpu",
            "CPU of Redis per 1,000 receipts, one a request",
            Unit::CpuMicros,
            cpu_per_thousand(cpu.redis, count),
        ),
    ])
}

/// A provider that reports.
struct Poster {
    client: reqwest::Client,
    url: Arc<str>,
    in_flight: usize,
}

impl Poster {
    async fn of(stage: &Stage, in_flight: u32) -> anyhow::Result<Self> {
        let client = client()?;
        let workers = stage.store.workers().await?;
        let (_, daemon) = workers.first().context("no daemon")?;
        let address = daemon.get("http").context("the daemon does not say where it listens")?;
        let url = format!("http://{address}/receipts/{CHANNEL}").into();
        Ok(Self { client, url, in_flight: usize::try_from(in_flight)? })
    }

    /// Posts all bodies; how long it took, and how many receipts were applied.
    async fn all(&self, bodies: Vec<Value>) -> anyhow::Result<(Duration, u64)> {
        let began = Instant::now();
        let mut shares: Vec<Vec<Value>> = vec![Vec::new(); self.in_flight];
        for (n, body) in bodies.into_iter().enumerate() {
            if let Some(share) = shares.get_mut(n % self.in_flight) {
                share.push(body);
            }
        }
        let mut tasks = JoinSet::new();
        for share in shares {
            let (client, url) = (self.client.clone(), Arc::clone(&self.url));
            tasks.spawn(async move {
                let mut applied = 0;
                for body in share {
                    let answer = client.post(&*url).json(&body).send().await?.error_for_status()?;
                    let counts: Value = serde_json::from_slice(&answer.bytes().await?)?;
                    applied += counts.get("applied").and_then(Value::as_u64).context("no count")?;
                }
                Ok::<u64, anyhow::Error>(applied)
            });
        }
        let mut applied = 0;
        while let Some(ended) = tasks.join_next().await {
            applied += ended??;
        }
        Ok((began.elapsed(), applied))
    }
}
