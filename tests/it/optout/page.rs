//! The page: looking changes nothing, posting does, as often as one likes.

use redis::AsyncCommands as _;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Browser, events, got, offer, public_scene, token};
use crate::support::scene::{people, phone};

#[tokio::test]
async fn bm_18_looking_at_the_link_changes_nothing_and_posting_unsubscribes_for_the_whole_company() {
    let mut scene = public_scene().await;
    let daemon = scene.daemon().await;
    scene.run("generate", &offer("c", people(2))).await;
    scene.campaign_is("c", "delivered").await;
    let path = format!("/u/{}", token(&got(&scene, &phone(1))));
    let browser = Browser::at(&daemon).await;
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(browser.ask(method, &path, "en", "").await.status, StatusCode::OK);
    }
    assert!(!scene.db.exists::<_, bool>("remesa:optout:phone").await.unwrap());
    for _ in 0..3 {
        let done = browser.post(&path).await;
        assert_eq!(done.status, StatusCode::OK);
        assert!(done.body.contains("You are unsubscribed"), "{}", done.body);
    }
    let listed: Vec<String> = scene.db.smembers("remesa:optout:phone").await.unwrap();
    assert_eq!(listed, [phone(1)]);
    // Another campaign, the same person.
    scene.run("generate", &offer("d", people(2))).await;
    scene.campaign_is("d", "delivered").await;
    assert_eq!(scene.outcome("d", 1).await.2, "opted_out");
    assert_eq!(scene.outcome("d", 2).await.0, "s");
    let told = events(&mut scene, "opt_out").await;
    assert_eq!(told.len(), 1, "{told:?}");
    let expected = json!({"list": "opted_out", "listed": true, "by": "link", "campaign": "c", "order": 1});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(told[0][field], *value, "{told:?}");
    }
    assert!(!told[0].to_string().contains(&phone(1)), "{told:?}");
}

#[tokio::test]
async fn bm_18_the_page_needs_no_script_speaks_the_readers_language_and_is_nobodys_to_frame() {
    let mut scene = public_scene().await;
    let daemon = scene.daemon().await;
    scene.run("generate", &offer("c", people(1))).await;
    scene.campaign_is("c", "delivered").await;
    let path = format!("/u/{}", token(&got(&scene, &phone(1))));
    let browser = Browser::at(&daemon).await;
    let english = browser.get(&path).await;
    assert!(english.body.contains("from Acme &amp; Co, over any channel?"), "{}", english.body);
    assert!(!english.body.contains(&phone(1)) && !english.body.contains("<script"), "{}", english.body);
    let spanish = browser.ask(Method::GET, &path, "es-CO, en;q=0.5", "").await;
    assert!(spanish.body.contains("<html lang=\"es\">") && spanish.body.contains("Darme de baja"), "{}", spanish.body);
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("content-language", "en"),
    ] {
        assert_eq!(english.headers[name], value, "{name}");
    }
    let policy = english.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
}

#[tokio::test]
async fn bm_18_a_link_that_was_made_up_unsubscribes_nobody() {
    let mut scene = public_scene().await;
    let daemon = scene.daemon().await;
    scene.run("generate", &offer("c", people(2))).await;
    scene.campaign_is("c", "delivered").await;
    let (first, second) = (token(&got(&scene, &phone(1))), token(&got(&scene, &phone(2))));
    let browser = Browser::at(&daemon).await;
    // The number of one recipient with the digest of the other.
    let crossed = format!("{}{}", &first[..8], &second[8..]);
    for made_up in [crossed.as_str(), "00100001abcdefgh", "x", "%2e%2e%2fetc", &"9".repeat(24), "<script>"] {
        for method in [Method::GET, Method::POST] {
            let answer = browser.ask(method, &format!("/u/{made_up}"), "en", "").await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{made_up}");
            assert!(!answer.body.contains("<script"), "{made_up}");
        }
    }
    assert!(!scene.db.exists::<_, bool>("remesa:optout:phone").await.unwrap());
}
