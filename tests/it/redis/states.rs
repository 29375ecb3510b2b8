//! What Redis itself may be in: forgetful of scripts, full, read-only after a failover, loading, stalled.

use std::time::{Duration, Instant};

use super::sent_once;
use crate::support::daemon::Daemon;
use crate::support::provider::counted;
use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, send_job};
use crate::support::wait;

const ROWS: usize = 200;

/// Two daemons in the middle of a run.
async fn under_way(redis: Redis) -> (Scene, [Daemon; 2]) {
    let mut scene = Scene::over(redis, "in_flight = 8\n", |sandbox| {
        (sandbox.latency_max_ms, sandbox.idempotency) = (20, false);
    })
    .await;
    let daemons = [scene.daemon().await, Daemon::start(&scene.settings.instance("two")).await];
    scene.enqueue("generate", &send_job("c", people(ROWS))).await;
    counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= 40).await;
    (scene, daemons)
}

async fn ask(scene: &mut Scene, command: &[&str]) {
    let mut asked = redis::cmd(command[0]);
    asked.arg(&command[1..]);
    let () = asked.query_async(&mut scene.db).await.unwrap();
}

#[tokio::test]
async fn scripts_forgotten_in_the_middle_of_a_run_are_loaded_again() {
    let (mut scene, _daemons) = under_way(Redis::start().await).await;
    for accepted in [60, 90, 120, 150] {
        counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= accepted).await;
        ask(&mut scene, &["SCRIPT", "FLUSH", "SYNC"]).await;
    }
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 0).await;
    assert_eq!(ledger["sent"], ROWS as u64);
}

#[tokio::test]
async fn a_full_redis_takes_outcomes_and_nobody_is_claimed_until_it_has_room() {
    let (mut scene, daemons) = under_way(Redis::start().await).await;
    ask(&mut scene, &["CONFIG", "SET", "maxmemory", "1mb"]).await;
    daemons[0].event("claiming stopped", |event| event["error"].as_str().unwrap().contains("memory")).await;
    wait::until("nothing is in flight", async || (scene.sandbox.stats().in_flight == 0).then_some(())).await;
    scene.counted("c", "sent", scene.sandbox.stats().counts.accepted).await;
    assert!(scene.sandbox.stats().counts.accepted < ROWS as u64, "it was over too early");
    ask(&mut scene, &["CONFIG", "SET", "maxmemory", "0"]).await;
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 0).await;
    assert_eq!(ledger["sent"], ROWS as u64);
}

#[tokio::test]
async fn a_master_that_became_a_replica_is_not_written_to_and_is_taken_up_again_as_another_server() {
    let (mut scene, daemons) = under_way(Redis::start().await).await;
    // A replica of nobody: it answers READONLY.
    ask(&mut scene, &["REPLICAOF", "127.0.0.1", "1"]).await;
    wait::until("nothing is in flight", async || (scene.sandbox.stats().in_flight == 0).then_some(())).await;
    ask(&mut scene, &["REPLICAOF", "NO", "ONE"]).await;
    for daemon in &daemons {
        daemon.event("redis is another server, or was started again", |_| true).await;
    }
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 0).await;
    assert_eq!(ledger["sent"], ROWS as u64);
}

#[tokio::test]
async fn a_redis_that_loads_its_data_for_seconds_is_waited_for() {
    let (mut scene, daemons) = under_way(Redis::start_append_only().await).await;
    // A millisecond for each command of its file.
    scene.redis.restart_loading(&["--key-load-delay", "1000"]);
    daemons[0].event("outcomes wait for redis", |_| true).await;
    scene.db = scene.redis.connect().await;
    wait::until("redis has loaded", async || {
        redis::cmd("PING").query_async::<String>(&mut scene.db).await.is_ok().then_some(())
    })
    .await;
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 0).await;
    assert_eq!(ledger["sent"], ROWS as u64);
}

#[tokio::test]
async fn a_stall_of_ten_seconds_delays_and_does_nothing_else() {
    const STALL: Duration = Duration::from_secs(10);
    let (mut scene, _daemons) = under_way(Redis::start().await).await;
    scene.redis.stop();
    let began = Instant::now();
    wait::until("ten seconds are over", async || (began.elapsed() > STALL).then_some(())).await;
    scene.redis.cont();
    // What was at the provider meanwhile is past its lease; its answers are kept, and written.
    scene.counted("c", "sent", ROWS as u64).await;
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 0).await;
    assert_eq!(ledger["sent"], ROWS as u64);
}
