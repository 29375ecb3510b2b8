//! Cases that a message closes, and what is unknown of them.

use std::collections::BTreeMap;

use redis::AsyncCommands as _;
use remesa::domain::failure::Attempt;
use remesa::domain::reference;
use remesa::sandbox::Fate;
use serde_json::{Value, json};

use super::{case_of, event, events, mobile, outcome, people, person, put_cases, run_is, send};
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, phone};
use crate::support::wait;

/// The campaign's counters of cases against the cases themselves.
pub(super) async fn audit(scene: &mut Scene, campaign: &str) -> BTreeMap<String, u64> {
    let hash = scene.campaign(campaign).await;
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for n in 1..=hash["cases"].parse::<u64>().unwrap() {
        let state = case_of(scene, campaign, n).await["state"].as_str().unwrap().to_owned();
        *found.entry(state).or_default() += 1;
    }
    let told = hash.iter().filter_map(|(field, count)| {
        Some((field.strip_prefix("cases:")?.to_owned(), count.parse().expect("a counter is never negative")))
    });
    let told: BTreeMap<String, u64> = told.filter(|(_, count)| *count > 0).collect();
    assert_eq!(told, found, "the campaign's cases by state");
    found
}

/// Tells by a control job what a provider says of a delivery of the run `m`.
async fn receipt(scene: &mut Scene, campaign: &str, (n, contact): (u64, u32), state: &str) -> Value {
    let secret: String = scene.db.get("remesa:secret").await.unwrap();
    let reference = reference::sign(secret.as_bytes(), campaign, "m", n, contact, Attempt::FIRST);
    scene.command(json!({"action": "receipt", "reference": reference, "state": state, "provider_id": "p"})).await
}

#[tokio::test]
async fn bm_14_an_accepted_message_closes_its_case_and_says_by_whom_and_why() {
    let mut scene = Scene::new().await;
    scene.sandbox.change(|settings| settings.recipients = [(phone(3), Fate::Refuse)].into()).unwrap();
    let _daemon = scene.daemon().await;
    let mut open = person(2);
    (open["state"], open["id"]) = ("open".into(), "id \"2\" \\ ñ".into());
    let mut closed = person(4);
    (closed["state"], closed["closed_at"], closed["closed_reason"]) = ("closed".into(), 7.into(), "operator".into());
    let mut nowhere = person(5);
    nowhere["contacts"] = json!([]);
    put_cases(&mut scene, "c", &[person(1), open, person(3), closed, nowhere]).await;
    let run = send(&mut scene, "c", &json!({"close_cases": true})).await;
    assert_eq!((run["sent"].as_str(), run["cases_closed"].as_str()), ("3", "2"));
    for n in [1, 2] {
        let case = case_of(&mut scene, "c", n).await;
        assert_eq!((&case["state"], &case["closed_reason"]), (&"closed".into(), &"bulk_message".into()));
        assert_eq!((&case["closed_by"], case["closed_at"].is_i64()), (&"m".into(), true));
        assert_eq!(case["updated_at"], 1, "nobody changed what is known of it");
    }
    let told = event(&mut scene, "case", |event| event["case"] == 2).await;
    assert_eq!((&told["id"], &told["state"]), (&"id \"2\" \\ ñ".into(), &"closed".into()));
    assert_eq!((&told["reason"], &told["run"]), (&"bulk_message".into(), &"m".into()));
    // What failed or was skipped closes nothing, and what was closed is left alone.
    assert_eq!(case_of(&mut scene, "c", 3).await["state"], "new");
    assert_eq!(case_of(&mut scene, "c", 5).await["state"], "new");
    let left = case_of(&mut scene, "c", 4).await;
    assert_eq!((&left["closed_reason"], &left["closed_by"]), (&"operator".into(), &Value::Null));
    assert_eq!(audit(&mut scene, "c").await, [("closed".to_owned(), 3), ("new".to_owned(), 2)].into());
    assert_eq!(events(&mut scene, "case").await.len(), 2);
}

