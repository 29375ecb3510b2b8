//! A scene: a private Redis, the simulator as the channel `sms`, and the settings of daemons that work on them.
//!
//! Its functions are what a producer in any language does: one `XADD`, then reading keys. Names of keys are written
//! out here as a reader of `jobs/README.md` would write them, not taken from the crate.

use std::collections::HashMap;

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use remesa::sandbox::{SandboxHandle, SandboxSettings};
use serde_json::{Value, json};

use super::daemon::{Daemon, Settings};
use super::provider;
use super::redis::Redis;
use super::wait;

/// Everything a test of sending needs, but the daemon.
pub(crate) struct Scene {
    pub(crate) redis: Redis,
    pub(crate) sandbox: SandboxHandle,
    pub(crate) settings: Settings,
    pub(crate) db: MultiplexedConnection,
}

impl Scene {
    /// The simulator accepts everything, the channel has its defaults.
    pub(crate) async fn new() -> Self {
        Self::with("", |_| {}).await
    }

    /// With further keys of the channel (`"in_flight = 8\n"`) and another behaviour of the simulator.
    pub(crate) async fn with(channel: &str, change: impl FnOnce(&mut SandboxSettings)) -> Self {
        Self::over(Redis::start().await, channel, change).await
    }

    /// The same over a given Redis.
    pub(crate) async fn over(redis: Redis, channel: &str, change: impl FnOnce(&mut SandboxSettings)) -> Self {
        let url = redis.url();
        Self::through(&url, redis, channel, change).await
    }

    /// The same, where daemons find that Redis by another address.
    pub(crate) async fn through(
        url: &str,
        redis: Redis,
        channel: &str,
        change: impl FnOnce(&mut SandboxSettings),
    ) -> Self {
        let sandbox = provider::sandbox_with(|sandbox| {
            // A provider that tells repeats apart would hide what we send twice.
            sandbox.idempotency = channel.contains("idempotent = true");
            change(sandbox);
        })
        .await;
        let settings = Settings::with_redis_url(url).sandbox_channel("sms", &sandbox.url(), channel);
        let db = redis.connect().await;
        Self { redis, sandbox, settings, db }
    }

    /// The store, for what no producer writes.
    pub(crate) fn store(&self) -> remesa::store::Store {
        let second = std::time::Duration::from_secs(1);
        let timeouts = remesa::store::Timeouts { connect: second, response: 5 * second };
        remesa::store::Store::new(remesa::store::Connection::new(&self.redis.url(), timeouts).unwrap(), "remesa")
    }

    /// A daemon, ready.
    pub(crate) async fn daemon(&self) -> Daemon {
        Daemon::start(&self.settings).await
    }

    /// Writes a job, as any producer does.
    pub(crate) async fn enqueue(&mut self, queue: &str, job: &Value) {
        let _: String = self.db.xadd(format!("remesa:jobs:{queue}"), "*", &[("job", job.to_string())]).await.unwrap();
    }

    /// The job's hash, once it has ended.
    pub(crate) async fn ended(&mut self, id: &str) -> HashMap<String, String> {
        let key = format!("remesa:job:{id}");
        wait::field(&mut self.db, &key, "state", &["done", "dead", "rejected"]).await;
        self.db.hgetall(&key).await.unwrap()
    }

    /// The result of a job that ends well.
    pub(crate) async fn done(&mut self, id: &str) -> Value {
        let job = self.ended(id).await;
        assert_eq!(job["state"], "done", "{job:?}");
        serde_json::from_str(&job["result"]).unwrap()
    }

    /// Code and sentence of a job that ends badly.
    pub(crate) async fn refused(&mut self, id: &str) -> (String, String) {
        let job = self.ended(id).await;
        assert_ne!(job["state"], "done", "{job:?}");
        (job["error_code"].clone(), job["error"].clone())
    }

