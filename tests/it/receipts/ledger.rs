//! What receipts do to the ledger (DA-4, DA-6, DA-1, PO-5): by rank, in any order, and nothing twice.

use redis::AsyncCommands as _;
use remesa::sandbox::Fate;
use serde_json::{Value, json};

use super::Provider;
use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::scene::{Scene, people, phone, run_key, send_job};
use crate::support::wait;

/// State letter of a recipient.
async fn letter(scene: &mut Scene, n: u64) -> String {
    scene.outcome("c", n).await.0
}

/// The events that receipts wrote, once all is published.
async fn told_by_receipt(scene: &mut Scene) -> Vec<Value> {
    let outbox = "remesa:{c}:outbox";
    wait::until("all is published", async || (scene.db.xlen::<_, u64>(outbox).await.unwrap() == 0).then_some(())).await;
    let stream: redis::streams::StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
    let events =
        stream.ids.iter().map(|entry| serde_json::from_str::<Value>(&entry.get::<String>("data").unwrap()).unwrap());
    events.filter(|event| event["by"] == "receipt").collect()
}

#[tokio::test]
async fn da_4_receipts_count_by_their_rank_whatever_order_they_come_in() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(8))).await;
    scene.finished("c").await;
    for (n, told, end) in [
        (1, vec![("delivered", "applied"), ("delivered", "old"), ("sent", "old"), ("expired", "old")], "d"),
        (2, vec![("sent", "old"), ("undelivered", "applied"), ("expired", "old"), ("delivered", "applied")], "d"),
        (3, vec![("expired", "applied"), ("delivered", "applied"), ("undelivered", "old")], "d"),
        (4, vec![("expired", "applied"), ("expired", "old"), ("sent", "old")], "x"),
        (5, vec![("undelivered", "applied"), ("failed", "old")], "u"),
        (6, vec![("rejected", "applied"), ("undelivered", "old")], "f"),
        (7, vec![("queued", "ignored"), ("sending", "ignored")], "s"),
    ] {
        for (state, counted) in told {
            assert_eq!(provider.says("c", n, state).await, counted, "{state} of {n}");
            campaign_audit(&mut scene.db, "c").await;
        }
        assert_eq!(letter(&mut scene, n).await, end, "{n}");
    }
    let counted = campaign_audit(&mut scene.db, "c").await;
    let expected = [("delivered", 3), ("expired", 1), ("undelivered", 1), ("failed", 1), ("sent", 2)];
    assert_eq!(counted, expected.into());
}

#[tokio::test]
async fn da_4_a_receipt_says_why_and_when_and_keeps_the_providers_id() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(1))).await;
    scene.finished("c").await;
    let sent_at: i64 = scene.cell("c", 1).await.unwrap().split(',').nth(2).unwrap().parse().unwrap();
    let at = sent_at + 7;
    let report = json!({"reference": provider.reference("c", 1, 1), "state": "UNDELIV", "reason": 27, "at": at});
    wait::until("the clock has passed it", async || (scene.now_ms().await > at).then_some(())).await;
    assert_eq!(provider.counted(&report).await, "applied");
    let cell = scene.cell("c", 1).await.unwrap();
    assert_eq!(cell.rsplit_once(',').unwrap().0, format!("u,1,{at},receipt:27"));
    assert!(cell.contains(",sb-"), "{cell}");
    // A time before the sending, or one to come, is the provider's clock and not the truth.
    let report = json!({"reference": provider.reference("c", 1, 1), "state": "DELIVRD", "at": 1_000_000_000_000_i64});
    assert_eq!(provider.counted(&report).await, "applied");
    assert!(scene.cell("c", 1).await.unwrap().starts_with(&format!("d,1,{at},,sb-")));
}

#[tokio::test]
async fn da_4_a_receipt_that_overtakes_the_providers_answer_stands_and_gets_its_id() {
    let mut scene = Scene::with("in_flight = 8\n", |sandbox| sandbox.hold = true).await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(8))).await;
    counted(&scene.sandbox, "all are accepted", |stats| stats.counts.accepted == 8).await;
    let without_id = |n, state: &str| json!({"reference": provider.reference("c", n, 1), "state": state});
    assert_eq!(provider.counted(&without_id(1, "delivered")).await, "applied");
    assert_eq!(provider.counted(&without_id(2, "undelivered")).await, "applied");
    assert_eq!(provider.counted(&without_id(3, "sent")).await, "applied");
    campaign_audit(&mut scene.db, "c").await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    scene.finished("c").await;
    wait::until("the answer has added the id", async || {
        let mut with_id = 0;
        for n in 1..=3 {
            with_id += usize::from(scene.cell("c", n).await.unwrap().contains(",sb-"));
        }
        (with_id == 3).then_some(())
    })
    .await;
    let counted = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(counted, [("delivered", 1), ("undelivered", 1), ("sent", 6)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, 8);
}

