//! Payment points whose orders a platform makes: the simulated one, failing in every way, counts what it made.

mod commands;
mod deaths;
mod storms;

use std::collections::HashSet;

use remesa::sandbox::{PaymentCounts, PaymentSettings};
use serde_json::Value;

use crate::support::ledger::campaign_audit;
use crate::support::scene::Scene;

/// Impatient, so that a test of lost answers is over soon.
const QUICK: &str = "timeout = \"400ms\"\nconnect_timeout = \"200ms\"\nlookup_after = \"100ms\"\nrate_per_second = 0\n\
    retry_base = \"20ms\"\nretry_cap = \"200ms\"\nretry_attempts = 20\nbreaker_failures = 1000\n";

/// The table of a payment point at the simulated platform.
fn point(name: &str, scene: &Scene, keys: &str) -> String {
    let url = scene.sandbox.url();
    format!(
        "[payment_points.{name}]\nprovider = \"http\"\nurl = \"{url}/payments/v1\"\nlink_base = \"https://pay.example/{name}/\"\n\
         credentials = {{ api_key = \"sandbox\" }}\n{keys}{QUICK}"
    )
}

/// A scene whose default payment point is at the platform, idempotent or not, which behaves so.
async fn scene(idempotent: bool, keys: &str, change: impl FnOnce(&mut PaymentSettings)) -> Scene {
    let mut scene = Scene::with("", |settings| {
        settings.payments.idempotency = idempotent;
        change(&mut settings.payments);
    })
    .await;
    let table = point("pp-main", &scene, &format!("idempotent = {idempotent}\n{keys}"));
    scene.settings = scene.settings.toml(&table);
    scene
}

fn payments(scene: &Scene) -> PaymentCounts {
    scene.sandbox.stats().payments
}

/// DA-2: as many orders at the platform as there are available ones here, one for each key, each with its own link.
async fn each_once(scene: &mut Scene, campaign: &str, rows: u64) {
    let counts = payments(scene);
    assert_eq!((counts.created, counts.duplicates), (rows, 0), "{counts:?}");
    let mut ids = HashSet::new();
    for number in 1..=rows {
        let order = scene.order(campaign, number).await;
        assert_eq!(order["state"], "available", "{order}");
        assert_eq!(order["short_code"].as_str().unwrap().len(), 6);
        let id = order["platform_id"].as_str().unwrap().to_owned();
        assert_eq!(id.len(), 64);
        assert!(ids.insert(id), "two orders have one at the platform");
        assert!(order.get("tries").is_none() && order.get("origin").is_none(), "{order}");
    }
    campaign_audit(&mut scene.db, campaign).await;
}

/// What the platform says of an order.
async fn at_platform(scene: &Scene, order: &Value) -> Value {
    call(scene, reqwest::Method::GET, order, "").await
}

/// A payer pays at the platform.
async fn pay(scene: &Scene, order: &Value) {
    assert_eq!(call(scene, reqwest::Method::POST, order, "/pay").await["status"], "PAID");
}

async fn call(scene: &Scene, method: reqwest::Method, order: &Value, verb: &str) -> Value {
    let id = order["platform_id"].as_str().unwrap();
    let url = format!("{}/payments/v1/payment-orders/{id}{verb}", scene.sandbox.url());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.request(method, url).header("x-api-key", "sandbox").send().await.unwrap().json().await.unwrap()
}
