//! DA-9: a number is whole in orders and exports, masked in events, and absent from logs, metrics and the status.

use serde_json::json;

use crate::support::grep::holds;
use crate::support::http;
use crate::support::scene::{Scene, people, send_job};

const DIGITS: &str = "600123456";
const PHONE: &str = "+34600123456";

#[tokio::test]
async fn da_9_no_number_is_in_a_log_at_the_level_trace_nor_in_metrics_and_events_show_it_masked() {
    let mut scene = Scene::with("retry_attempts = 2\nretry_base = \"10ms\"\n", |sandbox| {
        sandbox.recipients.insert(PHONE.to_owned(), remesa::sandbox::Fate::Fail);
    })
    .await;
    scene.settings = scene.settings.instance("default-2").set("log.level", "trace");
    let daemon = scene.daemon().await;
    let mut rows = people(3);
    rows[0]["SMScontact"] = PHONE.into();
    rows[1]["amount"] = PHONE.into();
    rows[2]["SMScontact"] = format!("{PHONE}00000").into();
    scene.run("generate", &send_job("c", rows)).await;
    scene.campaign_is("c", "delivered").await;
    let mut wrong = send_job("d", json!([{"amount": 1, "SMScontact": PHONE}]));
    wrong["country"] = PHONE.into();
    scene.enqueue("generate", &wrong).await;
    scene.refused("gen-d").await;
    scene.command(json!({"action": "forget", "contact": PHONE})).await;
    let mut parked = send_job("e", json!([{"amount": 1, "SMScontact": PHONE}]));
    parked["after"] = json!(["nobody"]);
    scene.enqueue("generate", &parked).await;
    // Told at the level debug only.
    daemon.event("parked", |_| true).await;
    let log = daemon.log();
    assert!(!holds(log.as_bytes(), DIGITS), "{:?}", log.lines().find(|line| holds(line.as_bytes(), DIGITS)));
    let (_, metrics) = http::get(daemon.http().await, "/metrics").await;
    assert!(metrics.contains("remesa_deliveries_total") && !holds(metrics.as_bytes(), DIGITS));
}

#[tokio::test]
async fn da_9_events_show_a_number_masked_and_the_order_has_it_whole() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut rows = people(1);
    rows[0]["SMScontact"] = PHONE.into();
    scene.run("generate", &send_job("c", rows)).await;
    scene.campaign_is("c", "delivered").await;
    let mut reader = scene.redis.connect().await;
    let event = crate::support::wait::entry_where(&mut reader, "remesa:results", |entry| {
        entry.get::<String>("type").unwrap() == "delivery"
    })
    .await;
    let data: serde_json::Value = serde_json::from_str(&event.get::<String>("data").unwrap()).unwrap();
    assert_eq!(data["contact"], "+34******456");
    assert_eq!(scene.order("c", 1).await["contact"], PHONE);
    let found = crate::support::grep::redis(&mut scene.db, DIGITS).await;
    assert!(found.iter().all(|place| place.starts_with("remesa:{c}:order:1: ")), "{found:?}");
}
