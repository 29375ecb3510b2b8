//! The composition root: builds the daemon, starts it in order, stops it in reverse with budgets.
//!
//! Start: state folder, instance lock, the door (which says so), the embedded Redis, then the daemon (`daemon.rs`). Stop: the
//! daemon drains, then the embedded Redis ends. A worker that ends by itself ends the process. A [`reload`] starts
//! another daemon under the same lock, door and Redis before the present one drains.

mod beat;
mod build;
mod daemon;
mod door;
mod handlers;
pub mod reload;
mod signs;

use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, RedisTarget},
    lifecycle,
    metrics::Metrics,
    queue::incarnation::Instance,
    store::{
        Connection, Store, Timeouts,
        embedded::{self, Embedded},
    },
};

pub use daemon::Unfit;
use daemon::{Daemon, REDIS_WITHIN};
use door::Door;
use reload::Reloads;

/// Connection time-outs of the configuration.
fn timeouts(config: &Config) -> Timeouts {
    Timeouts { connect: config.redis.connect_timeout, response: config.redis.response_timeout }
}

/// The store that the configuration names; nothing is opened yet.
pub fn store(config: &Config) -> anyhow::Result<Store> {
    let connection = match &config.redis.target {
        RedisTarget::Embedded { .. } => Connection::new(&embedded::url(&config.state_dir), timeouts(config)),
        RedisTarget::Server { address } => Connection::to(address, &config.redis.tls, timeouts(config)),
    };
    Ok(Store::new(connection.context("redis.url cannot be used")?, &config.prefix))
}

/// A store whose Redis answers, for commands beside a daemon.
pub async fn connect(config: &Config) -> anyhow::Result<Store> {
    let store = store(config)?;
    if let Err(error) = store.now_ms().await {
        match &config.redis.target {
            RedisTarget::Embedded { .. } => bail!(
                "no Redis at {}: is the daemon running? Start it with `remesa run` ({error})",
                embedded::socket(&config.state_dir).display()
            ),
            RedisTarget::Server { address } => bail!("no Redis at {address}: see redis.url ({error})"),
        }
    }
    Ok(store)
}

/// What outlives a reload.
struct House {
    instance: Instance,
    door: Option<Door>,
    metrics: Arc<Metrics>,
}

/// Runs a daemon until `stop`. Returns an error when it could not start, or when a part of it failed.
pub async fn run(config: Arc<Config>, reloads: Reloads, stop: CancellationToken) -> anyhow::Result<()> {
    let host = nix::unistd::gethostname().ok().and_then(|h| h.into_string().ok()).unwrap_or_else(|| "host".to_owned());
    let instance = Instance::take(&config.state_dir, config.instance.as_str(), &host, rand::random())?;
    let (keeping, end_redis) = (TaskTracker::new(), CancellationToken::new());
    let house = House { instance, door: Door::open(&config, &keeping).await?, metrics: Arc::default() };
    if let RedisTarget::Embedded { program, fsync } = &config.redis.target {
        let embedded = Embedded::start(&config.state_dir, program, fsync.as_str(), timeouts(&config)).await?;
        keeping.spawn(embedded.keep(end_redis.clone()));
    }
    let result = house.live(config, &reloads, &stop).await;
    end_redis.cancel();
    keeping.close();
    keeping.wait().await;
    result
}

impl House {
    /// A daemon lives here, and after each reload the next one, until `stop`.
    async fn live(mut self, config: Arc<Config>, reloads: &Reloads, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut daemon = Daemon::start(&config, &self, REDIS_WITHIN, stop).await?;
        lifecycle::notify_ready("working");
        // Those that a reload relieved, while they drain and as long as their journals may be needed.
        let relieved = TaskTracker::new();
        let failed = loop {
            tokio::select! {
                () = stop.cancelled() => break None,
                queue = daemon.worker_ended() => break Some(queue),
                () = reloads.asked.notified() => {}
            }
            lifecycle::notify_reloading();
            match self.relief(&daemon, reloads, stop).await {
                Ok(next) => {
                    let before = std::mem::replace(&mut daemon, next);
                    before.close_door();
                    let (gone, metrics) = (daemon.channels_gone(&before), Arc::clone(&self.metrics));
                    let forget = move || metrics.forget_channels(gone.iter().map(String::as_str));
                    relieved.spawn(before.relieved(stop.clone(), forget));
                }
                Err(error) => {
                    self.metrics.reloaded(false);
                    tracing::error!(error = format!("{error:#}"), "not reloaded: everything stays as it was");
                }
            }
            lifecycle::notify_ready("working");
        };
        lifecycle::notify_stopping(daemon.budget());
        self.metrics.ready(false);
        relieved.close();
        tokio::join!(daemon.drain(), relieved.wait());
        match failed {
            Some(queue) => bail!("the worker of the queue {queue} ended by itself"),
            None => Ok(()),
        }
    }

    /// Starts the daemon that relieves the present one, under the configuration as it stands now.
    async fn relief(
        &mut self,
        present: &Daemon,
        reloads: &Reloads,
        stop: &CancellationToken,
    ) -> anyhow::Result<Daemon> {
        let config = reloads.read(present.config())?;
        self.instance.renew(rand::random())?;
        let next = Daemon::start(&config, self, reload::REDIS_WITHIN, stop).await?;
        if let Some(level) = &reloads.level {
            level.set(&config.log.level)?;
        }
        self.metrics.reloaded(true);
        next.audit_reload(reload::changed(present.config(), &config)).await;
        tracing::info!(channels = config.channels.len(), incarnation = %self.instance.incarnation, "reloaded");
        Ok(next)
    }
}
