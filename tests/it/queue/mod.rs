//! The queue and the contract, by a real daemon on a real Redis, as DESIGN 2 and 3 promise them.
//!
//! A [`Stage`] is a private Redis with the settings of a daemon. Jobs are written as any producer writes them, with
//! `XADD`, and everything is read back from the keys of the contract. What is pending in the group, with whom and how
//! often delivered, is what `XPENDING` says: it is the queue's only truth.

mod backlog;
mod drain;
mod ids;
mod leases;
mod poison;
mod refused;
mod repair;
mod service;
mod start;
mod timing;
mod trouble;

use std::collections::{BTreeMap, HashMap};

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use remesa::store::{Connection, Store, Timeouts};
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Settings};
use crate::support::redis::Redis;
use crate::support::wait;

/// Rows of a file that a daemon looks through for seconds before it generates the first order. Nothing of it is
/// recorded meanwhile, so this is a job that runs and makes no progress.
const ENDLESS_ROWS: usize = 2_000_000;

/// The consumer group of every stream of jobs.
const GROUP: &str = "remesa";

/// A private Redis and what its daemons are told.
struct Stage {
    redis: Redis,
    settings: Settings,
    connection: MultiplexedConnection,
}

/// An entry of the group that is not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending {
    entry: String,
    consumer: String,
    deliveries: u64,
}

impl Stage {
    /// One with `keys` of the configuration set: `&[("queues.permits_generate", "3")]`.
    async fn set(keys: &[(&str, &str)]) -> Self {
        Self::on(Redis::start().await, keys).await
    }

    /// The same on a server that is already there.
    async fn on(redis: Redis, keys: &[(&str, &str)]) -> Self {
        let settings = keys.iter().fold(Settings::new(&redis), |settings, (key, value)| settings.set(key, value));
        let connection = redis.connect().await;
        Self { redis, settings, connection }
    }

    /// With nothing but the defaults of the tests.
    async fn plain() -> Self {
        Self::set(&[]).await
    }

    /// With a channel `sms-main` to a provider that nobody is: enough for jobs that name it and send nothing.
    async fn with_channel() -> Self {
        let mut stage = Self::plain().await;
        stage.settings =
            stage.settings.sandbox_channel("sms-main", "http://127.0.0.1:9", "").toml("[payment_points.pp-2]");
        stage
    }

    /// The program's own functions over this Redis.
    fn store(&self) -> Store {
        let timeouts = Timeouts { connect: wait::DEADLINE, response: wait::DEADLINE };
        Store::new(Connection::new(&self.redis.url(), timeouts).unwrap(), "remesa")
    }

    /// Writes a job as a producer does. Returns the entry's id.
    async fn add(&mut self, queue: &str, job: impl AsRef<[u8]>) -> String {
        let key = format!("remesa:jobs:{queue}");
        self.connection.xadd(key, "*", &[("job", job.as_ref())]).await.unwrap()
    }

    /// The same for a job as JSON.
    async fn add_json(&mut self, queue: &str, job: &Value) -> String {
        self.add(queue, job.to_string()).await
    }

    /// Puts the file of an endless job into the spool folder.
    fn spool_endless(&self) {
        self.settings.spool("endless.csv", "amount\n".to_owned() + &"1\n".repeat(ENDLESS_ROWS));
    }

    /// Puts a CSV of so many good rows into the spool folder. With `sources.slice_rows` of 5, a thousand rows take a
    /// while, each slice of them recorded progress.
    fn spool_rows(&self, file: &str, rows: usize) {
        self.settings.spool(file, "amount\n".to_owned() + &"1250\n".repeat(rows));
    }

    /// The status of a job, once its state is one of `states`.
    async fn job(&mut self, id: &str, states: &[&str]) -> HashMap<String, String> {
        let key = format!("remesa:job:{id}");
        wait::field(&mut self.connection, &key, "state", states).await;
        self.connection.hgetall(key).await.unwrap()
    }

    /// What is pending in a queue, oldest first.
    async fn pending(&mut self, queue: &str) -> Vec<Pending> {
        let reply: Vec<(String, String, u64, u64)> = redis::cmd("XPENDING")
            .arg(format!("remesa:jobs:{queue}"))
            .arg(GROUP)
            .arg("-")
            .arg("+")
            .arg(10_000)
            .query_async(&mut self.connection)
            .await
            .unwrap_or_default();
        let pending = |(entry, consumer, _, deliveries)| Pending { entry, consumer, deliveries };
        reply.into_iter().map(pending).collect()
    }

    /// What is pending in a queue, once it is as wanted.
    async fn pending_until(&mut self, queue: &str, what: &str, wanted: impl Fn(&[Pending]) -> bool) -> Vec<Pending> {
        wait::until(what, async || Some(self.pending(queue).await).filter(|pending| wanted(pending))).await
    }

