//! How soon messages leave again after `kill -9` of the daemon that sent them.
//!
//! A run of one slot, so that only the dead daemon could go on with it at once. Either the same instance is started again on
//! its machine and takes over by its lock, or another daemon, which was there all the time, takes over when the lease has
//! ended. From the kill to the next acceptance, both by the machine's clock.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use redis::cmd;
use serde_json::Value;

use super::{
    Common, campaign,
    figures::{Figure, Unit, percentile},
    send::Sent,
    stage::{Setting, Stage, client},
};

/// Recipients of the run.
const COUNT: u64 = 20_000;
/// Messages a second: it lasts longer than any recovery.
const RATE: u32 = 500;
/// Deaths of each kind.
const DEATHS: usize = 3;
/// What was in flight at the kill has arrived after this.
const IN_FLIGHT_LANDS: Duration = Duration::from_millis(10);

/// One run.
pub(super) async fn run(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (id, what, aim, by_another) in [
        ("same_machine", "kill -9 to the next message, restarted on the same machine", "", false),
        ("other_daemon", "kill -9 to the next message, by another daemon", "13 s", true),
    ] {
        let mut took = Vec::new();
        for _ in 0..DEATHS {
            took.push(death(common, by_another).await?);
        }
        figures.push(Figure::new(id, what, Unit::Micros, percentile(&mut took, 1000)).aim(aim));
    }
    Ok(figures)
}

/// One death, in microseconds until a message leaves again.
async fn death(common: &Common, by_another: bool) -> anyhow::Result<u64> {
    let mut stage = Stage::set(Setting { daemons: 1, rate_per_second: RATE, slots: 1, ..common.setting() }).await?;
    campaign::write_csv(&stage.spool("orders.csv"), COUNT)?;
    stage.start_daemons()?;
    Sent::of(&stage, "bench", "orders.csv").await?;
    let inbox = Inbox { client: client()?, url: format!("{}/inbox", stage.provider_url()) };
    until(async || Ok(number(&inbox.newest().await?, "number") > u64::from(RATE))).await?;
    if by_another {
        stage.start_daemon(1)?;
        let beats = stage.store.keys.workers();
        until(async || Ok(stage.store.connection.query::<u64>(cmd("ZCARD").arg(&beats)).await? == 2)).await?;
    }
    let killed_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    drop(stage.take_daemon(0));
    if !by_another {
        stage.start_daemon(0)?;
    }
    tokio::time::sleep(IN_FLIGHT_LANDS).await;
    let before = number(&inbox.newest().await?, "number");
    let mut next = Value::Null;
    until(async || {
        next = inbox.first_after(before).await?;
        Ok(!next.is_null())
    })
    .await?;
    stage.strike().await?;
    let killed_ms = u64::try_from(killed_ms)?;
    Ok(number(&next, "at_ms").saturating_sub(killed_ms) * 1000)
}

/// What the provider has accepted.
struct Inbox {
    client: reqwest::Client,
    url: String,
}

impl Inbox {
    /// The newest message.
    async fn newest(&self) -> anyhow::Result<Value> {
        self.ask("last=1").await
    }

    /// The first message behind this one, or null.
    async fn first_after(&self, number: u64) -> anyhow::Result<Value> {
        self.ask(&format!("after={number}&limit=1")).await
    }

    async fn ask(&self, query: &str) -> anyhow::Result<Value> {
        let body = self.client.get(format!("{}?{query}", self.url)).send().await?.bytes().await?;
        let page: Value = serde_json::from_slice(&body).context("the inbox of the simulator")?;
        Ok(page.pointer("/messages/0").cloned().unwrap_or_default())
    }
}

fn number(message: &Value, field: &str) -> u64 {
    message.get(field).and_then(Value::as_u64).unwrap_or(0)
}

async fn until(mut ask: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..12_000 {
        looks.tick().await;
        if ask().await? {
            return Ok(());
        }
    }
    anyhow::bail!("nothing happened for a minute")
}
