//! The three ways to deliver, the gates before them, and the text that leaves.

use redis::AsyncCommands as _;
use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::scene::{Scene, generate_job, people, phone, send_job};
use crate::support::wait;

#[tokio::test]
async fn send_now_generates_and_sends_and_the_campaign_is_delivered() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let result = scene.run("generate", &send_job("c", people(150))).await;
    assert_eq!((&result["orders"], &result["run"]), (&150.into(), &"delivery@1".into()));
    let run = scene.finished("c").await;
    assert_eq!((run["total"].as_str(), run["sent"].as_str()), ("150", "150"));
    scene.campaign_is("c", "delivered").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 150)].into());
    let stats = scene.sandbox.stats();
    assert_eq!((stats.counts.accepted, stats.counts.distinct, stats.counts.recipients), (150, 150, 150));
}

#[tokio::test]
async fn a_message_carries_the_text_the_link_a_signed_reference_and_the_life_of_its_order() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut rows = people(1);
    rows[0]["amount"] = 1250.into();
    let mut job = send_job("c", rows);
    job["message"] = json!({"text": " {{ url }}   Hola {{ name }}, son {{ amount }} {{ currency }} "});
    scene.run("generate", &job).await;
    scene.finished("c").await;
    let (message, order) = (scene.sandbox.inbox(None, 0, 1).remove(0), scene.order("c", 1).await);
    let code = order["short_code"].as_str().unwrap();
    assert_eq!(message.text, format!("https://pay.example/?p={code} Hola Ana 1, son 12.50 EUR"));
    assert_eq!((message.to.as_str(), message.from.as_deref()), (phone(1).as_str(), Some("REMESA")));
    assert!(message.reference.unwrap().starts_with("c/delivery@1/1.0/1."));
    assert_eq!(message.idempotency_key.as_deref(), Some("c/delivery@1/1.0/1"));
    // PO-7: 48 hours from the generation of the order; PO-19: the provider tries no longer than that.
    let life = order["expires_at"].as_i64().unwrap() - order["created_at"].as_i64().unwrap();
    assert_eq!(life, 48 * 3_600_000);
    let validity = message.validity_seconds.unwrap();
    assert!((48 * 3600 - 120..=48 * 3600).contains(&validity), "{validity}");
}

#[tokio::test]
async fn po_1_send_now_generates_rows_without_a_number_and_skips_their_message() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut rows = people(3);
    rows[1]["SMScontact"] = "12".into();
    rows[2].as_object_mut().unwrap().remove("SMScontact");
    let result = scene.run("generate", &send_job("c", rows)).await;
    assert_eq!((&result["orders"], &result["without_valid_contact"]), (&3.into(), &2.into()));
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 1), ("skipped", 2)].into());
    assert_eq!(scene.outcome("c", 3).await, ("k".to_owned(), 1, "no_valid_contact".to_owned()));
    assert_eq!(scene.order("c", 3).await["state"], "available");
}

#[tokio::test]
async fn po_1_send_now_without_any_number_is_refused_and_generates_nothing() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", vec![json!({"amount": 1, "name": "Ana"})])).await;
    let (code, sentence) = scene.refused("gen-c").await;
    assert_eq!(code, "no_valid_contact");
    assert!(sentence.contains("just generate"), "{sentence}");
    assert!(scene.campaign("c").await.is_empty());
}

#[tokio::test]
async fn po_2_a_scheduled_delivery_with_a_row_without_a_number_is_refused_with_the_row() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut rows = people(3);
    rows[1]["SMScontact"] = "none".into();
    let mut job = send_job("c", rows);
    job["delivery"] = json!({"at": scene.now_ms().await + 300});
    scene.enqueue("generate", &job).await;
    let (code, sentence) = scene.refused("gen-c").await;
    assert_eq!(code, "invalid_contacts");
    assert!(sentence.contains("rows 2;"), "{sentence}");
    assert!(scene.campaign("c").await.is_empty());
    // The first reading of the product's page, for those who want it.
    job["allow_partial"] = true.into();
    job["campaign"] = "partial".into();
    job["id"] = "gen-partial".into();
    job["delivery"] = json!({"at": scene.now_ms().await + 100});
    scene.run("generate", &job).await;
    scene.finished("partial").await;
    assert_eq!(campaign_audit(&mut scene.db, "partial").await, [("sent", 2), ("skipped", 1)].into());
}

#[tokio::test]
async fn a_scheduled_delivery_generates_and_sends_at_its_time_and_not_before() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let at = scene.now_ms().await + 700;
    let mut job = send_job("c", people(5));
    job["delivery"] = json!({"at": at});
    scene.enqueue("generate", &job).await;
    wait::field(&mut scene.db, "remesa:job:gen-c", "state", &["scheduled"]).await;
    assert_eq!(scene.campaign("c").await["state"], "scheduled");
    scene.finished("c").await;
    assert!(scene.order("c", 1).await["created_at"].as_i64().unwrap() >= at);
    assert!(scene.sandbox.inbox(None, 0, 10).iter().all(|message| message.at_ms >= at));
    scene.campaign_is("c", "delivered").await;
}

