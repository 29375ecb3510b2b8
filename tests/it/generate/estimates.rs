//! What a job with a delivery foretells: when sending starts and ends, what to warn of; and the texts it then sends.

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::provider::counted;
use crate::support::scene::{Scene, generate_job, people, send_job};
use crate::support::wait;

/// The codes of the warnings in a job's result.
fn codes(result: &Value) -> Vec<&str> {
    result["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn po_7_the_result_and_the_campaign_say_when_sending_will_start_and_end() {
    let mut scene = Scene::with("rate_per_second = 50\n", |_| {}).await;
    let _daemon = scene.daemon().await;
    let before = scene.now_ms().await;
    let result = scene.run("generate", &send_job("c", people(100))).await;
    let (start, end) = (result["estimated_start"].as_i64().unwrap(), result["estimated_end"].as_i64().unwrap());
    assert!((before..=scene.now_ms().await).contains(&start), "{result}");
    assert_eq!(end - start, 2000, "100 parts at 50 a second");
    let campaign = scene.campaign("c").await;
    assert_eq!(
        (campaign["estimated_start"].clone(), campaign["estimated_end"].clone()),
        (start.to_string(), end.to_string())
    );
    assert_eq!(codes(&result), [""; 0]);
    scene.finished("c").await;
    let last = scene.sandbox.inbox(None, 99, 1)[0].at_ms;
    assert!((end - last).abs() < 1500, "the last left at {last}, {end} was said");
}

#[tokio::test]
async fn po_7_a_scheduled_delivery_starts_at_its_time_and_without_a_rate_no_end_is_said() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let at = scene.now_ms().await + 3_600_000;
    let mut job = send_job("c", people(3));
    job["delivery"] = json!({"at": at});
    scene.enqueue("generate", &job).await;
    wait::field(&mut scene.db, "remesa:job:gen-c", "state", &["scheduled"]).await;
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["estimated_start"].clone(), campaign.get("estimated_end")), (at.to_string(), None));
}

#[tokio::test]
async fn po_7_orders_that_would_expire_before_their_turn_are_warned_of_at_acceptance() {
    // 10 minutes of life less a floor of 5 are 300 seconds: at 2 parts a second the first 601 messages are in time.
    let mut scene = Scene::with("rate_per_second = 2\n", |_| {}).await;
    let _daemon = scene.daemon().await;
    let mut job = send_job("c", people(700));
    job["expires_in"] = "10m".into();
    let result = scene.run("generate", &job).await;
    assert_eq!(codes(&result), ["will_expire_unsent"]);
    let sentence = result["warnings"][0]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("99 of 700 orders will have less than 5m to live"), "{sentence}");
    assert!(scene.campaign("c").await["warnings"].contains("will_expire_unsent"));
    scene.command(json!({"action": "cancel", "campaign": "c"})).await;
}

#[tokio::test]
async fn po_7_what_waits_on_the_channel_already_goes_first() {
    let mut scene = Scene::with("rate_per_second = 5\n", |_| {}).await;
    let _daemon = scene.daemon().await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    scene.run("generate", &send_job("first", people(50))).await;
    wait::field(&mut scene.db, "remesa:depth", "sms:parts", &["50"]).await;
    let result = scene.run("generate", &send_job("second", people(10))).await;
    let lasts = result["estimated_end"].as_i64().unwrap() - result["estimated_start"].as_i64().unwrap();
    assert_eq!(lasts, 12_000, "60 parts at 5 a second");
}

#[tokio::test]
async fn po_13_several_parts_are_warned_of_and_a_row_that_is_too_long_fails_alone() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut rows = people(4);
    rows[1]["name"] = "á".into();
    rows[2]["name"] = "b".repeat(160).into();
    rows[3]["name"] = "c".repeat(700).into();
    let result = scene.run("generate", &send_job("c", rows)).await;
    assert_eq!((&result["orders"], codes(&result)), (&4.into(), vec!["several_parts"]));
    let sentence = result["warnings"][0]["sentence"].as_str().unwrap();
    assert_eq!(sentence, "1 of 3 messages take more than 1 part, up to 2: 4 parts in all");
    scene.finished("c").await;
    assert_eq!(scene.outcome("c", 4).await, ("f".to_owned(), 1, "text_too_long".to_owned()));
    assert_eq!(scene.order("c", 4).await["state"], "available");
    // The orders just generated have no messages: nothing is foretold.
    let quiet = scene.run("generate", &generate_job("d", people(2))).await;
    assert_eq!((quiet.get("estimated_start"), codes(&quiet)), (None, vec![]));
}

#[tokio::test]
async fn po_13_a_text_that_is_too_long_for_every_row_is_refused_and_one_with_conditions_is_not() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let long = "a".repeat(700);
    let mut job = send_job("c", people(1));
    job["message"] = json!({"text": long});
    scene.enqueue("generate", &job).await;
    assert_eq!(scene.refused("gen-c").await.0, "text_too_long");
    let mut job = send_job("d", vec![json!({"amount": 1, "SMScontact": "+34600000001"})]);
    job["message"] = json!({"text": format!("Hola{{% if extra %}}{long}{{% endif %}}:")});
    scene.run("generate", &job).await;
    scene.finished("d").await;
    assert!(scene.sandbox.inbox(None, 0, 1)[0].text.starts_with("Hola: https://"));
}

