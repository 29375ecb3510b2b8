//! Bulk messages over the cases of a campaign: whom they reach, which contact, what is closed, what is left out.

mod closing;
mod contacts;
mod deaths;
mod dunning;
mod mail;
mod previewed;
mod runs;
mod sifting;
mod templates;

use redis::AsyncCommands as _;
use remesa::domain::case::Case;
use serde_json::{Value, json};

use crate::support::scene::{Scene, phone};
use crate::support::wait;

/// A case of row `n`: one client, one mobile.
pub(crate) fn person(n: usize) -> Value {
    json!({"id": format!("c-{n}"), "client": {"first_name": format!("Ana {n}")}, "contacts": [mobile(n, 1)]})
}

fn mobile(n: usize, updated_at: i64) -> Value {
    json!({"kind": "mobile", "value": phone(n), "updated_at": updated_at})
}

/// Writes cases where an import would put them, numbered from 1.
pub(crate) async fn put_cases(scene: &mut Scene, campaign: &str, cases: &[Value]) {
    let now = scene.now_ms().await;
    let mut pipeline = redis::pipe();
    let key = format!("remesa:{{{campaign}}}:campaign");
    pipeline.hset(&key, "state", "generated").hset(&key, "job", "import-1").hset(&key, "created_at", now);
    pipeline.cmd("HSETNX").arg(&key).arg("next").arg(1).cmd("HSETNX").arg(&key).arg("orders").arg(0);
    pipeline.hset(&key, "running_runs", 0).hset(&key, "cases", cases.len()).zadd("remesa:campaigns", campaign, now);
    for (i, case) in cases.iter().enumerate() {
        let mut case = case.clone();
        let defaults = [("state", json!("new")), ("created_at", json!(1)), ("updated_at", json!(1))];
        for (field, value) in defaults.into_iter().chain([("number", json!(i + 1))]) {
            if case.get(field).is_none() {
                case[field] = value;
            }
        }
        let case: Case = serde_json::from_value(case).unwrap();
        pipeline.hincr(&key, format!("cases:{}", case.state), 1);
        pipeline.set(format!("remesa:{{{campaign}}}:case:{}", i + 1), case.to_json());
    }
    let () = pipeline.query_async(&mut scene.db).await.unwrap();
}

async fn people(scene: &mut Scene, campaign: &str, count: usize) {
    let cases: Vec<Value> = (1..=count).map(person).collect();
    put_cases(scene, campaign, &cases).await;
}

/// The message `m` of a campaign, over the channel `sms`, with these fields. Its job is `send-<campaign>`.
fn message(campaign: &str, fields: &Value) -> Value {
    let mut job = json!({"id": format!("send-{campaign}"), "message": "m", "campaign": campaign, "channel": "sms",
                         "text": "Hola {{ name }}"});
    for (name, value) in fields.as_object().unwrap() {
        job[name] = value.clone();
    }
    job
}

/// Sends the message `m` and waits for its end. Returns the run's hash.
async fn send(scene: &mut Scene, campaign: &str, fields: &Value) -> std::collections::HashMap<String, String> {
    scene.run("send", &message(campaign, fields)).await;
    run_is(scene, campaign, "m", "finished").await
}

async fn run_is(
    scene: &mut Scene,
    campaign: &str,
    run: &str,
    state: &str,
) -> std::collections::HashMap<String, String> {
    let key = format!("remesa:{{{campaign}}}:run:{run}");
    wait::field(&mut scene.db, &key, "state", &[state]).await;
    scene.hash(&key).await
}

async fn case_of(scene: &mut Scene, campaign: &str, n: u64) -> Value {
    let text: String = scene.db.get(format!("remesa:{{{campaign}}}:case:{n}")).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Letter, attempt and reason of a delivery, `<n>` or `<n>.<contact>`.
async fn outcome(scene: &mut Scene, campaign: &str, delivery: &str) -> (String, u32, String) {
    let (n, contact) = delivery.split_once('.').map_or((delivery, String::new()), |(n, k)| (n, format!(".{k}")));
    let n: u64 = n.parse().unwrap();
    let key = format!("remesa:{{{campaign}}}:run:m:ledger:{}", n / 128);
    let cell: Option<String> = scene.db.hget(key, format!("{}{contact}", n % 128)).await.unwrap();
    let cell = cell.unwrap_or_else(|| "-,0,0,,".to_owned());
    let parts: Vec<&str> = cell.splitn(5, ',').collect();
    (parts[0].to_owned(), parts[1].parse().unwrap(), parts[3].to_owned())
}

/// What the provider accepted for this number, in order.
fn texts(scene: &Scene, to: &str) -> Vec<String> {
    scene.sandbox.inbox(Some(to), 0, 100).into_iter().map(|message| message.text).collect()
}

/// The events of this kind, in order.
async fn events(scene: &mut Scene, kind: &str) -> Vec<Value> {
    let found: redis::streams::StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
    let all = found.ids.iter().filter(|entry| entry.get::<String>("type").as_deref() == Some(kind));
    all.map(|entry| serde_json::from_str(&entry.get::<String>("data").unwrap()).unwrap()).collect()
}

/// The event of this kind that `wanted` says yes to, once it is published.
async fn event(scene: &mut Scene, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait::until(&format!("a {kind} event"), async || events(scene, kind).await.into_iter().find(|e| wanted(e))).await
}
