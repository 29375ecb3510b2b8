//! A daemon that is frozen beyond its lease and thawed again: it sends nothing twice, and tells what it knows.

use crate::support::daemon::{Daemon, Settings};
use crate::support::gate::{Gate, Side};
use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::scene::{Scene, people, send_job};

const IN_FLIGHT: u64 = 8;
const KEYS: &str = "in_flight = 8\n";

#[tokio::test]
async fn a_thawed_daemon_records_the_answers_it_had_waited_for() {
    let mut scene = Scene::with(KEYS, |sandbox| sandbox.hold = true).await;
    let frozen = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(60))).await;
    counted(&scene.sandbox, "all permits are accepted", |stats| stats.counts.accepted == IN_FLIGHT).await;
    frozen.stop();
    // The answers reach its sockets, and nobody reads them.
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let _other = Daemon::start(&scene.settings.instance("two")).await;
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 52), ("unknown", IN_FLIGHT)].into());
    frozen.cont();
    // Whoever held a claim may say late what became of it.
    scene.counted("c", "sent", 60).await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 60)].into());
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.repeated_recipients), (60, 0));
}

#[tokio::test]
async fn a_daemon_thawed_between_its_claim_and_the_provider_sends_nothing() {
    let mut scene = Scene::new().await;
    let gate = Gate::before(&scene.redis);
    let through_gate = Settings::with_redis_url(&gate.url()).sandbox_channel("sms", &scene.sandbox.url(), KEYS);
    let frozen = Daemon::start(&through_gate).await;
    gate.catch(&mut scene.db, "claim", Side::After, 0).await;
    scene.enqueue("generate", &send_job("c", people(60))).await;
    gate.caught("the claim").await;
    frozen.stop();
    let _other = Daemon::start(&scene.settings.instance("two")).await;
    scene.finished("c").await;
    let ledger = campaign_audit(&mut scene.db, "c").await;
    let unknown = ledger["unknown"];
    assert!((1..=IN_FLIGHT).contains(&unknown), "{ledger:?}");
    // The claim's answer arrives now, long after its deadline.
    gate.open();
    frozen.cont();
    frozen.event("outcomes came too late to count", |_| true).await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 60 - unknown), ("unknown", unknown)].into());
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.repeated_recipients), (60 - unknown, 0));
}
