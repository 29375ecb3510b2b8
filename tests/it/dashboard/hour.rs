//! The last hour: what the daemons write of it, each message once, and that it ends by itself.

use std::collections::HashMap;

use redis::AsyncCommands as _;

use crate::support::daemon::Daemon;
use crate::support::scene::Scene;
use crate::support::wait;

/// Sums over all steps, by field.
async fn summed(scene: &mut Scene) -> HashMap<String, u64> {
    let keys: Vec<String> = scene.db.keys("remesa:history:*").await.unwrap();
    let mut sums = HashMap::new();
    for key in keys {
        let fields: HashMap<String, u64> = scene.db.hgetall(&key).await.unwrap();
        for (field, number) in fields {
            *sums.entry(field).or_insert(0) += number;
        }
        let left_ms: i64 = scene.db.pttl(&key).await.unwrap();
        assert!((1..=62 * 60 * 1000).contains(&left_ms), "{key} ends in {left_ms} ms");
    }
    sums
}

#[tokio::test]
async fn each_message_is_in_the_last_hour_once_whichever_daemon_sent_it_and_after_a_reload() {
    let mut scene = Scene::new().await;
    let first = scene.daemon().await;
    let second = Daemon::start(&scene.settings.instance("second")).await;
    scene.send("one", 300).await;
    scene.campaign_is("one", "delivered").await;
    first.reload(&scene.settings);
    first.event("reloaded", |_| true).await;
    scene.send("two", 200).await;
    scene.campaign_is("two", "delivered").await;
    wait::until("the history has every message", async || {
        let sent = summed(&mut scene).await.get("sent:sms").copied().unwrap_or(0);
        assert!(sent <= 500, "{sent} of 500 messages");
        (sent == 500).then_some(())
    })
    .await;
    let sums = summed(&mut scene).await;
    assert!(sums.contains_key("waiting:generate") && sums.contains_key("recipients:sms"), "{sums:?}");
    assert!(!sums.contains_key("failed:sms"), "{sums:?}");
    drop(second);
}
