//! The world of a proof: a Redis with its append-only file, three daemons, a provider, and campaigns of every kind.

use std::time::{Duration, Instant, SystemTime};

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use remesa::sandbox::SandboxHandle;
use serde_json::{Value, json};

use super::faults::Fault;
use crate::support::daemon::{Daemon, Settings};
use crate::support::provider::sandbox_with;
use crate::support::redis::Redis;
use crate::support::scene::send_job;
use crate::support::wait;

/// Daemons side by side.
pub(super) const DAEMONS: usize = 3;
/// Messages each of them has in flight at most.
pub(super) const IN_FLIGHT: u64 = 8;
/// Campaigns of payment orders.
pub(super) const ORDERS: [&str; 2] = ["orders-a", "orders-b"];
/// A campaign whose cases have two contacts each, closed by its one message.
pub(super) const CASES: &str = "cases";
/// A campaign with a permanent message.
pub(super) const PERMANENT: &str = "permanent";
/// Messages that Redis forgets when it loses what it took last.
const LOST: u64 = 25;
/// Longer than the leases of the tests' daemons (3 s).
const BEYOND_THE_LEASE: Duration = Duration::from_millis(3_500);
/// Longer than a blocking read, shorter than the response time-out.
const FROZEN: Duration = Duration::from_millis(1_500);

/// How large the campaigns are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Orders of each campaign of payment orders.
    pub(super) orders: usize,
    /// Cases with two contacts.
    pub(super) cases: usize,
    /// Cases of the permanent message.
    pub(super) permanent: usize,
    /// Messages a second, so that there is something to strike at.
    pub(super) rate: u32,
}

/// The world.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) size: Size,
    pub(super) redis: Redis,
    pub(super) db: MultiplexedConnection,
    pub(super) sandbox: SandboxHandle,
    settings: Vec<Settings>,
    daemons: Vec<Daemon>,
    /// What struck when (epoch ms).
    pub(super) struck: Vec<(i64, Fault)>,
}

impl World {
    /// Starts everything and writes the jobs.
    pub(super) async fn begin(seed: u64, size: Size) -> Self {
        let redis = Redis::start_append_only().await;
        let sandbox = sandbox_with(|sandbox| {
            (sandbox.seed, sandbox.latency_min_ms, sandbox.latency_max_ms) = (seed, 5, 25);
            // A provider that tells repeats apart would hide them from the account.
            sandbox.idempotency = false;
            sandbox.inbox_messages = 1_000_000;
            sandbox.tracked_keys = 1_000_000;
        })
        .await;
        let keys = format!(
            "in_flight = {IN_FLIGHT}\nrate_per_second = {}\nretry_base = \"50ms\"\nretry_attempts = 50\nbreaker_cooldown = \"200ms\"\n",
            size.rate,
        );
        let base = Settings::new(&redis)
            .sandbox_channel("sms", &sandbox.url(), &keys)
            .set("recurring.min_interval", "1s")
            // Deaths come faster than progress.
            .set("leases.max_deliveries", "100");
        let settings: Vec<_> = ["one", "two", "three"].map(|name| base.instance(name)).into();
        let mut daemons = Vec::new();
        for settings in &settings {
            daemons.push(Daemon::start(settings).await);
        }
        let db = redis.connect().await;
        let mut world = Self { seed, size, redis, db, sandbox, settings, daemons, struck: Vec::new() };
        world.write_jobs().await;
        world
    }

    async fn write_jobs(&mut self) {
        let Size { orders, cases, permanent, .. } = self.size;
        let two = |n: usize| vec![phone(2, 2 * n), phone(2, 2 * n + 1)];
        self.write_rows("import", CASES, (1..=cases).map(|n| case(n, &two(n))).collect()).await;
        self.write_rows("import", PERMANENT, (1..=permanent).map(|n| case(n, &[phone(3, n)])).collect()).await;
        for (i, campaign) in ORDERS.into_iter().enumerate() {
            let row =
                |n| json!({"key": format!("k-{n}"), "amount": 1000 + n, "SMScontact": phone(i, n), "name": "Ana"});
            self.write_rows("generate", campaign, (1..=orders).map(row).collect()).await;
        }
        let words =
            json!({"channel": "sms", "text": "Hola {{ first_name }}", "only_active": true, "close_cases": true});
        let job = |fields: Value| {
            let mut job = words.clone();
            job.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            job
        };
        let all = job(json!({"id": "send", "campaign": CASES, "message": "once", "contacts": "all"}));
        self.enqueue("send", &all).await;
        let every =
            json!({"id": "permanent", "campaign": PERMANENT, "recurring": "each", "every": "1s", "grace": "1h"});
        self.enqueue("recurring", &job(every)).await;
    }

