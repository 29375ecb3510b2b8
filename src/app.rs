//! The composition root: builds the daemon, starts it in order, stops it in reverse with budgets.
//!
//! Start: state folder, instance lock, Redis (embedded or not), layout and secret, channels, queue,
//! heartbeat, HTTP. Stop: no new work, what runs is waited for within `shutdown.drain`, events go out,
//! the heartbeat ends, then the embedded Redis. A worker that ends by itself ends the process.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{net::TcpListener, sync::Semaphore, time::MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    channel::{
        Channel,
        governor::{Bounds, Governor},
    },
    config::{Config, OrderProvider, RedisTarget},
    domain::{name::JobId, retry::RetryPolicy},
    handler::{self, Context, ServedChannel, ServedPoint, context::Plans},
    http::{self, HttpState, Liveness, QueueLook, receipts::Desk, replies::Mailbox, unsubscribe::Doorkeeper},
    job::{DeadCode, Job, Outcome, QueueName},
    journal::Journal,
    lifecycle,
    metrics::Metrics,
    orders::http::Platform,
    queue::{
        Handle, JobTask, Queue, QueueId,
        depth::{self, Depth},
        incarnation::Instance,
        pressure,
        service::{QueueService, Settings},
        worker::JobPolicy,
    },
    source::leftovers::Leftovers,
    store::{
        Connection, Store, StoreError, Timeouts,
        embedded::{self, Embedded},
        janitor,
        leases::{Lease, Registry},
        pressure::Pressure,
        publisher::Publisher,
        runs::SlotRef,
        script::digest,
    },
};

/// How long a start waits for a Redis that is not there yet.
const REDIS_WITHIN: Duration = Duration::from_secs(30);

/// What the end of a daemon may take beyond the drain: events, heartbeat.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Connection time-outs of the configuration.
fn timeouts(config: &Config) -> Timeouts {
    Timeouts { connect: config.redis.connect_timeout, response: config.redis.response_timeout }
}

/// The store that the configuration names; nothing is opened yet.
pub fn store(config: &Config) -> anyhow::Result<Store> {
    let url = match &config.redis.target {
        RedisTarget::Embedded { .. } => embedded::url(&config.state_dir),
        RedisTarget::Server { url } => url.clone(),
    };
    let connection = Connection::new(&url, timeouts(config)).context("redis.url is not an address")?;
    Ok(Store::new(connection, &config.prefix))
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
            target @ RedisTarget::Server { .. } => bail!("no Redis at {target:?}: see redis.url ({error})"),
        }
    }
    Ok(store)
}

/// Runs a daemon until `stop`. Returns an error when it could not start, or when a part of it failed.
pub async fn run(config: Arc<Config>, stop: CancellationToken) -> anyhow::Result<()> {
    let host = nix::unistd::gethostname().ok().and_then(|h| h.into_string().ok()).unwrap_or_else(|| "host".to_owned());
    let instance = Instance::take(&config.state_dir, config.instance.as_str(), &host, rand::random())?;
    let embedded = match &config.redis.target {
        RedisTarget::Embedded { program, fsync } => {
            Some(Embedded::start(&config.state_dir, program, fsync.as_str(), timeouts(&config)).await?)
        }
        RedisTarget::Server { .. } => None,
    };
    let (keeping, end_redis) = (TaskTracker::new(), CancellationToken::new());
    if let Some(embedded) = embedded {
        keeping.spawn(embedded.keep(end_redis.clone()));
    }
    let ended = Daemon::start(&config, &instance, stop).await;
    let result = match ended {
        Ok(daemon) => daemon.run().await,
        Err(error) => Err(error),
    };
    end_redis.cancel();
    keeping.close();
    keeping.wait().await;
    result
}

/// A daemon under way.
struct Daemon {
    ctx: Arc<Context>,
    queue: QueueService,
    /// Cancelled first: no new work.
    drain: CancellationToken,
    /// Cancelled last: heartbeat, depth, HTTP.
    end: CancellationToken,
    roles: TaskTracker,
    publishing: TaskTracker,
    stop: CancellationToken,
}

