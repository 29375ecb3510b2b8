//! Back-pressure: a full Redis holds up what would fill it further, and never what is recorded.
//!
//! A private Redis with a small `maxmemory` and `noeviction`, as the documentation asks for. It is made full with a
//! string of our own, so that its room is exactly what the test says.

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use remesa::sandbox::Fate;
use serde_json::{Value, json};

use crate::support::http;
use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::scene::{Scene, generate_job, order_key, people, phone, send_job};
use crate::support::wait;

/// Memory in use now.
async fn used(db: &mut MultiplexedConnection) -> u64 {
    let info: String = redis::cmd("INFO").arg("memory").query_async(db).await.unwrap();
    info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap()
}

async fn set_limit(db: &mut MultiplexedConnection, bytes: u64) {
    let () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).query_async(db).await.unwrap();
}

/// Beside this much, what connections come and go with is less than one percent.
const BALLAST_BYTES: isize = 64 * 1024 * 1024;

/// So many percent of `maxmemory` are in use from now on.
async fn fill(db: &mut MultiplexedConnection, percent: u64) {
    let _: usize = db.setrange("test:ballast", BALLAST_BYTES, "x").await.unwrap();
    let limit = used(db).await * 100 / percent;
    set_limit(db, limit).await;
}

/// Nothing more fits in: every command that may need memory is refused.
async fn exhaust(db: &mut MultiplexedConnection) {
    let limit = used(db).await / 2;
    set_limit(db, limit).await;
    let refused: redis::RedisResult<()> = db.set("test:more", "x").await;
    assert_eq!(refused.unwrap_err().code(), Some("OOM"));
}

async fn make_room(db: &mut MultiplexedConnection) {
    set_limit(db, 0).await;
}

/// Waits until the daemon has seen what Redis says.
async fn seen_full(scene: &mut Scene, full: &str) {
    wait::field(&mut scene.db, "remesa:depth", "redis:full", &[full]).await;
}

#[tokio::test]
async fn above_the_mark_no_generate_is_read_commands_are_obeyed_and_everything_says_why() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    scene.run("generate", &generate_job("before", people(1))).await;
    fill(&mut scene.db, 90).await;
    seen_full(&mut scene, "1").await;
    // A read that was under way may have taken one entry more.
    scene.enqueue("generate", &generate_job("first", people(1))).await;
    scene.enqueue("generate", &generate_job("second", people(1))).await;
    scene.command(json!({"action": "cancel", "campaign": "before"})).await;
    let state: Option<String> = scene.db.hget("remesa:job:gen-second", "state").await.unwrap();
    assert_ne!(state.as_deref(), Some("done"), "generate waits");
    let status = scene.settings.command(&["status", "--json"]).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["redis"]["full"], true, "{status}");
    let queue = status["queues"].as_array().unwrap().iter().find(|queue| queue["queue"] == "generate").unwrap();
    assert!(queue["note"].as_str().unwrap().contains("Redis is full"), "{queue}");
    let (_, metrics) = http::get(daemon.http().await, "/metrics").await;
    assert!(metrics.contains("remesa_redis_full 1") && metrics.contains("remesa_redis_max_bytes"), "{metrics}");
    daemon.event("redis is over 85 % of maxmemory: generate waits until it is below 80 %", |_| true).await;

    // Between the marks it stays as it was.
    fill(&mut scene.db, 82).await;
    let looked: i64 = scene.now_ms().await;
    wait::until("another look", async || (scene.now_ms().await - looked > 2_500).then_some(())).await;
    seen_full(&mut scene, "1").await;
    make_room(&mut scene.db).await;
    for id in ["gen-first", "gen-second"] {
        scene.done(id).await;
    }
}

#[tokio::test]
async fn over_maxmemory_the_command_line_still_stops_a_campaign() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(1))).await;
    exhaust(&mut scene.db).await;
    let said = scene.settings.command(&["campaign", "cancel", "c"]).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    scene.campaign_is("c", "cancelled").await;
    make_room(&mut scene.db).await;
}

