//! From the job to the end of its run: who is reached, what is told, when.

use redis::AsyncCommands as _;
use serde_json::json;

use super::{event, events, message, outcome, people, person, put_cases, run_is, send, texts};
use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, generate_job, phone};
use crate::support::wait;

#[tokio::test]
async fn bm_27_each_case_of_the_campaign_gets_one_message_and_no_case_is_made() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    people(&mut scene, "c", 300).await;
    let run = send(&mut scene, "c", &json!({})).await;
    assert_eq!((run["total"].as_str(), run["sent"].as_str()), ("300", "300"));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 300)].into());
    assert_eq!(scene.campaign("c").await["cases"], "300");
    assert_eq!(scene.campaign("c").await["state"], "delivered");
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.recipients, counts.repeated_recipients), (300, 300, 0));
    assert_eq!(texts(&scene, &phone(7)), ["Hola Ana 7"]);
    let told = event(&mut scene, "delivery", |event| event["case"] == 7).await;
    assert_eq!((&told["id"], &told["state"], &told["order"]), (&"c-7".into(), &"sent".into(), &json!(null)));
    assert_eq!(told["event"], "c/m/7.0/1/sent");
    let ended = event(&mut scene, "run", |event| event["state"] == "finished").await;
    assert_eq!((&ended["total"], &ended["matched"]), (&300.into(), &300.into()));
}

#[tokio::test]
async fn bm_25_a_message_that_matches_nobody_is_finished_at_once_and_says_so() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    put_cases(&mut scene, "none", &[]).await;
    assert_eq!(send(&mut scene, "none", &json!({})).await["total"], "0");
    let ended = event(&mut scene, "run", |event| event["state"] == "finished").await;
    assert_eq!((&ended["campaign"], &ended["matched"]), (&"none".into(), &0.into()));
    let closed = |n| {
        let mut case = person(n);
        (case["state"], case["closed_at"], case["closed_reason"]) = ("closed".into(), 1.into(), "operator".into());
        case
    };
    put_cases(&mut scene, "closed", &(1..=5000).map(closed).collect::<Vec<_>>()).await;
    let run = send(&mut scene, "closed", &json!({"only_active": true})).await;
    assert_eq!((run["skipped"].as_str(), run["left_out"].as_str()), ("5000", "5000"));
    let ended = event(&mut scene, "run", |event| event["campaign"] == "closed" && event["state"] == "finished").await;
    assert_eq!((&ended["total"], &ended["matched"]), (&5000.into(), &0.into()));
    assert_eq!(campaign_audit(&mut scene.db, "closed").await, [("skipped", 5000)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, 0);
    assert!(events(&mut scene, "delivery").await.is_empty(), "who is left out is counted and not told one by one");
}

#[tokio::test]
async fn bm_9_the_cases_are_those_of_the_start_and_each_is_read_again_before_its_message_leaves() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    people(&mut scene, "c", 3).await;
    scene.run("send", &message("c", &json!({}))).await;
    let mut late = person(2);
    late["contacts"] = json!([super::mobile(2, 1), super::mobile(22, 2)]);
    let mut forgotten = person(3);
    (forgotten["forgotten_at"], forgotten["contacts"][0]) = (5.into(), json!({"kind": "mobile", "updated_at": 1}));
    put_cases(&mut scene, "c", &[person(1), late, forgotten, person(4)]).await;
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    let run = run_is(&mut scene, "c", "m", "finished").await;
    assert_eq!((run["total"].as_str(), run["sent"].as_str()), ("3", "2"));
    assert_eq!((texts(&scene, &phone(2)).len(), texts(&scene, &phone(22)).len()), (0, 1));
    assert_eq!(texts(&scene, &phone(4)).len(), 0, "imported after the start");
    assert_eq!(outcome(&mut scene, "c", "3").await, ("k".into(), 1, "forgotten".into()));
}

#[tokio::test]
async fn bm_22_a_missing_variable_fails_its_message_and_no_other() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut with = person(1);
    with["vars"] = json!({"debt": "12 EUR"});
    let mut blank = person(2);
    blank["vars"] = json!({"debt": " "});
    put_cases(&mut scene, "c", &[with, blank, person(3)]).await;
    let run = send(&mut scene, "c", &json!({"text": "{{ first_name }}: {{ debt }}"})).await;
    assert_eq!((run["sent"].as_str(), run["failed"].as_str()), ("1", "2"));
    assert_eq!(texts(&scene, &phone(1)), ["Ana 1: 12 EUR"]);
    assert_eq!(outcome(&mut scene, "c", "2").await, ("f".into(), 1, "missing_variable:debt".into()));
}

