//! Which contacts of a case a message goes to.

use std::collections::HashMap;

use redis::AsyncCommands as _;
use remesa::sandbox::Fate;
use serde_json::{Value, json};

use super::{event, message, mobile, outcome, people, person, put_cases, run_is, send, texts};
use crate::support::ledger::{campaign_audit, counters};
use crate::support::scene::{Scene, phone};

fn with_contacts(n: usize, contacts: Value) -> Value {
    let mut case = person(n);
    case["contacts"] = contacts;
    case
}

#[tokio::test]
async fn bm_12_the_newest_contact_that_the_channel_can_use_gets_the_message() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let gone = json!({"kind": "mobile", "value": phone(14), "updated_at": 99, "gone": true});
    let landline = json!({"kind": "phone", "value": "+34912345678", "updated_at": 99});
    let mail = json!({"kind": "email", "value": "ana@example.com", "updated_at": 99});
    let cases = [
        with_contacts(1, json!([mobile(11, 1), mobile(12, 5), mobile(13, 5), gone, landline, mail])),
        with_contacts(2, json!([landline, mail])),
        with_contacts(3, json!([])),
    ];
    put_cases(&mut scene, "c", &cases).await;
    let run = send(&mut scene, "c", &json!({})).await;
    assert_eq!((run["sent"].as_str(), run["skipped"].as_str()), ("1", "2"));
    assert_eq!(texts(&scene, &phone(12)).len(), 1, "the newest, and of two the one with the lower index");
    for n in ["2", "3"] {
        assert_eq!(outcome(&mut scene, "c", n).await, ("k".into(), 1, "no_contact".into()));
    }
}

#[tokio::test]
async fn bm_13_each_contact_gets_a_message_of_its_own_and_no_address_two() {
    let mut scene = Scene::new().await;
    scene.sandbox.change(|settings| settings.recipients = [(phone(13), Fate::Refuse)].into()).unwrap();
    let _daemon = scene.daemon().await;
    let gone = json!({"kind": "mobile", "value": phone(20), "updated_at": 9, "gone": true});
    let mail = json!({"kind": "email", "value": "ana@example.com", "updated_at": 9});
    let cases = [
        with_contacts(1, json!([mail, mobile(11, 1), mobile(12, 5), mobile(11, 7), mobile(13, 1)])),
        with_contacts(2, json!([gone, mobile(21, 1)])),
        with_contacts(3, json!([mobile(31, 1)])),
        with_contacts(4, json!([])),
    ];
    put_cases(&mut scene, "c", &cases).await;
    let run = send(&mut scene, "c", &json!({"contacts": "all"})).await;
    assert_eq!((run["total"].as_str(), run["sent"].as_str(), run["failed"].as_str()), ("7", "4", "1"));
    for number in [11, 12, 21, 31] {
        assert_eq!(texts(&scene, &phone(number)).len(), 1, "{number}");
    }
    // Whatever of a case is the first that the channel writes to stands under its number, gone or not.
    let sent = ("s".to_owned(), 1, String::new());
    for delivery in ["1", "1.2", "2.1", "3"] {
        assert_eq!(outcome(&mut scene, "c", delivery).await, sent, "{delivery}");
    }
    assert_eq!(outcome(&mut scene, "c", "1.4").await.0, "f");
    assert_eq!(outcome(&mut scene, "c", "2").await, ("k".into(), 1, "no_contact".into()));
    assert_eq!(outcome(&mut scene, "c", "4").await, ("k".into(), 1, "no_contact".into()));
    let further = event(&mut scene, "delivery", |event| event["event"] == "c/m/1.2/1/sent").await;
    assert_eq!((&further["case"], &further["contact_number"]), (&1.into(), &2.into()));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("failed", 1), ("sent", 4), ("skipped", 2)].into());
    let matched = event(&mut scene, "run", |event| event["state"] == "finished").await["matched"].clone();
    assert_eq!(matched, 4, "cases, not messages");

    // An operator has what failed sent again: it is one of a further contact.
    scene.sandbox.change(|settings| settings.recipients.clear()).unwrap();
    let done = scene.command(json!({"action": "retry", "campaign": "c", "run": "m", "states": "failed"})).await;
    assert_eq!(done["queued"], 1);
    run_is(&mut scene, "c", "m", "finished").await;
    assert_eq!(outcome(&mut scene, "c", "1.4").await, ("s".into(), 2, String::new()));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 5), ("skipped", 2)].into());
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
}

#[tokio::test]
async fn da_6_with_further_contacts_too_the_states_add_up_to_the_total_at_any_instant() {
    let keys = "retry_base = \"20ms\"\nretry_cap = \"50ms\"\nbreaker_failures = 100000\nidempotent = true\n";
    let mut scene = Scene::with(keys, |sandbox| {
        // Fewer errors than a run pauses itself for.
        (sandbox.fail_per_mille, sandbox.cut_per_mille, sandbox.latency_max_ms) = (100, 60, 10);
    })
    .await;
    let _daemons = [scene.daemon().await, crate::support::daemon::Daemon::start(&scene.settings.instance("two")).await];
    let cases: Vec<Value> =
        (1..=5000).map(|n| with_contacts(n, json!([mobile(n, 1), mobile(n + 10_000, 2)]))).collect();
    put_cases(&mut scene, "c", &cases[..]).await;
    let mut some = message("c", &json!({"contacts": "all", "close_cases": true, "only_active": true}));
    some["text"] = "Hola".into();
    scene.enqueue("send", &some).await;
    let sum = |hash: &HashMap<String, String>, prefix: &str| -> (u64, u64) {
        (counters(hash, prefix).values().sum(), hash[&format!("{prefix}total")].parse().unwrap())
    };
    let mut instants = 0;
    loop {
        let (run, campaign) = (scene.hash("remesa:{c}:run:m").await, scene.campaign("c").await);
        if run.is_empty() {
            continue;
        }
        let (states, total) = sum(&run, "");
        assert_eq!(states, total, "{run:?}");
        let (states, total) = sum(&campaign, "deliveries:");
        assert_eq!(states, total, "{campaign:?}");
        instants += 1;
        if run["state"] == "finished" {
            assert_eq!(run["total"], "10000");
            break;
        }
    }
    assert!(instants > 20, "only {instants} instants were seen");
    let counted = campaign_audit(&mut scene.db, "c").await;
    let stats = scene.sandbox.stats();
    assert_eq!(counted.values().sum::<u64>(), 10_000);
    assert_eq!(stats.counts.repeated_recipients, 0, "{stats:?}");
    super::closing::audit(&mut scene, "c").await;
}

#[tokio::test]
async fn cancelling_skips_what_waits_for_further_contacts_too() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    people(&mut scene, "c", 2).await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    scene.run("send", &message("c", &json!({"contacts": "all"}))).await;
    scene.command(json!({"action": "cancel", "campaign": "c", "run": "m"})).await;
    let run = run_is(&mut scene, "c", "m", "cancelled").await;
    assert_eq!((run["skipped"].as_str(), run["total"].as_str()), ("2", "2"));
    let waiting: u64 = scene.db.zcard("remesa:{c}:run:m:retry").await.unwrap();
    assert_eq!(waiting, 0);
}