impl Daemon {
    async fn start(config: &Arc<Config>, instance: &Instance, stop: CancellationToken) -> anyhow::Result<Self> {
        let began = Instant::now();
        let store = store(config)?;
        wait_for_redis(&store, &stop).await?;
        if let Err(newer) = store.check_layout().await? {
            bail!("the keys in this Redis have layout {newer}, newer than this version's: use the newer remesa");
        }
        let secret = store.secret(&format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())).await?;
        let mut channels = HashMap::new();
        for (name, settings) in &config.channels {
            let channel = Channel::build(settings).with_context(|| format!("channels.{name}"))?;
            let governor = Governor::new(&store, settings);
            channels.insert(name.clone(), Arc::new(ServedChannel { channel, governor }));
        }
        let points = payment_points(config, &store)?;
        let (drain, end) = (CancellationToken::new(), CancellationToken::new());
        let (publisher, publishing_task) = Publisher::new(&store);
        let publishing = TaskTracker::new();
        publishing.spawn(publishing_task.run());
        let (registry, metrics) = (Arc::new(Registry::default()), Arc::new(Metrics::default()));
        let (incarnation, dead) = (&instance.incarnation, &instance.dead);
        let journal = Arc::new(Journal::new(&config.state_dir, incarnation, dead, Arc::clone(&metrics)));
        let ctx = Arc::new(Context {
            // Slot turns and jobs have a connection of their own beside the queue's.
            store: store.separate(),
            config: Arc::clone(config),
            channels,
            points,
            secret: secret.into_bytes().into(),
            incarnation: instance.incarnation.clone(),
            dead: instance.dead.clone(),
            journal,
            barrier: Arc::default(),
            registry: Arc::clone(&registry),
            publisher,
            metrics,
            drain: drain.clone(),
            plans: Plans::default(),
            pressure: Pressure::default(),
            previews: Semaphore::new(handler::preview::AT_ONCE),
        });
        let roles = TaskTracker::new();
        roles.spawn(ctx.keeper(&store).run(end.clone()));
        let names: Vec<String> = config.channels.keys().cloned().collect();
        let listener = listen(config).await?;
        let address = listener.as_ref().and_then(|l| l.local_addr().ok());
        let address = address.map_or_else(|| "none".to_owned(), |address| address.to_string());
        // The first beat before the first job: a job is refused when nobody serves its channel.
        beat(&ctx, &names, &address).await?;
        roles.spawn(heartbeat(Arc::clone(&ctx), names.clone(), address.clone(), end.clone()));
        roles.spawn(janitor::run(store.clone(), limits(config), end.clone()));
        roles.spawn(leftovers(config).run(end.clone()));
        let settings = settings(&ctx, instance);
        let liveness = Arc::new(Liveness::new(Instant::now()));
        let look = look_at(Arc::clone(&liveness), settings.queues.clone(), settings.pressure.clone());
        let rates = config.channels.iter().map(|(name, c)| (name.clone(), c.rate_per_second)).collect();
        roles.spawn(depth::run(
            store.separate(),
            rates,
            ctx.pressure.clone(),
            Arc::clone(&ctx.metrics),
            look,
            end.clone(),
        ));
        roles.spawn(tick(Arc::clone(&liveness), end.clone()));
        let alive = Arc::clone(&liveness);
        roles.spawn(lifecycle::watchdog(move || alive.check(Instant::now()).is_ok(), end.clone()));
        if let Some(listener) = listener {
            let metrics = Arc::clone(&ctx.metrics);
            let (receipts, committer) = Desk::new(
                config.receipts.clone(),
                Arc::clone(&ctx.secret),
                &store,
                ctx.publisher.clone(),
                Arc::clone(&metrics),
            );
            // It ends when the listener has: what was let in is written.
            roles.spawn(committer.run());
            let mailbox = Mailbox::new(config, Arc::clone(&ctx.secret), &store, Arc::clone(&metrics));
            let doorkeeper = Doorkeeper::new(&store, Arc::clone(&ctx.secret), &config.unsubscribe.company);
            let (store, drain, personal_data) = (store.separate(), drain.clone(), config.http_personal_data);
            let public_url = config.public_url.clone();
            let state =
                HttpState { store, public_url, personal_data, metrics, liveness, drain, receipts, mailbox, doorkeeper };
            roles.spawn(http::serve(listener, state, end.clone()));
        }
        let handle = Arc::new(Handlers(Arc::clone(&ctx)));
        let queue = QueueService::start(settings, &store, &handle, &registry, &ctx.metrics, drain.clone())?;
        tracing::info!(
            incarnation = %instance.incarnation,
            http = %address,
            channels = config.channels.len(),
            took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "ready"
        );
        lifecycle::notify_ready("working");
        Ok(Self { ctx, queue, drain, end, roles, publishing, stop })
    }

    async fn run(mut self) -> anyhow::Result<()> {
        let failed = tokio::select! {
            () = self.stop.cancelled() => None,
            queue = self.queue.worker_ended() => Some(queue),
        };
        let budget = self.ctx.config.drain;
        lifecycle::notify_stopping(budget);
        self.drain.cancel();
        let in_time = self.queue.stop(budget).await;
        if in_time {
            tracing::info!("drained");
        } else {
            tracing::warn!(budget_seconds = budget.as_secs(), "not everything ended in time: leases will end");
        }
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
        match failed {
            Some(queue) => bail!("the worker of the queue {queue} ended by itself"),
            None => Ok(()),
        }
    }
}

