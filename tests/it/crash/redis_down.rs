//! Redis killed and restarted with its append-only file while messages leave.

use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, send_job};

#[tokio::test]
async fn daemons_reconnect_to_a_restarted_redis_and_nothing_is_lost_or_sent_twice() {
    let redis = Redis::start_append_only().await;
    let mut scene = Scene::over(redis, "in_flight = 8\n", |sandbox| sandbox.latency_max_ms = 20).await;
    let _daemons = [scene.daemon().await, Daemon::start(&scene.settings.instance("two")).await];
    scene.enqueue("generate", &send_job("c", people(600))).await;
    for accepted in [60, 200, 350] {
        counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= accepted).await;
        scene.redis.restart().await;
        scene.db = scene.redis.connect().await;
    }
    scene.finished("c").await;
    scene.campaign_is("c", "delivered").await;
    let ledger = campaign_audit(&mut scene.db, "c").await;
    let (counts, unknown) = (scene.sandbox.stats().counts, ledger.get("unknown").copied().unwrap_or(0));
    assert_eq!(counts.repeated_recipients, 0, "sent twice");
    assert_eq!(ledger["sent"] + unknown, 600, "lost: {ledger:?}");
    assert!(unknown <= 3 * 16, "{ledger:?}");
    assert!((ledger["sent"]..=600).contains(&counts.accepted), "{ledger:?} {counts:?}");
}

#[tokio::test]
async fn a_frozen_redis_only_delays() {
    let mut scene = Scene::with("in_flight = 8\n", |sandbox| sandbox.hold = true).await;
    let _daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(100))).await;
    counted(&scene.sandbox, "all permits are accepted", |stats| stats.counts.accepted == 8).await;
    scene.redis.stop();
    // The answers arrive while nothing can be written: they are written when Redis is back.
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    counted(&scene.sandbox, "the answers are given", |stats| stats.in_flight == 0).await;
    scene.redis.cont();
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 100)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, 100);
}
