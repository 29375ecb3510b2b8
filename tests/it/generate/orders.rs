//! What happens to one order after it was made: payments, refunds, another payment point.

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, generate_job, people, send_job};

/// The events of orders on the results stream, in their order.
async fn told(scene: &mut Scene) -> Vec<Value> {
    let results: redis::streams::StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
    let orders = results.ids.iter().filter(|entry| entry.get::<String>("type").unwrap() == "order");
    orders.map(|entry| serde_json::from_str(&entry.get::<String>("data").unwrap()).unwrap()).collect()
}

fn event(order: u64, event: &str, more: &Value) -> Value {
    let mut command = json!({"action": "order_event", "campaign": "c", "order": order, "event": event});
    for (field, value) in more.as_object().unwrap() {
        command[field] = value.clone();
    }
    command
}

#[tokio::test]
async fn refunds_follow_the_sums_and_every_change_is_told_once() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(2))).await;
    let at = scene.now_ms().await - 60_000;
    let result = scene.command(event(1, "paid", &json!({"occurred_at": at}))).await;
    assert_eq!(
        (&result["state"], &result["paid_minor"], &result["changed"]),
        (&json!("paid"), &json!(1001), &json!(true))
    );
    let part = |at: i64, amount: u64| event(1, "partially_refunded", &json!({"occurred_at": at, "amount": amount}));
    let result = scene.command(part(at + 1, 300)).await;
    assert_eq!((&result["state"], &result["refunded_minor"]), (&json!("partially_refunded"), &json!(300)));
    // A webhook repeats itself; another refund of the same sum does not.
    assert_eq!(scene.command(part(at + 1, 300)).await["changed"], false);
    assert_eq!(scene.command(part(at + 2, 300)).await["refunded_minor"], 600);
    for (command, rule) in [
        (part(at + 3, 402), "1 to 401"),
        (event(1, "refunded", &json!({"amount": 400})), "partially_refunded, not refunded"),
    ] {
        let (code, sentence) = scene.command_refused(command).await;
        assert_eq!(code, "invalid_refund");
        assert!(sentence.contains(rule), "{sentence}");
    }
    // All that is left is all.
    assert_eq!(scene.command(part(at + 4, 401)).await["state"], "refunded");
    assert_eq!(scene.command(event(1, "refunded", &json!({}))).await["changed"], false);
    let (code, sentence) = scene.command_refused(event(2, "refunded", &json!({}))).await;
    assert_eq!(code, "wrong_state");
    assert!(sentence.contains("available") && sentence.contains("paid, cancelled"), "{sentence}");
    let order = scene.order("c", 1).await;
    assert_eq!((&order["paid_minor"], &order["refunded_minor"]), (&json!(1001), &json!(1001)));
    assert_eq!(order["history"][0], json!({"event": "paid", "at": at, "amount": 1001}));
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["orders:refunded"].as_str(), campaign["orders:available"].as_str()), ("1", "1"));
    campaign_audit(&mut scene.db, "c").await;
    let told = told(&mut scene).await;
    let ids: Vec<&str> = told.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(ids, ["c/1/paid", "c/1/partially_refunded/300", "c/1/partially_refunded/600", "c/1/refunded/1001"]);
    assert_eq!(
        (&told[1]["amount"], &told[1]["refunded"], &told[1]["occurred_at"]),
        (&json!(300), &json!(300), &json!(at + 1))
    );
}

#[tokio::test]
async fn po_17_a_re_routed_order_has_a_new_link_and_its_old_ones_still_lead_to_it() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.toml("[payment_points.pp-2]\nlink_base = \"https://two.example/pay\"");
    let mut daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(2))).await;
    scene.campaign_is("c", "delivered").await;
    let first = scene.order("c", 1).await;
    let first_code = first["short_code"].as_str().unwrap().to_owned();
    let reroute = json!({"id": "move-1", "action": "reroute", "campaign": "c", "order": 1, "payment_point": "pp-2"});
    scene.enqueue("control", &reroute).await;
    let result = scene.done("move-1").await;
    let order = scene.order("c", 1).await;
    let code = order["short_code"].as_str().unwrap().to_owned();
    assert_ne!(code, first_code);
    assert_eq!(result["link"], format!("https://two.example/pay/?p={code}"));
    assert_eq!((&order["payment_point"], &order["state"]), (&json!("pp-2"), &json!("available")));
    let former = &order["former"][0];
    assert_eq!(
        (former["short_code"].as_str().unwrap(), former["job"].as_str().unwrap()),
        (first_code.as_str(), "move-1")
    );
    assert!(former["until"].as_i64().unwrap() >= order["created_at"].as_i64().unwrap());
    // Back and forth: to where it is nothing happens, to the campaign's own it is a third link.
    let to = |point: &str| json!({"action": "reroute", "short_code": first_code, "payment_point": point});
    assert_eq!(scene.command(to("pp-2")).await["changed"], false);
    let back = scene.command(to("pp-main")).await;
    assert!(back["link"].as_str().unwrap().starts_with("https://pay.example/?p="), "{back}");
    assert_eq!(scene.command_refused(to("pp-9")).await.0, "unknown_payment_point");
    // Nothing was sent again.
    assert_eq!(scene.sandbox.stats().requests, 2);
    // The first success pays, by whichever link; then there is nothing to re-route.
    for code in [&first_code, &code] {
        let (head, rest) = code.split_at(3);
        let target: String = scene.db.hget(format!("remesa:links:{head}"), rest).await.unwrap();
        assert_eq!(target, "c/1");
    }
    scene.command(json!({"action": "order_event", "short_code": first_code, "event": "paid"})).await;
    assert_eq!(scene.order("c", 1).await["state"], "paid");
    let (wrong, sentence) = scene.command_refused(to("pp-2")).await;
    assert_eq!(wrong, "wrong_state");
    assert!(sentence.contains("is paid"), "{sentence}");
    let (now, expired) =
        (scene.now_ms().await, json!({"action": "reroute", "campaign": "c", "order": 2, "payment_point": "pp-2"}));
    scene.expire_at("c", 2..=2, now - 1).await;
    assert!(scene.command_refused(expired).await.1.contains("is expired"), "judged by the clock");
    campaign_audit(&mut scene.db, "c").await;
    let ids: Vec<Value> = told(&mut scene).await.iter().map(|event| event["event"].clone()).collect();
    assert!(ids.starts_with(&[json!("c/1/rerouted/1"), json!("c/1/rerouted/2"), json!("c/1/paid")]), "{ids:?}");
    assert!(daemon.is_running());
}
