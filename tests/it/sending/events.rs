//! The results stream as a contract: every event of a real daemon in a broad scenario is valid in the published schema,
//! every kind occurs, no two events share an id; and what the stream keeps.

use std::collections::{BTreeMap, BTreeSet};

use redis::AsyncCommands as _;
use redis::streams::{StreamRangeReply, StreamReadOptions, StreamReadReply};
use remesa::domain::failure::Attempt;
use remesa::domain::reference;
use remesa::job::event::{EVENT_KINDS, event_schema};
use remesa::sandbox::Fate;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::scene::{Scene, generate_job, people, phone, send_job};
use crate::support::wait;

/// The published schema, and nothing beside its fields.
fn strict() -> jsonschema::Validator {
    let mut schema = event_schema();
    for kind in schema["oneOf"].as_array_mut().unwrap() {
        kind["additionalProperties"] = false.into();
    }
    jsonschema::validator_for(&schema).unwrap()
}

/// Every event so far, once every outbox is empty.
async fn events(scene: &mut Scene, campaigns: &[&str]) -> Vec<Value> {
    for campaign in campaigns {
        let outbox = format!("remesa:{{{campaign}}}:outbox");
        wait::until("the outbox is empty", async || {
            (scene.db.xlen::<_, u64>(&outbox).await.unwrap() == 0).then_some(())
        })
        .await;
    }
    let stream: StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
    let data = stream.ids.iter().map(|entry| {
        let field = |name: &str| entry.get::<String>(name).unwrap();
        let data: Value = serde_json::from_str(&field("data")).unwrap();
        assert_eq!((&data["event"], &data["type"]), (&json!(field("event")), &json!(field("type"))));
        data
    });
    data.collect()
}

/// Different events under one id.
fn shared_ids(events: &[Value]) -> Vec<&Value> {
    let mut seen: BTreeMap<&str, &Value> = BTreeMap::new();
    events.iter().filter(|event| *seen.entry(event["event"].as_str().unwrap()).or_insert(event) != *event).collect()
}

/// A campaign with one closed case and a run over it. Returns the reference of its message.
async fn closed_case(scene: &mut Scene, campaign: &str) -> String {
    let base = format!("remesa:{{{campaign}}}:");
    let case = r#"{"state":"closed","number":1,"id":"k-1","created_at":1,"updated_at":1}"#;
    let () = scene.db.set(format!("{base}case:1"), case).await.unwrap();
    let () =
        scene.db.hset_multiple(format!("{base}campaign"), &[("state", "generated"), ("cases", "1")]).await.unwrap();
    let () = scene.db.hset(format!("{base}run:r"), "audience", "cases").await.unwrap();
    let secret: String = scene.db.get("remesa:secret").await.unwrap();
    reference::sign(secret.as_bytes(), campaign, "r", 1, 0, Attempt::FIRST)
}

/// A permanent message that is not due yet, and is not wanted after all.
async fn permanent_message(scene: &mut Scene, campaign: &str) {
    let tomorrow = scene.now_ms().await + 24 * 60 * 60 * 1000;
    let job = json!({"id": "permanent", "recurring": "weekly", "campaign": campaign, "channel": "sms", "every": "24h",
                     "audience": "orders", "text": "Hola", "starts_at": tomorrow});
    scene.run("recurring", &job).await;
    scene.command(json!({"action": "cancel", "campaign": campaign, "recurring": "weekly"})).await;
}

