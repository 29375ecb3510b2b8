//! The governor: rate, permits and breaker, shared by all daemons and counted at the provider.

use remesa::sandbox::Fate;
use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::scene::{Scene, people, send_job};
use crate::support::wait;

#[tokio::test]
async fn three_daemons_share_one_rate() {
    let mut scene = Scene::with("rate_per_second = 100\n", |_| {}).await;
    let _daemons = [
        scene.daemon().await,
        Daemon::start(&scene.settings.instance("two")).await,
        Daemon::start(&scene.settings.instance("three")).await,
    ];
    scene.run("generate", &send_job("c", people(250))).await;
    scene.finished("c").await;
    let mut arrivals: Vec<i64> = scene.sandbox.inbox(None, 0, 1_000).iter().map(|message| message.at_ms).collect();
    arrivals.sort_unstable();
    assert_eq!(arrivals.len(), 250);
    // 100 a second, 50 ms of which may be reserved ahead. A stalled machine only makes it slower, or the
    // gap between the first two shorter: by the clock of the provider, never by that of the test.
    let window_ms = arrivals[249] - arrivals[0];
    let allowed = window_ms / 10 + 1 + 5 + 5;
    assert!(250 <= allowed, "250 messages in {window_ms} ms, allowed are {allowed}");
    for from in 0..150 {
        let in_a_second = arrivals[from..].iter().take_while(|at| **at < arrivals[from] + 1_000).count();
        assert!(in_a_second <= 150, "{in_a_second} messages in the second from number {from}");
    }
}

#[tokio::test]
async fn a_message_of_two_parts_takes_two_of_the_rate() {
    let mut scene = Scene::with("rate_per_second = 100\nin_flight = 16\n", |_| {}).await;
    let _daemon = scene.daemon().await;
    let mut job = send_job("c", people(60));
    job["message"] = json!({"text": format!("{} {{{{ name }}}}", "larga ".repeat(25))});
    scene.run("generate", &job).await;
    scene.finished("c").await;
    let mut arrivals: Vec<i64> = scene.sandbox.inbox(None, 0, 1_000).iter().map(|message| message.at_ms).collect();
    arrivals.sort_unstable();
    let (parts, window_ms) = (2 * 59, arrivals[59] - arrivals[0]);
    let allowed = window_ms / 10 + 2 + 10;
    assert!(parts <= allowed, "{parts} parts in {window_ms} ms, allowed are {allowed}");
}

#[tokio::test]
async fn no_more_than_the_permits_are_in_flight_on_each_daemon() {
    let mut scene = Scene::with("in_flight = 5\n", |sandbox| sandbox.hold = true).await;
    let _daemons = [scene.daemon().await, Daemon::start(&scene.settings.instance("two")).await];
    scene.run("generate", &send_job("c", people(100))).await;
    // Both daemons take turns of the four slots; each stops at its five permits.
    counted(&scene.sandbox, "ten in flight", |stats| stats.in_flight == 10).await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    scene.finished("c").await;
    let stats = scene.sandbox.stats();
    assert_eq!((stats.most_in_flight, stats.counts.accepted), (10, 100));
}

/// Three failures open the breaker; the probe hangs until it times out.
const BREAKER: &str = "idempotent = true\nin_flight = 1\nslots = 2\nbreaker_failures = 3\nbreaker_cooldown = \"200ms\"\n\
                       retry_base = \"10ms\"\nretry_cap = \"20ms\"\ntimeout = \"400ms\"\nconnect_timeout = \"400ms\"\n";

#[tokio::test]
async fn the_breaker_opens_lets_one_probe_through_and_closes_when_it_is_answered() {
    let mut scene = Scene::with(BREAKER, |sandbox| {
        sandbox.script = vec![Fate::Fail, Fate::Fail, Fate::Fail, Fate::Hang, Fate::Accept];
    })
    .await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(20))).await;
    counted(&scene.sandbox, "the probe", |stats| stats.answers.hung == 1).await;
    let other = Daemon::start(&scene.settings.instance("two")).await;
    // Until the probe's time is up it is the only one, whoever asks; then the pause is longer than before.
    wait::field(&mut scene.db, "remesa:channel:sms", "breaker_opened", &["2"]).await;
    let stats = scene.sandbox.stats();
    assert_eq!((stats.requests, stats.answers.failed, stats.answers.hung), (4, 3, 1));
    scene.finished("c").await;
    let channel = scene.hash("remesa:channel:sms").await;
    assert!(!channel.contains_key("breaker_opened") && !channel.contains_key("breaker_until"), "{channel:?}");
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 20)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, 20);
    drop(other);
}

#[tokio::test]
async fn a_breaker_opened_by_a_daemon_that_died_is_closed_by_the_probe_of_another() {
    let mut scene = Scene::with(BREAKER, |sandbox| sandbox.fail_per_mille = 1000).await;
    let mut first = scene.daemon().await;
    scene.run("generate", &send_job("c", people(20))).await;
    wait::field(&mut scene.db, "remesa:channel:sms", "breaker_opened", &["1", "2", "3"]).await;
    first.kill();
    scene.sandbox.change(|settings| settings.fail_per_mille = 0).unwrap();
    let _second = scene.daemon().await;
    scene.finished("c").await;
    let channel = scene.hash("remesa:channel:sms").await;
    assert!(!channel.contains_key("breaker_opened"), "{channel:?}");
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 20)].into());
}
