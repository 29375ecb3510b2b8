//! Commercial campaigns of payment orders: the link in each message, its length in the preview, what is refused.

use redis::AsyncCommands as _;
use serde_json::json;

use super::{got, offer, public_scene, token};
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, people, phone, send_job};

#[tokio::test]
async fn po_24_a_commercial_campaign_adds_the_link_and_leaves_out_who_opted_out() {
    let mut scene = public_scene().await;
    let () = scene.db.sadd("remesa:optout:phone", phone(2)).await.unwrap();
    let () = scene.db.sadd("remesa:blocked:phone", phone(3)).await.unwrap();
    let _daemon = scene.daemon().await;
    scene.run("generate", &offer("c", people(4))).await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(scene.outcome("c", 2).await, ("k".to_owned(), 1, "opted_out".to_owned()));
    assert_eq!(scene.outcome("c", 3).await, ("k".to_owned(), 1, "blocked".to_owned()));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 2), ("skipped", 2)].into());
    let (first, fourth) = (got(&scene, &phone(1)), got(&scene, &phone(4)));
    assert!(first.contains(" Stop: https://sms.example/u/"), "{first}");
    assert_ne!(token(&first), token(&fourth));
    assert_eq!(scene.campaign("c").await["category"], "commercial");
}

#[tokio::test]
async fn po_24_without_an_address_for_its_links_nothing_commercial_is_taken() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.enqueue("generate", &offer("c", people(1))).await;
    let (code, sentence) = scene.refused("gen-c").await;
    assert_eq!(code, "category_unavailable");
    assert!(sentence.contains("unsubscribe.url or http.public_url"), "{sentence}");
    assert!(scene.campaign("c").await.is_empty());
}

#[tokio::test]
async fn po_24_what_is_appended_is_of_the_campaigns_category() {
    let mut scene = public_scene().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &offer("c", people(1))).await;
    let mut more = send_job("c", json!([{"key": "k-9", "amount": 100, "SMScontact": phone(9), "name": "Eva"}]));
    (more["id"], more["append"]) = ("more".into(), true.into());
    scene.run("generate", &more).await;
    scene.campaign_is("c", "delivered").await;
    assert!(got(&scene, &phone(9)).contains("https://sms.example/u/"));
    (more["id"], more["category"]) = ("other".into(), "transactional".into());
    scene.enqueue("generate", &more).await;
    assert_eq!(scene.refused("other").await.0, "campaign_mismatch");
}

#[tokio::test]
async fn bm_19_a_preview_counts_the_link_as_it_will_be_sent() {
    let mut scene = public_scene().await;
    let _daemon = scene.daemon().await;
    let mut job = offer("c", people(3));
    job["message"] = json!({"text": format!("Baja {{{{ unsubscribe }}}} {}", "x".repeat(70)), "url": "end"});
    let preview = scene.command(json!({"action": "preview", "job": job, "samples": 1})).await;
    let sample = &preview["messages"]["samples"][0];
    scene.run("generate", &job).await;
    scene.campaign_is("c", "delivered").await;
    let sent = got(&scene, &phone(1));
    assert_eq!(sample["text"].as_str().unwrap().len(), sent.len(), "{sample} {sent}");
    assert!(sent.starts_with("Baja https://sms.example/u/"), "{sent}");
    assert!(!sent.contains("Stop:"), "{sent}");
}
