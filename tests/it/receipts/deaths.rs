//! SIGKILL while receipts are written, before and after Redis has them: none was answered, so they come again, and every
//! one counts once and is told once.

use std::collections::{BTreeMap, BTreeSet};

use redis::AsyncCommands as _;
use redis::streams::StreamRangeReply;
use serde_json::Value;
use tokio_util::task::TaskTracker;

use super::Provider;
use crate::support::daemon::{Daemon, Settings};
use crate::support::gate::{Gate, Side};
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, people, send_job};
use crate::support::wait;

const ROWS: u64 = 40;

/// The daemon dies at the given call for receipts of a whole campaign, and they come again to the next one.
async fn dies_at(script: &str, side: Side) {
    let what = format!("{script} {side:?}");
    let mut scene = Scene::new().await;
    let gate = Gate::before(&scene.redis);
    scene.settings = Settings::with_redis_url(&gate.url()).sandbox_channel("sms", &scene.sandbox.url(), "");
    let mut first = scene.daemon().await;
    scene.run("generate", &send_job("c", people(usize::try_from(ROWS).unwrap()))).await;
    scene.finished("c").await;
    told(&mut scene, "sent").await;
    let provider = Provider::of(&mut scene, &first).await;
    gate.catch(&mut scene.db, script, side, 0).await;
    let body: Value = (1..=ROWS).map(|n| provider.report("c", n, "delivered")).collect();
    let posting = provider.client.post(&provider.url).json(&body).send();
    let posting = TaskTracker::new().spawn(posting);
    gate.caught(&what).await;
    first.kill();
    let answered = posting.await.unwrap().is_ok();
    assert!(!answered, "{what}: answered before it was known to be written");
    let second = Daemon::start(&scene.settings).await;
    let provider = Provider::of(&mut scene, &second).await;
    let (status, answer) = provider.post(&body).await;
    assert!(status == 200 || status == 202, "{what}: {status} {answer}");
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("delivered", ROWS)].into(), "{what}");
    let ids = told(&mut scene, "delivered").await;
    assert!(ids.values().all(|ids| ids.len() == 1), "{what}: {ids:?}");
}

/// The ids of the events of a delivery state by recipient, once all recipients have one.
async fn told(scene: &mut Scene, state: &str) -> BTreeMap<u64, BTreeSet<String>> {
    wait::until(&format!("everybody's {state} is told"), async || {
        let results: StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
        let mut ids: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for entry in results.ids.iter().filter(|entry| entry.get::<String>("type").as_deref() == Some("delivery")) {
            let data: Value = serde_json::from_str(&entry.get::<String>("data").unwrap()).unwrap();
            if data["state"] == state {
                ids.entry(data["order"].as_u64().unwrap()).or_default().insert(entry.get("event").unwrap());
            }
        }
        (ids.len() as u64 == ROWS).then_some(ids)
    })
    .await
}

#[tokio::test]
async fn a_daemon_killed_while_it_writes_receipts_loses_and_doubles_none() {
    for side in [Side::Before, Side::After] {
        dies_at("receive", side).await;
    }
}