    /// Writes a job and waits for its good end.
    pub(crate) async fn run(&mut self, queue: &str, job: &Value) -> Value {
        self.enqueue(queue, job).await;
        self.done(job["id"].as_str().expect("the job has an id")).await
    }

    /// Gives a command and waits until it is obeyed.
    pub(crate) async fn command(&mut self, command: Value) -> Value {
        let job = self.numbered(command).await;
        self.run("control", &job).await
    }

    /// Gives a command that is refused. Returns code and sentence.
    pub(crate) async fn command_refused(&mut self, command: Value) -> (String, String) {
        let job = self.numbered(command).await;
        self.enqueue("control", &job).await;
        self.refused(job["id"].as_str().unwrap()).await
    }

    async fn numbered(&mut self, mut command: Value) -> Value {
        let number: u64 = self.db.incr("test:commands", 1).await.unwrap();
        command["id"] = format!("command-{number}").into();
        command
    }

    /// Generates `rows` orders and sends them: one job. Does not wait.
    pub(crate) async fn send(&mut self, campaign: &str, rows: usize) {
        let job = send_job(campaign, people(rows));
        self.enqueue("generate", &job).await;
    }

    /// A hash, whole.
    pub(crate) async fn hash(&mut self, key: &str) -> HashMap<String, String> {
        self.db.hgetall(key).await.unwrap()
    }

    /// The campaign's hash.
    pub(crate) async fn campaign(&mut self, campaign: &str) -> HashMap<String, String> {
        self.hash(&format!("remesa:{{{campaign}}}:campaign")).await
    }

    /// The hash of the campaign's first delivery.
    pub(crate) async fn delivery(&mut self, campaign: &str) -> HashMap<String, String> {
        self.hash(&run_key(campaign)).await
    }

    /// Waits until the campaign is in this state.
    pub(crate) async fn campaign_is(&mut self, campaign: &str, state: &str) {
        wait::field(&mut self.db, &format!("remesa:{{{campaign}}}:campaign"), "state", &[state]).await;
    }

    /// Waits until the first delivery is finished, and returns its hash.
    pub(crate) async fn finished(&mut self, campaign: &str) -> HashMap<String, String> {
        wait::field(&mut self.db, &run_key(campaign), "state", &["finished"]).await;
        self.delivery(campaign).await
    }

    /// Waits until a counter of the first delivery has reached `at_least`.
    pub(crate) async fn counted(&mut self, campaign: &str, counter: &str, at_least: u64) {
        let key = run_key(campaign);
        wait::until(&format!("{counter} of {campaign} reaches {at_least}"), async || {
            let count: Option<u64> = self.db.hget(&key, counter).await.unwrap();
            (count.unwrap_or(0) >= at_least).then_some(())
        })
        .await;
    }

    /// An order as it is stored.
    pub(crate) async fn order(&mut self, campaign: &str, number: u64) -> Value {
        let text: String = self.db.get(order_key(campaign, number)).await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Makes orders older than they are: what the passing of time would make of them.
    pub(crate) async fn expire_at(&mut self, campaign: &str, numbers: std::ops::RangeInclusive<u64>, at_ms: i64) {
        for number in numbers {
            let key = order_key(campaign, number);
            let text: String = self.db.get(&key).await.unwrap();
            let before = serde_json::from_str::<Value>(&text).unwrap()["expires_at"].to_string();
            let aged = text.replacen(&before, &at_ms.to_string(), 1);
            let () = self.db.set(&key, aged).await.unwrap();
        }
    }

    /// A recipient's cell of the first delivery: page and field are arithmetic.
    pub(crate) async fn cell(&mut self, campaign: &str, number: u64) -> Option<String> {
        self.db.hget(format!("{}:ledger:{}", run_key(campaign), number / 128), number % 128).await.unwrap()
    }

    /// State letter, attempt and reason of a recipient of the first delivery.
    pub(crate) async fn outcome(&mut self, campaign: &str, number: u64) -> (String, u32, String) {
        let cell = self.cell(campaign, number).await.unwrap_or_else(|| "q,0,0,,".to_owned());
        let parts: Vec<&str> = cell.splitn(5, ',').collect();
        (parts[0].to_owned(), parts[1].parse().unwrap(), parts[3].to_owned())
    }

    /// Redis' clock.
    pub(crate) async fn now_ms(&mut self) -> i64 {
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut self.db).await.unwrap();
        seconds * 1000 + micros / 1000
    }
}

