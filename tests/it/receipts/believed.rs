//! Whom a receipt is believed: signatures in every configured form, and none of the wrong ones.

use remesa::domain::signature;
use serde_json::Value;

use super::{Provider, read};
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, people, send_job};

/// Posts these bytes with these headers; status and code.
async fn send(provider: &Provider, body: &str, headers: &[(&str, String)]) -> (u16, String) {
    let request = provider.client.post(&provider.url).body(body.to_owned());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
    let (status, answer) = read(request.send().await.unwrap()).await;
    (status, answer.pointer("/error/code").and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn standard(secret: &str, id: &str, at: i64, body: &str) -> Vec<(&'static str, String)> {
    let signature = signature::sign_standard(&signature::key(secret).unwrap(), id, at, body.as_bytes());
    vec![("webhook-id", id.to_owned()), ("webhook-timestamp", at.to_string()), ("webhook-signature", signature)]
}

#[tokio::test]
async fn a_channel_with_secrets_believes_standard_webhooks_signed_with_one_of_them() {
    let keys = "[channels.sms.receipts]\nsecrets = [\"whsec_bmV3\", \"old\"]\n";
    let mut scene = Scene::with(keys, |_| {}).await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(3))).await;
    scene.finished("c").await;
    let now = scene.now_ms().await / 1000;
    let body = provider.report("c", 1, "delivered").to_string();
    let refused = |code: &str| (401, code.to_owned());
    assert_eq!(send(&provider, &body, &[]).await, refused("missing_signature"));
    assert_eq!(send(&provider, &body, &standard("other", "m1", now, &body)).await, refused("bad_signature"));
    assert_eq!(send(&provider, &body, &standard("old", "m1", now, "another body")).await, refused("bad_signature"));
    assert_eq!(send(&provider, &body, &standard("old", "m1", now - 3600, &body)).await, refused("stale_signature"));
    let mut moved = standard("old", "m1", now - 3600, &body);
    moved[1].1 = now.to_string();
    assert_eq!(send(&provider, &body, &moved).await, refused("bad_signature"), "the time is signed, too");
    assert_eq!(scene.outcome("c", 1).await.0, "s");
    assert_eq!(send(&provider, &body, &standard("old", "m1", now, &body)).await.0, 200);
    let body = provider.report("c", 2, "delivered").to_string();
    let mut both = standard("unknown", "m2", now, &body);
    both[2].1 = format!("{} {}", both[2].1, standard("whsec_bmV3", "m2", now, &body)[2].1);
    assert_eq!(send(&provider, &body, &both).await.0, 200);
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 1), ("delivered", 2)].into());
    assert!(!daemon.log().contains("whsec_"), "{}", daemon.log());
}

#[tokio::test]
async fn a_plain_signature_stands_in_the_configured_header() {
    let keys = "[channels.sms.receipts]\nsecrets = [\"${GATEWAY_SECRET}\"]\nsignature = \"hex\"\nsignature_header = \"X-Gateway-Sign\"\n";
    let mut scene = Scene::with(keys, |_| {}).await;
    scene.settings = std::mem::replace(&mut scene.settings, crate::support::daemon::Settings::new(&scene.redis))
        .variable("GATEWAY_SECRET", "key");
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(1))).await;
    scene.finished("c").await;
    // Of a body that never changes: printf '%s' '[]' | openssl dgst -sha256 -hmac key
    let hex = "8cf3d584bac42070e44f249a550910bd0077d18a9cc62a54c59c6758458bf01a";
    assert_eq!(send(&provider, "[]", &[("x-gateway-sign", hex.to_owned())]).await.0, 202);
    assert_eq!(send(&provider, "[]", &[("x-gateway-sign", format!("sha256={hex}"))]).await.0, 202);
    assert_eq!(send(&provider, "[ ]", &[("x-gateway-sign", hex.to_owned())]).await.0, 401);
    assert_eq!(send(&provider, "[]", &[]).await, (401, "missing_signature".to_owned()));
    assert_eq!(send(&provider, "[]", &[("x-gateway-sign", "sha256=zz".to_owned())]).await.0, 401);
}