#[tokio::test]
async fn po_14_look_alikes_are_replaced_only_where_the_job_asks_for_it() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut rows = people(1);
    rows[0]["name"] = "Raúl Núñez".into();
    let text = "Última “página” – ¿señor {{ name }}?";
    let mut plain = send_job("plain", rows.clone());
    plain["message"] = json!({"text": text});
    scene.run("generate", &plain).await;
    scene.finished("plain").await;
    let mut replaced = send_job("replaced", rows);
    replaced["message"] = json!({"text": text, "transliterate": true});
    scene.run("generate", &replaced).await;
    assert_eq!(scene.delivery("replaced").await["transliterate"], "1");
    scene.finished("replaced").await;
    counted(&scene.sandbox, "both messages", |stats| stats.counts.accepted >= 2).await;
    let texts: Vec<String> = scene.sandbox.inbox(None, 0, 2).into_iter().map(|received| received.text).collect();
    assert!(texts[0].starts_with("Última “página” – ¿señor Raúl Núñez? https://"), "{texts:?}");
    assert!(texts[1].starts_with("Ultima \"pagina\" - ¿señor Raul Nuñez? https://"), "{texts:?}");
}

#[tokio::test]
async fn po_19_the_provider_gets_the_life_that_is_left_and_no_more_than_it_takes() {
    let mut scene = Scene::with("max_validity = \"10h\"\n", |_| {}).await;
    let _daemon = scene.daemon().await;
    for (campaign, expires_in) in [("short", "20m"), ("long", "15d")] {
        let mut job = send_job(campaign, people(1));
        job["expires_in"] = expires_in.into();
        scene.run("generate", &job).await;
        scene.finished(campaign).await;
    }
    let validities: Vec<u64> = scene.sandbox.inbox(None, 0, 2).iter().map(|m| m.validity_seconds.unwrap()).collect();
    let (expires_at, sent_at) =
        (scene.order("short", 1).await["expires_at"].as_i64().unwrap(), scene.sandbox.inbox(None, 0, 1)[0].at_ms);
    let left = u64::try_from((expires_at - sent_at) / 1000).unwrap();
    assert!(validities[0].abs_diff(left) <= 2, "{} seconds were said, {left} were left", validities[0]);
    assert_eq!(validities[1], 36_000);
}

#[tokio::test]
async fn po_19_an_order_with_less_left_than_the_floor_is_skipped_and_one_with_more_is_sent() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    scene.run("generate", &send_job("c", people(3))).await;
    let now = scene.now_ms().await;
    scene.expire_at("c", 1..=1, now + 299_000).await;
    scene.expire_at("c", 2..=2, now + 360_000).await;
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    scene.finished("c").await;
    assert_eq!(scene.outcome("c", 1).await, ("k".to_owned(), 1, "expires_too_soon".to_owned()));
    assert_eq!((scene.outcome("c", 2).await.0, scene.outcome("c", 3).await.0), ("s".to_owned(), "s".to_owned()));
    let received = scene.sandbox.inbox(None, 0, 10);
    let second = received.iter().find(|m| m.to == crate::support::scene::phone(2)).unwrap();
    assert!((300..=360).contains(&second.validity_seconds.unwrap()), "{second:?}");
}

#[tokio::test]
async fn po_7_a_row_whose_bound_is_crossed_while_a_long_file_is_generated_expires_too_soon() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.set("sources.slice_rows", "20");
    scene.settings.spool("long.csv", format!("amount\n{}", "1250\n".repeat(20_000)));
    let _daemon = scene.daemon().await;
    let mut job = generate_job("c", Vec::<Value>::new());
    job.as_object_mut().unwrap().remove("rows");
    job["rows_from"] = json!({"file": "long.csv"});
    let bound = scene.now_ms().await + 1_500;
    job["expires_at"] = (bound + 600_000).into();
    scene.enqueue("generate", &job).await;
    wait::until("some orders", async || {
        let orders: Option<u64> = scene.db.hget("remesa:{c}:campaign", "orders").await.unwrap();
        orders.filter(|orders| *orders > 0)
    })
    .await;
    scene.command(json!({"action": "pause", "campaign": "c"})).await;
    wait::until("the bound is crossed", async || (scene.now_ms().await > bound).then_some(())).await;
    scene.command(json!({"action": "resume", "campaign": "c"})).await;
    let result = scene.done("gen-c").await;
    let (orders, late) =
        (result["orders"].as_u64().unwrap(), result["refused_by_code"]["expires_too_soon"].as_u64().unwrap());
    assert!(orders > 0 && late > 0, "{result}");
    assert_eq!(orders + late, 20_000);
    let first: String = scene.db.lindex("remesa:{c}:errors", 0).await.unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((first["code"].as_str(), first["row"].as_u64()), (Some("expires_too_soon"), Some(orders + 1)));
}
