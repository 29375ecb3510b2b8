//! A Redis that lost a run, or a whole campaign, with the messages that were sent of it: its job makes it again, and
//! whoever had a message gets no second one.

use redis::AsyncCommands as _;
use serde_json::json;

use super::sent_once;
use crate::bulk::{person, put_cases};
use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, send_job};
use crate::support::wait;

const ROWS: usize = 100;

/// A job is enqueued before a daemon is there; the mark is behind it, and before everything that comes of it.
async fn enqueued(queue: &str, job: serde_json::Value) -> (Scene, u64) {
    let redis = Redis::start_append_only().await;
    let mut scene = Scene::over(redis, "in_flight = 8\n", |sandbox| sandbox.idempotency = false).await;
    if queue == "send" {
        put_cases(&mut scene, "c", &(1..=ROWS).map(person).collect::<Vec<_>>()).await;
    }
    scene.enqueue(queue, &job).await;
    let mark = scene.redis.mark();
    (scene, mark)
}

/// Half of the messages are sent, eight are in flight.
async fn half_sent(scene: &Scene) {
    counted(&scene.sandbox, "half are accepted", |stats| stats.counts.accepted >= 50).await;
    scene.sandbox.change(|settings| settings.hold = true).unwrap();
}

async fn loses(scene: &mut Scene, mark: u64) {
    scene.redis.restart_at(mark).await;
    scene.db = scene.redis.connect().await;
}

#[tokio::test]
async fn a_campaign_that_was_lost_whole_is_generated_again_and_whoever_had_a_message_gets_no_second_one() {
    let (mut scene, mark) = enqueued("generate", send_job("c", people(ROWS))).await;
    let _daemon = scene.daemon().await;
    half_sent(&scene).await;
    loses(&mut scene, mark).await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 8).await;
    assert_eq!(ledger["sent"], ROWS as u64, "{ledger:?}");
    // Nothing of it waits any more.
    wait::until("nothing is early", async || {
        (!scene.db.exists::<_, bool>("remesa:{c}:run:delivery@1:early").await.unwrap()).then_some(())
    })
    .await;
    let ttl: i64 = scene.db.pttl("remesa:{c}:run:delivery@1:ledger:0").await.unwrap();
    assert_eq!(ttl, -1, "the ledger is kept");
}

#[tokio::test]
async fn the_same_where_the_daemon_died_with_its_redis() {
    let (mut scene, mark) = enqueued("generate", send_job("c", people(ROWS))).await;
    let mut daemon = scene.daemon().await;
    half_sent(&scene).await;
    daemon.kill();
    loses(&mut scene, mark).await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let _next = scene.daemon().await;
    sent_once(&mut scene, "c", ROWS as u64, 8).await;
}

#[tokio::test]
async fn a_bulk_message_whose_run_was_lost_is_made_again_and_writes_to_nobody_twice() {
    let job = json!({"id": "send-c", "message": "m", "campaign": "c", "channel": "sms", "text": "Hola {{ name }}",
                     "close_cases": true});
    let (mut scene, mark) = enqueued("send", job).await;
    let _daemon = scene.daemon().await;
    half_sent(&scene).await;
    loses(&mut scene, mark).await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    wait::field(&mut scene.db, "remesa:{c}:run:m", "state", &["finished"]).await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", ROWS as u64)].into());
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.repeated_recipients), (ROWS as u64, 0));
    let closed: u64 = scene.db.hget("remesa:{c}:campaign", "cases:closed").await.unwrap();
    let by_run: u64 = scene.db.hget("remesa:{c}:run:m", "cases_closed").await.unwrap();
    assert_eq!((closed, by_run), (ROWS as u64, ROWS as u64));
}

#[tokio::test]
async fn a_redis_without_its_data_sends_nothing_from_memory_and_another_job_of_that_name_begins_anew() {
    let (mut scene, _mark) = enqueued("generate", send_job("c", people(ROWS))).await;
    let daemon = scene.daemon().await;
    half_sent(&scene).await;
    scene.redis.restart_empty().await;
    scene.db = scene.redis.connect().await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    daemon.event("redis is another server, or was started again", |_| true).await;
    wait::until("nothing is in flight", async || (scene.sandbox.stats().in_flight == 0).then_some(())).await;
    let accepted = scene.sandbox.stats().counts.accepted;
    assert!(accepted < ROWS as u64, "{accepted}");
    assert!(!scene.db.exists::<_, bool>("remesa:{c}:campaign").await.unwrap());
    let mut other = send_job("c", people(ROWS));
    other["id"] = "another".into();
    scene.enqueue("generate", &other).await;
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", ROWS as u64)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, accepted + ROWS as u64);
}

#[tokio::test]
async fn a_permanent_message_whose_run_was_lost_is_made_again_before_the_next_and_writes_to_nobody_twice() {
    let redis = Redis::start_append_only().await;
    let mut scene = Scene::over(redis, "in_flight = 8\n", |sandbox| sandbox.idempotency = false).await;
    scene.settings = scene.settings.set("recurring.min_interval", "1s");
    put_cases(&mut scene, "c", &(1..=ROWS).map(person).collect::<Vec<_>>()).await;
    let _daemon = scene.daemon().await;
    // Accepted with a due time in the far future, moved to now behind the mark: only the run and its decision are lost.
    let mut job = json!({"id": "rec", "recurring": "r", "campaign": "c", "channel": "sms", "text": "Hola {{ name }}",
                         "every": "1s", "grace": "1h", "only_active": true, "close_cases": true,
                         "starts_at": scene.now_ms().await + 2_000});
    scene.enqueue("recurring", &job).await;
    scene.done("rec").await;
    let mark = scene.redis.mark();
    counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= 30).await;
    scene.sandbox.change(|settings| settings.cut_per_mille = 1000).unwrap();
    counted(&scene.sandbox, "some are in doubt", |stats| stats.answers.cut >= 8).await;
    scene.sandbox.change(|settings| (settings.cut_per_mille, settings.hold) = (0, true)).unwrap();
    counted(&scene.sandbox, "all permits are in flight", |stats| stats.in_flight == 8).await;
    let first: Vec<String> = scene.db.zrange("remesa:{c}:runs", 0, 0).await.unwrap();
    loses(&mut scene, mark).await;
    let _other = Daemon::start(&scene.settings.instance("other")).await;
    counted(&scene.sandbox, "the other daemon is at it", |stats| stats.in_flight > 8).await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    wait::until("each case is closed or in doubt", async || {
        let new: Option<u64> = scene.db.hget("remesa:{c}:campaign", "cases:new").await.unwrap();
        let unknown: u64 = scene.db.hlen("remesa:{c}:unknown:r").await.unwrap();
        (new == Some(unknown)).then_some(())
    })
    .await;
    job = json!({"action": "cancel", "campaign": "c", "recurring": "r"});
    scene.command(job).await;
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.repeated_recipients), (ROWS as u64, 0), "everybody once");
    let runs: Vec<String> = scene.db.zrange("remesa:{c}:runs", 0, -1).await.unwrap();
    assert!(runs.contains(&first[0]), "{first:?} is made again: {runs:?}");
    let cut = scene.sandbox.stats().answers.cut;
    wait::until("the last run has ended", async || {
        let running = campaign_audit(&mut scene.db, "c").await;
        (running["unknown"] == cut && running["sent"] == ROWS as u64 - cut).then_some(())
    })
    .await;
}
