//! Daemons that are told to end under load, and started again: everybody is sent to once, and nothing is in doubt.

use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::scene::{Scene, people, send_job};

#[tokio::test]
async fn da_8_three_daemons_restarted_in_turn_under_load_leave_nothing_in_doubt() {
    const ROWS: usize = 900;
    const ROUNDS: u64 = 2;
    let mut scene =
        Scene::with("in_flight = 8\n", |sandbox| (sandbox.latency_min_ms, sandbox.latency_max_ms) = (10, 40)).await;
    let settings = ["one", "two", "three"].map(|name| scene.settings.instance(name));
    let mut daemons = Vec::new();
    for settings in &settings {
        daemons.push(Daemon::start(settings).await);
    }
    scene.enqueue("generate", &send_job("c", people(ROWS))).await;
    for restart in 0..ROUNDS * 3 {
        let wanted = (restart + 1) * 60;
        counted(&scene.sandbox, "some more are accepted", |stats| stats.counts.accepted >= wanted).await;
        let which = usize::try_from(restart % 3).unwrap();
        daemons[which].term();
        assert_eq!(daemons[which].exit_code().await, Some(0), "restart {restart}");
        daemons[which] = Daemon::start(&settings[which]).await;
    }
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", ROWS as u64)].into());
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.repeated_recipients), (ROWS as u64, 0));
}

#[tokio::test]
async fn da_8_a_drain_before_a_provider_that_hangs_ends_within_its_budget_and_records_the_doubt() {
    const IN_FLIGHT: u64 = 8;
    let keys = "in_flight = 8\ntimeout = \"2s\"\nconnect_timeout = \"1s\"\n";
    let mut scene = Scene::with(keys, |sandbox| sandbox.hold = true).await;
    let mut daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(50))).await;
    counted(&scene.sandbox, "all permits are accepted", |stats| stats.counts.accepted == IN_FLIGHT).await;
    daemon.term();
    assert_eq!(daemon.exit_code().await, Some(0));
    // The budget is longer than the longest wait for a provider, so nothing had to be left behind.
    assert!(daemon.log().contains("\"drained\""), "{}", daemon.log());
    let expected = [("queued", 50 - IN_FLIGHT), ("unknown", IN_FLIGHT)].into();
    assert_eq!(campaign_audit(&mut scene.db, "c").await, expected);
    assert_eq!(scene.sandbox.stats().counts.accepted, IN_FLIGHT);
}
