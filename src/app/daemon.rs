//! One daemon: started in order under one configuration, drained in reverse within its budget.
//!
//! Start: Redis answers, layout and secret, channels, heartbeat, depth, queue; then the door shows everything. Drain: no
//! new work, what runs is waited for within `shutdown.drain`, events go out, the heartbeat ends. A start that fails
//! leaves nothing behind that runs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    handler::{self, Context, context::Plans},
    http::{Access, Gate, HttpState, Liveness, receipts::Desk, replies::Mailbox, unsubscribe::Doorkeeper},
    journal::{Journal, KEEP},
    lifecycle,
    queue::{depth::teller::Teller, service::QueueService},
    store::{
        Store,
        audit::{AuditEntry, Thing},
        janitor,
        lasting::Lasting,
        leases::Registry,
        pressure::Pressure,
        publisher::Publisher,
        replicas::Replicas,
    },
};

use super::{
    House,
    beat::{beat, heartbeat},
    build,
    handlers::Handlers,
    signs, store,
};

/// How long a start waits for a Redis that is not there yet.
pub(super) const REDIS_WITHIN: Duration = Duration::from_secs(30);

/// What the end of a daemon may take beyond the drain: events, heartbeat.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A relieved daemon stays so long after its drain: what its journal keeps, and the file that it began last.
const LINGER: Duration = KEEP.saturating_add(Duration::from_secs(15));

/// A server that no restart makes fit: systemd should not try.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(String);

/// A daemon under way.
pub(super) struct Daemon {
    ctx: Arc<Context>,
    queue: QueueService,
    /// Cancelled first: no new work.
    drain: CancellationToken,
    /// Cancelled last: heartbeat, journal.
    end: CancellationToken,
    /// Cancelled with the last: HTTP, depth, watchdog. Or when the next daemon has taken the door over.
    door: CancellationToken,
    roles: TaskTracker,
    publishing: TaskTracker,
}

