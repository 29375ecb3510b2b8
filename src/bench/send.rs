//! How fast messages leave, against a client without any queue in the same run.
//!
//! The campaign is generated first; the run that sends it is measured by Redis' clock from its creation
//! to its last recorded outcome, with ledger, claims, governor, counters and events. The yardstick is
//! [`bare`]: the same requests to the same provider, results written to the same Redis.

use super::{
    Common, bare, campaign,
    figures::{Figure, Unit, cpu_per_thousand, per_second},
    meter::{self, Look},
    pace,
    results::{between, number, until_state},
    stage::Stage,
};

/// Messages of one run unless told otherwise.
const COUNT: u64 = 50_000;

/// Messages sent before anything is measured, by each of the two.
const WARM_UP: u64 = 5_000;

/// One run.
pub(super) async fn run(common: &Common) -> anyhow::Result<Vec<Figure>> {
    let count = common.count.unwrap_or(COUNT);
    let mut stage = Stage::set(common.setting()).await?;
    bare::send(&stage, WARM_UP, common.in_flight).await?;
    let bare = bare::send(&stage, count, common.in_flight).await?;
    campaign::write_csv(&stage.spool("warm.csv"), WARM_UP)?;
    campaign::write_csv(&stage.spool("orders.csv"), count)?;
    stage.start_daemons()?;
    let warm = Sent::of(&stage, "warm", "warm.csv").await?;
    warm.finish(&stage).await?;
    let memory = meter::data_bytes(&stage.store).await?;
    let sent = Sent::of(&stage, "bench", "orders.csv").await?;
    let times = sent.finish(&stage).await?;
    let (cpu, load) = (stage.cpu()?.since(sent.cpu), Look::at(&stage.store).await?.since(&sent.look));
    let memory = meter::data_bytes(&stage.store).await?.saturating_sub(memory);
    let rate = per_second(count, between(times.begun, times.finished));
    let whole = per_second(count, between(times.accepted, times.finished));
    let cpu_figure = |id, what: &str, cpu| {
        Figure::new(id, what.to_owned() + " per 1,000 messages", Unit::CpuMicros, cpu_per_thousand(cpu, count))
    };
    let each =
        |id, what: &str, of: u64| Figure::new(id, what.to_owned() + " per message", Unit::Each, of * 1000 / count);
    let mut figures = vec![
        Figure::new("messages_per_second", "messages sent", Unit::PerSecond, rate).aim("49,000/s"),
        Figure::new("bare_per_second", "messages of a bare reqwest client", Unit::PerSecond, bare.per_second),
        Figure::new("share_of_bare", "share of the bare client", Unit::Share, rate * 1000 / bare.per_second.max(1))
            .aim("70 %"),
        Figure::new("generate_and_send_per_second", "generated and sent, one job", Unit::PerSecond, whole)
            .aim("25,000/s"),
        cpu_figure("daemon_cpu", "CPU of the daemon", cpu.daemons).aim("0.022 s"),
        cpu_figure("redis_cpu", "CPU of Redis", cpu.redis).aim("0.010 s"),
        cpu_figure("provider_cpu", "CPU of the provider", cpu.provider),
        cpu_figure("bare_cpu", "CPU of the bare client", bare.cpu),
        each("redis_commands", "Redis commands, those in scripts counted,", load.commands),
        each("redis_scripts", "script calls", load.scripts),
        Figure::new("redis_bytes", "bytes to and from Redis per message", Unit::Bytes, load.bytes / count),
        Figure::new("order_bytes", "Redis memory of an order with its delivery", Unit::Bytes, memory / count)
            .aim("600 B"),
        Figure::new("daemon_peak_bytes", "most memory of a daemon", Unit::Bytes, stage.daemon_peak_bytes()?),
    ];
    stage.check()?;
    stage.strike().await?;
    if common.rate_seconds > 0 {
        figures.extend(pace::run(common).await?);
    }
    Ok(figures)
}

/// A campaign on its way, as it stood when its run began.
pub(super) struct Sent {
    campaign: String,
    accepted: u64,
    cpu: super::stage::Cpu,
    look: Look,
}

/// Redis' clock (epoch ms).
pub(super) struct Times {
    /// When the job was accepted.
    pub(super) accepted: u64,
    begun: u64,
    /// When the run ended.
    pub(super) finished: u64,
}

impl Sent {
    /// Generates a campaign and returns as soon as its run has begun.
    pub(super) async fn of(stage: &Stage, name: &str, file: &str) -> anyhow::Result<Self> {
        let job = campaign::job(name, name, file, Some("bench")).to_string();
        stage.store.add_job("generate", job.as_bytes()).await?;
        let done = until_state(&stage.store, &stage.store.keys.job(name), &["done"]).await?;
        let accepted = number(&done, "accepted_at");
        Ok(Self { campaign: name.to_owned(), accepted, cpu: stage.cpu()?, look: Look::at(&stage.store).await? })
    }

    pub(super) async fn finish(&self, stage: &Stage) -> anyhow::Result<Times> {
        let run = until_state(&stage.store, &stage.store.keys.run(&self.campaign, "delivery@1"), &["finished"]).await?;
        anyhow::ensure!(
            number(&run, "sent") == number(&run, "total"),
            "not every message was sent: {} of {}",
            number(&run, "sent"),
            number(&run, "total")
        );
        Ok(Times { accepted: self.accepted, begun: number(&run, "created_at"), finished: number(&run, "finished_at") })
    }
}