    /// Jobs with all rows, one after the other.
    async fn write_rows(&mut self, queue: &str, campaign: &str, rows: Vec<Value>) {
        for (part, rows) in rows.chunks(1000).enumerate() {
            let mut job = match queue {
                "import" => json!({"campaign": campaign, "country": "ES", "rows": rows}),
                _ => send_job(campaign, rows.to_vec()),
            };
            if queue == "generate" && part > 0 {
                job["append"] = true.into();
            }
            let id = format!("{queue}-{campaign}-{part}");
            job["id"] = id.clone().into();
            self.enqueue(queue, &job).await;
            wait::field(&mut self.db, &format!("remesa:job:{id}"), "state", &["done"]).await;
        }
    }

    async fn enqueue(&mut self, queue: &str, job: &Value) {
        let _: String = self.db.xadd(format!("remesa:jobs:{queue}"), "*", &[("job", job.to_string())]).await.unwrap();
    }

    /// Messages that everybody reachable gets: how many the provider will have accepted if nothing is unknown.
    pub(super) fn messages(&self) -> u64 {
        (ORDERS.len() * self.size.orders + 2 * self.size.cases + self.size.permanent) as u64
    }

    /// Waits until the provider has accepted so many; false when everything is over before.
    pub(super) async fn has_sent(&mut self, at_least: u64) -> bool {
        wait::until("the provider has accepted enough, or all is over", async || {
            if self.sandbox.stats().counts.accepted >= at_least {
                return Some(true);
            }
            is_over(&mut self.db).await.then_some(false)
        })
        .await
    }

    /// Lets a fault happen and, but for a storm, pass.
    pub(super) async fn strike(&mut self, fault: Fault) {
        self.struck.push((epoch_ms(), fault));
        self.calm();
        match fault {
            Fault::Kill(daemon) => {
                self.daemons[daemon].kill();
                self.start(daemon).await;
            }
            Fault::KillAll => {
                self.daemons.iter_mut().for_each(Daemon::kill);
                for daemon in 0..DAEMONS {
                    self.start(daemon).await;
                }
            }
            Fault::Freeze(daemon) => {
                // Who stands still for longer than a lease before a new server knows what it did is taken for dead: what
                // nobody else knows may be sent again, as the README says.
                self.all_is_told().await;
                self.daemons[daemon].stop();
                passes(BEYOND_THE_LEASE).await;
                self.daemons[daemon].cont();
            }
            Fault::Drain(daemon) => {
                self.daemons[daemon].term();
                assert_eq!(self.daemons[daemon].exit_code().await, Some(0), "seed {}: a drain", self.seed);
                self.start(daemon).await;
            }
            Fault::RedisRestart => self.restart_redis().await,
            Fault::RedisAndDaemon(daemon) => {
                self.daemons[daemon].kill();
                self.restart_redis().await;
                self.start(daemon).await;
            }
            Fault::RedisLosesTail => self.lose_tail(None).await,
            Fault::RedisLosesTailAndDaemon(daemon) => {
                self.lose_tail(Some(daemon)).await;
                self.start(daemon).await;
            }
            Fault::RedisFreeze => {
                self.redis.stop();
                passes(FROZEN).await;
                self.redis.cont();
            }
            Fault::Cut => {
                for kind in ["normal", "pubsub"] {
                    let mut cut = redis::cmd("CLIENT");
                    cut.arg("KILL").arg("TYPE").arg(kind).arg("SKIPME").arg("yes");
                    let _: i64 = cut.query_async(&mut self.db).await.unwrap();
                }
            }
            Fault::ScriptFlush => {
                let () = redis::cmd("SCRIPT").arg("FLUSH").arg("SYNC").query_async(&mut self.db).await.unwrap();
            }
            Fault::Storm => {
                let storm = |sandbox: &mut remesa::sandbox::SandboxSettings| {
                    (sandbox.fail_per_mille, sandbox.throttle_per_mille, sandbox.cut_per_mille) = (20, 20, 20);
                    sandbox.retry_after_seconds = 0;
                    sandbox.reset_per_mille = 20;
                };
                self.sandbox.change(storm).unwrap();
            }
        }
    }

    fn calm(&self) {
        let calm = |sandbox: &mut remesa::sandbox::SandboxSettings| {
            (sandbox.fail_per_mille, sandbox.throttle_per_mille, sandbox.cut_per_mille) = (0, 0, 0);
            sandbox.reset_per_mille = 0;
        };
        self.sandbox.change(calm).unwrap();
    }