#[tokio::test]
async fn every_event_of_a_broad_scenario_is_valid_in_the_schema_and_has_an_id_of_its_own() {
    let mut scene = Scene::with("retry_base = \"20ms\"\n", |sandbox| {
        sandbox.recipients = [(phone(2), Fate::Refuse), (phone(3), Fate::Cut)].into();
    })
    .await;
    scene.settings = std::mem::replace(&mut scene.settings, crate::support::daemon::Settings::new(&scene.redis))
        .set("replies.reopen", "true")
        .toml("[payment_points.pp-north]\nlink_base = \"https://north.example/\"");
    let _daemon = scene.daemon().await;
    let mut rows = people(20);
    rows[3]["SMScontact"] = "nobody".into();
    rows[4]["amount"] = "12.50".into();
    scene.run("generate", &send_job("c", rows)).await;
    scene.campaign_is("c", "delivered").await;
    let run = |action: &str| json!({"action": action, "campaign": "c", "run": "delivery@1"});
    // States that come again: each is another event.
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    for _ in 0..2 {
        let mut retry = run("retry");
        retry["states"] = "failed".into();
        scene.command(retry).await;
        for _ in 0..3 {
            scene.command(run("pause")).await;
            scene.command(run("resume")).await;
            scene.command(json!({"action": "pause", "campaign": "c"})).await;
            scene.command(json!({"action": "resume", "campaign": "c"})).await;
        }
        scene.command(json!({"action": "resume", "channel": "sms"})).await;
        scene.finished("c").await;
        scene.campaign_is("c", "delivered").await;
        scene.command(json!({"action": "pause", "channel": "sms"})).await;
    }
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    // Receipts.
    let secret: String = scene.db.get("remesa:secret").await.unwrap();
    for (n, state) in [(1, "expired"), (1, "delivered"), (3, "sent"), (6, "undelivered"), (6, "undelivered")] {
        let reference = reference::sign(secret.as_bytes(), "c", "delivery@1", n, 0, Attempt::FIRST);
        scene.command(json!({"action": "receipt", "reference": reference, "state": state, "reason": "27"})).await;
    }
    // Orders.
    let event = |n: u64, event: &str| json!({"action": "order_event", "campaign": "c", "order": n, "event": event});
    scene.command(event(1, "paid")).await;
    for (n, at) in [(300, "2026-01-01T10:00:00Z"), (200, "2026-01-01T11:00:00Z")] {
        let mut refund = event(1, "partially_refunded");
        (refund["amount"], refund["occurred_at"]) = (n.into(), at.into());
        scene.command(refund).await;
    }
    scene.command(event(1, "refunded")).await;
    scene.command(event(6, "cancelled")).await;
    scene.command(json!({"action": "reroute", "campaign": "c", "order": 7, "payment_point": "pp-north"})).await;
    // More of the campaign, and others: cancelled, only generated.
    let mut append = send_job("c", people(23)[20..].to_vec());
    (append["id"], append["append"]) = ("more".into(), true.into());
    scene.run("generate", &append).await;
    scene.campaign_is("c", "delivered").await;
    scene.run("generate", &generate_job("d", people(700))).await;
    scene.command(json!({"action": "cancel", "campaign": "d", "cancel_orders": true})).await;
    // Jobs that end otherwise.
    assert_eq!(scene.command_refused(json!({"action": "pause", "campaign": "gone"})).await.0, "unknown_campaign");
    scene.enqueue("generate", &json!({"id": "typo", "campaign": "e", "rowz": []})).await;
    assert_eq!(scene.refused("typo").await.0, "unknown_field");
    scene
        .enqueue("generate", &json!({"id": "none", "campaign": "e", "currency": "EUR", "rows": [{"amount": "x"}]}))
        .await;
    assert_eq!(scene.refused("none").await.0, "nothing_generated");
    let unnamed: String = scene.db.xadd("remesa:jobs:control", "*", &[("job", "{}")]).await.unwrap();
    wait::field(&mut scene.db, &format!("remesa:job:control:{unnamed}"), "state", &["rejected"]).await;

    // What people wish and answer; the reply opens a closed case again.
    scene.command(json!({"action": "opt_out", "campaign": "c", "order": 8})).await;
    let reference = closed_case(&mut scene, "s").await;
    for reference in [json!(reference), Value::Null] {
        let reply =
            json!({"action": "reply", "channel": "sms", "contact": phone(9), "text": "hola", "reference": reference});
        scene.command(reply).await;
    }

    permanent_message(&mut scene, "c").await;

    let told = events(&mut scene, &["c", "d", "e", "s"]).await;
    let schema = strict();
    for event in &told {
        if let Err(error) = schema.validate(event) {
            panic!("{event}: {error}");
        }
    }
    assert_eq!(shared_ids(&told), Vec::<&Value>::new());
    let kinds: BTreeSet<&str> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, EVENT_KINDS.into());
    let ids: BTreeSet<&str> = told.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let of = |kind: &str, what: &str| {
        told.iter().filter(|event| event["type"] == kind && event["state"] == what && event["campaign"] == "c").count()
    };
    assert_eq!((of("run", "paused"), of("campaign", "paused")), (6, 6));
    assert_eq!(of("run", "finished"), 4, "three ends of the first run and one of the second");
    assert_eq!(of("campaign", "delivered"), 4);
    // Every end of a job, with its code.
    for end in ["typo", "none"] {
        let job = told.iter().find(|event| event["job"] == end).unwrap();
        assert!(job["state"] != "done" && job["code"].is_string(), "{job}");
    }
    assert!(ids.contains(format!("control:{unnamed}/rejected").as_str()));
    // The stretches of orders are all of them, without a gap.
    let stretches: Vec<(u64, u64)> = told
        .iter()
        .filter(|event| event["type"] == "orders" && event["campaign"] == "d")
        .map(|event| (event["first"].as_u64().unwrap(), event["last"].as_u64().unwrap()))
        .collect();
    assert_eq!(stretches, [(1, 500), (501, 700)]);
}

