//! Tokens and sessions: what is open, what needs one, and that none can be forged.

use crate::support::daemon::Daemon;
use crate::support::http::value;
use crate::support::scene::{Scene, generate_job, people, phone};
use crate::support::visitor::{ANA, EVA, Visitor, tokens};
use crate::support::wait;

async fn guarded() -> Scene {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.toml(&tokens());
    scene
}

#[tokio::test]
async fn as_soon_as_somebody_has_a_token_nothing_is_shown_without_one() {
    let scene = guarded().await;
    let daemon = scene.daemon().await;
    let anybody = Visitor::of(&daemon).await;
    for path in ["/campaigns", "/campaigns/a", "/campaigns/a/orders", "/campaigns/a/cases/1", "/orders/aB3dE6gH9k"] {
        let answer = anybody.get(path).await;
        assert_eq!(answer.refusal(), (401, "token_needed".to_owned()), "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"remesa\"");
    }
    for wrong in ["", "ana", &ANA[..ANA.len() - 1], &format!("{ANA}a"), &ANA.to_uppercase()] {
        let answer = anybody.bearing(wrong).get("/campaigns").await;
        assert_eq!(answer.refusal(), (401, "unknown_token".to_owned()), "{wrong}");
    }
    assert_eq!(anybody.with("authorization", "Basic YW5hOmFuYQ==").get("/campaigns").await.status, 401);
    for token in [ANA, EVA] {
        assert_eq!(anybody.bearing(token).get("/campaigns").await.status, 200);
    }
    for open in ["/livez", "/readyz", "/startupz", "/metrics"] {
        assert_eq!(anybody.get(open).await.status, 200, "{open}");
    }
    assert_eq!(anybody.post_json("/receipts/sms", &serde_json::json!([])).await.status, 202);
    assert!(!daemon.log().contains("ana-ana"), "a token is in the log");
    let metrics = anybody.get("/metrics").await.body;
    assert_eq!(value(&metrics, "remesa_http_refused_total{why=\"token_needed\"}"), Some(5.0));
    assert_eq!(value(&metrics, "remesa_http_refused_total{why=\"unknown_token\"}"), Some(6.0));
}

#[tokio::test]
async fn a_browser_is_led_to_log_in_stays_so_and_leaves() {
    let scene = guarded().await;
    let daemon = scene.daemon().await;
    let anybody = Visitor::of(&daemon).await;
    let browser = anybody.with("accept", "text/html,application/xhtml+xml");
    let led = browser.get("/campaigns?state=running").await;
    let to = "/login?refused=token_needed&return=%2Fcampaigns%3Fstate%3Drunning";
    assert_eq!((led.status, led.header("location")), (303, to));
    let back = browser.post_form("/login", &[("token", "wrong"), ("return", "/campaigns")]).await;
    assert_eq!((back.status, back.header("location")), (303, "/login?refused=unknown_token&return=%2Fcampaigns"));
    assert_eq!(back.header("set-cookie"), "");

    let answer = browser.post_form("/login", &[("token", ANA), ("return", "/campaigns?state=running")]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/campaigns?state=running"));
    let cookie = answer.header("set-cookie");
    assert!(cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(ANA), "{cookie}");
    let session = cookie.split(';').next().unwrap();
    assert_eq!(browser.with("cookie", &format!("theme=dark; {session}")).get("/campaigns").await.status, 200);
    for (before, after) in [("ana~", "eva~"), ("=ana", "=anna"), ("~", "~9"), ("~", "")] {
        let forged = anybody.with("cookie", &session.replacen(before, after, 1)).get("/campaigns").await;
        assert_eq!(forged.refusal(), (401, "session_over".to_owned()), "{before} {after}");
    }
    let elsewhere = browser.post_form("/login", &[("token", ANA), ("return", "//evil.example/")]).await;
    assert_eq!(elsewhere.header("location"), "/");
    let left = browser.with("cookie", session).post_form("/logout", &[]).await;
    assert_eq!((left.status, left.header("location")), (303, "/login"));
    assert!(left.header("set-cookie").starts_with("remesa_session=; Path=/; Max-Age=0;"), "{left:?}");

    let program = anybody.post_json("/login", &serde_json::json!({"token": EVA})).await.json();
    assert_eq!((program["name"].as_str(), program["role"].as_str()), (Some("eva"), Some("read")));
    let wrong = anybody.post_json("/login", &serde_json::json!({"token": 7})).await;
    assert_eq!(wrong.refusal(), (401, "unknown_token".to_owned()));
}

#[tokio::test]
async fn nobody_logs_in_from_another_site_or_with_another_kind_of_body() {
    let scene = guarded().await;
    let daemon = scene.daemon().await;
    let anybody = Visitor::of(&daemon).await;
    let form = [("token", ANA)];
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let answer = anybody.with(name, value).post_form("/login", &form).await;
        assert_eq!(answer.refusal(), (403, "cross_site".to_owned()), "{name}: {value}");
    }
    let named = anybody.with("host", "evil.example").post_form("/login", &form).await;
    assert_eq!(named.refusal(), (421, "not_this_host".to_owned()));
    let kind = anybody.post("/login", "text/plain", format!("{{\"token\":\"{ANA}\"}}")).await;
    assert_eq!(kind.refusal(), (415, "unsupported_media_type".to_owned()));
    let long = "x".repeat(9000);
    assert_eq!(anybody.post_form("/login", &[("token", &long)]).await.refusal(), (413, "too_big".to_owned()));
    assert_eq!(anybody.post("/login", "application/json", "{").await.refusal(), (400, "unreadable".to_owned()));
    assert_eq!(anybody.get("/login").await.header("set-cookie"), "");
}

