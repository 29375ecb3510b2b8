//! The frequency cap: so many messages an address and period, over all campaigns.

use remesa::sandbox::Fate;
use serde_json::{Value, json};

use super::key;
use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, people, phone, send_job};

async fn capped(cap: &Value, channel: &str) -> (Scene, Daemon) {
    let scene = Scene::with(&format!("{channel}{}", key("cap", cap)), |_| {}).await;
    let daemon = scene.daemon().await;
    (scene, daemon)
}

#[tokio::test]
async fn an_address_gets_no_more_than_its_cap_over_all_campaigns_and_the_rest_is_held_until_there_is_room() {
    let (mut scene, _daemon) = capped(&json!({"messages": 1, "per": "4s"}), "").await;
    scene.run("generate", &send_job("a", people(5))).await;
    scene.finished("a").await;
    scene.run("generate", &send_job("b", people(6))).await;
    scene.counted("b", "held", 5).await;
    assert_eq!(scene.outcome("b", 1).await, ("h".to_owned(), 0, "frequency_cap".to_owned()));
    assert_eq!(campaign_audit(&mut scene.db, "b").await, [("held", 5), ("sent", 1)].into());
    scene.finished("b").await;
    assert_eq!(campaign_audit(&mut scene.db, "b").await, [("sent", 6)].into());
    for n in 1..=5 {
        let inbox = scene.sandbox.inbox(Some(&phone(n)), 0, 10);
        assert_eq!(inbox.len(), 2);
        let apart = (inbox[0].at_ms - inbox[1].at_ms).abs();
        assert!(apart >= 3900, "{apart} ms between two messages to one address");
    }
}

#[tokio::test]
async fn what_is_over_the_cap_is_skipped_where_it_says_so() {
    let (mut scene, _daemon) = capped(&json!({"preset": "colombia", "otherwise": "skip"}), "").await;
    scene.run("generate", &send_job("a", people(3))).await;
    scene.finished("a").await;
    scene.run("generate", &send_job("b", people(4))).await;
    scene.finished("b").await;
    assert_eq!(campaign_audit(&mut scene.db, "b").await, [("sent", 1), ("skipped", 3)].into());
    assert_eq!(scene.outcome("b", 3).await.2, "frequency_cap");
}

#[tokio::test]
async fn two_orders_of_one_address_in_one_campaign_count_both() {
    let (mut scene, _daemon) = capped(&json!({"messages": 1, "per": "1d", "otherwise": "skip"}), "").await;
    let mut rows = people(4);
    for row in &mut rows {
        row["SMScontact"] = phone(1).into();
    }
    scene.run("generate", &send_job("a", rows)).await;
    scene.finished("a").await;
    assert_eq!(campaign_audit(&mut scene.db, "a").await, [("sent", 1), ("skipped", 3)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, 1);
}

#[tokio::test]
async fn what_certainly_was_not_sent_does_not_count_and_another_attempt_counts_once() {
    let cap = json!({"messages": 1, "per": "1d", "otherwise": "skip"});
    let (mut scene, _daemon) = capped(&cap, "idempotent = true\nretry_base = \"20ms\"\n").await;
    // Refused for good: nothing was sent, so the next campaign reaches the address.
    scene.sandbox.change(|settings| settings.script = vec![Fate::Refuse]).unwrap();
    scene.run("generate", &send_job("a", people(1))).await;
    scene.finished("a").await;
    assert_eq!(campaign_audit(&mut scene.db, "a").await, [("failed", 1)].into());
    // The answer is lost, and asked for again under the same key: two attempts, one message.
    scene.sandbox.change(|settings| settings.script = vec![Fate::Cut]).unwrap();
    scene.run("generate", &send_job("b", people(1))).await;
    scene.finished("b").await;
    assert_eq!(campaign_audit(&mut scene.db, "b").await, [("sent", 1)].into());
    scene.run("generate", &send_job("c", people(1))).await;
    scene.finished("c").await;
    assert_eq!(scene.outcome("c", 1).await.2, "frequency_cap");
}

#[tokio::test]
async fn an_answer_that_was_lost_counts() {
    let (mut scene, _daemon) = capped(&json!({"messages": 1, "per": "1d", "otherwise": "skip"}), "").await;
    scene.sandbox.change(|settings| settings.script = vec![Fate::Cut]).unwrap();
    scene.run("generate", &send_job("a", people(1))).await;
    scene.finished("a").await;
    assert_eq!(campaign_audit(&mut scene.db, "a").await, [("unknown", 1)].into());
    scene.run("generate", &send_job("b", people(1))).await;
    scene.finished("b").await;
    assert_eq!(scene.outcome("b", 1).await.2, "frequency_cap");
}
