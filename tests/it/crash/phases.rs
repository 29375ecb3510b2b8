//! SIGKILL at a script, before or after Redis has run it, with a gate between the daemon and its Redis; and while
//! messages are at the provider. A daemon of the same instance is started at once and takes everything over.

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Settings};
use crate::support::gate::{Gate, Side};
use crate::support::ledger::{Counted, campaign_audit};
use crate::support::provider::counted;
use crate::support::scene::{Scene, people, send_job};
use crate::support::wait;

const ROWS: usize = 60;
/// Permits of a daemon: the most that may be unknown after one death.
const IN_FLIGHT: u64 = 8;

/// A campaign of 60 in three slices; the daemon dies at the given call, and another one takes over.
/// Returns the ledger.
async fn dies_at(script: &str, side: Side, skip: usize, channel: &str) -> Counted {
    let mut scene = Scene::with(channel, |_| {}).await;
    let gate = Gate::before(&scene.redis);
    let keys = format!("in_flight = {IN_FLIGHT}\n{channel}");
    scene.settings = Settings::with_redis_url(&gate.url())
        .sandbox_channel("sms", &scene.sandbox.url(), &keys)
        .toml("[sources]\nslice_rows = 20\n");
    let mut first = scene.daemon().await;
    gate.catch(&mut scene.db, script, side, skip).await;
    let job = send_job("c", people(ROWS));
    scene.enqueue("generate", &job).await;
    gate.caught(&format!("{script} {side:?}")).await;
    first.kill();
    let _second = scene.daemon().await;
    let result = scene.done("gen-c").await;
    assert_eq!((&result["orders"], &result["refused"]), (&ROWS.into(), &0.into()));
    scene.finished("c").await;
    scene.campaign_is("c", "delivered").await;
    // The entries go after the last outcome is written.
    for queue in ["generate", "batch:sms"] {
        wait::until(&format!("{queue} is empty"), async || {
            (scene.db.xlen::<_, u64>(format!("remesa:jobs:{queue}")).await.unwrap() == 0).then_some(())
        })
        .await;
    }
    let ledger = campaign_audit(&mut scene.db, "c").await;
    let unknown = ledger.get("unknown").copied().unwrap_or(0);
    let stats = scene.sandbox.stats();
    assert_eq!(stats.counts.repeated_recipients, 0, "sent twice: {stats:?}");
    assert_eq!(ledger["sent"] + unknown, ROWS as u64, "lost: {ledger:?}");
    assert!(unknown <= IN_FLIGHT, "{ledger:?}");
    assert!((ledger["sent"]..=ledger["sent"] + unknown).contains(&stats.counts.accepted), "{ledger:?} {stats:?}");
    orders_once(&mut scene).await;
    ledger
}

/// Every row has one order, with its own number and link.
async fn orders_once(scene: &mut Scene) {
    let mut codes = std::collections::HashSet::new();
    for n in 1..=ROWS as u64 {
        let order = scene.order("c", n).await;
        assert_eq!(order["key"], format!("k-{n}"));
        let code = order["short_code"].as_str().unwrap().to_owned();
        let (first, rest) = code.split_at(3);
        let target: String = scene.db.hget(format!("remesa:links:{first}"), rest).await.unwrap();
        assert_eq!(target, format!("c/{n}"));
        assert!(codes.insert(code));
    }
    assert_eq!(scene.campaign("c").await["orders"], ROWS.to_string());
}

#[tokio::test]
async fn a_daemon_killed_at_any_step_of_generate_makes_each_order_once_and_sends_to_everybody() {
    for (script, side, skip) in [
        ("accept_job", Side::After, 0),
        ("create_campaign", Side::Before, 0),
        ("create_campaign", Side::After, 0),
        ("number_rows", Side::After, 0),
        ("number_rows", Side::After, 1),
        ("write_orders", Side::Before, 0),
        ("write_orders", Side::After, 2),
        ("end_batch", Side::After, 0),
    ] {
        let ledger = dies_at(script, side, skip, "").await;
        assert_eq!(ledger, [("sent", ROWS as u64)].into(), "{script} {side:?}");
    }
}

#[tokio::test]
async fn a_daemon_killed_between_the_run_and_its_slots_loses_nothing() {
    for (script, side, skip) in [
        ("create_run", Side::Before, 0),
        ("create_run", Side::After, 0),
        ("arm_slots", Side::Before, 0),
        ("write_job", Side::Before, 0),
        ("take_slot", Side::Before, 0),
        ("take_slot", Side::After, 1),
    ] {
        let ledger = dies_at(script, side, skip, "").await;
        assert!(ledger["sent"] >= ROWS as u64 - IN_FLIGHT, "{script} {side:?}");
    }
}

