//! Platforms that refuse, throttle, fail, fall silent, lose answers and talk nonsense.

use remesa::sandbox::PaymentFate as F;
use serde_json::json;

use super::{each_once, payments, scene};
use crate::support::scene::{generate_job, people, send_job};
use crate::support::wait;

/// Everything that can happen to an order, made or not, but a refusal.
fn storm(settings: &mut remesa::sandbox::PaymentSettings) {
    settings.throttle_per_mille = 20;
    settings.retry_after_seconds = 0;
    settings.fail_per_mille = 60;
    settings.hang_per_mille = 20;
    settings.reset_per_mille = 60;
    settings.cut_per_mille = 60;
    settings.silent_per_mille = 20;
    settings.unreadable_per_mille = 40;
    settings.huge_per_mille = 40;
    settings.latency_max_ms = 5;
}

#[tokio::test]
async fn da_2_each_row_is_one_order_at_an_idempotent_platform_that_fails_in_every_way() {
    let mut scene = scene(true, "in_flight = 16\n", storm).await;
    let _daemon = scene.daemon().await;
    let result = scene.run("generate", &generate_job("c", people(250))).await;
    assert_eq!((&result["orders"], &result["refused"]), (&json!(250), &json!(0)));
    each_once(&mut scene, "c", 250).await;
    assert!(payments(&scene).replayed > 0, "a lost answer is asked for under its key");
    assert_eq!(payments(&scene).looked_up, 0);
}

#[tokio::test]
async fn da_2_each_row_is_one_order_at_a_platform_that_knows_no_keys_and_fails_in_every_way() {
    let mut scene = scene(false, "in_flight = 16\n", storm).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(250))).await;
    each_once(&mut scene, "c", 250).await;
    let counts = payments(&scene);
    assert!(counts.looked_up > 0 && counts.replayed == 0, "a lost answer is looked up: {counts:?}");
}

#[tokio::test]
async fn a_storm_of_429_slows_the_payment_point_and_loses_nothing() {
    let script = vec![F::Throttle; 60];
    let mut scene = scene(false, "", |settings| {
        settings.script = script;
        settings.retry_after_seconds = 1;
    })
    .await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(30))).await;
    each_once(&mut scene, "c", 30).await;
    // The whole payment point waits, not each order by itself.
    assert!(payments(&scene).asked <= 90);
    let held = scene.hash("remesa:channel:orders:pp-main").await;
    assert!(held.contains_key("blocked_until"), "{held:?}");
}

#[tokio::test]
async fn an_order_that_the_platform_refuses_is_recorded_with_its_code_and_the_others_go_on() {
    let mut scene = scene(false, "in_flight = 1\n", |settings| settings.script = vec![F::Accept, F::Refuse]).await;
    let _daemon = scene.daemon().await;
    let result = scene.run("generate", &send_job("c", people(4))).await;
    assert_eq!((&result["orders"], &result["refused_by_platform"]), (&json!(4), &json!(1)));
    scene.campaign_is("c", "delivered").await;
    let refused = scene.order("c", 2).await;
    assert_eq!((&refused["state"], &refused["reason"]), (&json!("cancelled"), &json!("refused:invalid_order")));
    assert!(refused.get("short_code").is_none());
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["refused:provider_refused"].as_str(), campaign["orders:available"].as_str()), ("1", "3"));
    let rows: Vec<String> = redis::AsyncCommands::lrange(&mut scene.db, "remesa:{c}:errors", 0, -1).await.unwrap();
    let row: serde_json::Value = serde_json::from_str(&rows[0]).unwrap();
    assert_eq!((&row["row"], &row["code"]), (&json!(2), &json!("provider_refused")));
    assert_eq!(scene.outcome("c", 2).await.2, "order_cancelled");
    assert_eq!((payments(&scene).created, scene.sandbox.stats().counts.accepted), (3, 3));
    crate::support::ledger::campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn po_6_a_platform_that_refuses_us_fails_the_campaign_and_a_replay_goes_on() {
    for status in [401, 402, 403] {
        let mut scene = scene(true, "in_flight = 4\n", |settings| {
            settings.script = vec![F::Accept; 10];
            settings.refuse_per_mille = 1000;
            settings.refuse_status = status;
        })
        .await;
        let _daemon = scene.daemon().await;
        scene.enqueue("generate", &send_job("c", people(30))).await;
        let job = scene.ended("gen-c").await;
        assert_eq!((job["state"].as_str(), job["error_code"].as_str()), ("dead", "provider_denied"), "{status}");
        scene.campaign_is("c", "failed").await;
        let campaign = scene.campaign("c").await;
        assert_eq!(
            (campaign["failed_reason"].as_str(), campaign["orders:available"].as_str()),
            ("provider_denied", "10")
        );
        assert_eq!(scene.sandbox.stats().requests, 0, "nothing is sent");
        scene.sandbox.change(|settings| settings.payments.refuse_per_mille = 0).unwrap();
        let replay = scene.settings.command(&["dead", "replay", "gen-c"]).output().unwrap();
        assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));
        scene.campaign_is("c", "delivered").await;
        each_once(&mut scene, "c", 30).await;
        assert_eq!(scene.sandbox.stats().counts.accepted, 30);
    }
}