impl Daemon {
    /// Starts it; Redis has to answer within so long.
    pub(super) async fn start(
        config: &Arc<Config>,
        house: &House,
        redis_within: Duration,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let (began, instance) = (Instant::now(), &house.instance);
        let store = store(config)?;
        wait_for_redis(&store, redis_within, stop).await?;
        let asked = Instant::now();
        house.metrics.redis_answered(store.now_ms().await?, asked.elapsed());
        if let Err(newer) = store.check_layout().await? {
            bail!("the keys in this Redis have layout {newer}, newer than this version's: use the newer remesa");
        }
        let server = store.server_info().await?;
        if let Some((what, why)) = [("version", server.too_old()), ("maxmemory-policy", server.evicts())]
            .into_iter()
            .find_map(|(what, why)| Some((what, why?)))
        {
            return Err(Unfit(format!("this Redis cannot be used: {what} {why}")).into());
        }
        let secret = store.secret(&format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())).await?;
        let (drain, end) = (CancellationToken::new(), CancellationToken::new());
        let unfinished = (drain.clone().drop_guard(), end.clone().drop_guard());
        let (publisher, publishing_task) = Publisher::new(&store);
        let publishing = TaskTracker::new();
        publishing.spawn(publishing_task.run());
        let replicas = config.redis.wait.map(|wait| Replicas::start(&store, wait, &publishing));
        let registry = Arc::new(Registry::default());
        let metrics = Arc::clone(&house.metrics);
        let (incarnation, dead) = (&instance.incarnation, &instance.dead);
        let journal = if instance.relieves {
            Journal::beside(&config.state_dir, incarnation, Arc::clone(&metrics))
        } else {
            Journal::new(&config.state_dir, incarnation, dead, Arc::clone(&metrics))
        };
        let ctx = Arc::new(Context {
            // Slot turns and jobs have a connection of their own beside the queue's.
            store: store.separate(),
            config: Arc::clone(config),
            channels: build::channels(config, &store)?,
            points: build::payment_points(config, &store)?,
            secret: secret.into_bytes().into(),
            incarnation: instance.incarnation.clone(),
            dead: instance.dead.clone(),
            journal: Arc::new(journal),
            barrier: Arc::default(),
            registry: Arc::clone(&registry),
            publisher,
            replicas,
            metrics,
            drain: drain.clone(),
            plans: Plans::default(),
            pressure: Pressure::default(),
            previews: Semaphore::new(handler::preview::AT_ONCE),
        });
        let (names, roles): (Vec<String>, _) = (config.channels.keys().cloned().collect(), TaskTracker::new());
        roles.spawn(ctx.keeper(&store).run(end.clone()));
        let address = house.door.as_ref().map_or_else(|| "none".to_owned(), |door| door.address().to_string());
        // The first beat before the first job: a job is refused when nobody serves its channel.
        beat(&ctx, &names, &address).await?;
        // What is told of channels, shown and judged is the matter of the daemon at the door.
        let open = end.child_token();
        roles.spawn(heartbeat(Arc::clone(&ctx), names.clone(), address.clone(), open.clone(), end.clone()));
        roles.spawn(store.connection.clone().follow_failovers(end.clone()));
        roles.spawn(janitor::run(store.clone(), build::limits(config), end.clone()));
        roles.spawn(build::leftovers(config).run(end.clone()));
        let settings = build::settings(&ctx, instance);
        ctx.metrics.expect(settings.queues.iter().map(|queue| &*queue.name), names.iter().map(String::as_str));
        let liveness = Arc::new(Liveness::new(Instant::now()));
        let look = signs::look_at(&ctx, Arc::clone(&liveness), settings.queues.clone());
        let teller = Teller {
            store: store.separate(),
            rates: config.channels.iter().map(|(name, c)| (name.clone(), c.rate_per_second)).collect(),
            pressure: ctx.pressure.clone(),
            metrics: Arc::clone(&ctx.metrics),
        };
        roles.spawn(teller.run(look, open.clone()));
        roles.spawn(signs::tick(Arc::clone(&liveness), open.clone()));
        let alive = Arc::clone(&liveness);
        roles.spawn(lifecycle::watchdog(move || alive.check(Instant::now()).is_ok(), open.clone()));
        let handle = Arc::new(Handlers(Arc::clone(&ctx)));
        let queue = QueueService::start(settings, &store, &handle, &registry, &ctx.metrics, drain.clone())?;
        if let Some(door) = &house.door {
            door.serve(visible(&ctx, &store, liveness, &roles), &roles, open.clone())?;
        }
        ctx.metrics.ready(true);
        tracing::info!(
            incarnation = %instance.incarnation,
            http = %address,
            channels = config.channels.len(),
            took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "ready"
        );
        let (_, _) = (unfinished.0.disarm(), unfinished.1.disarm());
        Ok(Self { ctx, queue, drain, end, door: open, roles, publishing })
    }

    /// Waits until a worker ends by itself: a daemon with a dead worker must not live on.
    pub(super) async fn worker_ended(&mut self) -> String {
        self.queue.worker_ended().await
    }

    /// What it is told to be.
    pub(super) fn config(&self) -> &Config {
        &self.ctx.config
    }

    /// Writes into the audit that it relieved another, and what of the configuration changed.
    pub(super) async fn audit_reload(&self, changed: String) {
        let entry = AuditEntry::by_daemon("reload", Thing::default(), &changed);
        self.ctx.store.audit_own(&AuditEntry { job: self.ctx.incarnation.clone(), ..entry }).await;
    }

    /// How long its drain may take.
    pub(super) fn budget(&self) -> Duration {
        self.ctx.config.drain
    }

    /// Channels that the daemon before it served, and it does not.
    pub(super) fn channels_gone(&self, before: &Self) -> Vec<String> {
        before.ctx.channels.keys().filter(|channel| !self.ctx.channels.contains_key(*channel)).cloned().collect()
    }

    /// Answers at the door no more: the next daemon does.
    pub(super) fn close_door(&self) {
        self.door.cancel();
    }

    /// Takes no new work, waits for what runs, and ends.
    pub(super) async fn drain(self) {
        self.end_after(std::future::ready(())).await;
    }

    /// The same for one that another daemon of this process relieved: `drained`, it stays as long as its journal may be
    /// needed, or until `stop`. Whatever Redis loses of what it did, it tells again.
    pub(super) async fn relieved(self, stop: CancellationToken, drained: impl FnOnce()) {
        let linger = async move {
            drained();
            let _ = tokio::time::timeout(LINGER, stop.cancelled()).await;
        };
        self.end_after(linger).await;
    }

    async fn end_after(self, linger: impl Future<Output = ()>) {
        let budget = self.budget();
        self.drain.cancel();
        let in_time = self.queue.stop(budget).await;
        if in_time {
            tracing::info!("drained");
        } else {
            tracing::warn!(budget_seconds = budget.as_secs(), "not everything ended in time: leases will end");
        }
        linger.await;
        self.end.cancel();
        self.roles.close();
        let incarnation = self.ctx.incarnation.clone();
        let store = self.ctx.store.clone();
        // The publisher ends when the last handler's handle to it is gone.
        drop(self.ctx);
        self.publishing.close();
        let last_words = async {
            self.publishing.wait().await;
            self.roles.wait().await;
            store.stop_beating(&incarnation).await
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    }
}

/// What the daemon shows at its door, and who takes what comes in by it.
fn visible(ctx: &Arc<Context>, store: &Store, liveness: Arc<Liveness>, roles: &TaskTracker) -> HttpState {
    let (config, secret, metrics) = (&ctx.config, || Arc::clone(&ctx.secret), Arc::clone(&ctx.metrics));
    let (receipts, committer) =
        Desk::new(config.receipts.clone(), secret(), (store, &ctx.publisher, &ctx.journal), Arc::clone(&metrics));
    let lasting = || Lasting::new(store, ctx.replicas.clone());
    // It ends when the listener has: what was let in is written.
    roles.spawn(committer.run());
    HttpState {
        config: Arc::clone(config),
        store: store.separate(),
        gate: Gate::new(config),
        access: Access::new(config),
        liveness,
        drain: ctx.drain.clone(),
        receipts,
        mailbox: Mailbox::new(config, secret(), lasting(), Arc::clone(&metrics)),
        doorkeeper: Doorkeeper::new(lasting(), secret(), &config.unsubscribe.company),
        metrics,
    }
}

async fn wait_for_redis(store: &Store, within: Duration, stop: &CancellationToken) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut told = false;
    loop {
        match store.now_ms().await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_transient() && began.elapsed() < within => {
                if !told {
                    tracing::warn!(%error, "waiting for redis");
                    told = true;
                }
            }
            Err(error) => return Err(error).context("redis cannot be used (see redis.url)"),
        }
        tokio::select! {
            () = stop.cancelled() => bail!("stopped while waiting for redis"),
            () = tokio::time::sleep(Duration::from_millis(250)) => {}
        }
    }
}