#[tokio::test]
async fn a_daemon_killed_while_it_claims_or_records_leaves_at_most_its_permits_unknown() {
    for (script, side, skip) in [
        ("claim", Side::Before, 0),
        ("claim", Side::After, 0),
        ("claim", Side::After, 3),
        ("land", Side::Before, 0),
        ("land", Side::Before, 3),
        ("land", Side::After, 0),
        ("land", Side::After, 3),
        ("leave_slot", Side::Before, 0),
        ("leave_slot", Side::After, 0),
        ("settle", Side::Before, 1),
        ("settle", Side::After, 1),
    ] {
        dies_at(script, side, skip, "").await;
    }
}

#[tokio::test]
async fn an_idempotent_provider_turns_every_unknown_of_a_death_into_an_answer() {
    let keys = "idempotent = true\nretry_base = \"20ms\"\n";
    for (script, side) in [("claim", Side::After), ("land", Side::Before), ("land", Side::After)] {
        let ledger = dies_at(script, side, 1, keys).await;
        assert_eq!(ledger, [("sent", ROWS as u64)].into(), "{script} {side:?}");
    }
}

/// All permits are at the provider, which has accepted and not answered; then the daemon dies.
async fn dies_at_the_provider(channel: &str) -> (Scene, Daemon) {
    let keys = format!("in_flight = {IN_FLIGHT}\n{channel}");
    let mut scene = Scene::with(&keys, |sandbox| sandbox.hold = true).await;
    let mut first = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(ROWS))).await;
    counted(&scene.sandbox, "all permits are accepted", |stats| stats.counts.accepted == IN_FLIGHT).await;
    first.kill();
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let second = scene.daemon().await;
    scene.finished("c").await;
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
    assert_eq!(scene.sandbox.stats().counts.accepted, ROWS as u64);
    (scene, second)
}

#[tokio::test]
async fn a_job_killed_after_the_provider_accepted_is_unknown_and_not_sent_again() {
    let (mut scene, _second) = dies_at_the_provider("").await;
    let expected = [("sent", ROWS as u64 - IN_FLIGHT), ("unknown", IN_FLIGHT)].into();
    assert_eq!(campaign_audit(&mut scene.db, "c").await, expected);
    let (_, _, reason) = scene.outcome("c", 1).await;
    assert_eq!(reason, "owner_died");
}

#[tokio::test]
async fn a_job_killed_after_an_idempotent_provider_accepted_is_asked_for_and_sent() {
    let (mut scene, _second) = dies_at_the_provider("idempotent = true\nretry_base = \"20ms\"\n").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", ROWS as u64)].into());
    assert_eq!(scene.sandbox.stats().answers.replayed, IN_FLIGHT);
}

#[tokio::test]
async fn a_daemon_killed_while_it_judges_what_a_dead_one_left_is_followed_by_a_third() {
    for side in [Side::Before, Side::After] {
        let mut scene = Scene::with("", |sandbox| sandbox.hold = true).await;
        let gate = Gate::before(&scene.redis);
        let keys = format!("in_flight = {IN_FLIGHT}\n");
        scene.settings = Settings::with_redis_url(&gate.url()).sandbox_channel("sms", &scene.sandbox.url(), &keys);
        let mut first = scene.daemon().await;
        scene.enqueue("generate", &send_job("c", people(ROWS))).await;
        counted(&scene.sandbox, "all permits are accepted", |stats| stats.counts.accepted == IN_FLIGHT).await;
        first.kill();
        scene.sandbox.change(|settings| settings.hold = false).unwrap();
        gate.catch(&mut scene.db, "record", side, 0).await;
        let mut second = Daemon::spawn(&scene.settings);
        gate.caught("the judgement").await;
        second.kill();
        let _third = scene.daemon().await;
        scene.finished("c").await;
        // What the second one claimed for other slots before it died is in doubt too.
        let ledger = campaign_audit(&mut scene.db, "c").await;
        assert!((IN_FLIGHT..=2 * IN_FLIGHT).contains(&ledger["unknown"]), "{ledger:?}");
        assert_eq!(ledger["sent"] + ledger["unknown"], ROWS as u64);
        assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
    }
}

#[tokio::test]
async fn what_a_dead_daemon_had_in_flight_in_a_cancelled_run_is_still_looked_after() {
    let mut scene = Scene::with(&format!("in_flight = {IN_FLIGHT}\n"), |sandbox| sandbox.hold = true).await;
    let mut first = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(ROWS))).await;
    counted(&scene.sandbox, "all permits are accepted", |stats| stats.counts.accepted == IN_FLIGHT).await;
    scene.command(json!({"action": "cancel", "campaign": "c"})).await;
    first.kill();
    let _second = scene.daemon().await;
    scene.counted("c", "unknown", IN_FLIGHT).await;
    let expected = [("skipped", ROWS as u64 - IN_FLIGHT), ("unknown", IN_FLIGHT)].into();
    assert_eq!(campaign_audit(&mut scene.db, "c").await, expected);
    assert_eq!(scene.campaign("c").await["state"], Value::from("cancelled"));
}
