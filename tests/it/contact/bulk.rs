//! Hours and caps of bulk messages over orders and cases.

use serde_json::{Value, json};

use super::Clock;
use crate::support::scene::{Scene, generate_job, people, phone};
use crate::support::wait;

fn message(fields: &Value) -> Value {
    let mut job = json!({"id": "send-1", "message": "m", "campaign": "c", "channel": "sms", "audience": "orders",
                         "text": "Hola {{ name }}"});
    for (name, value) in fields.as_object().unwrap() {
        job[name] = value.clone();
    }
    job
}

const RUN: &str = "remesa:{c}:run:m";

#[tokio::test]
async fn bm_1_a_message_outside_its_hours_is_held_and_one_that_says_skip_ends_not_sent() {
    let mut scene = Scene::new().await;
    let clock = Clock::of(&mut scene).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(3))).await;
    let (mut hours, opens, _) = clock.hours(5, 7200);
    let result = scene.run("send", &message(&json!({ "hours": hours }))).await;
    assert_eq!(result["estimated_start"].as_i64(), Some(opens), "{result}");
    assert_eq!(result["warnings"][0]["code"], "outside_hours", "{result}");
    wait::field(&mut scene.db, RUN, "state", &["finished"]).await;
    assert!(scene.sandbox.inbox(None, 0, 10).iter().all(|message| message.at_ms >= opens));
    (hours, ..) = clock.hours(3600, 7200);
    hours["otherwise"] = "skip".into();
    scene.run("send", &message(&json!({"id": "send-2", "message": "m2", "hours": hours}))).await;
    wait::field(&mut scene.db, "remesa:{c}:run:m2", "state", &["not_sent"]).await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 3);
}

#[tokio::test]
async fn bm_1_a_message_scheduled_outside_its_hours_is_accepted_with_a_warning() {
    let mut scene = Scene::new().await;
    let clock = Clock::of(&mut scene).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(1))).await;
    let (hours, ..) = clock.hours(7200, 7300);
    let at = clock.now_ms + 3_600_000;
    scene.enqueue("send", &message(&json!({"hours": hours, "frequency": {"at": at}}))).await;
    wait::field(&mut scene.db, "remesa:job:send-1", "state", &["scheduled"]).await;
    assert!(scene.campaign("c").await["warnings"].contains("outside_hours"));
}

#[tokio::test]
async fn bm_11_several_orders_of_one_address_get_a_message_each_or_one_together() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut rows = people(6);
    for row in &mut rows[..4] {
        row["SMScontact"] = phone(1).into();
    }
    scene.run("generate", &generate_job("c", rows)).await;
    scene.run("send", &message(&json!({}))).await;
    wait::field(&mut scene.db, RUN, "state", &["finished"]).await;
    assert_eq!(scene.hash(RUN).await["sent"], "6", "the default: each has its message");
    scene.run("send", &message(&json!({"id": "send-2", "message": "m2", "once_per_address": true}))).await;
    wait::field(&mut scene.db, "remesa:{c}:run:m2", "state", &["finished"]).await;
    let run = scene.hash("remesa:{c}:run:m2").await;
    assert_eq!((run["sent"].as_str(), run["skipped"].as_str()), ("3", "3"));
    assert_eq!(scene.sandbox.inbox(Some(&phone(1)), 0, 10).len(), 5);
    // Another run of the campaign is not counted with it.
    scene.run("send", &message(&json!({"id": "send-3", "message": "m3", "once_per_address": true}))).await;
    wait::field(&mut scene.db, "remesa:{c}:run:m3", "state", &["finished"]).await;
    assert_eq!(scene.hash("remesa:{c}:run:m3").await["sent"], "3");
}