#[tokio::test]
async fn a_job_whose_daemon_died_before_it_could_tell_its_end_is_told_by_the_next() {
    let mut scene = Scene::new().await;
    let redis_gate = crate::support::gate::Gate::before(&scene.redis);
    let settings = crate::support::daemon::Settings::with_redis_url(&redis_gate.url());
    let settings = settings.sandbox_channel("sms", &scene.sandbox.url(), "");
    let mut first = Daemon::start(&settings).await;
    // The end of the job is written, and its answer held back: the daemon dies before it tells.
    redis_gate.catch(&mut scene.db, "write_job", crate::support::gate::Side::After, 0).await;
    scene.enqueue("control", &json!({"id": "p", "action": "pause", "channel": "sms"})).await;
    redis_gate.caught("the end of the job is written").await;
    first.kill();
    assert_eq!(scene.hash("remesa:job:p").await["state"], "done");
    redis_gate.open();
    let _second = Daemon::start(&settings).await;
    let mut db = scene.redis.connect().await;
    let told = wait::entry_where(&mut db, "remesa:results", |entry| {
        entry.get::<String>("type").unwrap() == "job" && entry.get::<String>("data").unwrap().contains("\"p\"")
    })
    .await;
    let data: Value = serde_json::from_str(&told.get::<String>("data").unwrap()).unwrap();
    assert_eq!((&data["job"], &data["state"]), (&json!("p"), &json!("done")));
    strict().validate(&data).unwrap();
}

/// The entries that are left, oldest first.
async fn left(scene: &mut Scene) -> Vec<String> {
    let stream: StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
    stream.ids.into_iter().map(|entry| entry.id).collect()
}

#[tokio::test]
async fn the_stream_is_trimmed_to_what_its_slowest_group_has_acknowledged() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    for group in ["fast", "slow"] {
        let () = scene.db.xgroup_create_mkstream("remesa:results", group, "0").await.unwrap();
    }
    scene.run("generate", &send_job("c", people(1000))).await;
    scene.campaign_is("c", "delivered").await;
    events(&mut scene, &["c"]).await;
    let all = left(&mut scene).await;
    assert!(all.len() > 1000);
    let read = |group: &str, count: usize| StreamReadOptions::default().group(group, "one").count(count);
    let _: StreamReadReply = scene.db.xread_options(&["remesa:results"], &[">"], &read("fast", 2000)).await.unwrap();
    let () = scene.db.xack("remesa:results", "fast", &all).await.unwrap();
    let _: StreamReadReply = scene.db.xread_options(&["remesa:results"], &[">"], &read("slow", 800)).await.unwrap();
    // The slow one has read 800 and stored all but the 401st: what is before that may go, and nothing else.
    let stored: Vec<&String> = all[..800].iter().filter(|id| **id != all[400]).collect();
    let () = scene.db.xack("remesa:results", "slow", &stored).await.unwrap();
    wait::until("what both have acknowledged is gone", async || (left(&mut scene).await.len() <= 800).then_some(()))
        .await;
    let kept = left(&mut scene).await;
    assert!(kept.contains(&all[400]), "not acknowledged, and gone");
    assert_eq!(kept[kept.len() - (all.len() - 400)..], all[400..]);
    let () = scene.db.xack("remesa:results", "slow", &[&all[400]]).await.unwrap();
    wait::until("the rest of what was read goes", async || {
        (left(&mut scene).await.len() <= all.len() - 700).then_some(())
    })
    .await;
    assert!(left(&mut scene).await.ends_with(&all[800..]), "not yet read, and gone");
}

#[tokio::test]
async fn over_its_bytes_the_oldest_of_the_stream_go_read_or_not() {
    let mut scene = Scene::new().await;
    scene.settings = std::mem::replace(&mut scene.settings, crate::support::daemon::Settings::new(&scene.redis))
        .set("results.max_bytes", "65536");
    let daemon = scene.daemon().await;
    let () = scene.db.xgroup_create_mkstream("remesa:results", "asleep", "0").await.unwrap();
    scene.run("generate", &send_job("c", people(1000))).await;
    scene.campaign_is("c", "delivered").await;
    daemon.event("results over their bytes: the oldest went, read or not", |_| true).await;
    let used: u64 = redis::cmd("MEMORY").arg("USAGE").arg("remesa:results").query_async(&mut scene.db).await.unwrap();
    assert!(used <= 2 * 65536, "{used} bytes");
    assert!(!left(&mut scene).await.is_empty());
}