#[tokio::test]
async fn da_1_a_receipt_resolves_what_is_unknown_and_unknown_holds_no_run_up() {
    let mut scene = Scene::with("", |sandbox| {
        sandbox.recipients = (1..=4).map(|n| (phone(n), Fate::Cut)).collect();
    })
    .await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(5))).await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 1), ("unknown", 4)].into());
    for (n, state) in [(1, "sent"), (2, "delivered"), (3, "undelivered")] {
        assert_eq!(provider.says("c", n, state).await, "applied");
    }
    assert_eq!(scene.cell("c", 1).await.unwrap().split(',').next_back(), Some("p-1"));
    let counted = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(counted, [("sent", 2), ("delivered", 1), ("undelivered", 1), ("unknown", 1)].into());
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
}

#[tokio::test]
async fn da_1_a_receipt_ends_a_run_that_waits_for_a_dead_daemons_answer() {
    let mut scene = Scene::with("in_flight = 4\n", |sandbox| sandbox.hold = true).await;
    scene.settings = std::mem::replace(&mut scene.settings, crate::support::daemon::Settings::new(&scene.redis))
        .set("leases.lease", "60s")
        .set("leases.renew", "5s");
    let mut dead = scene.daemon().await;
    scene.run("generate", &send_job("c", people(2))).await;
    counted(&scene.sandbox, "both are accepted", |stats| stats.counts.accepted == 2).await;
    dead.kill();
    // Another daemon takes receipts, and the lease of the dead one is long.
    let settings = scene.settings.instance("two");
    let daemon = crate::support::daemon::Daemon::start(&settings).await;
    let provider = Provider::of(&mut scene, &daemon).await;
    for n in 1..=2 {
        assert_eq!(provider.says("c", n, "delivered").await, "applied");
    }
    scene.finished("c").await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("delivered", 2)].into());
}

#[tokio::test]
async fn da_4_news_of_a_recipient_that_waits_for_a_retry_decides_by_rank_and_nothing_delivered_is_sent_again() {
    let keys = "idempotent = true\nretry_base = \"1h\"\nretry_cap = \"1h\"\nbreaker_failures = 100000\n";
    let mut scene = Scene::with(keys, |sandbox| sandbox.fail_per_mille = 1000).await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(4))).await;
    scene.counted("c", "retry", 4).await;
    for (n, state) in [(1, "delivered"), (2, "sent"), (3, "undelivered")] {
        assert_eq!(provider.says("c", n, state).await, "applied", "{state}");
    }
    let expected = [("delivered", 1), ("sent", 1), ("undelivered", 1), ("retry", 1)];
    assert_eq!(campaign_audit(&mut scene.db, "c").await, expected.into());
    let waiting: Vec<u64> = scene.db.zrange(format!("{}:retry", run_key("c")), 0, -1).await.unwrap();
    assert_eq!(waiting, [4], "nothing else is due again");
    assert_eq!(provider.says("c", 4, "delivered").await, "applied");
    scene.finished("c").await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 0);
}

#[tokio::test]
async fn da_4_old_news_does_not_take_an_operators_retry_back_but_what_was_delivered_is_not_sent_again() {
    let mut scene = Scene::with("", |sandbox| sandbox.refuse_per_mille = 1000).await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(3))).await;
    scene.finished("c").await;
    scene.sandbox.change(|settings| settings.refuse_per_mille = 0).unwrap();
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    scene.command(json!({"action": "retry", "campaign": "c", "run": "delivery@1", "states": "failed"})).await;
    for state in ["failed", "undelivered", "sent"] {
        assert_eq!(provider.says("c", 1, state).await, "old", "{state} of an attempt left behind");
    }
    assert_eq!(provider.says("c", 2, "delivered").await, "applied");
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("queued", 2), ("delivered", 1)].into());
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 2), ("delivered", 1)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, 2, "the delivered one is not sent again");
    // The first attempt's failure comes once more: the second one has been sent.
    assert_eq!(provider.says("c", 1, "undelivered").await, "old");
    let second = json!({"reference": provider.reference("c", 1, 2), "state": "undelivered"});
    assert_eq!(provider.counted(&second).await, "applied");
    assert_eq!(provider.says("c", 1, "delivered").await, "applied", "the first one was delivered after all");
    campaign_audit(&mut scene.db, "c").await;
    // Readers go by the attempt: the event has the one that the ledger counts.
    assert!(scene.cell("c", 1).await.unwrap().starts_with("d,2,"));
    let told = told_by_receipt(&mut scene).await;
    let of_1: Vec<_> = told.iter().filter(|e| e["order"] == 1).map(|e| (e["event"].as_str(), &e["attempt"])).collect();
    let expected =
        [(Some("c/delivery@1/1.0/2/undelivered"), &json!(2)), (Some("c/delivery@1/1.0/2/delivered"), &json!(2))];
    assert_eq!(of_1, expected);
}

