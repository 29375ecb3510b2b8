//! A daemon that runs out of something of its machine: disk, file descriptors. It waits with what needs it, goes on with
//! the rest, and when there is room again nobody is lost and nobody was sent to twice.

use std::path::Path;

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use serde_json::json;

use crate::support::daemon::{Daemon, Settings};
use crate::support::ledger::campaign_audit;
use crate::support::provider::{counted, sandbox_with};
use crate::support::scene::{Scene, generate_from, people, run_key, send_job};
use crate::support::shortage::{Disk, give_descriptors, take_descriptors};
use crate::support::wait;

#[tokio::test]
async fn a_full_disk_holds_up_what_needs_the_disk_and_nothing_else() {
    only_what_needs_the_disk_waits(Disk::at).await;
}

#[tokio::test]
async fn a_limit_on_the_size_of_files_holds_up_the_same_and_ends_no_daemon() {
    only_what_needs_the_disk_waits(Disk::without_mount).await;
}

async fn only_what_needs_the_disk_waits(disk: fn(&Path) -> Disk) {
    let mut scene = Scene::new().await;
    let disk = disk(&scene.settings.state_dir());
    let spool = scene.settings.state_dir().join("spool");
    scene.settings = scene
        .settings
        .variable("REMESA_SOURCES__SPOOL_DIR", spool.to_str().unwrap())
        .set("jobs.max_attempts", "100")
        .set("jobs.retry_base", "100ms")
        .set("jobs.retry_cap", "200ms");
    let mut daemon = scene.daemon().await;
    scene.run("generate", &send_job("before", people(10))).await;
    let mut listed = redis::pipe();
    for n in 0..100 {
        listed.rpush("rows", json!({"amount": 100 + n}).to_string()).ignore();
    }
    let () = listed.query_async(&mut scene.db).await.unwrap();
    disk.fill(&daemon);
    // The refused row has no file to stand in; the others are sent.
    let mut rows = people(30);
    rows[4]["amount"] = "12,x".into();
    let result = scene.run("generate", &send_job("c", rows)).await;
    assert_eq!((&result["orders"], &result["refused"]), (&json!(29), &json!(1)));
    let warnings = result["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning["code"] == "error_file_incomplete"), "{result}");
    scene.finished("c").await;
    // An export, and a list that is to be copied first, wait for room.
    scene.enqueue("control", &json!({"id": "export", "action": "export", "campaign": "c"})).await;
    scene.enqueue("generate", &generate_from("listed", json!({"list": "rows"}))).await;
    for id in ["export", "gen-listed"] {
        let key = format!("remesa:job:{id}");
        let said = wait::until(&format!("{id} is tried again"), async || {
            let job = scene.hash(&key).await;
            let again = job.get("attempt").is_some_and(|attempt| attempt.parse::<u32>().unwrap() > 1);
            again.then(|| job["error"].clone())
        })
        .await;
        assert!(said.contains("space") || said.contains("large"), "{id}: {said}");
    }
    disk.free(&daemon);
    assert_eq!(scene.done("export").await["rows"], 29);
    assert_eq!(scene.done("gen-listed").await["orders"], 100);
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 29)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, 39);
    daemon.term();
    assert_eq!(daemon.exit_code().await, Some(0));
}

/// A connection to the embedded Redis of these settings.
async fn embedded(settings: &Settings) -> MultiplexedConnection {
    let url = format!("unix://{}", settings.state_dir().join("redis.sock").display());
    let client = redis::Client::open(url).unwrap();
    wait::until("the embedded Redis answers", async || client.get_multiplexed_async_connection().await.ok()).await
}

#[tokio::test]
async fn a_redis_whose_disk_is_full_holds_up_sending_until_there_is_room_and_nobody_is_lost_or_sent_to_twice() {
    // It refuses to write.
    sending_waits_for_redis_to_write(Disk::at, "MISCONF").await;
}

#[tokio::test]
async fn an_embedded_redis_ended_by_a_limit_on_the_size_of_files_comes_back_and_nobody_is_lost_or_sent_to_twice() {
    // The limit ends a Redis that writes, and lets none start.
    sending_waits_for_redis_to_write(Disk::without_mount, "redis is unavailable").await;
}

async fn sending_waits_for_redis_to_write(disk: fn(&Path) -> Disk, said: &str) {
    const ROWS: usize = 400;
    let sandbox = sandbox_with(|sandbox| sandbox.latency_max_ms = 20).await;
    let settings = Settings::with_redis_url("embedded").sandbox_channel("sms", &sandbox.url(), "in_flight = 8\n");
    let disk = disk(&settings.state_dir());
    let mut daemon = Daemon::start(&settings).await;
    let mut db = embedded(&settings).await;
    let job = send_job("c", people(ROWS)).to_string();
    let _: String = db.xadd("remesa:jobs:generate", "*", &[("job", &job)]).await.unwrap();
    counted(&sandbox, "some are accepted", |stats| stats.counts.accepted >= 60).await;
    disk.fill(&daemon);
    daemon.event("sweeping failed", |event| event["error"].as_str().unwrap().contains(said)).await;
    let accepted = sandbox.stats().counts.accepted;
    assert!(accepted < ROWS as u64, "it was over too early");
    disk.free(&daemon);
    wait::until("the run is finished", async || {
        // An embedded Redis that the shortage ended is another one now.
        let mut db = embedded(&settings).await;
        let state: Option<String> = db.hget(run_key("c"), "state").await.ok()?;
        (state.as_deref() == Some("finished")).then_some(())
    })
    .await;
    let ledger = campaign_audit(&mut embedded(&settings).await, "c").await;
    let counts = sandbox.stats().counts;
    assert_eq!(counts.repeated_recipients, 0, "sent twice");
    assert_eq!(ledger["sent"] + ledger.get("unknown").copied().unwrap_or(0), ROWS as u64, "lost: {ledger:?}");
    assert!((ledger["sent"]..=ROWS as u64).contains(&counts.accepted), "{ledger:?} {counts:?}");
    daemon.term();
    assert_eq!(daemon.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_daemon_without_file_descriptors_sends_when_it_has_some_again_and_fails_nobody() {
    let keys = "in_flight = 8\nretry_attempts = 1\npool_idle = \"0s\"\n";
    let mut scene = Scene::with(keys, |_| {}).await;
    let mut daemon = scene.daemon().await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    scene.run("generate", &send_job("c", people(200))).await;
    take_descriptors(&daemon);
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    let message = "no socket can be opened, for want of a file descriptor or a port: messages wait";
    daemon.event(message, |_| true).await;
    // Its connections to Redis are cut, and there is nothing to open new ones with.
    for kind in ["normal", "pubsub"] {
        let mut cut = redis::cmd("CLIENT");
        let _: i64 = cut.arg(&["KILL", "TYPE", kind, "SKIPME", "yes"]).query_async(&mut scene.db).await.unwrap();
    }
    daemon.event("reading failed, reconnecting", |_| true).await;
    assert!(daemon.is_running());
    give_descriptors(&daemon);
    scene.finished("c").await;
    let ledger = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(ledger, [("sent", 200)].into());
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.repeated_recipients), (200, 0));
    daemon.term();
    assert_eq!(daemon.exit_code().await, Some(0));
}
