//! What an operator does to orders of a platform: cancel, re-route, and PO-16.

use remesa::sandbox::PaymentFate as F;
use serde_json::json;

use super::{at_platform, each_once, pay, payments, point, scene};
use crate::support::ledger::campaign_audit;
use crate::support::scene::{generate_job, people};

#[tokio::test]
async fn po_20_cancelling_with_the_orders_cancels_them_at_the_platform_and_not_what_was_paid_there() {
    let mut scene = scene(true, "", |_| {}).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(12))).await;
    let paid = scene.order("c", 5).await;
    pay(&scene, &paid).await;
    // The first two answers are lost; the job asks again.
    scene.sandbox.change(|settings| settings.payments.other_script = vec![F::Cut, F::Fail]).unwrap();
    let result = scene.command(json!({"action": "cancel", "campaign": "c", "cancel_orders": true})).await;
    assert!(result["orders_cancelled"].as_u64().unwrap() > 0, "{result}");
    assert_eq!(payments(&scene).cancelled, 11);
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["orders:cancelled"].as_str(), campaign["orders:paid"].as_str()), ("11", "1"));
    let order = scene.order("c", 1).await;
    assert_eq!(at_platform(&scene, &order).await["status"], "CANCELLED");
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn po_17_re_routing_makes_a_new_order_at_the_platform_once_and_cancels_the_former() {
    for idempotent in [true, false] {
        let mut scene = scene(idempotent, "", |_| {}).await;
        let second = point("pp-2", &scene, &format!("idempotent = {idempotent}\n"));
        scene.settings = scene.settings.toml(&second);
        let _daemon = scene.daemon().await;
        scene.run("generate", &generate_job("c", people(2))).await;
        let before = scene.order("c", 1).await;
        // The answer is lost; the job asks again, or looks, and there is one.
        scene.sandbox.change(|settings| settings.payments.script = vec![F::Cut]).unwrap();
        let reroute = json!({"action": "reroute", "campaign": "c", "order": 1, "payment_point": "pp-2"});
        let result = scene.command(reroute).await;
        let order = scene.order("c", 1).await;
        assert_eq!(result["link"], format!("https://pay.example/pp-2/?p={}", order["short_code"].as_str().unwrap()));
        assert_eq!((payments(&scene).created, payments(&scene).duplicates), (3, 0));
        let shown = at_platform(&scene, &order).await;
        assert_eq!((&shown["status"], &shown["payment_point"]["id"]), (&json!("AVAILABLE"), &json!("pp-2")));
        assert_eq!(at_platform(&scene, &before).await["status"], "CANCELLED");
        assert_eq!(order["former"][0]["platform_id"], before["platform_id"]);
        campaign_audit(&mut scene.db, "c").await;
    }
}

#[tokio::test]
async fn po_17_the_first_success_pays_when_the_former_order_was_paid_before_it_was_re_routed() {
    let mut scene = scene(true, "", |_| {}).await;
    let second = point("pp-2", &scene, "idempotent = true\n");
    scene.settings = scene.settings.toml(&second);
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(1))).await;
    let before = scene.order("c", 1).await;
    pay(&scene, &before).await;
    scene.command(json!({"action": "reroute", "campaign": "c", "order": 1, "payment_point": "pp-2"})).await;
    let order = scene.order("c", 1).await;
    assert_eq!((&order["state"], &order["paid_minor"]), (&json!("paid"), &json!(1001)));
    assert_eq!(at_platform(&scene, &order).await["status"], "CANCELLED", "nobody pays the new one too");
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn a_payment_point_that_does_not_take_the_order_refuses_the_re_routing_with_its_code() {
    let mut scene = scene(true, "", |_| {}).await;
    let second = point("pp-2", &scene, "idempotent = true\n");
    scene.settings = scene.settings.toml(&second);
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(1))).await;
    scene.sandbox.change(|settings| settings.payments.script = vec![F::Refuse]).unwrap();
    let reroute = json!({"action": "reroute", "campaign": "c", "order": 1, "payment_point": "pp-2"});
    let (code, sentence) = scene.command_refused(reroute).await;
    assert_eq!(code, "provider_refused");
    assert!(sentence.contains("invalid_order"), "{sentence}");
    each_once(&mut scene, "c", 1).await;
}

#[tokio::test]
async fn po_16_a_scheduled_campaign_keeps_its_platform_and_fails_when_the_payment_point_is_gone() {
    let mut scene = scene(true, "", |_| {}).await;
    let second = point("pp-2", &scene, "");
    let with_two =
        std::mem::replace(&mut scene.settings, crate::support::daemon::Settings::new(&scene.redis)).toml(&second);
    scene.settings = with_two;
    let mut first = scene.daemon().await;
    let mut job = generate_job("c", people(2));
    job["payment_point"] = "pp-2".into();
    let channel = json!({"at": scene.now_ms().await + 3_000});
    job["delivery"] = channel;
    job["channel"] = "sms".into();
    job["message"] = json!({"text": "Hola", "url": "end"});
    scene.enqueue("generate", &job).await;
    scene.campaign_is("c", "scheduled").await;
    first.kill();
    scene.settings =
        crate::support::daemon::Settings::new(&scene.redis).sandbox_channel("sms", &scene.sandbox.url(), "");
    let _second = scene.daemon().await;
    scene.campaign_is("c", "failed").await;
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["failed_reason"].as_str(), campaign["orders"].as_str()), ("unknown_payment_point", "0"));
    assert_eq!(payments(&scene).asked, 0);
}