/// The payment points whose orders a platform makes.
fn payment_points(config: &Config, store: &Store) -> anyhow::Result<HashMap<String, Arc<ServedPoint>>> {
    let mut points = HashMap::new();
    for (name, point) in &config.payment_points {
        let OrderProvider::Http(settings) = &point.provider else { continue };
        let platform = Platform::build(settings).with_context(|| format!("payment_points.{name}"))?;
        let bounds = Bounds {
            name: ServedPoint::shared_name(name),
            rate_per_second: settings.rate_per_second,
            in_flight: settings.in_flight,
            attempt: settings.longest(),
            breaker_failures: settings.breaker_failures,
            breaker_cooldown: settings.breaker_cooldown,
        };
        let governor = Governor::new(store, bounds);
        points.insert(name.clone(), Arc::new(ServedPoint { platform, governor }));
    }
    Ok(points)
}

/// The listener of health and metrics, if there is to be one.
async fn listen(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = config.http_listen else { return Ok(None) };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: set http.listen to a free port, or to \"\" for none"))?;
    Ok(Some(listener))
}

/// Tells the signs of life how the queues of this daemon stand.
fn look_at(liveness: Arc<Liveness>, queues: Vec<Queue>, pressure: Pressure) -> impl Fn(Option<&Depth>) + Send {
    move |depth| {
        let Some(depth) = depth else { return liveness.redis_is_away() };
        let looks = queues.iter().filter(|queue| !pressure::holds(&pressure, &queue.id)).map(|queue| QueueLook {
            queue: &queue.name,
            waiting: depth.queues.get(&*queue.name).map_or(0, |q| q.waiting),
            permits_free: queue.permits.available_permits(),
            claimed: queue.claimed.load(Ordering::Relaxed),
        });
        liveness.look(Instant::now(), looks);
    }
}

/// Shows each second that the event loop moves.
async fn tick(liveness: Arc<Liveness>, end: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = tick.tick() => liveness.beat(Instant::now()),
        }
    }
}