#[tokio::test]
async fn a_key_that_the_platform_does_not_know_makes_no_order_at_all() {
    let mut scene = scene(true, "", |settings| settings.api_key = "another".to_owned()).await;
    let _daemon = scene.daemon().await;
    scene.enqueue("generate", &generate_job("c", people(3))).await;
    let job = scene.ended("gen-c").await;
    assert_eq!((job["state"].as_str(), job["error_code"].as_str()), ("dead", "provider_denied"));
    assert!(!job["error"].contains("sandbox"), "no credential is shown: {}", job["error"]);
    assert_eq!(payments(&scene).created, 0);
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["state"].as_str(), campaign["orders:creating"].as_str()), ("failed", "3"));
}

#[tokio::test]
async fn po_8_the_platform_is_told_the_expiry_of_the_product_not_its_own_least() {
    let mut scene = scene(true, "", |_| {}).await;
    let _daemon = scene.daemon().await;
    let mut job = generate_job("c", people(1));
    job["expires_in"] = "10m".into();
    scene.run("generate", &job).await;
    let order = scene.order("c", 1).await;
    let shown = super::at_platform(&scene, &order).await;
    assert_eq!(order["expires_at"].as_i64().unwrap() - order["created_at"].as_i64().unwrap(), 600_000);
    let told = shown["expiration_date"].as_str().unwrap();
    assert_eq!(remesa::domain::clock::EpochMs::parse(told).unwrap().0, order["expires_at"].as_i64().unwrap());
    assert_eq!(
        (&shown["amount"], &shown["currency"], &shown["reference"]),
        (&json!(1001), &json!("EUR"), &json!("A-1"))
    );
}

#[tokio::test]
async fn po_18_an_order_in_doubt_is_never_sent_and_is_sent_when_the_doubt_is_over() {
    // The second order is made and nobody hears of it; after one attempt it is left to the background.
    let mut scene = scene(false, "in_flight = 1\n", |settings| {
        settings.script = vec![F::Accept, F::Cut];
    })
    .await;
    scene.settings = scene.settings.set("payment_points.pp-main.retry_attempts", "1");
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(3))).await;
    scene.counted("c", "sent", 2).await;
    let order = scene.order("c", 2).await;
    assert_eq!((&order["state"], order.get("short_code")), (&json!("in_doubt"), None));
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["state"].as_str(), campaign["orders:in_doubt"].as_str()), ("running", "1"));
    wait::until("its message waits", async || (scene.delivery("c").await["queued"] == "1").then_some(())).await;
    assert_eq!(scene.outcome("c", 2).await.2, "order_in_doubt");
    // The operator does not want to wait for the next look.
    let result = scene.command(json!({"action": "resolve_orders", "campaign": "c"})).await;
    assert_eq!(result["unsettled"], 1);
    wait::until("the doubt is over", async || (scene.order("c", 2).await["state"] == "available").then_some(())).await;
    scene.campaign_is("c", "delivered").await;
    each_once(&mut scene, "c", 3).await;
    let messages = scene.sandbox.inbox(None, 0, 10);
    assert_eq!(messages.len(), 3);
    let code = scene.order("c", 2).await["short_code"].as_str().unwrap().to_owned();
    assert!(messages[2].text.ends_with(&format!("https://pay.example/pp-main/?p={code}")), "{}", messages[2].text);
}

#[tokio::test]
async fn a_platform_that_is_down_puts_the_job_off_and_it_goes_on_when_the_platform_is_back() {
    let mut scene = scene(true, "breaker_cooldown = \"200ms\"\n", |_| {}).await;
    scene.settings = scene.settings.set("payment_points.pp-main.breaker_failures", "3");
    scene.sandbox.change(|settings| settings.payments.reset_per_mille = 1000).unwrap();
    let _daemon = scene.daemon().await;
    scene.enqueue("generate", &generate_job("c", people(20))).await;
    wait::until("the breaker is open", async || {
        scene.hash("remesa:channel:orders:pp-main").await.contains_key("breaker_until").then_some(())
    })
    .await;
    scene.sandbox.change(|settings| settings.payments.reset_per_mille = 0).unwrap();
    scene.done("gen-c").await;
    each_once(&mut scene, "c", 20).await;
}
