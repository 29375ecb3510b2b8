//! Clocks that are set, an hour forward and back, under load: a daemon's, then Redis'. Counted at the provider.
//!
//! A daemon's own clock decides nothing. Redis' clock rules every lease: set forward, work changes hands early; set back,
//! leases begin anew, the rate goes on, and what a dead daemon had is taken over all the same.

use redis::AsyncCommands as _;
use serde_json::json;

use crate::support::clock::Clock;
use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::redis::Redis;
use crate::support::scene::{Scene, generate_job, people, send_job};

const HOUR: i64 = 3_600;
const ROWS: usize = 400;
/// A rate, so that what was reserved before a step is looked at after it.
const KEYS: &str = "in_flight = 8\nrate_per_second = 200\n";

/// Sends to everybody while `step` is taken at each of these numbers accepted. Everybody gets it once.
async fn sends_once(scene: &mut Scene, campaign: &str, clock: &Clock, steps: &[i64]) {
    let before = scene.sandbox.stats().counts.accepted;
    scene.enqueue("generate", &send_job(campaign, people(ROWS))).await;
    for (accepted, step) in (1..).map(|n| before + n * 60).zip(steps) {
        counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= accepted).await;
        clock.set(*step);
    }
    // What changes hands in flight may be unknown until its holder says what it knows.
    scene.counted(campaign, "sent", ROWS as u64).await;
    scene.finished(campaign).await;
    assert_eq!(campaign_audit(&mut scene.db, campaign).await, [("sent", ROWS as u64)].into(), "{steps:?}");
    assert_eq!(scene.sandbox.stats().counts.accepted, before + ROWS as u64, "{steps:?}");
}

#[tokio::test]
async fn the_clock_of_a_daemon_may_be_set_an_hour_forward_and_back_and_nothing_changes() {
    let mut scene = Scene::with(KEYS, |sandbox| sandbox.latency_max_ms = 20).await;
    let clock = Clock::new();
    let under_clock = clock
        .environment()
        .into_iter()
        .fold(scene.settings.instance("one"), |settings, (name, value)| settings.variable(name, &value));
    let mut daemons = [Daemon::start(&under_clock).await, Daemon::start(&scene.settings.instance("two")).await];
    sends_once(&mut scene, "c", &clock, &[HOUR, 0, -HOUR]).await;
    // A time of Redis' clock is kept by a daemon that is an hour late.
    let mut later = generate_job("later", people(1));
    later["at"] = json!(scene.now_ms().await + 500);
    scene.run("generate", &later).await;
    for daemon in &mut daemons {
        assert!(daemon.is_running());
        daemon.term();
        assert_eq!(daemon.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn the_clock_of_redis_may_be_set_an_hour_forward_and_back_under_load() {
    let clock = Clock::new();
    let redis = Redis::start_under(&clock).await;
    let mut scene = Scene::over(redis, KEYS, |sandbox| sandbox.latency_max_ms = 20).await;
    let before = scene.now_ms().await;
    let one = Daemon::start(&scene.settings.instance("one")).await;
    let two = Daemon::start(&scene.settings.instance("two")).await;
    sends_once(&mut scene, "forward", &clock, &[HOUR]).await;
    assert!(scene.now_ms().await > before + 1_000 * HOUR, "the clock was set");
    for daemon in [&one, &two] {
        daemon.event("redis' clock was set forward: leases end early, work may change hands", |_| true).await;
    }
    sends_once(&mut scene, "back", &clock, &[0]).await;
    for daemon in [&one, &two] {
        daemon.event("redis' clock was set back: leases begin anew", |_| true).await;
    }
    sends_once(&mut scene, "both", &clock, &[-HOUR, HOUR, 0]).await;
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 2 * ROWS as u64, "three campaigns to the same people");
}

#[tokio::test]
async fn what_a_daemon_had_that_died_before_the_clock_of_redis_was_set_back_is_taken_over() {
    const IN_FLIGHT: u64 = 8;
    let clock = Clock::new();
    let redis = Redis::start_under(&clock).await;
    let mut scene = Scene::over(redis, "in_flight = 8\n", |sandbox| sandbox.hold = true).await;
    let mut dead = Daemon::start(&scene.settings.instance("one")).await;
    scene.enqueue("generate", &send_job("c", people(60))).await;
    counted(&scene.sandbox, "all permits are accepted", |stats| stats.counts.accepted == IN_FLIGHT).await;
    let other = Daemon::start(&scene.settings.instance("two")).await;
    dead.kill();
    clock.set(-HOUR);
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    other.event("redis' clock was set back: leases begin anew", |_| true).await;
    scene.finished("c").await;
    let expected = [("sent", 60 - IN_FLIGHT), ("unknown", IN_FLIGHT)].into();
    assert_eq!(campaign_audit(&mut scene.db, "c").await, expected);
    assert_eq!((scene.sandbox.stats().counts.accepted, scene.sandbox.stats().counts.repeated_recipients), (60, 0));
    let left: u64 = scene.db.xlen("remesa:jobs:generate").await.unwrap();
    assert_eq!(left, 0);
}
