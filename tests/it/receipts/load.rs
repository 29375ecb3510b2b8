//! What receipts survive: a flood while messages leave, a daemon killed in the middle, a Redis that is away.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::Provider;
use crate::support::ledger::{campaign_audit, counters};
use crate::support::provider::counted;
use crate::support::scene::{Scene, people, phone, run_key, send_job};

/// A campaign from a file, for more rows than a job may hold.
async fn send_file(scene: &mut Scene, campaign: &str, rows: usize) {
    let rows = (1..=rows).map(|n| format!("k-{n},1250,{},Ana\n", phone(n)));
    let text: String = std::iter::once("key,amount,SMScontact,name\n".to_owned()).chain(rows).collect();
    scene.settings.spool(&format!("{campaign}.csv"), text);
    let mut job = send_job(campaign, Value::Null);
    job["rows_from"] = json!({"file": format!("{campaign}.csv")});
    scene.enqueue("generate", &job).await;
}

#[tokio::test]
async fn da_6_a_flood_of_receipts_while_messages_leave_keeps_every_sum_right() {
    const RECIPIENTS: u64 = 2_500;
    // Each recipient is reported four times, in this order by one and another order by the next.
    const STATES: [&str; 4] = ["sent", "expired", "delivered", "undelivered"];
    let mut scene = Scene::with("in_flight = 32\n", |sandbox| sandbox.latency_max_ms = 5).await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    send_file(&mut scene, "c", 2 * 2_500).await;
    scene.counted("c", "sent", RECIPIENTS).await;
    let (told, reports) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let posting = {
        let (told, reports) = (Arc::clone(&told), Arc::clone(&reports));
        TaskTracker::new().spawn(async move {
            let mut posts = FuturesUnordered::new();
            // Twice 10,000: the first half in bodies of ten, the second one by one.
            for n in 0..RECIPIENTS * 8 / 10 {
                let body: Vec<Value> = (0..10)
                    .map(|k| {
                        let index = n * 10 + k;
                        let state = STATES[usize::try_from((index / RECIPIENTS + index) % 4).unwrap()];
                        provider.report("c", index % RECIPIENTS + 1, state)
                    })
                    .collect();
                let bodies = if n % 2 == 0 { vec![Value::from(body)] } else { body };
                let (provider, told, reports) = (provider.clone(), Arc::clone(&told), Arc::clone(&reports));
                posts.push(async move {
                    for body in bodies {
                        let (status, answer) = provider.post(&body).await;
                        assert!(status == 200 || status == 202, "{status} {answer}");
                        told.fetch_add(answer["applied"].as_u64().unwrap(), Ordering::Relaxed);
                        let all: u64 = answer.as_object().unwrap().values().filter_map(Value::as_u64).sum();
                        reports.fetch_add(all, Ordering::Relaxed);
                    }
                });
                while posts.len() >= 64 {
                    posts.next().await;
                }
            }
            while posts.next().await.is_some() {}
        })
    };
    let mut instants = 0;
    while !posting.is_finished() {
        let run = scene.hash(&run_key("c")).await;
        assert_eq!(counters(&run, "").values().sum::<u64>(), 2 * RECIPIENTS, "{run:?}");
        let campaign = scene.campaign("c").await;
        assert_eq!(counters(&campaign, "deliveries:").values().sum::<u64>(), 2 * RECIPIENTS, "{campaign:?}");
        instants += 1;
    }
    posting.await.unwrap();
    assert!(instants > 20, "only {instants} instants were seen");
    scene.finished("c").await;
    assert_eq!(reports.load(Ordering::Relaxed), RECIPIENTS * 8);
    let found = campaign_audit(&mut scene.db, "c").await;
    assert_eq!((found["delivered"], found["sent"]), (RECIPIENTS, RECIPIENTS), "{found:?}");
    // At least once each, and never more often than there are steps up.
    assert!((RECIPIENTS..=3 * RECIPIENTS).contains(&told.load(Ordering::Relaxed)), "{told:?}");
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
}

#[tokio::test]
async fn a_daemon_killed_at_any_moment_loses_no_receipt_that_it_answered() {
    let mut scene = Scene::new().await;
    let mut daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(1000))).await;
    scene.finished("c").await;
    let mut answered: HashMap<u64, bool> = HashMap::new();
    for round in 0..4 {
        let provider = Provider::of(&mut scene, &daemon).await;
        let mut posts: FuturesUnordered<_> = (1..=1000_u64)
            .filter(|n| !answered.contains_key(n))
            .map(|n| {
                let (client, url, body) =
                    (provider.client.clone(), provider.url.clone(), provider.report("c", n, "delivered"));
                async move {
                    (n, client.post(url).json(&body).send().await.is_ok_and(|answer| answer.status().is_success()))
                }
            })
            .collect();
        let (mut ok, mut killed) = (0, false);
        while let Some((n, good)) = posts.next().await {
            if good {
                answered.insert(n, true);
                ok += 1;
            }
            if ok >= 40 && !killed && round < 3 {
                daemon.kill();
                killed = true;
            }
        }
        for n in answered.keys() {
            assert_eq!(scene.outcome("c", *n).await.0, "d", "answered and not written: {n}");
        }
        campaign_audit(&mut scene.db, "c").await;
        if killed {
            daemon = scene.daemon().await;
        }
    }
    assert_eq!(answered.len(), 1000);
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("delivered", 1000)].into());
}

#[tokio::test]
async fn while_redis_is_away_receipts_are_refused_and_the_providers_retry_brings_them_in() {
    let redis = crate::support::redis::Redis::start_append_only().await;
    let mut scene = Scene::over(redis, "", |sandbox| {
        (sandbox.reports.delay_min_ms, sandbox.reports.delay_max_ms) = (1_500, 1_600);
        (sandbox.reports.retry_ms, sandbox.reports.attempts) = (250, 12);
    })
    .await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    let reports = provider.url.clone();
    scene.sandbox.change(|settings| settings.reports.url = Some(reports)).unwrap();
    scene.run("generate", &send_job("c", people(30))).await;
    scene.finished("c").await;
    // The messages are sent; when their reports come there is no Redis.
    scene.redis.kill();
    let response =
        provider.client.post(&provider.url).json(&provider.report("c", 1, "delivered")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    counted(&scene.sandbox, "all reports were refused", |stats| stats.reports.retried >= 30).await;
    scene.redis.restart().await;
    scene.db = scene.redis.connect().await;
    let stats = counted(&scene.sandbox, "all reports are taken", |stats| stats.reports.confirmed == 30).await;
    assert_eq!(stats.reports.given_up, 0);
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("delivered", 30)].into());
}