async fn wait_for_redis(store: &Store, stop: &CancellationToken) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut told = false;
    loop {
        match store.now_ms().await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_transient() && began.elapsed() < REDIS_WITHIN => {
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

fn settings(ctx: &Context, instance: &Instance) -> Settings {
    let config = &ctx.config;
    let permits = |queue| match queue {
        QueueName::Control => config.queues.permits_control,
        QueueName::Import | QueueName::Generate | QueueName::Send | QueueName::Recurring => {
            config.queues.permits_generate
        }
    };
    let queues = QueueName::ALL
        .into_iter()
        .map(|queue| Queue::new(QueueId::Jobs(queue), permits(queue)))
        .chain(config.channels.keys().map(|c| Queue::new(QueueId::Batch(c.clone()), config.queues.permits_batch)))
        .collect();
    Settings {
        queues,
        policy: JobPolicy {
            retention_with_id: config.jobs.retention_with_id,
            retention: config.jobs.retention,
            retry: RetryPolicy {
                max_attempts: config.jobs.max_attempts,
                base: config.jobs.retry_base,
                cap: config.jobs.retry_cap,
            },
            max_deliveries: config.leases.max_deliveries,
            max_bytes: config.jobs.max_bytes,
            secret: Arc::clone(&ctx.secret),
        },
        renew: config.leases.renew,
        lease: config.leases.lease,
        sweep: config.leases.sweep,
        pressure: ctx.pressure.clone(),
        incarnation: instance.incarnation.clone(),
        dead: instance.dead.clone(),
    }
}

fn limits(config: &Config) -> janitor::Limits {
    janitor::Limits {
        results_max_bytes: config.streams.results_max_bytes,
        rejected_max_bytes: config.streams.rejected_max_bytes,
        dead_max_bytes: config.streams.dead_max_bytes,
        campaigns: config.campaign_retention,
        recurring_runs: config.recurring_retention,
        forgotten: config.forgotten_retention,
    }
}

fn leftovers(config: &Config) -> Leftovers {
    Leftovers {
        state_dir: config.state_dir.clone(),
        spool_dir: config.sources.spool_dir.clone(),
        error_files: config.campaign_retention,
        exports: config.export_retention,
    }
}

async fn beat(ctx: &Context, channels: &[String], http: &str) -> Result<(), StoreError> {
    let now = ctx.store.now_ms().await?;
    let fields = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("instance", ctx.config.instance.to_string()),
        ("pid", std::process::id().to_string()),
        ("channels", channels.join(",")),
        ("channels_digest", channels_digest(&ctx.config)),
        ("beat_at", now.to_string()),
        ("in_hand", ctx.registry.len().to_string()),
        ("http", http.to_owned()),
    ];
    ctx.store.beat(&ctx.incarnation, &fields, &told(ctx), now).await
}

/// What daemons that do not serve a channel must know of it: how its runs are to be made.
fn told(ctx: &Context) -> Vec<(String, Vec<(&'static str, String)>)> {
    ctx.channels
        .iter()
        .map(|(name, served)| {
            let settings = served.settings();
            let fields = vec![
                ("slots", settings.slots.to_string()),
                ("idempotent", u8::from(settings.idempotent).to_string()),
                ("rate_per_second", settings.rate_per_second.to_string()),
                (handler::contact_rules::TOLD, settings.contact.to_json()),
            ];
            (name.clone(), fields)
        })
        .collect()
}

/// Tells apart daemons whose channels are set up differently. Of settings that may hold a secret it knows nothing: they
/// do not show themselves.
fn channels_digest(config: &Config) -> String {
    digest(format!("{:?}", config.channels).as_bytes())
}

async fn heartbeat(ctx: Arc<Context>, channels: Vec<String>, http: String, end: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = beat(&ctx, &channels, &http).await {
            tracing::debug!(%error, "no heartbeat for now");
        }
        for channel in ctx.channels.values() {
            channel.channel.drop_idle();
        }
        for point in ctx.points.values() {
            point.platform.drop_idle();
        }
    }
}

/// The handlers, as the queue asks for them.
struct Handlers(Arc<Context>);

impl Handle for Handlers {
    async fn job(&self, task: JobTask) -> Outcome {
        match task.job {
            Job::Import(job) => handler::import::run(&self.0, &task.id, *job, &task.lease).await,
            Job::Generate(job) => handler::generate::run(&self.0, &task.id, *job, &task.lease).await,
            Job::Send(job) => handler::send::run(&self.0, &task.id, &job).await,
            Job::Recurring(job) => handler::recurring::run(&self.0, &task.id, &job).await,
            Job::Control(job) => handler::control::run(&self.0, &task.id, job, &task.lease).await,
        }
    }

    async fn turn(&self, slot: SlotRef, lease: Arc<Lease>) -> Outcome {
        handler::turn::run(&self.0, slot, lease).await
    }

    async fn alarm(&self, member: &str) -> Result<Option<i64>, StoreError> {
        let mut parts = member.split('|');
        if let (Some("expire"), Some(campaign), Some(batch)) = (parts.next(), parts.next(), parts.next()) {
            handler::expire::sweep(&self.0, campaign, batch).await
        } else if let Some((campaign, name)) = member.strip_prefix("recurring|").and_then(|rest| rest.split_once('|')) {
            handler::recurring::tick(&self.0, campaign, name).await
        } else if let Some(campaign) = member.strip_prefix("orders|") {
            handler::creating::look_again(&self.0, campaign.trim_end_matches('|')).await
        } else {
            tracing::warn!(member, "an alarm that nobody knows, dropped");
            Ok(None)
        }
    }

    async fn ended_dead(&self, queue: QueueName, id: &JobId, campaign: &str, code: DeadCode) -> Result<(), StoreError> {
        if queue == QueueName::Generate && !campaign.is_empty() {
            handler::generate::give_up(&self.0, campaign, id, code.as_str()).await?;
        }
        if queue == QueueName::Control {
            self.0.store.drop_forget(id.as_str()).await?;
        }
        Ok(())
    }

    async fn poisoned(&self, slot: &SlotRef) -> Result<(), StoreError> {
        self.0.store.act(&slot.campaign, Some(&slot.run), "pause", "poison").await.map(|_| ())
    }
}
