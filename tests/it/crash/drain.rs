//! What a drain leaves, and what the reconciler repairs when somebody took slots and alarms away.

use std::collections::{BTreeMap, BTreeSet};

use redis::AsyncCommands as _;
use redis::streams::StreamRangeReply;
use serde_json::Value;

use crate::support::daemon::{Daemon, Settings};
use crate::support::gate::{Gate, Side};
use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::scene::{Scene, people, send_job};
use crate::support::wait;

#[tokio::test]
async fn da_8_a_drain_under_load_leaves_nothing_in_sending_and_the_next_daemon_goes_on() {
    let mut scene = Scene::with("in_flight = 8\n", |sandbox| sandbox.latency_max_ms = 20).await;
    let mut first = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(500))).await;
    counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= 60).await;
    first.term();
    assert_eq!(first.exit_code().await, Some(0));
    let ledger = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(ledger["sent"] + ledger["queued"], 500, "{ledger:?}");
    assert_eq!(ledger["sent"], scene.sandbox.stats().counts.accepted);
    // The slots wait in the queue, given back and in nobody's name.
    let waiting: u64 = scene.db.xlen("remesa:jobs:batch:sms").await.unwrap();
    assert_eq!(waiting, 4);
    let _second = scene.daemon().await;
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 500)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, 500);
}

#[tokio::test]
async fn da_8_a_drain_waits_for_the_answers_of_what_is_in_flight() {
    let mut scene = Scene::with("in_flight = 8\n", |sandbox| sandbox.hold = true).await;
    let mut daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(50))).await;
    counted(&scene.sandbox, "all permits are accepted", |stats| stats.counts.accepted == 8).await;
    daemon.term();
    daemon.event("draining; a second signal ends at once", |_| true).await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await["sending"], 8);
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    assert_eq!(daemon.exit_code().await, Some(0));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("queued", 42), ("sent", 8)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, 8);
}

#[tokio::test]
async fn a_drain_in_the_middle_of_a_file_keeps_what_is_written_and_the_next_daemon_goes_on() {
    let mut scene = Scene::new().await;
    let gate = Gate::before(&scene.redis);
    scene.settings = Settings::with_redis_url(&gate.url()).toml("[sources]\nslice_rows = 20\n");
    let mut first = scene.daemon().await;
    gate.catch(&mut scene.db, "write_orders", Side::After, 2).await;
    scene.enqueue("generate", &crate::support::scene::generate_job("c", people(200))).await;
    gate.caught("the third slice").await;
    first.term();
    first.event("draining; a second signal ends at once", |_| true).await;
    gate.open();
    assert_eq!(first.exit_code().await, Some(0));
    let written: u64 = scene.campaign("c").await["orders"].parse().unwrap();
    assert!((60..200).contains(&written), "{written}");
    let _second = scene.daemon().await;
    assert_eq!(scene.done("gen-c").await["orders"], 200);
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn the_reconciler_arms_lost_slots_again_and_publishes_the_events_of_the_dead() {
    let mut scene = Scene::new().await;
    let gate = Gate::before(&scene.redis);
    scene.settings =
        Settings::with_redis_url(&gate.url()).sandbox_channel("sms", &scene.sandbox.url(), "in_flight = 8\n");
    let mut first = scene.daemon().await;
    gate.catch(&mut scene.db, "land", Side::After, 1).await;
    scene.enqueue("generate", &send_job("c", people(100))).await;
    gate.caught("the second landing").await;
    first.kill();
    // Somebody clears the queue and the alarm clock by hand.
    let stream: StreamRangeReply = scene.db.xrange_all("remesa:jobs:batch:sms").await.unwrap();
    for entry in &stream.ids {
        let _: u64 = scene.db.xack("remesa:jobs:batch:sms", "remesa", &[&entry.id]).await.unwrap();
        let _: u64 = scene.db.xdel("remesa:jobs:batch:sms", &[&entry.id]).await.unwrap();
    }
    assert!(!stream.ids.is_empty());
    let _: u64 = scene.db.del("remesa:scheduled").await.unwrap();
    let second = Daemon::start(&scene.settings).await;
    second.event("slots armed again", |event| event["campaign"] == "c").await;
    scene.finished("c").await;
    let ledger = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(ledger["sent"] + ledger.get("unknown").copied().unwrap_or(0), 100, "{ledger:?}");
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
    wait::until("the outbox is empty", async || {
        (scene.db.xlen::<_, u64>("remesa:{c}:outbox").await.unwrap() == 0).then_some(())
    })
    .await;
    let results: StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
    let mut ids: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for entry in results.ids.iter().filter(|entry| entry.get::<String>("type").as_deref() == Some("delivery")) {
        let data: Value = serde_json::from_str(&entry.get::<String>("data").unwrap()).unwrap();
        ids.entry(data["order"].as_u64().unwrap()).or_default().insert(entry.get("event").unwrap());
    }
    assert_eq!(ids.keys().copied().collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
}
