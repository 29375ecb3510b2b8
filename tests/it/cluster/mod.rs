//! A Redis Cluster of three masters: campaigns on each of them, the jobs from end to end, and a shard that is killed and
//! restarted, or followed by its replica, under load. Counted at the provider.
//!
//! Jobs are written and keys are read as any program would with a client that knows clusters; the tests use ours.

mod commands;
mod lost_shard;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use redis::streams::StreamRangeReply;
use remesa::sandbox::SandboxHandle;
use remesa::store::{Connection, Timeouts};
use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::daemon::{Daemon, Settings};
use crate::support::ledger::{campaign_audit, ledger_audit};
use crate::support::provider;
use crate::support::scene::{people, phone, send_job};
use crate::support::wait;

struct Stage {
    cluster: Cluster,
    sandbox: SandboxHandle,
    settings: Settings,
    db: Connection,
}

impl Stage {
    async fn new(channel: &str) -> Self {
        Self::over(Cluster::start().await, channel).await
    }

    async fn over(cluster: Cluster, channel: &str) -> Self {
        let sandbox = provider::sandbox_with(|sandbox| {
            sandbox.latency_max_ms = 20;
            // A provider that tells repeats apart would hide what we send twice.
            sandbox.idempotency = false;
        })
        .await;
        let settings = Settings::with_redis_url(&cluster.url())
            .sandbox_channel("sms", &sandbox.url(), channel)
            .set("recurring.min_interval", "1s");
        let second = Duration::from_secs(1);
        let db = Connection::new(&cluster.url(), Timeouts { connect: second, response: 5 * second }).unwrap();
        Self { cluster, sandbox, settings, db }
    }

    async fn enqueue(&self, queue: &str, job: &Value) {
        let mut add = redis::cmd("XADD");
        add.arg(format!("remesa:jobs:{queue}")).arg("*").arg("job").arg(job.to_string());
        Box::pin(self.db.query::<()>(&add)).await.unwrap();
    }

    async fn hash(&self, key: &str) -> HashMap<String, String> {
        wait::until(key, async || Box::pin(self.db.query(redis::cmd("HGETALL").arg(key))).await.ok()).await
    }

    /// Waits until a hash has this in its field `state`.
    async fn state(&self, key: &str, state: &str) -> HashMap<String, String> {
        wait::until(&format!("{key} is {state}"), async || {
            let hash = self.hash(key).await;
            (hash.get("state").map(String::as_str) == Some(state)).then_some(hash)
        })
        .await
    }

    /// Writes a job and waits for its good end. Returns its result.
    async fn run(&self, queue: &str, job: &Value) -> Value {
        self.enqueue(queue, job).await;
        let id = job["id"].as_str().unwrap();
        let ended = wait::until(&format!("the job {id} ends"), async || {
            let job = self.hash(&format!("remesa:job:{id}")).await;
            job.get("state").is_some_and(|state| ["done", "dead", "rejected"].contains(&state.as_str())).then_some(job)
        })
        .await;
        assert_eq!(ended["state"], "done", "{ended:?}");
        serde_json::from_str(&ended["result"]).unwrap()
    }

    async fn run_finished(&self, campaign: &str, run: &str) -> HashMap<String, String> {
        self.state(&format!("remesa:{{{campaign}}}:run:{run}"), "finished").await
    }

    /// The events of deliveries in the results, each once by its id, counted by campaign and state.
    async fn told(&self) -> BTreeMap<(String, String), usize> {
        let mut range = redis::cmd("XRANGE");
        let found: StreamRangeReply = self.db.query(range.arg("remesa:results").arg("-").arg("+")).await.unwrap();
        let events: HashMap<String, Value> = found
            .ids
            .iter()
            .filter(|entry| entry.get::<String>("type").as_deref() == Some("delivery"))
            .map(|entry| {
                (entry.get("event").unwrap(), serde_json::from_str(&entry.get::<String>("data").unwrap()).unwrap())
            })
            .collect();
        let mut told = BTreeMap::new();
        for event in events.values() {
            let word = |field: &str| event[field].as_str().unwrap().to_owned();
            *told.entry((word("campaign"), word("state"))).or_default() += 1;
        }
        told
    }