#[tokio::test]
async fn da_9_a_reader_sees_contacts_masked_and_an_operator_what_the_configuration_shows() {
    let mut scene = guarded().await;
    scene.settings = scene.settings.set("http.personal_data", "whole");
    let daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(1))).await;
    let anybody = Visitor::of(&daemon).await;
    for path in ["/campaigns/c/orders", "/campaigns/c/orders/1"] {
        let reader = anybody.bearing(EVA).get(path).await;
        assert!(reader.status == 200 && !reader.body.contains(&phone(1)) && !reader.body.contains("Ana"), "{reader:?}");
        let operator = anybody.bearing(ANA).get(path).await;
        assert!(operator.body.contains(&phone(1)) && operator.body.contains("Ana 1"), "{operator:?}");
    }
}

#[tokio::test]
async fn every_daemon_with_the_same_tokens_knows_a_session_and_a_changed_token_ends_it() {
    let scene = guarded().await;
    let (one, other) = (scene.daemon().await, Daemon::start(&scene.settings.instance("b")).await);
    let here = Visitor::of(&one).await.logged_in(ANA).await;
    let there = Visitor::of(&other).await;
    let session = here.get("/campaigns").await;
    assert_eq!(session.status, 200);
    let cookie = Visitor::of(&one).await.post_form("/login", &[("token", ANA)]).await;
    let there = there.with("cookie", cookie.header("set-cookie").split(';').next().unwrap());
    assert_eq!(there.get("/campaigns").await.status, 200);
    one.reload(&scene.settings.replaced(ANA, &ANA.replace('n', "m")));
    one.event("reloaded", |_| true).await;
    // A request that came before the next daemon stood at the door is answered by the one it came to.
    wait::until("the session is over", async || (here.get("/campaigns").await.status == 401).then_some(())).await;
    assert_eq!(here.get("/campaigns").await.refusal(), (401, "session_over".to_owned()));
    assert_eq!(there.get("/campaigns").await.status, 200);
}

#[tokio::test]
async fn on_another_address_than_loopback_nothing_is_shown_until_somebody_has_a_token() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.set("http.listen", "0.0.0.0:0");
    let daemon = scene.daemon().await;
    let anybody = Visitor::of(&daemon).await;
    assert_eq!(anybody.get("/campaigns").await.refusal(), (403, "nobody_may".to_owned()));
    assert_eq!(anybody.get("/readyz").await.status, 200);
}
