//! One trace from the producer to the provider: `traceparent` beside the job, in each request that follows from it, and
//! its id on the lines of the log about that work.

use std::collections::BTreeSet;

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::daemon::Settings;
use crate::support::provider::{Act, Receiver, Request};
use crate::support::scene::{Scene, generate_job, people, send_job};
use crate::support::wait;

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn given() -> String {
    format!("00-{TRACE_ID}-{PARENT}-01")
}

/// A provider that takes everything, and a scene whose channel `sms` leads to it.
async fn scene(acts: impl IntoIterator<Item = Act>) -> (Receiver, Scene) {
    let provider = Receiver::start(acts);
    let mut scene = Scene::new().await;
    scene.settings = Settings::new(&scene.redis)
        .toml(&format!(
            "[channels.sms]\nkind = \"http\"\nurl = \"{}/messages\"\nbody = '{{\"to\": \"{{{{ to }}}}\"}}'\nid_pointer = \"/id\"\n\
             error_pointer = \"/error\"\nretry_base = \"10ms\"\nbreaker_failures = 1\nbreaker_cooldown = \"1s\"\n",
            provider.url()
        ))
        .set("recurring.min_interval", "1s");
    (provider, scene)
}

fn accepted() -> Act {
    Act::json(202, r#"{"id":"p-1"}"#)
}

impl Scene {
    async fn enqueue_traced(&mut self, queue: &str, job: &Value, traceparent: &str) {
        let fields = [("traceparent", traceparent.to_owned()), ("job", job.to_string())];
        let _: String = self.db.xadd(format!("remesa:jobs:{queue}"), "*", &fields).await.unwrap();
    }
}

/// The span of each request of our trace.
fn spans(requests: &[Request]) -> BTreeSet<String> {
    let of = |request: &Request| {
        let header = request.header("traceparent").expect("a traceparent").to_owned();
        let parts: Vec<&str> = header.split('-').collect();
        assert_eq!((parts.len(), parts[0], parts[1], parts[3]), (4, "00", TRACE_ID, "01"), "{header}");
        assert_eq!(parts[2].len(), 16);
        assert_ne!(parts[2], PARENT, "the step is our own");
        parts[2].to_owned()
    };
    requests.iter().map(of).collect()
}

#[tokio::test]
async fn each_message_of_a_job_with_a_trace_takes_it_to_the_provider_with_a_span_of_its_own() {
    let (provider, mut scene) = scene([accepted()]).await;
    let _daemon = scene.daemon().await;
    scene.enqueue_traced("generate", &send_job("c", people(5)), &given()).await;
    scene.done("gen-c").await;
    let requests = provider.received(5).await;
    assert_eq!(spans(&requests).len(), 5);
    assert_eq!(scene.hash("remesa:job:gen-c").await["traceparent"], given());
    assert_eq!(scene.finished("c").await["traceparent"], given());
    // Whoever gives none gets none.
    scene.run("generate", &send_job("d", people(1))).await;
    let requests = provider.received(6).await;
    assert_eq!(requests[5].header("traceparent"), None);
}

#[tokio::test]
async fn a_trace_that_is_none_is_ignored_and_its_job_done() {
    let (provider, mut scene) = scene([accepted()]).await;
    let _daemon = scene.daemon().await;
    let zero = format!("00-{}-{PARENT}-01", "0".repeat(32));
    for (n, wrong) in ["", "x", zero.as_str(), &given().to_uppercase()].into_iter().enumerate() {
        scene.enqueue_traced("generate", &send_job(&format!("c-{n}"), people(1)), wrong).await;
        scene.done(&format!("gen-c-{n}")).await;
        assert_eq!(provider.received(n + 1).await[n].header("traceparent"), None, "{wrong:?}");
        assert_eq!(scene.hash(&format!("remesa:job:gen-c-{n}")).await.get("traceparent"), None);
    }
}

#[tokio::test]
async fn a_trace_outlives_waiting_a_daemon_that_is_killed_and_is_that_of_a_permanent_message() {
    let (provider, mut scene) = scene([accepted()]).await;
    let mut daemon = scene.daemon().await;
    let mut later = send_job("later", people(2));
    later["at"] = (scene.now_ms().await + 1_500).into();
    scene.enqueue_traced("generate", &later, &given()).await;
    let mut parked = send_job("parked", people(2));
    parked["after"] = json!(["gen-later"]);
    scene.enqueue_traced("generate", &parked, &given()).await;
    wait::field(&mut scene.db, "remesa:job:gen-later", "state", &["scheduled"]).await;
    wait::field(&mut scene.db, "remesa:job:gen-parked", "state", &["parked"]).await;
    daemon.kill();
    daemon = scene.daemon().await;
    assert_eq!(spans(&provider.received(4).await).len(), 4);
    scene.done("gen-parked").await;
    let every = json!({"id": "def", "recurring": "w", "campaign": "later", "channel": "sms", "audience": "orders",
                       "text": "Hola {{ name }}: {{ url }}", "every": "1s", "max_runs": 1});
    scene.enqueue_traced("recurring", &every, &given()).await;
    scene.done("def").await;
    daemon.kill();
    let _daemon = scene.daemon().await;
    let requests = provider.received(6).await;
    assert_eq!(spans(&requests).len(), 6, "a run over two orders");
}

#[tokio::test]
async fn an_entry_that_a_daemon_died_with_keeps_its_trace_for_the_next_one() {
    let (provider, mut scene) = scene([accepted()]).await;
    // Read by a consumer that is never heard of again; without an id nothing else knows of the job.
    let mut job = send_job("c", people(1));
    job.as_object_mut().unwrap().remove("id");
    scene.enqueue_traced("generate", &job, &given()).await;
    let mut create = redis::cmd("XGROUP");
    create.arg("CREATE").arg("remesa:jobs:generate").arg("remesa").arg("0");
    let () = create.query_async(&mut scene.db).await.unwrap();
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg("remesa").arg("gone").arg("STREAMS").arg("remesa:jobs:generate").arg(">");
    let _: redis::Value = read.query_async(&mut scene.db).await.unwrap();
    let _daemon = scene.daemon().await;
    assert_eq!(spans(&provider.received(1).await).len(), 1);
}

#[tokio::test]
async fn every_line_about_the_work_of_a_trace_has_its_id_and_the_job() {
    let (_provider, mut scene) = scene([Act::json(500, r#"{"error":"E-1"}"#), accepted()]).await;
    let daemon = scene.daemon().await;
    scene.enqueue_traced("generate", &send_job("c", people(1)), &given()).await;
    let breaker = daemon.event("breaker open", |_| true).await;
    assert_eq!((&breaker["trace_id"], &breaker["job"]), (&TRACE_ID.into(), &"gen-c".into()), "{breaker}");
    assert!(breaker["slot"].as_str().unwrap().starts_with("c/delivery@1/"), "{breaker}");
    // Under its id, and under the name of its entry where it has none.
    scene.enqueue_traced("generate", &json!({"id": "no", "campaign": "d", "rowz": []}), &given()).await;
    let rejected = daemon.event("job rejected", |event| event["job"] == "no").await;
    assert_eq!(rejected["trace_id"], TRACE_ID);
    scene.enqueue_traced("send", &json!({"campaign": "d"}), &given()).await;
    let rejected = daemon.event("job rejected", |event| event["job"] != "no").await;
    assert!(rejected["job"].as_str().unwrap().starts_with("send:1"), "{rejected}");
    assert_eq!(rejected["trace_id"], TRACE_ID);
    scene.enqueue("send", &json!({"id": "none", "campaign": "d"})).await;
    let rejected = daemon.event("job rejected", |event| event["job"] == "none").await;
    assert_eq!(rejected.get("trace_id"), None);
}

#[tokio::test]
async fn a_payment_platform_is_asked_for_orders_under_the_trace_of_their_job() {
    let made = r#"{"payment_order_id":"po-1","short_code":"abc123","status":"AVAILABLE"}"#;
    let platform = Receiver::start([Act::json(201, made)]);
    let mut scene = Scene::new().await;
    let settings = Settings::new(&scene.redis);
    scene.settings = settings.toml(&format!(
        "[payment_points.pp-main]\nprovider = \"http\"\nurl = \"{}/v1\"\nlink_base = \"https://pay.example/\"\n\
         idempotent = true\ncredentials = {{ api_key = \"x\" }}\n",
        platform.url()
    ));
    let _daemon = scene.daemon().await;
    scene.enqueue_traced("generate", &generate_job("c", people(3)), &given()).await;
    scene.done("gen-c").await;
    assert_eq!(spans(&platform.received(3).await).len(), 3);
}