#[tokio::test]
async fn a_messages_name_is_taken_once_in_its_campaign_and_a_job_said_twice_sends_once() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    people(&mut scene, "c", 20).await;
    send(&mut scene, "c", &json!({})).await;
    scene.enqueue("send", &message("c", &json!({}))).await;
    scene.enqueue("send", &message("c", &json!({"id": "other", "text": "Adios"}))).await;
    let (code, sentence) = scene.refused("other").await;
    assert_eq!(code, "message_exists");
    assert!(sentence.contains("\"send-c\""), "{sentence}");
    // The same name in another campaign is another message.
    people(&mut scene, "d", 1).await;
    assert_eq!(send(&mut scene, "d", &json!({})).await["sent"], "1");
    assert_eq!(scene.sandbox.stats().counts.accepted, 21);
}

#[tokio::test]
async fn what_a_message_names_and_is_not_there_is_refused_and_named() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    people(&mut scene, "c", 1).await;
    for (fields, code, names) in [
        (json!({"campaign": "nowhere"}), "unknown_campaign", "\"nowhere\""),
        (json!({"channel": "smms"}), "unknown_channel", "\"smms\""),
        (json!({"template": "remainder", "text": null}), "unknown_template", "\"remainder\""),
        (json!({"text": "{{ name"}), "template_syntax", "text"),
    ] {
        let mut job = message("c", &fields);
        job["id"] = code.into();
        scene.enqueue("send", &job).await;
        let (refused, sentence) = scene.refused(code).await;
        assert_eq!(refused, code);
        assert!(sentence.contains(names), "{sentence}");
    }
    scene.command(json!({"action": "cancel", "campaign": "c"})).await;
    scene.enqueue("send", &message("c", &json!({"id": "late"}))).await;
    assert_eq!(scene.refused("late").await.0, "wrong_state");
}

#[tokio::test]
async fn a_scheduled_message_holds_its_name_and_words_and_leaves_at_its_time_whoever_runs_then() {
    let mut scene = Scene::new().await;
    let mut first = scene.daemon().await;
    people(&mut scene, "c", 5).await;
    let at = scene.now_ms().await + 2500;
    scene.enqueue("send", &message("c", &json!({"frequency": {"at": at}}))).await;
    wait::field(&mut scene.db, "remesa:job:send-c", "state", &["scheduled"]).await;
    scene.enqueue("send", &message("c", &json!({"id": "other"}))).await;
    assert_eq!(scene.refused("other").await.0, "message_exists");
    first.kill();
    let _second = Daemon::start(&scene.settings).await;
    put_cases(&mut scene, "c", &(1..=6).map(person).collect::<Vec<_>>()).await;
    let run = run_is(&mut scene, "c", "m", "finished").await;
    assert_eq!(run["sent"], "6", "bm_9: the recipients are those of the start");
    let created: i64 = run["created_at"].parse().unwrap();
    assert!((at..at + 2000).contains(&created), "{created} for {at}");
}

#[tokio::test]
async fn a_scheduled_message_can_be_cancelled_before_its_time() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    people(&mut scene, "c", 5).await;
    let at = scene.now_ms().await + 1500;
    scene.enqueue("send", &message("c", &json!({"frequency": {"at": at}}))).await;
    wait::field(&mut scene.db, "remesa:job:send-c", "state", &["scheduled"]).await;
    let done = scene.command(json!({"action": "cancel", "campaign": "c", "run": "m"})).await;
    assert_eq!(done["changed"], true);
    assert_eq!(scene.done("send-c").await["cancelled"], true);
    let exists: bool = scene.db.exists("remesa:{c}:run:m").await.unwrap();
    assert!(!exists);
    assert_eq!(scene.sandbox.stats().counts.accepted, 0);
}

#[tokio::test]
async fn a_message_over_the_orders_goes_to_those_that_are_still_available() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut job = generate_job("c", crate::support::scene::people(4));
    job["rows"][3]["SMScontact"] = "nobody".into();
    scene.run("generate", &job).await;
    scene.command(json!({"action": "order_event", "campaign": "c", "order": 2, "event": "paid"})).await;
    let text = "{{ name }}, faltan {{ amount }} {{ currency }}: {{ url }} ({{ reference }})";
    let run = send(&mut scene, "c", &json!({"audience": "orders", "text": text})).await;
    assert_eq!((run["sent"].as_str(), run["skipped"].as_str()), ("2", "2"));
    let order = scene.order("c", 1).await;
    let link = format!("{}?p={}", scene.campaign("c").await["link_base"], order["short_code"].as_str().unwrap());
    assert_eq!(texts(&scene, &phone(1)), [format!("Ana 1, faltan 10.01 EUR: {link} (A-1)")]);
    assert_eq!(outcome(&mut scene, "c", "2").await, ("k".into(), 1, "order_paid".into()));
    assert_eq!(outcome(&mut scene, "c", "4").await, ("k".into(), 1, "no_valid_contact".into()));
    let told = event(&mut scene, "delivery", |event| event["order"] == 1).await;
    assert_eq!((&told["key"], &told["case"]), (&"k-1".into(), &json!(null)));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 2), ("skipped", 2)].into());
}
