//! SIGKILL in the middle of a run over cases that closes them and goes to every contact; counted at the provider.

use serde_json::{Value, json};

use super::closing::audit;
use super::{case_of, message, mobile, person, put_cases, run_is};
use crate::support::daemon::{Daemon, Settings};
use crate::support::gate::{Gate, Side};
use crate::support::ledger::campaign_audit;
use crate::support::scene::Scene;

const CASES: usize = 60;
const MESSAGES: u64 = 2 * CASES as u64;
/// Permits of a daemon: the most that may be unknown after one death.
const IN_FLIGHT: u64 = 8;

/// The daemon dies at the given call of a run over 60 cases with two contacts each, and another one takes over.
async fn dies_at(script: &str, side: Side, skip: usize, channel: &str) -> (u64, u64) {
    let what = format!("{script} {side:?} {skip}");
    let mut scene = Scene::with(channel, |_| {}).await;
    let gate = Gate::before(&scene.redis);
    let keys = format!("in_flight = {IN_FLIGHT}\n{channel}");
    scene.settings = Settings::with_redis_url(&gate.url()).sandbox_channel("sms", &scene.sandbox.url(), &keys);
    let mut first = scene.daemon().await;
    let cases: Vec<Value> = (1..=CASES)
        .map(|n| {
            let mut case = person(n);
            case["contacts"] = json!([mobile(n, 1), mobile(n + 1000, 1)]);
            case
        })
        .collect();
    put_cases(&mut scene, "c", &cases).await;
    gate.catch(&mut scene.db, script, side, skip).await;
    let all = json!({"contacts": "all", "close_cases": true, "only_active": true});
    scene.enqueue("send", &message("c", &all)).await;
    gate.caught(&what).await;
    first.kill();
    let _second = Daemon::start(&scene.settings).await;
    let run = run_is(&mut scene, "c", "m", "finished").await;
    assert_eq!(run["total"], MESSAGES.to_string(), "{what}");
    let ledger = campaign_audit(&mut scene.db, "c").await;
    let count = |state: &str| ledger.get(state).copied().unwrap_or(0);
    let (sent, unknown) = (count("sent"), count("unknown"));
    let counts = scene.sandbox.stats().counts;
    assert_eq!(counts.repeated_recipients, 0, "{what}: sent twice");
    assert_eq!(sent + unknown, MESSAGES, "{what}: lost, {ledger:?}");
    assert!(unknown <= IN_FLIGHT, "{what}: {ledger:?}");
    assert!((sent..=MESSAGES).contains(&counts.accepted), "{what}: {ledger:?} {counts:?}");
    let closed = audit(&mut scene, "c").await.get("closed").copied().unwrap_or(0);
    assert_eq!(run["cases_closed"], closed.to_string(), "{what}");
    for n in 1..=CASES as u64 {
        let key = format!("remesa:{{c}}:run:m:ledger:{}", n / 128);
        let cells: Vec<String> = redis::cmd("HMGET")
            .arg(key)
            .arg(n % 128)
            .arg(format!("{}.1", n % 128))
            .query_async(&mut scene.db)
            .await
            .unwrap();
        let accepted = cells.iter().any(|cell| cell.starts_with('s'));
        let closed = case_of(&mut scene, "c", n).await["state"] == "closed";
        assert_eq!(accepted, closed, "{what}: case {n} {cells:?}");
    }
    (sent, closed)
}

#[tokio::test]
async fn bm_14_a_daemon_killed_anywhere_in_a_run_that_closes_cases_sends_to_no_contact_twice_and_closes_what_was_sent()
{
    for (script, side, skip) in [
        ("create_run", Side::After, 0),
        ("sift", Side::Before, 0),
        ("sift", Side::After, 0),
        ("claim", Side::After, 1),
        ("claim", Side::After, 4),
        ("land", Side::Before, 0),
        ("land", Side::Before, 4),
        ("land", Side::After, 0),
        ("land", Side::After, 4),
        ("leave_slot", Side::Before, 0),
    ] {
        dies_at(script, side, skip, "").await;
    }
}

#[tokio::test]
async fn an_idempotent_provider_answers_for_further_contacts_of_a_dead_daemon_too() {
    let keys = "idempotent = true\nretry_base = \"20ms\"\n";
    for (script, side) in [("claim", Side::After), ("land", Side::Before), ("land", Side::After)] {
        let ended = dies_at(script, side, 2, keys).await;
        assert_eq!(ended, (MESSAGES, CASES as u64), "{script} {side:?}");
    }
}