#[tokio::test]
async fn da_1_what_was_unknown_and_waits_for_an_operators_retry_is_not_sent_again_once_a_receipt_says_sent() {
    let mut scene = Scene::with("", |sandbox| {
        sandbox.recipients = (1..=2).map(|n| (phone(n), Fate::Cut)).collect();
    })
    .await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(2))).await;
    scene.finished("c").await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    scene.command(json!({"action": "retry", "campaign": "c", "run": "delivery@1", "states": "unknown"})).await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("queued", 2)].into());
    for n in 1..=2 {
        assert_eq!(provider.says("c", n, "undelivered").await, "old", "it did not arrive: the retry stands");
        assert_eq!(provider.says("c", n, "sent").await, "applied");
    }
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 2)].into());
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    scene.finished("c").await;
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
}

#[tokio::test]
async fn da_9_a_receipt_after_forget_brings_no_id_of_the_provider_back() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(2))).await;
    scene.finished("c").await;
    scene.command(json!({"action": "forget", "contact": phone(1)})).await;
    for n in 1..=2 {
        assert_eq!(provider.says("c", n, "delivered").await, "applied");
    }
    assert!(scene.cell("c", 1).await.unwrap().ends_with(",,"));
    assert!(scene.cell("c", 2).await.unwrap().ends_with(",p-2"));
    let told = told_by_receipt(&mut scene).await;
    let ids: Vec<_> = told.iter().map(|event| (event["order"].as_u64(), event["provider_id"].as_str())).collect();
    assert_eq!(ids, [(Some(1), None), (Some(2), Some("p-2"))]);
}

#[tokio::test]
async fn da_4_in_a_cancelled_run_only_what_was_sent_has_news() {
    let keys = "idempotent = true\nretry_base = \"1h\"\nretry_cap = \"1h\"\nbreaker_failures = 100000\n";
    let mut scene = Scene::with(keys, |sandbox| sandbox.fail_per_mille = 1000).await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(3))).await;
    scene.counted("c", "retry", 3).await;
    scene.command(json!({"action": "cancel", "campaign": "c"})).await;
    assert_eq!(provider.says("c", 1, "delivered").await, "applied");
    assert_eq!(provider.says("c", 2, "undelivered").await, "old");
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("skipped", 2), ("delivered", 1)].into());
    scene.campaign_is("c", "cancelled").await;
}

#[tokio::test]
async fn po_5_receipts_of_handsets_come_later_and_do_not_move_the_campaign() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(2))).await;
    scene.campaign_is("c", "delivered").await;
    let before = scene.campaign("c").await;
    provider.says("c", 1, "undelivered").await;
    provider.says("c", 2, "delivered").await;
    let after = scene.campaign("c").await;
    for field in ["state", "delivered_at", "running_runs"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    assert_eq!(scene.delivery("c").await["state"], "finished");
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("undelivered", 1), ("delivered", 1)].into());
}

#[tokio::test]
async fn da_4_a_job_brings_a_receipt_the_same_way() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(2))).await;
    scene.finished("c").await;
    let job = |n, state: &str| {
        json!({"action": "receipt", "reference": provider.reference("c", n, 1), "state": state,
               "reason": "30003", "provider_id": "SM-1", "at": "2026-01-01T00:00:00Z"})
    };
    let told = scene.command(job(1, "undelivered")).await;
    assert_eq!(
        told,
        json!({"campaign": "c", "run": "delivery@1", "order": 1, "attempt": 1, "applied": true, "state": "undelivered"})
    );
    let told = scene.command(job(1, "sent")).await;
    assert_eq!((&told["applied"], &told["state"]), (&json!(false), &json!("undelivered")));
    assert!(scene.cell("c", 1).await.unwrap().ends_with(",receipt:30003,SM-1"));
    let mut foreign = job(2, "delivered");
    foreign["reference"] = "c/delivery@1/2.0/1.0123456789".into();
    assert_eq!(scene.command_refused(foreign).await.0, "unknown_reference");
    let gone = json!({"action": "receipt", "reference": provider.reference("gone", 1, 1), "state": "delivered"});
    assert_eq!(scene.command_refused(gone).await.0, "unknown_reference");
    let queued = json!({"action": "receipt", "reference": "x", "state": "queued"});
    assert_eq!(scene.command_refused(queued).await.0, "invalid_value");
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn da_4_each_change_by_a_receipt_has_one_event_that_says_who_it_is_about() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(1))).await;
    scene.finished("c").await;
    for state in ["expired", "expired", "delivered", "delivered"] {
        provider.says("c", 1, state).await;
    }
    let told = told_by_receipt(&mut scene).await;
    let ids: Vec<&str> = told.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(ids, ["c/delivery@1/1.0/1/expired", "c/delivery@1/1.0/1/delivered"]);
    let at: i64 = scene.cell("c", 1).await.unwrap().split(',').nth(2).unwrap().parse().unwrap();
    let expected = json!({"event": "c/delivery@1/1.0/1/delivered", "type": "delivery", "campaign": "c", "run": "delivery@1",
        "order": 1, "key": "k-1", "reference": "A-1", "contact": "+34******001", "state": "delivered", "by": "receipt",
        "attempt": 1, "provider_id": "p-1", "at": at});
    assert_eq!(told[1], expected);
}
