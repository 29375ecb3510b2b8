//! The simulator against real clients: our own channel where a message is sent, plain HTTP for everything else.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::channel::settings::ChannelKind;
use crate::channel::tests::{settings as http_settings, submission};
use crate::channel::{Channel, Submission};

async fn start(change: impl FnOnce(&mut SandboxSettings)) -> SandboxHandle {
    let mut settings = SandboxSettings::default();
    change(&mut settings);
    Sandbox::start(settings).await.unwrap()
}

fn channel(sandbox: &SandboxHandle) -> Channel {
    let mut settings = http_settings(&sandbox.url());
    settings.kind = ChannelKind::Sandbox;
    settings.timeout = Duration::from_millis(300);
    Channel::build(&settings).unwrap()
}

/// One message; `accepted`, or the class and code of the failure.
async fn send(channel: &Channel, key: &str) -> String {
    let submission = Submission { idempotency_key: key, reference: key, ..submission("Hola") };
    match channel.deliver(&submission).await {
        Ok(_) => "accepted".to_owned(),
        Err(error) => format!("{error:?}").replace("\", after: ", "\" ").replace('"', ""),
    }
}

async fn call(method: reqwest::Method, url: String, body: &str) -> (u16, Value) {
    let client = client().unwrap();
    let answer = client.request(method, url).body(body.to_owned()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

async fn get(url: String) -> (u16, Value) {
    call(reqwest::Method::GET, url, "").await
}

#[tokio::test]
async fn each_fate_does_to_a_client_what_it_says() {
    use Fate::{Accept, Cut, Fail, Hang, Refuse, Reset, Throttle};
    let fates = [Accept, Refuse, Throttle, Fail, Hang, Cut, Reset, Accept];
    let sandbox = start(|settings| {
        settings.script = fates.to_vec();
        settings.retry_after_seconds = 7;
    })
    .await;
    let channel = channel(&sandbox);
    let expected = [
        "accepted",
        "Failure(Permanent { code: refused:invalid_recipient })",
        "Failure(Throttled { code: rate_limited:rate_limited Some(7s) })",
        "Failure(Ambiguous { code: server_error:simulated_failure })",
        "Failure(Ambiguous { code: answer_timeout })",
        "Failure(Ambiguous { code: answer_lost })",
        "Failure(Ambiguous { code: answer_lost })",
        "accepted",
    ];
    for (number, expected) in expected.into_iter().enumerate() {
        assert_eq!(send(&channel, &format!("k{number}")).await, expected, "{:?}", fates[number]);
    }
    let stats = sandbox.until(|stats| stats.in_flight == 0).await;
    let answers =
        Answers { accepted: 2, refused: 1, throttled: 1, failed: 1, hung: 1, cut: 1, reset: 1, ..stats.answers };
    assert_eq!((stats.answers, stats.requests), (answers, 8));
    assert_eq!((stats.counts.accepted, stats.counts.distinct, stats.counts.duplicates), (3, 3, 0));
    assert_eq!(stats.per_second.iter().map(|second| second.requests).sum::<u64>(), 8);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_repeated_key_is_answered_with_the_first_id_unless_idempotency_is_off() {
    let sandbox = start(|settings| settings.script = vec![Fate::Cut]).await;
    let channel = channel(&sandbox);
    assert!(send(&channel, "k").await.contains("answer_lost"));
    assert_eq!(send(&channel, "k").await, "accepted");
    let stats = sandbox.stats();
    assert_eq!((stats.counts.accepted, stats.counts.duplicates, stats.answers.replayed), (1, 0, 1));
    sandbox.change(|settings| settings.idempotency = false).unwrap();
    assert_eq!(send(&channel, "k").await, "accepted");
    let stats = sandbox.stats();
    assert_eq!((stats.counts.accepted, stats.counts.distinct, stats.counts.duplicates), (2, 1, 1));
}

#[tokio::test]
async fn held_answers_come_when_they_are_released_and_their_messages_were_accepted_before() {
    let sandbox = start(|settings| settings.hold = true).await;
    let mut settings = http_settings(&sandbox.url());
    settings.kind = ChannelKind::Sandbox;
    let channel = Arc::new(Channel::build(&settings).unwrap());
    let mut sending = JoinSet::new();
    for n in 0..20 {
        let channel = Arc::clone(&channel);
        sending.spawn(async move { send(&channel, &format!("k{n}")).await });
    }
    let stats = sandbox.until(|stats| stats.counts.accepted == 20).await;
    assert_eq!((stats.in_flight, stats.most_in_flight), (20, 20));
    assert!(sending.try_join_next().is_none());
    sandbox.change(|settings| settings.hold = false).unwrap();
    assert_eq!(sending.join_all().await, vec!["accepted"; 20]);
    let stats = sandbox.until(|stats| stats.in_flight == 0).await;
    assert_eq!(stats.most_in_flight, 20);
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_waits_has_sent_its_message() {
    let sandbox = start(|settings| settings.hold = true).await;
    let channel = channel(&sandbox);
    assert!(send(&channel, "k").await.contains("answer_timeout"));
    let stats = sandbox.until(|stats| stats.in_flight == 0).await;
    assert_eq!(stats.counts.accepted, 1);
}

#[tokio::test]
async fn the_inbox_is_read_in_pages_and_by_recipient() {
    let sandbox = start(|settings| settings.inbox_messages = 4).await;
    let messages = format!("{}/messages", sandbox.url());
    for n in 1..=6 {
        let body =
            json!({"to": format!("+3460000000{}", n % 2), "text": format!("t{n} \"é\""), "validity_seconds": 60});
        assert_eq!(call(reqwest::Method::POST, messages.clone(), &body.to_string()).await.0, 202);
    }
    let texts = |page: &Value| -> Vec<String> {
        let found = page["messages"].as_array().unwrap();
        found.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    };
    let (_, first) = get(format!("{}/inbox?limit=3", sandbox.url())).await;
    assert_eq!(texts(&first), ["t3 \"é\"", "t4 \"é\"", "t5 \"é\""]);
    let (_, second) = get(format!("{}/inbox?after={}", sandbox.url(), first["next"])).await;
    assert_eq!(texts(&second), ["t6 \"é\""]);
    let (_, end) = get(format!("{}/inbox?after={}", sandbox.url(), second["next"])).await;
    assert_eq!((texts(&end).len(), &end["next"]), (0, &second["next"]));
    for to in ["%2B34600000001", "+34600000001"] {
        let (_, odd) = get(format!("{}/inbox?to={to}", sandbox.url())).await;
        assert_eq!(texts(&odd), ["t3 \"é\"", "t5 \"é\""]);
    }
    let received = sandbox.inbox(None, 5, 9).remove(0);
    assert_eq!((received.number, received.to.as_str(), received.validity_seconds), (6, "+34600000000", Some(60)));
    assert_eq!(call(reqwest::Method::DELETE, format!("{}/inbox", sandbox.url()), "").await.0, 204);
    assert_eq!(sandbox.inbox(None, 0, 9), vec![]);
    assert_eq!(sandbox.stats().counts.accepted, 6, "the counts stay");
    assert_eq!(get(format!("{}/inbox?limit=x", sandbox.url())).await.0, 400);
}

#[tokio::test]
async fn a_wrong_request_is_told_what_is_wrong() {
    let sandbox = start(|_| {}).await;
    let messages = format!("{}/messages", sandbox.url());
    let long = format!(r#"{{"to":"+34600123456","text":"{}"}}"#, "x".repeat(70_000));
    for (body, status, code) in [
        ("{", 400, "invalid_json"),
        ("[]", 400, "invalid_json"),
        (r#"{"to":7,"text":"x"}"#, 400, "invalid_json"),
        (r#"{"text":"x"}"#, 400, "invalid_recipient"),
        (r#"{"to":"600123456","text":"x"}"#, 400, "invalid_recipient"),
        (r#"{"to":"+34600123456"}"#, 400, "missing_text"),
        (&long, 413, "too_large"),
    ] {
        let (got, answer) = call(reqwest::Method::POST, messages.clone(), body).await;
        assert_eq!((got, answer["error"]["code"].as_str()), (status, Some(code)), "{answer}");
    }
    assert_eq!(sandbox.stats().answers.invalid, 7);
    assert_eq!(get(messages).await.0, 405);
    assert_eq!(get(format!("{}/message", sandbox.url())).await.0, 404);
    let about = client().unwrap().get(sandbox.url()).send().await.unwrap().text().await.unwrap();
    assert!(about.contains("POST   /messages"));
}

#[tokio::test]
async fn settings_and_statistics_are_changed_over_http() {
    let sandbox = start(|_| {}).await;
    let settings = format!("{}/settings", sandbox.url());
    let patch = r#"{"recipients":{"+34600123456":"refuse"},"refuse_status":404,"refuse_code":"unknown_number"}"#;
    let (status, after) = call(reqwest::Method::PUT, settings.clone(), patch).await;
    assert_eq!((status, &after["refuse_code"]), (200, &json!("unknown_number")));
    assert_eq!(get(settings.clone()).await.1, after);
    let refused = send(&channel(&sandbox), "k").await;
    assert_eq!(refused, "Failure(Permanent { code: refused:unknown_number })");
    let (status, error) = call(reqwest::Method::PUT, settings, r#"{"latency":5}"#).await;
    assert_eq!((status, &error["error"]["code"]), (422, &json!("invalid_settings")));
    let counted = format!("{}/stats", sandbox.url());
    assert_eq!(get(counted.clone()).await.1["answers"]["refused"], 1);
    assert_eq!(call(reqwest::Method::DELETE, counted.clone(), "").await.0, 204);
    let cleared: Stats = serde_json::from_value(get(counted).await.1).unwrap();
    assert_eq!(cleared, Stats::default());
}

#[tokio::test]
async fn a_taken_port_is_an_error_and_a_stopped_simulator_gives_its_port_back() {
    let sandbox = start(|_| {}).await;
    let port = sandbox.addr.port();
    let again = SandboxSettings { port, ..SandboxSettings::default() };
    let error = Sandbox::start(again.clone()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{port}"));
    sandbox.shutdown().await;
    Sandbox::start(again).await.unwrap().shutdown().await;
}

/// A receiver that answers what its script says, then 200, and keeps what it got.
async fn receiver(script: Vec<u16>) -> (String, Arc<Mutex<Vec<Report>>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/reports", listener.local_addr().unwrap());
    let (got, script) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(script)));
    let kept = Arc::clone(&got);
    let route = post(move |report: axum::Json<Report>| async move {
        kept.lock().unwrap().push(report.0);
        let mut script = script.lock().unwrap();
        let status = if script.is_empty() { 200 } else { script.remove(0) };
        StatusCode::from_u16(status).unwrap()
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, Router::new().route("/reports", route)).await.unwrap() });
    (url, got, tasks)
}

fn reporting(settings: &mut SandboxSettings, url: String) {
    settings.reports =
        ReportSettings { url: Some(url), delay_min_ms: 1, delay_max_ms: 5, retry_ms: 1, ..Default::default() };
}

#[tokio::test]
async fn every_accepted_message_is_reported_once_it_is_confirmed() {
    let (url, got, _receiver) = receiver(vec![]).await;
    let sandbox = start(|settings| {
        reporting(settings, url);
        settings.reports.undelivered_per_mille = 300;
        settings.reports.expired_per_mille = 300;
        settings.script = vec![Fate::Refuse, Fate::Cut];
    })
    .await;
    let channel = channel(&sandbox);
    for n in 0..60 {
        send(&channel, &format!("k{n}")).await;
    }
    assert_eq!(send(&channel, "k1").await, "accepted", "a replay is not reported again");
    let stats = sandbox.until(|stats| stats.reports.confirmed == 59).await;
    assert_eq!((stats.reports_waiting, stats.reports.retried), (0, 0));
    let mut got = got.lock().unwrap().clone();
    for state in [ReportState::Delivered, ReportState::Undelivered, ReportState::Expired] {
        assert!(got.iter().any(|report| report.state == state), "{state:?}");
    }
    got.sort_by(|a, b| a.reference.cmp(&b.reference));
    got.dedup_by(|a, b| a.reference == b.reference);
    assert_eq!(got.len(), 59);
    let id_of = |reference: &str| {
        let inbox = sandbox.inbox(None, 0, 100);
        inbox.into_iter().find(|message| message.reference.as_deref() == Some(reference)).unwrap().id
    };
    let first = got.first().unwrap();
    assert_eq!((first.reference.as_deref(), &first.id), (Some("k1"), &id_of("k1")));
    let shown = serde_json::to_value(first).unwrap();
    let names: Vec<&String> = shown.as_object().unwrap().keys().collect();
    assert_eq!(names, ["at", "id", "reference", "state"]);
    assert!(crate::domain::clock::EpochMs::parse_rfc3339(&first.at).is_ok(), "{}", first.at);
}

#[tokio::test]
async fn a_report_is_tried_again_until_it_is_confirmed_or_given_up() {
    let (url, got, _receiver) = receiver(vec![500, 302, 200, 404, 404]).await;
    let sandbox = start(|settings| reporting(settings, url)).await;
    let channel = channel(&sandbox);
    send(&channel, "k1").await;
    let stats = sandbox.until(|stats| stats.reports.confirmed == 1).await;
    assert_eq!(stats.reports.retried, 2);
    sandbox.change(|settings| settings.reports.attempts = 2).unwrap();
    send(&channel, "k2").await;
    let stats = sandbox.until(|stats| stats.reports.given_up == 1).await;
    assert_eq!((stats.reports_waiting, stats.reports.retried, got.lock().unwrap().len()), (0, 3, 5));
    sandbox.change(|settings| settings.reports.waiting = 0).unwrap();
    send(&channel, "k3").await;
    assert_eq!(sandbox.stats().reports.dropped, 1);
}

#[tokio::test]
async fn the_inbox_shows_order_message_and_receipt_and_how_often_it_was_tried() {
    let (url, _got, _receiver) = receiver(vec![503, 200]).await;
    let sandbox = start(|settings| reporting(settings, url)).await;
    let reference = "nov-dues/delivery@1/42.0/1.b7Kx02LmQ9";
    let body = json!({"to": "+34600123456", "text": "Hola: https://pay.example/?p=aB3dE6gH9k", "reference": reference});
    let messages = format!("{}/messages", sandbox.url());
    assert_eq!(call(reqwest::Method::POST, messages, &body.to_string()).await.0, 202);
    sandbox.until(|stats| stats.reports.confirmed == 1).await;
    let (_, inbox) = get(format!("{}/inbox?last=1", sandbox.url())).await;
    let message = &inbox["messages"][0];
    let order = json!({"campaign": "nov-dues", "run": "delivery@1", "order": 42, "attempt": 1});
    assert_eq!((&message["order"], &message["link"]), (&order, &json!("https://pay.example/?p=aB3dE6gH9k")));
    let report = &message["report"];
    let shown = (&report["state"], &report["tries"], &report["status"], &report["ended"]);
    assert_eq!(shown, (&json!("delivered"), &json!(2), &json!(200), &json!(true)));
    assert!(report["confirmed_at_ms"].as_i64().unwrap() >= message["at_ms"].as_i64().unwrap(), "{report}");
    assert_eq!(get(format!("{}/inbox?last=1&after=1", sandbox.url())).await.1["messages"], json!([]));
}

#[tokio::test]
async fn a_browser_gets_the_inbox_as_a_page_and_everybody_else_the_manual() {
    let sandbox = start(|_| {}).await;
    let ask = async |path: &str, accept: &str| {
        let request = client().unwrap().get(format!("{}{path}", sandbox.url())).header("accept", accept);
        let answer = request.send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, answer.text().await.unwrap())
    };
    for (path, accept) in [("/", "text/html,application/xhtml+xml"), ("/inbox.html", "*/*")] {
        let (kind, page) = ask(path, accept).await;
        assert_eq!(kind, "text/html; charset=utf-8");
        assert!(page.starts_with("<!doctype html>") && !page.contains("innerHTML"), "texts are put in as texts");
    }
    assert!(ask("/", "*/*").await.1.contains("GET    /inbox.html"));
}

#[tokio::test]
async fn reports_are_signed_and_go_where_the_message_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("http://{}/mine", listener.local_addr().unwrap());
    let checked = Arc::new(Mutex::new(None));
    let result = Arc::clone(&checked);
    let route = post(move |headers: axum::http::HeaderMap, body: bytes::Bytes| async move {
        let header = |name: &str| headers[name].to_str().unwrap();
        let standard = crate::domain::signature::Standard {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signatures: header("webhook-signature"),
        };
        let now = crate::domain::clock::EpochMs(state::now_ms());
        *result.lock().unwrap() = Some(standard.check(&[b"secret".to_vec()], &body, now, Duration::from_mins(1)));
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, Router::new().route("/mine", route)).await.unwrap() });
    let sandbox = start(|settings| {
        reporting(settings, "http://127.0.0.1:1/".to_owned());
        settings.reports.secret = Some("whsec_c2VjcmV0".to_owned());
    })
    .await;
    let body = json!({"to": "+34600123456", "text": "t", "callback_url": own}).to_string();
    call(reqwest::Method::POST, format!("{}/messages", sandbox.url()), &body).await;
    sandbox.until(|stats| stats.reports.confirmed == 1).await;
    assert_eq!(*checked.lock().unwrap(), Some(Ok(())));
}
