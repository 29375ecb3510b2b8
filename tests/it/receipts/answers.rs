//! What a provider is answered: the forms of a report, and each status of the table in `jobs/README.md`.

use redis::AsyncCommands as _;
use serde_json::json;

use super::{Provider, read};
use crate::support::daemon::Settings;
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, people, phone, send_job};

#[tokio::test]
async fn reports_come_one_by_one_in_lists_and_as_forms() {
    let keys =
        "[channels.sms.receipts]\nlist_pointer = \"\"\nstates = { ZUGESTELLT = \"delivered\", Weg = \"ignore\" }\n";
    let mut scene = Scene::with(keys, |_| {}).await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(6))).await;
    scene.finished("c").await;
    let list = json!([
        provider.report("c", 1, "delivered"),
        provider.report("c", 2, "zugestellt"),
        provider.report("c", 3, "weg"),
        provider.report("c", 1, "sent"),
        {"reference": "c/delivery@1/3.0/1.forged0000", "state": "delivered"},
    ]);
    assert_eq!(provider.post(&list).await, (200, json!({"applied": 2, "old": 1, "unknown": 1, "ignored": 1})));
    assert_eq!(provider.post(&json!([])).await, (202, json!({"applied": 0, "old": 0, "unknown": 0, "ignored": 0})));
    let form =
        format!("reference={}&state=undelivered&reason=30003", provider.reference("c", 4, 1).replace('/', "%2F"));
    let request = provider.client.post(&provider.url).header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(read(request.body(form).send().await.unwrap()).await.0, 200);
    assert!(scene.cell("c", 4).await.unwrap().contains(",receipt:30003,"));
    // One recipient twice in one body: each sees what the one before made of it.
    let twice = json!([
        provider.report("c", 5, "expired"),
        provider.report("c", 5, "delivered"),
        provider.report("c", 5, "expired")
    ]);
    assert_eq!(provider.post(&twice).await.1, json!({"applied": 2, "old": 1, "unknown": 0, "ignored": 0}));
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn the_address_may_carry_the_reference_and_the_message_its_address() {
    let mut scene = Scene::new().await;
    let url = format!("{}/messages", scene.sandbox.url());
    let body = r#"'{"to":"{{ to }}","text":"{{ text }}","callback_url":"{{ receipt_url }}"}'"#;
    let listen = free_port();
    scene.settings = Settings::new(&scene.redis)
        .toml(&format!("[channels.sms]\nkind = \"http\"\nurl = \"{url}\"\nbody = {body}\n"))
        .set("http.listen", &format!("127.0.0.1:{listen}"))
        .set("http.public_url", &format!("http://127.0.0.1:{listen}/"));
    let delays = |reports: &mut remesa::sandbox::ReportSettings| (reports.delay_min_ms, reports.delay_max_ms) = (0, 50);
    scene.sandbox.change(|settings| delays(&mut settings.reports)).unwrap();
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(20))).await;
    scene.counted("c", "delivered", 20).await;
    assert_eq!(scene.finished("c").await["delivered"], "20");
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("delivered", 20)].into());
}

pub(super) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn what_cannot_be_understood_is_told_and_the_rest_is_written() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    scene.run("generate", &send_job("c", people(2))).await;
    scene.finished("c").await;
    let code = |answer: &serde_json::Value| answer["error"]["code"].as_str().unwrap().to_owned();
    let list = json!([provider.report("c", 1, "verschwunden"), provider.report("c", 2, "delivered")]);
    let (status, answer) = provider.post(&list).await;
    assert_eq!((status, code(&answer).as_str()), (400, "unknown_state"));
    assert_eq!(
        answer["error"]["message"],
        "report 0: the state \"verschwunden\" is not known: say in receipts.states what it means"
    );
    assert_eq!(scene.outcome("c", 2).await.0, "d");
    for (body, expected) in [
        (json!({"state": "delivered"}), "missing_reference"),
        (json!({"reference": provider.reference("c", 1, 1)}), "missing_state"),
        (json!("x"), "missing_state"),
        (json!([[]]), "missing_state"),
    ] {
        let (status, answer) = provider.post(&body).await;
        assert_eq!((status, code(&answer).as_str()), (400, expected), "{body}");
    }
    let send = async |request: reqwest::RequestBuilder| read(request.send().await.unwrap()).await;
    let (status, answer) = send(provider.client.post(&provider.url).body(format!("{{\"to\":\"{}\"", phone(1)))).await;
    assert_eq!((status, code(&answer).as_str()), (400, "not_json"));
    let (status, answer) = send(provider.client.post(&provider.url).body(vec![b' '; 1024 * 1024 + 1])).await;
    assert_eq!((status, code(&answer).as_str()), (413, "too_big"));
    let many: Vec<_> = (0..1001).map(|_| json!({"state": "queued", "reference": "x"})).collect();
    assert_eq!(provider.post(&many.into()).await.0, 413);
    let elsewhere = provider.url.replace("/sms", "/nobody");
    let (status, answer) = send(provider.client.post(elsewhere).json(&provider.report("c", 1, "delivered"))).await;
    assert_eq!((status, code(&answer).as_str()), (404, "unknown_channel"));
    assert_eq!(provider.client.get(&provider.url).send().await.unwrap().status().as_u16(), 405);
    assert_eq!(scene.outcome("c", 1).await.0, "s");
    // DA-9: nothing of it is in the log.
    assert!(!daemon.log().contains(&phone(1)[1..]), "{}", daemon.log());
}

#[tokio::test]
async fn an_unknown_reference_is_taken_and_counted_and_changes_nothing() {
    let mut scene = Scene::new().await;
    scene.settings = std::mem::replace(&mut scene.settings, Settings::new(&scene.redis)).sandbox_channel(
        "other",
        &scene.sandbox.url(),
        "",
    );
    let daemon = scene.daemon().await;
    let provider = Provider::of(&mut scene, &daemon).await;
    let mut job = send_job("c", people(2));
    job["rows"][1]["SMScontact"] = "nobody".into();
    scene.run("generate", &job).await;
    scene.finished("c").await;
    assert_eq!(provider.says("gone", 1, "delivered").await, "unknown", "a campaign that is not there");
    assert_eq!(provider.says("c", 3, "delivered").await, "unknown", "a number nobody claimed");
    let mut forged = provider.report("c", 1, "delivered");
    forged["reference"] = "c/delivery@1/1.0/1.0123456789".into();
    assert_eq!(provider.counted(&forged).await, "unknown", "not signed by us");
    let other = Provider { url: provider.url.replace("/sms", "/other"), ..provider.clone() };
    assert_eq!(other.says("c", 1, "delivered").await, "unknown", "sent by another channel");
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 1), ("skipped", 1)].into());
    let metrics = provider
        .client
        .get(provider.url.replace("/receipts/sms", "/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("remesa_receipts_total{channel=\"sms\",result=\"unknown\"} 3"), "{metrics}");
    let keys: Vec<String> = scene.db.keys("remesa:{gone}*").await.unwrap();
    assert_eq!(keys, Vec::<String>::new());
}
