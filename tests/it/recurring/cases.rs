//! Permanent messages over cases: once each, and reminders that stop by themselves.

use redis::AsyncCommands as _;
use remesa::domain::case::Case;
use serde_json::{Value, json};

use super::{job, scene};
use crate::bulk::{person, put_cases};
use crate::support::scene::Scene;
use crate::support::wait;

/// One case more, numbered behind the others.
async fn add_case(scene: &mut Scene, number: u64) {
    let mut case = person(usize::try_from(number).unwrap());
    for (field, value) in
        [("state", json!("new")), ("number", json!(number)), ("created_at", json!(1)), ("updated_at", json!(1))]
    {
        case[field] = value;
    }
    let case: Case = serde_json::from_value(case).unwrap();
    let () = scene.db.set(format!("remesa:{{c}}:case:{number}"), case.to_json()).await.unwrap();
    let () = scene.db.hset("remesa:{c}:campaign", "cases", number).await.unwrap();
}

async fn case_closed_by(scene: &mut Scene, number: u64) -> String {
    wait::until(&format!("case {number} is closed"), async || {
        let text: String = scene.db.get(format!("remesa:{{c}}:case:{number}")).await.unwrap();
        let case: Value = serde_json::from_str(&text).unwrap();
        (case["state"] == "closed").then(|| case["closed_by"].as_str().unwrap().to_owned())
    })
    .await
}

#[tokio::test]
async fn bm_15_with_closing_and_only_active_each_case_is_reached_once_and_future_ones_too() {
    let mut scene = scene(0).await;
    let _daemon = scene.daemon().await;
    put_cases(&mut scene, "c", &[person(1), person(2)]).await;
    let fields = json!({"every": "1s", "audience": "cases", "text": "Hola {{ first_name }}", "only_active": true, "close_cases": true});
    scene.run("recurring", &job(&fields)).await;
    let first = case_closed_by(&mut scene, 1).await;
    assert_eq!(first, case_closed_by(&mut scene, 2).await);
    add_case(&mut scene, 3).await;
    let second = case_closed_by(&mut scene, 3).await;
    assert!(second.starts_with("w@") && second > first, "{first} {second}");
    // Two further ticks find nobody.
    let runs = scene.made(1).await.len();
    let names = scene.made(runs + 2).await;
    for name in &names {
        scene.tick_finished(name).await;
    }
    assert_eq!(scene.sandbox.stats().counts.accepted, 3);
    let last = scene.tick_finished(names.last().unwrap()).await;
    assert_eq!((last.get("sent").map_or("0", String::as_str), last["total"].as_str()), ("0", "3"));
}

#[tokio::test]
async fn a_permanent_reminder_stops_by_itself_for_those_who_have_paid() {
    let mut scene = scene(2).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    let mut cases = [person(1), person(2)];
    (cases[0]["order"], cases[1]["order"]) = (1.into(), 2.into());
    put_cases(&mut scene, "c", &cases).await;
    let fields = json!({"every": "1s", "audience": "cases", "text": "{{ first_name }}: {{ amount }} {{ url }} !"});
    scene.run("recurring", &job(&fields)).await;
    let first = scene.made(1).await.remove(0);
    assert_eq!(scene.tick_finished(&first).await["sent"], "2");
    scene.command(json!({"action": "order_event", "campaign": "c", "order": 1, "event": "paid"})).await;
    let runs = scene.made(1).await.len();
    let next = scene.made(runs + 1).await.remove(runs);
    let run = scene.tick_finished(&next).await;
    assert_eq!((run["sent"].as_str(), run["skipped"].as_str()), ("1", "1"));
    let cell: String = scene.db.hget(format!("remesa:{{c}}:run:{next}:ledger:0"), 1).await.unwrap();
    assert!(cell.contains("order_paid"), "{cell}");
}