    async fn start(&mut self, daemon: usize) {
        self.daemons[daemon] = Daemon::start(&self.settings[daemon]).await;
    }

    async fn restart_redis(&mut self) {
        self.redis.restart().await;
        self.db = self.redis.connect().await;
    }

    /// Waits until what every daemon did stands on the server that answers now.
    async fn all_is_told(&mut self) {
        let server: String = redis::cmd("INFO").arg("server").query_async(&mut self.db).await.unwrap();
        let run_id = server.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap().trim().to_owned();
        wait::until("everybody has told the server what it did", async || {
            let mut ask = redis::pipe();
            ask.hget("remesa:server", "server").hexists("remesa:server", "open");
            let (server, open): (Option<String>, bool) = ask.query_async(&mut self.db).await.unwrap();
            (open && server.is_some_and(|server| server.contains(&run_id))).then_some(())
        })
        .await;
    }

    /// Redis loses some messages' worth of what it took, and the daemon with it.
    async fn lose_tail(&mut self, daemon: Option<usize>) {
        let mark = self.redis.mark();
        let accepted = self.sandbox.stats().counts.accepted;
        self.has_sent(accepted + LOST).await;
        if let Some(daemon) = daemon {
            self.daemons[daemon].kill();
        }
        self.redis.restart_at(mark).await;
        self.db = self.redis.connect().await;
    }

    /// Nothing fails any more.
    pub(super) fn heal(&mut self) {
        self.calm();
        for daemon in 0..DAEMONS {
            assert!(self.daemons[daemon].is_running(), "seed {}: a daemon ended by itself", self.seed);
        }
    }

    /// Everything comes to its end: the runs, then the permanent message once each of its cases is decided.
    pub(super) async fn end(&mut self) {
        runs_end(&mut self.db).await;
        self.enqueue("control", &json!({"id": "stop", "action": "cancel", "campaign": PERMANENT, "recurring": "each"}))
            .await;
        wait::field(&mut self.db, "remesa:job:stop", "state", &["done"]).await;
        runs_end(&mut self.db).await;
        for campaign in campaigns() {
            wait::until(&format!("what happened in {campaign} is told"), async || {
                let waiting: u64 = self.db.xlen(format!("remesa:{{{campaign}}}:outbox")).await.unwrap();
                (waiting == 0).then_some(())
            })
            .await;
        }
    }
}

/// All campaigns.
pub(super) fn campaigns() -> impl Iterator<Item = &'static str> {
    ORDERS.into_iter().chain([CASES, PERMANENT])
}

/// Waits until all is over.
async fn runs_end(db: &mut MultiplexedConnection) {
    wait::until("every campaign comes to its end", async || is_over(db).await.then_some(())).await;
}

/// Whether every run is finished, and every case of the permanent message is closed or in doubt.
async fn is_over(db: &mut MultiplexedConnection) -> bool {
    for campaign in campaigns() {
        // Redis may be away just now.
        if !is_over_in(db, campaign).await.unwrap_or(false) {
            return false;
        }
    }
    true
}

async fn is_over_in(db: &mut MultiplexedConnection, campaign: &str) -> redis::RedisResult<bool> {
    let key = |what: &str| format!("remesa:{{{campaign}}}:{what}");
    let mut ask = redis::pipe();
    ask.hget(key("campaign"), "running_runs").zcard(key("runs"));
    ask.hget(key("campaign"), "cases:new").hlen(key("unknown:each"));
    let (running, runs, new, unknown): (Option<u64>, u64, Option<u64>, u64) = ask.query_async(db).await?;
    let waiting = if campaign == PERMANENT { new.unwrap_or(0).saturating_sub(unknown) } else { 0 };
    Ok(runs > 0 && running == Some(0) && waiting == 0)
}

fn case(n: usize, phones: &[String]) -> Value {
    let contacts: Vec<Value> = phones.iter().map(|phone| json!({"kind": "mobile", "value": phone})).collect();
    json!({"id": format!("c-{n}"), "client": {"first_name": "Ana"}, "contacts": contacts})
}

/// A Spanish mobile that no other campaign has.
fn phone(campaign: usize, n: usize) -> String {
    format!("+346{campaign}{n:07}")
}

/// A time that must pass: nothing happens that could be waited for.
async fn passes(time: Duration) {
    let began = Instant::now();
    wait::until("the time passes", async || (began.elapsed() >= time).then_some(())).await;
}

/// The provider's clock, for the order of things.
fn epoch_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}
