//! The life of an order after its generation: expiry, payment and cancellation, from within and from without.

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::scene::{Scene, generate_job, people, send_job};
use crate::support::wait;

/// Lets the alarm of the campaign's first batch ring now, as it would when its time has come.
async fn ring(scene: &mut Scene, campaign: &str) {
    let now = scene.now_ms().await;
    let () = scene.db.zadd("remesa:scheduled", format!("expire|{campaign}|1"), now).await.unwrap();
}

async fn orders_are(scene: &mut Scene, campaign: &str, state: &str, count: u64) {
    let field = format!("orders:{state}");
    let key = format!("remesa:{{{campaign}}}:campaign");
    wait::field(&mut scene.db, &key, &field, &[&count.to_string()]).await;
}

#[tokio::test]
async fn the_sweeper_writes_expired_in_row_order_and_leaves_what_is_paid() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut job = generate_job("c", people(1_000));
    job["expires_in"] = "10m".into();
    scene.run("generate", &job).await;
    let alarm: i64 = scene.db.zscore("remesa:scheduled", "expire|c|1").await.unwrap();
    assert!(alarm <= scene.order("c", 1).await["expires_at"].as_i64().unwrap() + 1_000);
    scene.command(json!({"action": "order_event", "campaign": "c", "order": 7, "event": "paid"})).await;
    scene.command(json!({"action": "order_event", "campaign": "c", "order": 8, "event": "cancelled"})).await;
    let past = scene.now_ms().await - 1;
    scene.expire_at("c", 1..=700, past).await;
    ring(&mut scene, "c").await;
    orders_are(&mut scene, "c", "expired", 698).await;
    assert_eq!(
        (scene.order("c", 7).await["state"].as_str(), scene.order("c", 8).await["state"].as_str()),
        (Some("paid"), Some("cancelled"))
    );
    assert_eq!(scene.order("c", 701).await["state"], "available");
    // The sweep goes on when the next order is due, more than the ten seconds that an alarm hides.
    let next = scene.order("c", 701).await["expires_at"].as_i64().unwrap();
    wait::until("the alarm stands at the next expiry", async || {
        let alarm: Option<String> = scene.db.zscore("remesa:scheduled", "expire|c|1").await.unwrap();
        (alarm == Some(next.to_string())).then_some(())
    })
    .await;
    scene.expire_at("c", 701..=1_000, past).await;
    ring(&mut scene, "c").await;
    orders_are(&mut scene, "c", "expired", 998).await;
    wait::until("the alarm is gone with the last order", async || {
        scene.db.zscore::<_, _, Option<String>>("remesa:scheduled", "expire|c|1").await.unwrap().is_none().then_some(())
    })
    .await;
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn po_18_and_po_19_a_message_whose_order_is_no_longer_payable_is_skipped_with_the_reason() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    scene.run("generate", &send_job("c", people(5))).await;
    scene.command(json!({"action": "order_event", "campaign": "c", "order": 1, "event": "paid", "amount": 1001})).await;
    scene.command(json!({"action": "order_event", "campaign": "c", "key": "k-2", "event": "cancelled"})).await;
    let now = scene.now_ms().await;
    scene.expire_at("c", 3..=3, now - 1).await;
    scene.expire_at("c", 4..=4, now + 4 * 60_000).await;
    scene.expire_at("c", 5..=5, now + 6 * 60_000).await;
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    scene.finished("c").await;
    for (n, reason) in [(1, "order_paid"), (2, "order_cancelled"), (3, "order_expired"), (4, "expires_too_soon")] {
        assert_eq!(scene.outcome("c", n).await, ("k".to_owned(), 1, reason.to_owned()), "order {n}");
    }
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 1), ("skipped", 4)].into());
    let sent = scene.sandbox.inbox(None, 0, 10);
    assert_eq!(sent.len(), 1);
    assert!((300..=360).contains(&sent[0].validity_seconds.unwrap()), "{:?}", sent[0].validity_seconds);
}

#[tokio::test]
async fn po_20_cancelling_a_running_campaign_lets_what_is_in_flight_end_and_leaves_the_orders() {
    let mut scene = Scene::with("in_flight = 4\n", |sandbox| sandbox.hold = true).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(50))).await;
    counted(&scene.sandbox, "four in flight", |stats| stats.in_flight == 4).await;
    let result = scene.command(json!({"action": "cancel", "campaign": "c"})).await;
    assert_eq!(result["changed"], true);
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sending", 4), ("skipped", 46)].into());
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    scene.counted("c", "sent", 4).await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 4), ("skipped", 46)].into());
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["state"].as_str(), campaign["orders:available"].as_str()), ("cancelled", "50"));
    assert_eq!(scene.delivery("c").await["state"], "cancelled");
    // Again, and now with the orders: only those that are available.
    scene.command(json!({"action": "order_event", "campaign": "c", "order": 3, "event": "paid"})).await;
    let result = scene.command(json!({"action": "cancel", "campaign": "c", "cancel_orders": true})).await;
    assert_eq!((&result["changed"], &result["orders_cancelled"]), (&false.into(), &49.into()));
    assert_eq!(scene.order("c", 3).await["state"], "paid");
    campaign_audit(&mut scene.db, "c").await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 4);
}