/// The key of a campaign's first delivery.
pub(crate) fn run_key(campaign: &str) -> String {
    format!("remesa:{{{campaign}}}:run:delivery@1")
}

/// The key of an order.
pub(crate) fn order_key(campaign: &str, number: u64) -> String {
    format!("remesa:{{{campaign}}}:order:{number}")
}

/// The telephone of row `number`, a Spanish mobile.
pub(crate) fn phone(number: usize) -> String {
    format!("+346{number:08}")
}

/// Rows `1..=count`, each with its own telephone and name.
pub(crate) fn people(count: usize) -> Vec<Value> {
    (1..=count)
        .map(|n| {
            json!({"key": format!("k-{n}"), "reference": format!("A-{n}"), "amount": 1000 + n,
                        "SMScontact": phone(n), "name": format!("Ana {n}")})
        })
        .collect()
}

/// A file of rows like those of [`people`], for the spool folder: more than a job may bring with it.
pub(crate) fn people_csv(count: usize) -> String {
    let rows = (1..=count).map(|n| format!("k-{n},A-{n},1000,{},Ana {n}", phone(n)));
    let lines: Vec<String> = std::iter::once("key,reference,amount,SMScontact,name".to_owned()).chain(rows).collect();
    lines.join("\n") + "\n"
}

/// A job that generates the rows of a file in the spool folder and sends them at once on the channel `sms`.
pub(crate) fn send_file_job(campaign: &str, file: &str) -> Value {
    let mut job = send_job(campaign, Value::Null);
    if let Some(fields) = job.as_object_mut() {
        fields.remove("rows");
        fields.insert("rows_from".to_owned(), json!({"file": file}));
        fields.insert("country".to_owned(), "ES".into());
    }
    job
}

/// A job that generates these rows and sends them at once on the channel `sms`. Its id is `gen-<campaign>`.
pub(crate) fn send_job(campaign: &str, rows: impl Into<Value>) -> Value {
    let rows = rows.into();
    json!({"id": format!("gen-{campaign}"), "campaign": campaign, "currency": "EUR", "delivery": "now",
           "channel": "sms", "message": {"text": "Hola {{ name }}:", "url": "end"}, "rows": rows})
}

/// A job that only generates these rows.
pub(crate) fn generate_job(campaign: &str, rows: impl Into<Value>) -> Value {
    let rows = rows.into();
    json!({"id": format!("gen-{campaign}"), "campaign": campaign, "currency": "EUR", "rows": rows})
}

/// A job that only generates rows from elsewhere: `{"file": ...}`, `{"list": ...}`, `{"url": ...}`.
pub(crate) fn generate_from(campaign: &str, rows_from: impl Into<Value>) -> Value {
    let rows_from = rows_from.into();
    json!({"id": format!("gen-{campaign}"), "campaign": campaign, "country": "ES", "currency": "EUR", "rows_from": rows_from})
}

/// Refused rows as the campaign lists them.
pub(crate) async fn errors(scene: &mut Scene, campaign: &str) -> Vec<Value> {
    let listed: Vec<String> = scene.db.lrange(format!("remesa:{{{campaign}}}:errors"), 0, -1).await.unwrap();
    listed.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// Line and code of each.
pub(crate) fn codes(errors: &[Value]) -> Vec<(u64, &str)> {
    errors.iter().map(|error| (error["line"].as_u64().unwrap(), error["code"].as_str().unwrap())).collect()
}