#[tokio::test]
async fn the_gates_are_judged_again_at_the_time_and_the_campaign_fails_with_the_reason() {
    let mut scene = Scene::new().await;
    scene.settings.spool("later.csv", "amount,SMScontact\n1,+34600000001\n");
    let _daemon = scene.daemon().await;
    let mut job = send_job("c", Vec::<serde_json::Value>::new());
    job.as_object_mut().unwrap().remove("rows");
    job["rows_from"] = json!({"file": "later.csv"});
    job["message"] = json!({"text": "Hola"});
    job["delivery"] = json!({"at": scene.now_ms().await + 700});
    scene.enqueue("generate", &job).await;
    wait::field(&mut scene.db, "remesa:job:gen-c", "state", &["scheduled"]).await;
    scene.settings.spool("later.csv", "amount,SMScontact\n1,nobody\n");
    assert_eq!(scene.refused("gen-c").await.0, "invalid_contacts");
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["state"].as_str(), campaign["failed_reason"].as_str()), ("failed", "invalid_contacts"));
    assert_eq!(campaign["orders"], "0");
}

#[tokio::test]
async fn po_16_a_payment_point_that_is_gone_at_the_time_fails_the_campaign_and_generates_nothing() {
    let mut scene = Scene::new().await;
    let (plain, redis_url) = (scene.sandbox.url(), scene.redis.url());
    let with_points = |points: &str| {
        crate::support::daemon::Settings::with_redis_url(&redis_url).sandbox_channel("sms", &plain, "").toml(points)
    };
    scene.settings = with_points("[payment_points.pp-old]\n[orders]\ndefault_payment_point = \"pp-old\"\n");
    let mut before = scene.daemon().await;
    let mut job = send_job("c", people(2));
    job["delivery"] = json!({"at": scene.now_ms().await + 1_500});
    scene.enqueue("generate", &job).await;
    wait::field(&mut scene.db, "remesa:job:gen-c", "state", &["scheduled"]).await;
    before.kill();
    // The default is another one by now: the campaign keeps to what it was created with.
    let _after =
        Daemon::start(&with_points("[payment_points.pp-new]\n[orders]\ndefault_payment_point = \"pp-new\"\n")).await;
    let (code, sentence) = scene.refused("gen-c").await;
    assert_eq!(code, "unknown_payment_point");
    assert!(sentence.contains("pp-old"), "{sentence}");
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["state"].as_str(), campaign["orders"].as_str()), ("failed", "0"));
    assert_eq!(campaign["failed_reason"], "unknown_payment_point");
}

#[tokio::test]
async fn an_append_is_sent_as_a_run_of_its_own_over_its_own_rows() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(30))).await;
    scene.campaign_is("c", "delivered").await;
    let mut more = send_job("c", people(50).split_off(30));
    (more["id"], more["append"]) = ("more".into(), true.into());
    let result = scene.run("generate", &more).await;
    assert_eq!((&result["orders"], &result["run"]), (&20.into(), &"delivery@2".into()));
    wait::field(&mut scene.db, "remesa:{c}:run:delivery@2", "state", &["finished"]).await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 50)].into());
    let stats = counted(&scene.sandbox, "50 messages", |stats| stats.counts.accepted >= 50).await;
    assert_eq!((stats.counts.accepted, stats.counts.repeated_recipients), (50, 0));
    let run: (u64, u64) = scene.db.hmget("remesa:{c}:run:delivery@2", &["first", "end"]).await.unwrap();
    assert_eq!(run, (31, 50));
}

#[tokio::test]
async fn bm_22_a_row_that_lacks_a_variable_fails_alone() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut rows = people(3);
    rows[1]["name"] = "".into();
    rows[2]["name"] = "x".repeat(700).into();
    scene.run("generate", &send_job("c", rows)).await;
    scene.finished("c").await;
    assert_eq!(scene.outcome("c", 2).await, ("f".to_owned(), 1, "missing_variable:name".to_owned()));
    assert_eq!(scene.outcome("c", 3).await, ("f".to_owned(), 1, "text_too_long".to_owned()));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("failed", 2), ("sent", 1)].into());
}

#[tokio::test]
async fn just_generate_makes_no_run_and_needs_no_channel() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(3))).await;
    assert_eq!(scene.campaign("c").await["state"], "generated");
    assert_eq!(scene.db.zcard::<_, u64>("remesa:{c}:runs").await.unwrap(), 0);
    assert_eq!(scene.sandbox.stats().requests, 0);
}