#[tokio::test]
async fn bm_14_a_case_that_this_run_closed_gets_the_messages_to_its_other_contacts_all_the_same() {
    let mut scene = Scene::with("in_flight = 1\n", |_| {}).await;
    let _daemon = scene.daemon().await;
    let cases: Vec<Value> = (1..=20)
        .map(|n| {
            let mut case = person(n);
            case["contacts"] = json!([mobile(n, 1), mobile(n + 100, 1), mobile(n + 200, 1)]);
            case
        })
        .collect();
    put_cases(&mut scene, "c", &cases).await;
    let all = json!({"close_cases": true, "only_active": true, "contacts": "all"});
    let run = send(&mut scene, "c", &all).await;
    assert_eq!((run["sent"].as_str(), run["total"].as_str(), run["cases_closed"].as_str()), ("60", "60", "20"));
    assert_eq!(audit(&mut scene, "c").await, [("closed".to_owned(), 20)].into());
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
    assert_eq!(events(&mut scene, "case").await.len(), 20, "each is closed once");
}

#[tokio::test]
async fn bm_14_an_unknown_outcome_closes_nothing_until_a_receipt_says_that_it_was_sent() {
    let mut scene = Scene::new().await;
    let cut = (1..=4).flat_map(|n| [(phone(n), Fate::Cut), (phone(n + 10), Fate::Cut)]).collect();
    scene.sandbox.change(|settings| settings.recipients = cut).unwrap();
    let _daemon = scene.daemon().await;
    let mut two = person(4);
    two["contacts"] = json!([mobile(4, 1), mobile(14, 1)]);
    put_cases(&mut scene, "c", &[person(1), person(2), person(3), two]).await;
    let run = send(&mut scene, "c", &json!({"close_cases": true, "contacts": "all"})).await;
    assert_eq!(run["unknown"], "5");
    assert_eq!(audit(&mut scene, "c").await, [("new".to_owned(), 4)].into());
    receipt(&mut scene, "c", (1, 0), "sent").await;
    receipt(&mut scene, "c", (2, 0), "delivered").await;
    receipt(&mut scene, "c", (3, 0), "failed").await;
    receipt(&mut scene, "c", (4, 1), "delivered").await;
    let closed = [("closed".to_owned(), 3), ("new".to_owned(), 1)].into();
    assert_eq!(audit(&mut scene, "c").await, closed);
    assert_eq!(case_of(&mut scene, "c", 3).await["state"], "new");
    assert_eq!(outcome(&mut scene, "c", "4.1").await.0, "d");
    assert_eq!(outcome(&mut scene, "c", "4").await.0, "n", "each contact has its own result");
    let told = event(&mut scene, "delivery", |event| event["event"] == "c/m/4.1/1/delivered").await;
    assert_eq!((&told["by"], &told["id"], &told["contact_number"]), (&"receipt".into(), &"c-4".into(), &1.into()));
    assert!(told["contact"].as_str().unwrap().starts_with("+34"), "{told}");
    let audited = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(audited, [("delivered", 2), ("failed", 1), ("sent", 1), ("unknown", 1)].into());
}

#[tokio::test]
async fn bm_14_a_case_that_was_opened_again_is_not_closed_by_the_receipt_of_its_old_message() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    people(&mut scene, "c", 1).await;
    send(&mut scene, "c", &json!({"close_cases": true})).await;
    let mut opened = person(1);
    opened["state"] = "open".into();
    let hash = "remesa:{c}:campaign";
    let () = scene.db.hset_multiple(hash, &[("cases:closed", 0), ("cases:new", 0)]).await.unwrap();
    let state = scene.campaign("c").await["state"].clone();
    put_cases(&mut scene, "c", &[opened]).await;
    let () = scene.db.hset(hash, "state", state).await.unwrap();
    receipt(&mut scene, "c", (1, 0), "delivered").await;
    assert_eq!(outcome(&mut scene, "c", "1").await.0, "d");
    assert_eq!(case_of(&mut scene, "c", 1).await["state"], "open");
}

