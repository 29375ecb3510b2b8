//! Contact hours: what waits, what is not sent, what ends at the closing.

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use super::{Clock, key};
use crate::support::ledger::campaign_audit;
use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, run_key, send_job};
use crate::support::wait;

/// A scene whose channel has hours from so many seconds after now to so many, and the instants of both.
async fn scene(from: i64, to: i64, otherwise: &str, channel: &str) -> (Scene, i64, i64) {
    let redis = Redis::start().await;
    let mut scene = Scene::over(redis, "", |_| {}).await;
    let (mut hours, opens, closes) = Clock::of(&mut scene).await.hours(from, to);
    hours["otherwise"] = otherwise.into();
    let channel = format!("{channel}{}", key("hours", &hours));
    let scene = Scene::over(scene.redis, &channel, |_| {}).await;
    (scene, opens, closes)
}

fn warned(result: &Value) -> Vec<&str> {
    result["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

async fn states_told(scene: &mut Scene) -> Vec<(String, Option<i64>)> {
    let entries: redis::streams::StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
    let mut told = Vec::new();
    for entry in entries.ids {
        let event: Value = serde_json::from_str(&entry.get::<String>("data").unwrap()).unwrap();
        if event["type"] == "run" {
            told.push((event["state"].as_str().unwrap().to_owned(), event["until"].as_i64()));
        }
    }
    told
}

#[tokio::test]
async fn po_23_orders_are_generated_at_once_and_their_messages_wait_for_the_opening() {
    let (mut scene, opens, _) = scene(4, 7200, "hold", "").await;
    let _daemon = scene.daemon().await;
    let result = scene.run("generate", &send_job("c", people(5))).await;
    assert_eq!(warned(&result), ["outside_hours"]);
    assert_eq!(result["estimated_start"].as_i64(), Some(opens), "{result}");
    wait::field(&mut scene.db, &run_key("c"), "held_until", &[&opens.to_string()]).await;
    assert_eq!(scene.order("c", 5).await["state"], "available");
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("queued", 5)].into());
    let run = scene.finished("c").await;
    assert!(!run.contains_key("held_until") && run.contains_key("opened_at"), "{run:?}");
    for message in scene.sandbox.inbox(None, 0, 10) {
        assert!(message.at_ms >= opens && message.at_ms < opens + 2000, "{} is not {opens}", message.at_ms);
    }
    assert_eq!(scene.sandbox.stats().counts.accepted, 5);
    wait::until("the run's states are told", async || {
        let told = states_told(&mut scene).await;
        let words: Vec<(&str, Option<i64>)> = told.iter().map(|(word, until)| (word.as_str(), *until)).collect();
        (words == [("running", None), ("held", Some(opens)), ("running", None), ("finished", None)]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn bm_1_outside_the_hours_with_skip_the_run_ends_not_sent() {
    let (mut scene, ..) = scene(3600, 7200, "skip", "").await;
    let _daemon = scene.daemon().await;
    let result = scene.run("generate", &send_job("c", people(5))).await;
    assert_eq!(warned(&result), ["outside_hours"]);
    let sentence = result["warnings"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("nothing will be sent"), "{sentence}");
    wait::field(&mut scene.db, &run_key("c"), "state", &["not_sent"]).await;
    scene.campaign_is("c", "delivered").await;
    let run = scene.delivery("c").await;
    assert_eq!((run["skipped"].as_str(), run["queued"].as_str()), ("5", "0"));
    assert_eq!(scene.sandbox.stats().counts.accepted, 0);
    assert_eq!(scene.order("c", 1).await["state"], "available", "the orders can be paid all the same");
}

#[tokio::test]
async fn bm_3_nothing_leaves_after_the_closing() {
    let (mut scene, _, closes) = scene(-60, 3, "hold", "rate_per_second = 40\n").await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(400))).await;
    wait::until("the run is held", async || scene.delivery("c").await.contains_key("held_until").then_some(())).await;
    wait::until("nothing is in flight", async || (scene.delivery("c").await["sending"] == "0").then_some(())).await;
    let sent = scene.sandbox.stats().counts.accepted;
    assert!(sent > 20 && sent < 400, "{sent} were sent");
    let last = scene.sandbox.inbox(None, sent - 1, 1)[0].at_ms;
    assert!(last < closes + 100, "a message left at {last}, the hours closed at {closes}");
    let counts = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(counts["queued"] + counts["sent"], 400);
    let held = scene.delivery("c").await["held_until"].parse::<i64>().unwrap();
    assert_eq!(held, closes - 63_000 + 86_400_000, "the block of the next day");
}

#[tokio::test]
async fn po_19_an_order_that_expires_while_its_message_waits_is_skipped() {
    let (mut scene, opens, _) = scene(4, 7200, "hold", "").await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(3))).await;
    wait::field(&mut scene.db, &run_key("c"), "held_until", &[&opens.to_string()]).await;
    // A minute of life is left at the opening, which is under the floor of five.
    scene.expire_at("c", 1..=1, opens + 60_000).await;
    scene.finished("c").await;
    assert_eq!(scene.outcome("c", 1).await, ("k".to_owned(), 1, "expires_too_soon".to_owned()));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 2), ("skipped", 1)].into());
}

#[tokio::test]
async fn a_daemon_killed_while_its_run_is_held_does_not_keep_it_from_opening_and_another_opens_it_once() {
    let (mut scene, opens, _) = scene(5, 7200, "hold", "").await;
    let mut first = scene.daemon().await;
    scene.run("generate", &send_job("c", people(30))).await;
    wait::field(&mut scene.db, &run_key("c"), "held_until", &[&opens.to_string()]).await;
    first.kill();
    let _second = scene.daemon().await;
    scene.finished("c").await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 30);
    assert!(scene.sandbox.inbox(None, 0, 99).iter().all(|message| message.at_ms >= opens));
}

#[tokio::test]
async fn a_message_may_narrow_the_hours_of_its_channel_and_a_run_keeps_those_it_began_with() {
    let mut scene = Scene::new().await;
    let clock = Clock::of(&mut scene).await;
    let _daemon = scene.daemon().await;
    let (hours, opens, _) = clock.hours(3600, 7200);
    let mut job = send_job("c", people(2));
    job["hours"] = hours;
    let result = scene.run("generate", &job).await;
    assert_eq!(warned(&result), ["outside_hours"]);
    wait::field(&mut scene.db, &run_key("c"), "held_until", &[&opens.to_string()]).await;
    assert!(scene.delivery("c").await["hours"].contains(&clock.zone));
    // Paused and resumed it is still outside its hours; cancelled it is over.
    for action in ["pause", "resume", "cancel"] {
        scene.command(json!({"action": action, "campaign": "c", "run": "delivery@1"})).await;
    }
    wait::field(&mut scene.db, &run_key("c"), "state", &["cancelled"]).await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 0);
    job["id"] = "gen-2".into();
    job["campaign"] = "c2".into();
    job["hours"] = "spain".into();
    scene.enqueue("generate", &job).await;
    assert_eq!(scene.refused("gen-2").await.0, "invalid_hours");
}
