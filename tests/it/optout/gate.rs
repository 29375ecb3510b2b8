//! The gate: who may not be written to is asked just before each message leaves.

use redis::AsyncCommands as _;
use serde_json::json;

use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, people, phone, send_job};

#[tokio::test]
async fn po_24_a_transactional_message_is_stopped_by_the_block_list_and_not_by_an_opt_out() {
    let mut scene = Scene::new().await;
    let () = scene.db.sadd("remesa:blocked:phone", phone(1)).await.unwrap();
    let () = scene.db.sadd("remesa:optout:phone", phone(2)).await.unwrap();
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(3))).await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(scene.outcome("c", 1).await, ("k".to_owned(), 1, "blocked".to_owned()));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 2), ("skipped", 1)].into());
}

#[tokio::test]
async fn bm_9_who_is_blocked_while_the_message_waits_gets_none() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    scene.send("c", 200).await;
    scene.done("gen-c").await;
    let () = scene.db.sadd("remesa:blocked:phone", (1..=150).map(phone).collect::<Vec<_>>()).await.unwrap();
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 50), ("skipped", 150)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, 50);
}
