//! What providers told by the door, and were answered that it is written, just before Redis lost it: receipts do not come
//! again, so they are told to Redis again.

use std::collections::BTreeSet;

use redis::AsyncCommands as _;
use redis::streams::StreamRangeReply;
use serde_json::Value;

use super::lost_tail::{ROWS, answers_until, begun, loses};
use crate::receipts::Provider;
use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::scene::Scene;
use crate::support::wait;

const ALL: u64 = ROWS as u64;

/// Everybody of the campaign is sent to.
async fn all_sent(scene: &mut Scene) {
    answers_until(scene, ALL).await;
    scene.finished("c").await;
}

/// Whose message other systems were told to be delivered, at least once.
async fn told_delivered(scene: &mut Scene) -> BTreeSet<u64> {
    let found: StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
    let data = found.ids.iter().filter_map(|entry| entry.get::<String>("data"));
    let events = data.map(|data| serde_json::from_str::<Value>(&data).unwrap());
    events.filter(|event| event["state"] == "delivered").filter_map(|event| event["order"].as_u64()).collect()
}

#[tokio::test]
async fn receipts_that_were_answered_are_told_to_the_redis_that_lost_them() {
    let (mut scene, daemon, _) = begun("").await;
    all_sent(&mut scene).await;
    let provider = Provider::of(&mut scene, &daemon).await;
    assert_eq!(provider.says("c", 1, "delivered").await, "applied");
    let mark = scene.redis.mark();
    assert_eq!(provider.says("c", 2, "delivered").await, "applied");
    assert_eq!(provider.says("c", 3, "undelivered").await, "applied");
    loses(&mut scene, mark).await;
    let again = daemon.event("written again: redis had lost them", |_| true).await;
    assert_eq!(again["receipts"], 2, "{again}");
    let ledger = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(ledger, [("delivered", 2), ("sent", ALL - 3), ("undelivered", 1)].into());
    wait::until("both are told", async || (told_delivered(&mut scene).await == [1, 2].into()).then_some(())).await;
    // A provider that tells them all the same changes nothing.
    assert_eq!(provider.says("c", 2, "delivered").await, "old");
}

#[tokio::test]
async fn a_receipt_is_told_again_after_the_message_it_is_about_which_another_daemon_sent() {
    let (mut scene, _first, mark) = begun("").await;
    let second = Daemon::start(&scene.settings.instance("two")).await;
    all_sent(&mut scene).await;
    let provider = Provider::of(&mut scene, &second).await;
    for n in 1..=ALL {
        assert_eq!(provider.says("c", n, "delivered").await, "applied");
    }
    // Not the receipts alone: whom they are about was not even claimed any more.
    loses(&mut scene, mark).await;
    let again = second.event("written again: redis had lost them", |_| true).await;
    assert_eq!(again["receipts"], ALL, "{again}");
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("delivered", ALL)].into());
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
}

#[tokio::test]
async fn a_receipt_whose_daemon_died_with_its_redis_is_told_by_the_next_one() {
    let (mut scene, mut daemon, _) = begun("").await;
    all_sent(&mut scene).await;
    let mark = scene.redis.mark();
    let provider = Provider::of(&mut scene, &daemon).await;
    assert_eq!(provider.says("c", 7, "delivered").await, "applied");
    daemon.kill();
    loses(&mut scene, mark).await;
    let next = scene.daemon().await;
    next.event("written again: redis had lost them", |_| true).await;
    assert_eq!(scene.outcome("c", 7).await.0, "d");
}
