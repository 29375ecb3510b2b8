//! Outcomes that Redis cannot take: they wait in the journal, outlive their daemon, and are written when Redis is back.

use super::{metric, metric_is, sent_once};
use crate::support::daemon::Daemon;
use crate::support::provider::counted;
use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, send_job};

const ROWS: u64 = 60;
const IN_FLIGHT: u64 = 8;

/// All permits are accepted by a provider that does not answer yet.
async fn held_at_the_provider() -> (Scene, Daemon) {
    let redis = Redis::start_append_only().await;
    let keys = format!("in_flight = {IN_FLIGHT}\n");
    let mut scene = Scene::over(redis, &keys, |sandbox| (sandbox.hold, sandbox.idempotency) = (true, false)).await;
    let daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(usize::try_from(ROWS).unwrap()))).await;
    counted(&scene.sandbox, "all permits are accepted", |stats| stats.counts.accepted == IN_FLIGHT).await;
    (scene, daemon)
}

#[tokio::test]
async fn outcomes_achieved_while_redis_is_away_are_counted_and_written_when_it_is_back() {
    let (mut scene, daemon) = held_at_the_provider().await;
    assert_eq!(metric(&daemon, "spool_outcomes").await, 0);
    scene.redis.kill();
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    metric_is(&daemon, "spool_outcomes", IN_FLIGHT).await;
    assert!(metric(&daemon, "spool_bytes").await > 0);
    scene.redis.restart().await;
    scene.db = scene.redis.connect().await;
    sent_once(&mut scene, "c", ROWS, 0).await;
    metric_is(&daemon, "spool_outcomes", 0).await;
    assert_eq!(metric(&daemon, "spool_bytes").await, 0);
}

#[tokio::test]
async fn outcomes_of_a_daemon_killed_while_redis_was_away_are_written_by_the_next_one_and_not_unknown() {
    let (mut scene, mut daemon) = held_at_the_provider().await;
    scene.redis.kill();
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    metric_is(&daemon, "spool_outcomes", IN_FLIGHT).await;
    daemon.kill();
    scene.redis.restart().await;
    scene.db = scene.redis.connect().await;
    let next = scene.daemon().await;
    sent_once(&mut scene, "c", ROWS, 0).await;
    assert_eq!(metric(&next, "spool_outcomes").await, 0);
}

#[tokio::test]
async fn outcomes_of_a_daemon_killed_before_a_frozen_redis_are_written_by_the_next_one_and_not_unknown() {
    let (mut scene, mut daemon) = held_at_the_provider().await;
    scene.redis.stop();
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    metric_is(&daemon, "spool_outcomes", IN_FLIGHT).await;
    daemon.kill();
    scene.redis.cont();
    let next = scene.daemon().await;
    next.event("written again: redis had lost them, or never had them", |_| true).await;
    sent_once(&mut scene, "c", ROWS, 0).await;
}

#[tokio::test]
async fn an_outcome_that_a_dead_daemon_had_and_others_took_for_unknown_is_put_right_by_the_next_one() {
    let (mut scene, mut daemon) = held_at_the_provider().await;
    scene.redis.stop();
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    metric_is(&daemon, "spool_outcomes", IN_FLIGHT).await;
    daemon.kill();
    scene.redis.cont();
    let _other = Daemon::start(&scene.settings.instance("two")).await;
    scene.counted("c", "unknown", IN_FLIGHT).await;
    let _next = scene.daemon().await;
    scene.counted("c", "sent", ROWS).await;
    sent_once(&mut scene, "c", ROWS, 0).await;
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_is_said_once_and_sending_goes_on() {
    let mut scene = Scene::new().await;
    std::fs::create_dir_all(scene.settings.state_dir()).unwrap();
    // A file where its folder would be: what a full disk does, without filling one.
    std::fs::write(scene.settings.state_dir().join("journal"), "in the way").unwrap();
    let daemon = scene.daemon().await;
    scene.send("c", 60).await;
    sent_once(&mut scene, "c", ROWS, 0).await;
    let said = daemon.log().lines().filter(|line| line.contains("the journal cannot be written")).count();
    assert_eq!(said, 1);
    metric_is(&daemon, "journal_failing", 1).await;
    assert_eq!(metric(&daemon, "spool_outcomes").await, 0);
}
