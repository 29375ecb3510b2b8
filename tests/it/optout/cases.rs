//! Cases: the link unsubscribes all their addresses, a reply finds the one it belongs to, by what was really sent.

use redis::AsyncCommands as _;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::replies::{post, reply};
use super::{Browser, events, got, public_scene, token};
use crate::support::scene::{Scene, phone};
use crate::support::wait;

/// Imports cases `1..=count`, each with a mobile and an e-mail address.
async fn import(scene: &mut Scene, campaign: &str, category: &str, count: usize) {
    let case = |n: usize| {
        json!({"id": format!("c-{n}"), "client": {"first_name": format!("Ana {n}")},
               "contacts": [{"kind": "mobile", "value": phone(n)}, {"kind": "email", "value": format!("Ana{n}@example.com")}]})
    };
    let rows: Vec<Value> = (1..=count).map(case).collect();
    let job = json!({"id": format!("import-{campaign}"), "campaign": campaign, "category": category, "rows": rows});
    scene.run("import", &job).await;
}

/// Sends one message to the cases, and waits for the end of its run.
async fn send(scene: &mut Scene, campaign: &str, message: &str, more: &Value) {
    let mut job = json!({"id": format!("send-{message}"), "campaign": campaign, "message": message, "channel": "sms",
                         "text": "Hola {{ first_name }}"});
    for (field, value) in more.as_object().unwrap() {
        job[field] = value.clone();
    }
    scene.run("send", &job).await;
    wait::field(&mut scene.db, &format!("remesa:{{{campaign}}}:run:{message}"), "state", &["finished"]).await;
}

async fn cell(scene: &mut Scene, campaign: &str, message: &str, n: u64) -> String {
    scene.db.hget(format!("remesa:{{{campaign}}}:run:{message}:ledger:0"), n).await.unwrap()
}

#[tokio::test]
async fn bm_18_the_link_in_a_cases_message_unsubscribes_all_its_addresses_over_all_channels() {
    let mut scene = public_scene().await;
    let daemon = scene.daemon().await;
    import(&mut scene, "c", "commercial", 2).await;
    send(&mut scene, "c", "promo", &json!({})).await;
    let text = got(&scene, &phone(1));
    assert!(text.starts_with("Hola Ana 1 Stop: https://sms.example/u/"), "{text}");
    let browser = Browser::at(&daemon).await;
    assert_eq!(browser.post(&format!("/u/{}", token(&text))).await.status, StatusCode::OK);
    let mut listed: Vec<String> = scene.db.smembers("remesa:optout:phone").await.unwrap();
    listed.extend(scene.db.smembers::<_, Vec<String>>("remesa:optout:email").await.unwrap());
    assert_eq!(listed, [phone(1), "ana1@example.com".to_owned()]);
    let told = events(&mut scene, "opt_out").await;
    assert_eq!((&told[0]["case"], told[0]["contacts"].as_array().unwrap().len()), (&json!(1), 2), "{told:?}");
    send(&mut scene, "c", "again", &json!({})).await;
    assert!(cell(&mut scene, "c", "again", 1).await.contains(",opted_out,"));
    assert!(cell(&mut scene, "c", "again", 2).await.starts_with("s,"));
}

#[tokio::test]
async fn bm_16_and_bm_17_a_reply_without_a_reference_opens_a_case_after_the_message_closed_it() {
    let mut scene = Scene::with("[channels.sms.replies]\nenabled = true\nunsigned = true\n", |_| {}).await;
    let daemon = scene.daemon().await;
    import(&mut scene, "c", "transactional", 3).await;
    send(&mut scene, "c", "reminder", &json!({"close_cases": true})).await;
    for (n, text) in ["uno", "dos"].into_iter().enumerate() {
        let kept = json!({"kept": 1, "unknown": 0, "again": 0});
        assert_eq!(post(&daemon, &reply(2, text, text), &[]).await, (StatusCode::OK, kept), "{n}");
    }
    let told = events(&mut scene, "reply").await;
    let seen: Vec<_> = told.iter().map(|event| (&event["case"], &event["run"], &event["opened"])).collect();
    assert_eq!(seen, [(&json!(4), &json!("reminder"), &json!(true)), (&json!(4), &json!("reminder"), &Value::Null)]);
    let campaign = scene.campaign("c").await;
    let counts = ["cases", "cases:closed", "cases:new"].map(|field| campaign[field].clone());
    assert_eq!(counts, ["4", "3", "1"], "{campaign:?}");
    // A further import goes on behind the case that the reply opened.
    import(&mut scene, "c", "transactional", 3).await;
    assert_eq!(scene.campaign("c").await["cases"], "4");
}

#[tokio::test]
async fn bm_19_a_text_that_hides_its_link_has_it_all_the_same() {
    let mut scene = public_scene().await;
    let _daemon = scene.daemon().await;
    import(&mut scene, "c", "commercial", 1).await;
    let text = "Hola{% if nobody %} {{ unsubscribe }}{% endif %}";
    send(&mut scene, "c", "promo", &json!({"text": text})).await;
    assert!(got(&scene, &phone(1)).starts_with("Hola Stop: https://sms.example/u/"), "{}", got(&scene, &phone(1)));
}