/// A run of a definition, as a tick makes it.
async fn tick(scene: &mut Scene, run: &str, cases: u64, fields: &[(&str, &str)]) {
    let store = scene.store();
    let all = [
        ("campaign", "c"),
        ("job", "tick"),
        ("channel", "sms"),
        ("audience", "cases"),
        ("definition", "m"),
        ("close_cases", "1"),
        ("content", r#"{"text":"Hola {{ name }}"}"#),
    ];
    let fields: Vec<(&str, String)> = all.iter().chain(fields).map(|(k, v)| (*k, (*v).to_owned())).collect();
    store.create_run("c", run, (1, cases), 2, &fields).await.unwrap();
    for action in ["pause", "resume"] {
        scene.command(json!({"action": action, "campaign": "c", "run": run})).await;
    }
    run_is(scene, "c", run, "finished").await;
}

async fn cell(scene: &mut Scene, run: &str, n: u64) -> String {
    let key = format!("remesa:{{c}}:run:{run}:ledger:0");
    let cell: String = scene.db.hget(key, n).await.unwrap();
    let parts: Vec<&str> = cell.splitn(5, ',').collect();
    format!("{} {}", parts[0], parts[3])
}

#[tokio::test]
async fn bm_15_a_case_of_which_a_message_of_the_definition_is_unknown_is_skipped_until_that_is_known() {
    let mut scene = Scene::new().await;
    scene.sandbox.change(|s| s.recipients = [(phone(1), Fate::Cut), (phone(2), Fate::Cut)].into()).unwrap();
    let _daemon = scene.daemon().await;
    people(&mut scene, "c", 3).await;
    tick(&mut scene, "m@1", 3, &[]).await;
    assert_eq!(scene.hash("remesa:{c}:run:m@1").await["unknown"], "2");
    let noted = scene.hash("remesa:{c}:unknown:m").await;
    assert_eq!(noted, [("1".to_owned(), "m@1|1;".to_owned()), ("2".to_owned(), "m@1|2;".to_owned())].into());
    tick(&mut scene, "m@2", 3, &[]).await;
    assert_eq!(cell(&mut scene, "m@2", 1).await, "k previous_unknown");
    assert_eq!(cell(&mut scene, "m@2", 3).await, "s ", "it was closed, and not only active ones are wanted");

    // Known again: the first was refused after all, the second an operator has sent again.
    scene.sandbox.change(|settings| settings.recipients.clear()).unwrap();
    let secret: String = scene.db.get("remesa:secret").await.unwrap();
    let reference = reference::sign(secret.as_bytes(), "c", "m@1", 1, 0, Attempt::FIRST);
    scene.command(json!({"action": "receipt", "reference": reference, "state": "failed"})).await;
    scene.command(json!({"action": "retry", "campaign": "c", "run": "m@1", "states": "unknown"})).await;
    run_is(&mut scene, "c", "m@1", "finished").await;
    wait::until("nothing is unknown", async || scene.hash("remesa:{c}:unknown:m").await.is_empty().then_some(())).await;
    assert_eq!(case_of(&mut scene, "c", 2).await["closed_by"], "m@1");
    tick(&mut scene, "m@3", 3, &[("only_active", "1"), ("sifted", "0")]).await;
    assert_eq!(cell(&mut scene, "m@3", 1).await, "s ");
    assert_eq!(cell(&mut scene, "m@3", 2).await, "k case_closed");
    assert_eq!(audit(&mut scene, "c").await, [("closed".to_owned(), 3)].into());
}

#[tokio::test]
async fn bm_16_a_case_that_a_reply_to_the_message_opened_is_outside_of_it() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut reply = person(1);
    (reply["reply_to"], reply["origin"]) = ("m".into(), "reply".into());
    let mut other = person(2);
    (other["reply_to"], other["origin"]) = ("mm".into(), "reply".into());
    put_cases(&mut scene, "c", &[reply, other]).await;
    tick(&mut scene, "m@1", 2, &[]).await;
    assert_eq!(cell(&mut scene, "m@1", 1).await, "k opened_by_reply");
    assert_eq!(cell(&mut scene, "m@1", 2).await, "s ");
}
