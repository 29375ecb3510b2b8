//! Rules of campaigns that the other subjects touch only in passing, each by its number.

use std::time::Duration;

use redis::AsyncCommands as _;
use remesa::sandbox::Fate;
use remesa::store::{Connection, Store, Timeouts};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, generate_job, people, phone, send_job};
use crate::support::wait;

#[tokio::test]
async fn po_6_a_campaign_with_failed_messages_is_delivered_and_counts_them() {
    let mut scene = Scene::with("", |sandbox| {
        for n in 1..=2 {
            sandbox.recipients.insert(phone(n), Fate::Refuse);
        }
    })
    .await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(3))).await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("failed", 2), ("sent", 1)].into());
}

#[tokio::test]
async fn po_20_cancel_orders_cancels_those_that_are_available_and_no_others() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(1_000))).await;
    scene.command(json!({"action": "order_event", "campaign": "c", "order": 7, "event": "paid"})).await;
    let result = scene.command(json!({"action": "cancel", "campaign": "c", "cancel_orders": true})).await;
    assert_eq!(result["orders_cancelled"], 999);
    assert_eq!(scene.order("c", 7).await["state"], "paid");
    for number in [1, 500, 501, 1_000] {
        assert_eq!(scene.order("c", number).await["state"], "cancelled", "{number}");
    }
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn da_5_redis_time_decides_what_is_due_and_not_the_clock_of_the_daemon() {
    let mut scene = Scene::new().await;
    // A daemon whose clock is a year off would start this job at once or never; all asks Redis.
    let _daemon = scene.daemon().await;
    let at = scene.now_ms().await + 1_500;
    let mut job = generate_job("c", people(1));
    job["at"] = at.into();
    scene.enqueue("generate", &job).await;
    scene.done("gen-c").await;
    let hash = scene.hash("remesa:job:gen-c").await;
    assert!(hash["started_at"].parse::<i64>().unwrap() >= at, "{hash:?}");
    let created: i64 = scene.campaign("c").await["created_at"].parse().unwrap();
    assert!(created >= at && created <= scene.now_ms().await);
}

#[tokio::test]
async fn retention_goes_on_behind_many_old_campaigns_that_are_under_way() {
    let mut scene = Scene::new().await;
    for n in 0..250 {
        let state = if n % 3 == 2 { "paused" } else { "running" };
        let () = scene.db.hset(format!("remesa:{{r-{n}}}:campaign"), "state", state).await.unwrap();
        let () = scene.db.zadd("remesa:campaigns", format!("r-{n}"), 1).await.unwrap();
    }
    for (n, campaign) in ["first", "second"].into_iter().enumerate() {
        let () = scene.db.hset(format!("remesa:{{{campaign}}}:campaign"), "state", "delivered").await.unwrap();
        let () = scene.db.zadd("remesa:campaigns", campaign, 3 * n).await.unwrap();
    }
    let timeouts = Timeouts { connect: wait::DEADLINE, response: wait::DEADLINE };
    let store = Store::new(Connection::new(&scene.redis.url(), timeouts).unwrap(), "remesa");
    let removed = store.remove_old_campaigns(Duration::from_hours(1), &CancellationToken::new()).await.unwrap();
    let left: u64 = scene.db.zcard("remesa:campaigns").await.unwrap();
    assert_eq!((removed, left), (2, 250));
}

#[tokio::test]
async fn bm_24_nothing_goes_but_by_retention_or_forget() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    for campaign in ["old", "new"] {
        scene.run("generate", &send_job(campaign, people(130))).await;
        scene.campaign_is(campaign, "delivered").await;
    }
    scene.command(json!({"action": "cancel", "campaign": "new"})).await;
    let () = scene.db.zadd("remesa:campaigns", "old", 1).await.unwrap();
    let timeouts = Timeouts { connect: wait::DEADLINE, response: wait::DEADLINE };
    let store = Store::new(Connection::new(&scene.redis.url(), timeouts).unwrap(), "remesa");
    let removed = store.remove_old_campaigns(Duration::from_hours(1), &CancellationToken::new()).await.unwrap();
    assert_eq!(removed, 1);
    let left: Vec<String> = redis::cmd("KEYS").arg("remesa:{old}:*").query_async(&mut scene.db).await.unwrap();
    assert_eq!(left, Vec::<String>::new());
    let links: Vec<String> = redis::cmd("KEYS").arg("remesa:links:*").query_async(&mut scene.db).await.unwrap();
    let mut kept = 0;
    for key in links {
        let orders: Vec<String> = scene.db.hvals(&key).await.unwrap();
        assert!(orders.iter().all(|order| order.starts_with("new/")), "{orders:?}");
        kept += orders.len();
    }
    assert_eq!(kept, 130, "a cancelled campaign keeps its orders and links");
    assert_eq!(scene.order("new", 1).await["state"], "available");
    drop(daemon);
}