#[tokio::test]
async fn po_20_cancelling_a_scheduled_campaign_generates_nothing() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut job = send_job("c", people(2));
    job["delivery"] = json!({"at": scene.now_ms().await + 700});
    scene.enqueue("generate", &job).await;
    wait::field(&mut scene.db, "remesa:job:gen-c", "state", &["scheduled"]).await;
    scene.command(json!({"action": "cancel", "campaign": "c"})).await;
    assert_eq!(scene.done("gen-c").await, json!({"campaign": "c", "cancelled": true, "orders": 0}));
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["state"].as_str(), campaign["orders"].as_str()), ("cancelled", "0"));
    assert_eq!(scene.sandbox.stats().requests, 0);
}

/// The state of an order, or why the event was refused.
async fn event(scene: &mut Scene, order: Value, event: &str) -> Result<String, (String, String)> {
    let mut command = json!({"action": "order_event", "event": event});
    for (field, value) in order.as_object().unwrap() {
        command[field] = value.clone();
    }
    let number: u64 = scene.db.incr("test:events", 1).await.unwrap();
    let id = format!("event-{number}");
    command["id"] = id.clone().into();
    scene.enqueue("control", &command).await;
    let job = scene.ended(&id).await;
    if job["state"] == "done" {
        let result: Value = serde_json::from_str(&job["result"]).unwrap();
        return Ok(result["state"].as_str().unwrap().to_owned());
    }
    Err((job["error_code"].clone(), job["error"].clone()))
}

#[tokio::test]
async fn an_order_event_takes_a_legal_edge_once_and_is_refused_on_any_other() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(6))).await;
    let code = scene.order("c", 3).await["short_code"].clone();
    let (first, second) = (json!({"campaign": "c", "order": 1}), json!({"campaign": "c", "key": "k-2"}));
    assert_eq!(event(&mut scene, first.clone(), "paid").await.unwrap(), "paid");
    // A webhook repeats itself.
    assert_eq!(event(&mut scene, first.clone(), "paid").await.unwrap(), "paid");
    assert_eq!(event(&mut scene, second.clone(), "cancelled").await.unwrap(), "cancelled");
    assert_eq!(event(&mut scene, json!({"short_code": code}), "paid").await.unwrap(), "paid");
    let (wrong, sentence) = event(&mut scene, first, "cancelled").await.unwrap_err();
    assert_eq!(wrong, "wrong_state");
    assert!(sentence.contains("paid") && sentence.contains("refunded"), "{sentence}");
    let (wrong, sentence) = event(&mut scene, second, "paid").await.unwrap_err();
    assert_eq!(wrong, "wrong_state");
    assert!(sentence.contains("nothing"), "{sentence}");
    for missing in [
        json!({"campaign": "c", "order": 7}),
        json!({"campaign": "c", "key": "k-9"}),
        json!({"short_code": "AAAAAAAAAA"}),
    ] {
        assert_eq!(event(&mut scene, missing, "paid").await.unwrap_err().0, "unknown_order");
    }
    // Payable is judged by the clock, not by the sweeper; a payment made in time may be told late.
    let now = scene.now_ms().await;
    scene.expire_at("c", 4..=5, now - 60_000).await;
    assert_eq!(event(&mut scene, json!({"campaign": "c", "order": 4}), "paid").await.unwrap_err().0, "wrong_state");
    let in_time = json!({"campaign": "c", "order": 5, "occurred_at": now - 120_000});
    assert_eq!(event(&mut scene, in_time, "paid").await.unwrap(), "paid");
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["orders:paid"].as_str(), campaign["orders:cancelled"].as_str()), ("3", "1"));
    campaign_audit(&mut scene.db, "c").await;
    // One event for each edge that was taken, none for the repetition.
    let results: redis::streams::StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
    let told: Vec<String> = results
        .ids
        .iter()
        .filter(|entry| entry.get::<String>("type").unwrap() == "order")
        .map(|entry| entry.get("event").unwrap())
        .collect();
    assert_eq!(told, ["c/1/paid", "c/2/cancelled", "c/3/paid", "c/5/paid"]);
}

#[tokio::test]
async fn da_7_an_action_in_the_wrong_state_is_refused_with_the_state_and_what_is_allowed() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(1))).await;
    scene.campaign_is("c", "delivered").await;
    for (command, state) in [
        (json!({"action": "pause", "campaign": "c"}), "delivered"),
        (json!({"action": "resume", "campaign": "c"}), "delivered"),
        (json!({"action": "cancel", "campaign": "c", "run": "delivery@1"}), "finished"),
    ] {
        let (code, sentence) = scene.command_refused(command).await;
        assert_eq!(code, "wrong_state");
        assert!(sentence.contains(state) && sentence.contains("allowed"), "{sentence}");
    }
    assert_eq!(scene.command_refused(json!({"action": "pause", "campaign": "other"})).await.0, "unknown_campaign");
    assert_eq!(
        scene.command_refused(json!({"action": "retry", "campaign": "c", "run": "x", "states": "all"})).await.0,
        "unknown_run"
    );
    assert_eq!(scene.command_refused(json!({"action": "pause", "channel": "fax"})).await.0, "unknown_channel");
}