#[tokio::test]
async fn a_generate_that_fills_redis_waits_for_room_and_makes_each_order_once() {
    const ROWS: usize = 4_000;
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.instance("small").set("sources.slice_rows", "50");
    let _daemon = scene.daemon().await;
    let rows = "SMScontact,amount,key\n".to_owned()
        + &(1..=ROWS).map(|n| format!("{},1,k-{n}\n", phone(n))).collect::<Vec<_>>().concat();
    scene.settings.spool("c.csv", rows);
    let job = json!({"id": "gen", "campaign": "c", "currency": "EUR", "rows_from": {"file": "c.csv"}});
    scene.enqueue("generate", &job).await;
    wait::until("it is under way", async || {
        let made: Option<u64> = scene.db.hget("remesa:{c}:campaign", "orders").await.unwrap();
        made.filter(|made| *made >= 200)
    })
    .await;
    // In the middle of a slice, whatever command it is at.
    exhaust(&mut scene.db).await;
    seen_full(&mut scene, "1").await;
    let made: u64 = scene.db.hget("remesa:{c}:campaign", "orders").await.unwrap();
    assert!(made < ROWS as u64, "it was faster than the test");
    let job_state: String = scene.db.hget("remesa:job:gen", "state").await.unwrap();
    assert_eq!(job_state, "running");
    make_room(&mut scene.db).await;
    assert_eq!(scene.done("gen").await["orders"], ROWS);
    campaign_audit(&mut scene.db, "c").await;
    let last: Value = scene.order("c", ROWS as u64).await;
    assert_eq!(last["key"], format!("k-{ROWS}"));
    let beyond: bool = scene.db.exists(order_key("c", ROWS as u64 + 1)).await.unwrap();
    assert!(!beyond);
    let attempt: String = scene.db.hget("remesa:job:gen", "attempt").await.unwrap();
    assert_eq!(attempt, "1", "a full Redis is nobody's fault");
}

#[tokio::test]
async fn while_nothing_fits_in_outcomes_are_recorded_and_sends_wait() {
    let mut scene = Scene::with("in_flight = 4\n", |sandbox| {
        sandbox.hold = true;
        sandbox.recipients.insert(phone(2), Fate::Refuse);
    })
    .await;
    let mut daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(20))).await;
    counted(&scene.sandbox, "four in flight", |stats| stats.in_flight == 4).await;
    // One was refused at once, so that a fifth was claimed.
    scene.counted("c", "failed", 1).await;
    exhaust(&mut scene.db).await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    scene.counted("c", "sent", 4).await;
    scene.counted("c", "failed", 1).await;
    wait::until("nothing is left in flight", async || (scene.delivery("c").await["sending"] == "0").then_some(()))
        .await;
    // What was recorded is told to others, and no more was claimed.
    let mut reader = scene.redis.connect().await;
    wait::entry_where(&mut reader, "remesa:results", |entry| {
        entry.get::<String>("data").unwrap().contains("\"failed\"")
    })
    .await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("failed", 1), ("queued", 15), ("sent", 4)].into());
    assert!(daemon.is_running());
    // A daemon that starts now reads commands and sends again once there is room.
    daemon.term();
    assert_eq!(daemon.exit_code().await, Some(0));
    let _again = scene.daemon().await;
    make_room(&mut scene.db).await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("failed", 1), ("sent", 19)].into());
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
    for n in 1..=20 {
        assert_eq!(scene.outcome("c", n).await.1, 1, "no attempt was counted for a refused claim");
    }
}

#[tokio::test]
async fn while_nothing_fits_in_commands_that_wait_already_are_obeyed_and_refusals_are_kept() {
    let mut scene = Scene::with("", |sandbox| sandbox.hold = true).await;
    let mut daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(5))).await;
    counted(&scene.sandbox, "in flight", |stats| stats.in_flight == 5).await;
    daemon.kill();
    // A producer's XADD is Redis' to refuse: these came before it was full.
    for (id, job) in [
        ("pause", json!({"action": "pause", "channel": "sms"})),
        ("paid", json!({"action": "order_event", "campaign": "c", "order": 5, "event": "paid"})),
        ("cancel", json!({"action": "cancel", "campaign": "c"})),
        ("forget", json!({"action": "forget", "contact": phone(1)})),
        ("wrong", json!({"action": "pause", "campaign": "nobody"})),
    ] {
        let mut job = job;
        job["id"] = id.into();
        scene.enqueue("control", &job).await;
    }
    exhaust(&mut scene.db).await;
    let refused: redis::RedisResult<String> = scene.db.xadd("remesa:jobs:control", "*", &[("job", "{}")]).await;
    assert_eq!(refused.unwrap_err().code(), Some("OOM"));
    let _daemon = scene.daemon().await;
    for id in ["pause", "paid", "cancel", "forget"] {
        assert_eq!(scene.ended(id).await["state"], "done", "{id}");
    }
    assert_eq!(scene.refused("wrong").await.0, "unknown_campaign");
    let letters: redis::streams::StreamRangeReply = scene.db.xrange_all("remesa:rejected").await.unwrap();
    assert_eq!(letters.ids.len(), 1);
    assert_eq!(scene.campaign("c").await["state"], "cancelled");
    assert_eq!(scene.order("c", 1).await.get("contact"), None);
}