    /// What a command prints as JSON.
    fn command(&self, arguments: &[&str]) -> Value {
        let output = self.settings.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}"))
    }
}

fn case(n: usize) -> Value {
    json!({"id": format!("p-{n}"), "first_name": format!("Ana {n}"), "mobile": phone(n)})
}

#[tokio::test]
async fn the_main_jobs_work_over_campaigns_on_every_shard() {
    const ROWS: usize = 60;
    let stage = Stage::new("").await;
    let _daemons = [Daemon::start(&stage.settings).await, Daemon::start(&stage.settings.instance("two")).await];
    let campaigns = stage.cluster.campaigns().await;
    for (shard, campaign) in campaigns.iter().enumerate() {
        // Each campaign has telephones of its own, so that the provider tells a repeat.
        let base = 1_000 * (shard + 1);
        let rows: Vec<Value> = people(base + ROWS).split_off(base);
        stage.run("generate", &send_job(campaign, rows)).await;
        stage.run_finished(campaign, "delivery@1").await;
        let cases: Vec<Value> = (base + ROWS + 1..=base + 2 * ROWS).map(case).collect();
        stage
            .run(
                "import",
                &json!({"id": format!("imp-{campaign}"), "campaign": campaign, "country": "ES", "rows": cases}),
            )
            .await;
        let send = json!({"id": format!("send-{campaign}"), "message": "m", "campaign": campaign, "channel": "sms",
                          "text": "Hola {{ first_name }}", "only_active": true, "close_cases": true});
        stage.run("send", &send).await;
        stage.run_finished(campaign, "m").await;
        let every = json!({"id": format!("rec-{campaign}"), "recurring": "w", "campaign": campaign, "channel": "sms",
                           "audience": "orders", "text": "Hola {{ name }}: {{ url }}", "every": "1s", "max_runs": 2});
        stage.run("recurring", &every).await;
    }
    let mut all = BTreeMap::new();
    for campaign in &campaigns {
        // It is stopped with its last run, which is made after that.
        wait::until("the permanent message has made its runs", async || {
            let definition = stage.hash(&format!("remesa:{{{campaign}}}:recurring:w")).await;
            (definition["state"] == "stopped" && !definition.contains_key("pending")).then_some(())
        })
        .await;
        let mut db = stage.cluster.node_of(campaign).await;
        let ticks: Vec<String> = redis::cmd("ZRANGE")
            .arg(format!("remesa:{{{campaign}}}:runs"))
            .arg(&["0", "-1"])
            .query_async(&mut db)
            .await
            .unwrap();
        let ticks: Vec<&String> = ticks.iter().filter(|run| run.starts_with("w@")).collect();
        // A due time that was over before it was looked at is told as missed.
        assert!((1..=2).contains(&ticks.len()), "{ticks:?}");
        let messages = (2 + ticks.len()) * ROWS;
        for tick in ticks {
            stage.run_finished(campaign, tick).await;
            assert_eq!(ledger_audit(&mut db, campaign, tick).await, [("sent", ROWS as u64)].into());
        }
        let sum = campaign_audit(&mut db, campaign).await;
        assert_eq!(sum, [("sent", messages as u64)].into(), "generate, send and the ticks");
        all.insert((campaign.clone(), "sent".to_owned()), messages);
        assert_eq!(stage.hash(&format!("remesa:{{{campaign}}}:campaign")).await["cases:closed"], ROWS.to_string());
    }
    wait::until("every event is told", async || (stage.told().await == all).then_some(())).await;
    let messages = all.values().sum::<usize>();
    assert_eq!(stage.sandbox.stats().counts.accepted, messages as u64);
    let shown = stage.command(&["campaign", "show", &campaigns[1], "--json"]);
    assert_eq!(shown["deliveries_by_state"]["sent"], all[&(campaigns[1].clone(), "sent".to_owned())], "{shown}");
    assert_eq!(stage.command(&["status", "--json"])["daemons"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn what_cannot_be_done_in_a_cluster_is_refused_at_the_start() {
    let settings = Settings::with_redis_url("redis+cluster://127.0.0.1:1").set("redis.wait_replicas", "1");
    let refused = settings.command(&["run"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{said}");
    assert!(said.contains("in a cluster claims cannot be made to wait for replicas"), "{said}");
}