    /// Waits until a queue has so many entries, waiting and pending.
    async fn left(&mut self, queue: &str, entries: usize) {
        let key = format!("remesa:jobs:{queue}");
        wait::until(&format!("{key} has {entries} entries"), async || {
            let length: usize = self.connection.xlen(&key).await.unwrap();
            (length == entries).then_some(())
        })
        .await;
    }

    /// Waits until a queue has no entry, waiting or pending.
    async fn drained(&mut self, queue: &str) {
        self.left(queue, 0).await;
        assert_eq!(self.pending(queue).await, []);
    }

    /// Letters in `rejected` or `dead`, oldest first: code and the fields of the entry.
    async fn letters(&mut self, which: &str) -> Vec<HashMap<String, String>> {
        let reply: redis::streams::StreamRangeReply =
            self.connection.xrange_all(format!("remesa:{which}")).await.unwrap();
        let text = |value| redis::from_redis_value::<String>(value).unwrap();
        reply.ids.into_iter().map(|entry| entry.map.into_iter().map(|(k, v)| (k, text(v))).collect()).collect()
    }

    /// Redis' clock in epoch ms.
    async fn now_ms(&mut self) -> i64 {
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut self.connection).await.unwrap();
        seconds * 1000 + micros / 1000
    }

    /// How often each job was announced with each state: `("a", "done") -> 1`.
    async fn announced(&mut self) -> BTreeMap<(String, String), usize> {
        let results: redis::streams::StreamRangeReply = self.connection.xrange_all("remesa:results").await.unwrap();
        let events = results.ids.iter().map(|entry| entry.get::<String>("data").unwrap());
        let events = events.map(|data| serde_json::from_str::<Value>(&data).unwrap());
        let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
        events.filter(|event| event["type"] == "job").fold(BTreeMap::new(), |mut counts, event| {
            *counts.entry((text(&event, "job"), text(&event, "state"))).or_default() += 1;
            counts
        })
    }

    /// Waits until a campaign has at least so many orders, and returns how many.
    async fn orders_from(&mut self, campaign: &str, least: usize) -> usize {
        wait::until(&format!("{least} orders of {campaign}"), async || {
            Some(self.orders(campaign).await).filter(|orders| *orders >= least)
        })
        .await
    }

    /// Checks that a campaign has these orders, numbered from 1, each of them once.
    async fn has_orders_once(&mut self, campaign: &str, orders: usize) {
        assert_eq!(self.orders(campaign).await, orders);
        let key = |n: usize| format!("remesa:{{{campaign}}}:order:{n}");
        let mut found = redis::pipe();
        for n in 1..=orders + 1 {
            found.exists(key(n));
        }
        let found: Vec<bool> = found.query_async(&mut self.connection).await.unwrap();
        let there = found.iter().filter(|there| **there).count();
        assert_eq!((there, found[orders]), (orders, false), "orders of {campaign}");
    }

    /// The consumers of a queue's group.
    async fn consumers(&mut self, queue: &str) -> Vec<String> {
        let reply: redis::streams::StreamInfoConsumersReply =
            self.connection.xinfo_consumers(format!("remesa:jobs:{queue}"), GROUP).await.unwrap();
        reply.consumers.into_iter().map(|consumer| consumer.name).collect()
    }

    /// Orders of a campaign by its total.
    async fn orders(&mut self, campaign: &str) -> usize {
        let total: Option<usize> =
            self.connection.hget(format!("remesa:{{{campaign}}}:campaign"), "orders").await.unwrap();
        total.unwrap_or(0)
    }
}

/// A job that generates `rows` orders, inline.
fn generate(campaign: &str, rows: usize) -> Value {
    json!({"campaign": campaign, "currency": "EUR", "rows": vec![json!({"amount": 1250}); rows]})
}

/// The same with an id.
fn named(id: &str, campaign: &str) -> Value {
    with(generate(campaign, 1), "id", id)
}

/// A job that looks through [`Stage::spool_endless`].
fn endless(id: &str, campaign: &str) -> Value {
    from_file(id, campaign, "endless.csv")
}

/// A job that generates the orders of a file.
fn from_file(id: &str, campaign: &str, file: &str) -> Value {
    json!({"id": id, "campaign": campaign, "currency": "EUR", "rows_from": {"file": file}})
}

/// A job with one more field.
fn with(mut job: Value, field: &str, value: impl Into<Value>) -> Value {
    job[field] = value.into();
    job
}

/// The name that a daemon has among the consumers of the group.
async fn incarnation(daemon: &Daemon) -> String {
    daemon.ready().await["incarnation"].as_str().unwrap().to_owned()
}
