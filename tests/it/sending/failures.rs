//! The failure table, end to end: what a provider does, and what becomes of the recipient and of the channel.

use remesa::sandbox::Fate;
use serde_json::json;

use crate::support::ledger::campaign_audit;
use crate::support::provider::{Act, Receiver, sandbox_with};
use crate::support::scene::{Scene, people, phone, run_key, send_job};
use crate::support::wait;

/// One message at a time, so that the simulator's script meets recipients in their order.
const ONE_BY_ONE: &str = "in_flight = 1\nslots = 1\nretry_base = \"20ms\"\nretry_cap = \"40ms\"\n";

fn outcome(letter: &str, attempt: u32, reason: &str) -> (String, u32, String) {
    (letter.to_owned(), attempt, reason.to_owned())
}

#[tokio::test]
async fn da_1_a_refusal_is_failed_a_lost_answer_is_unknown_and_nobody_is_asked_twice() {
    let mut scene = Scene::with("timeout = \"2s\"\nconnect_timeout = \"2s\"\n", |sandbox| {
        let fates = [Fate::Accept, Fate::Refuse, Fate::Fail, Fate::Hang, Fate::Cut];
        sandbox.recipients = fates.into_iter().enumerate().map(|(n, fate)| (phone(n + 1), fate)).collect();
    })
    .await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(5))).await;
    scene.finished("c").await;
    let expected = [
        outcome("s", 1, ""),
        outcome("f", 1, "refused:invalid_recipient"),
        outcome("n", 1, "server_error:simulated_failure"),
        outcome("n", 1, "answer_timeout"),
        outcome("n", 1, "answer_lost"),
    ];
    for (n, expected) in (1..).zip(expected) {
        assert_eq!(scene.outcome("c", n).await, expected, "recipient {n}");
    }
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("failed", 1), ("sent", 1), ("unknown", 3)].into());
    assert_eq!(scene.sandbox.stats().requests, 5);
}

#[tokio::test]
async fn on_unknown_fail_calls_a_lost_answer_failed() {
    let keys = "on_unknown = \"fail\"\n";
    let mut scene = Scene::with(keys, |sandbox| sandbox.cut_per_mille = 1000).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(2))).await;
    scene.finished("c").await;
    assert_eq!(scene.outcome("c", 1).await, outcome("f", 1, "unknown:answer_lost"));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("failed", 2)].into());
}

#[tokio::test]
async fn an_idempotent_channel_is_asked_again_with_the_same_key() {
    let keys = format!("{ONE_BY_ONE}idempotent = true\n");
    let mut scene = Scene::with(&keys, |sandbox| sandbox.script = vec![Fate::Cut, Fate::Fail, Fate::Accept]).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(3))).await;
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 3)].into());
    let attempts = [scene.outcome("c", 1).await.1, scene.outcome("c", 2).await.1, scene.outcome("c", 3).await.1];
    // Whom the second act of the script meets depends on whether the first one's retry is due already.
    assert_eq!(attempts.iter().sum::<u32>(), 5, "{attempts:?}");
    let stats = scene.sandbox.stats();
    assert_eq!((stats.requests, stats.counts.accepted, stats.answers.replayed), (5, 3, 1));
    let mut keys: Vec<String> =
        scene.sandbox.inbox(None, 0, 10).into_iter().map(|message| message.idempotency_key.unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["c/delivery@1/1.0/1", "c/delivery@1/2.0/1", "c/delivery@1/3.0/1"]);
}

#[tokio::test]
async fn da_3_a_429_blocks_the_channel_for_as_long_as_it_says_and_costs_no_attempt() {
    let mut scene = Scene::with(ONE_BY_ONE, |sandbox| sandbox.script = vec![Fate::Accept, Fate::Throttle]).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(3))).await;
    scene.finished("c").await;
    let blocked_until: i64 = scene.hash("remesa:channel:sms").await["blocked_until"].parse().unwrap();
    let sent = scene.sandbox.inbox(None, 0, 10);
    assert_eq!(sent.len(), 3);
    assert!(sent[0].at_ms < blocked_until - 500 && sent[1].at_ms >= blocked_until, "{blocked_until} {sent:?}");
    for n in 1..=3 {
        assert_eq!(scene.outcome("c", n).await, outcome("s", 1, ""));
    }
    assert_eq!(scene.sandbox.stats().requests, 4);
}

#[tokio::test]
async fn a_provider_that_refuses_us_pauses_the_channel_and_costs_the_recipients_nothing() {
    let mut scene = Scene::with(ONE_BY_ONE, |sandbox| {
        (sandbox.refuse_status, sandbox.refuse_code) = (401, "bad_key".to_owned());
        sandbox.script = vec![Fate::Refuse];
    })
    .await;
    let daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(3))).await;
    let paused = wait::field(&mut scene.db, "remesa:channel:sms", "paused", &["not_authorised:bad_key"]).await;
    assert_eq!(paused, "not_authorised:bad_key");
    daemon.event("the provider refuses us: channel paused", |event| event["channel"] == "sms").await;
    wait::field(&mut scene.db, &run_key("c"), "queued", &["3"]).await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("queued", 3)].into());
    assert_eq!(scene.sandbox.stats().requests, 1);
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    scene.finished("c").await;
    for n in 1..=3 {
        assert_eq!(scene.outcome("c", n).await, outcome("s", 1, ""));
    }
}

#[tokio::test]
async fn a_transient_failure_is_tried_again_later_also_by_the_next_daemon() {
    // An address where nobody listens for now.
    let gone = sandbox_with(|_| {}).await;
    let (url, port) = (gone.url(), gone.addr.port());
    gone.shutdown().await;
    let mut scene = Scene::new().await;
    let keys = "retry_base = \"300ms\"\nretry_cap = \"300ms\"\nretry_attempts = 100\nbreaker_failures = 100000\n";
    scene.settings = scene.settings.sandbox_channel("later", &url, keys);
    let mut daemon = scene.daemon().await;
    let mut job = send_job("c", people(5));
    job["channel"] = "later".into();
    scene.run("generate", &job).await;
    wait::until("everybody has been tried", async || {
        for n in 1..=5 {
            let (letter, _, reason) = scene.outcome("c", n).await;
            if (letter.as_str(), reason.as_str()) != ("r", "connection_refused") {
                return None;
            }
        }
        Some(())
    })
    .await;
    daemon.kill();
    let counted = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(counted.get("retry").copied().unwrap_or(0) + counted.get("sending").copied().unwrap_or(0), 5);
    let back = sandbox_with(|settings| settings.port = port).await;
    let _daemon = scene.daemon().await;
    scene.finished("c").await;
    // What the dead daemon had in hand at that moment nobody knows; all others arrive, once.
    let counted = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(counted["sent"] + counted.get("unknown").copied().unwrap_or(0), 5);
    assert_eq!((back.stats().counts.accepted, back.stats().counts.repeated_recipients), (counted["sent"], 0));
}

#[tokio::test]
async fn attempts_come_to_an_end_and_the_recipient_is_failed() {
    let gone = sandbox_with(|_| {}).await;
    let url = gone.url();
    gone.shutdown().await;
    let mut scene = Scene::new().await;
    let keys = "retry_base = \"20ms\"\nretry_attempts = 3\nbreaker_failures = 100000\n";
    scene.settings = scene.settings.sandbox_channel("later", &url, keys);
    let _daemon = scene.daemon().await;
    let mut job = send_job("c", people(2));
    job["channel"] = "later".into();
    scene.run("generate", &job).await;
    scene.finished("c").await;
    assert_eq!(scene.outcome("c", 1).await, outcome("f", 3, "connection_refused"));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("failed", 2)].into());
}

#[tokio::test]
async fn an_http_channel_posts_its_template_and_reads_what_it_is_told_to_read() {
    let receiver = Receiver::start([
        Act::json(200, r#"{"result":{"message":"M-1"}}"#),
        Act::json(200, r#"{"result":{}}"#),
        Act::Write(b"no http at all".to_vec()),
        Act::json(302, "{}"),
        Act::json(404, r#"{"fault":"no_such_number"}"#),
        Act::json(200, r#"{"fault":"insufficient_credit"}"#),
    ]);
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.toml(&format!(
        "[channels.acme]\nkind = \"http\"\nurl = \"{}/v1/sms\"\n{ONE_BY_ONE}id_pointer = \"/result/message\"\n\
         error_pointer = \"/fault\"\ndenied_codes = [\"insufficient_credit\"]\ncredentials = {{ key = \"s3cret\" }}\n\
         headers = {{ authorization = \"Bearer {{{{ credentials.key }}}}\" }}\n\
         body = '{{\"msisdn\": \"{{{{ to }}}}\", \"body\": \"{{{{ text }}}}\", \"ref\": \"{{{{ reference }}}}\"}}'\n",
        receiver.url()
    ));
    let _daemon = scene.daemon().await;
    let mut job = send_job("c", people(6));
    job["channel"] = "acme".into();
    job["rows"][0]["name"] = "Ana \"la\" \\ Ñ".into();
    scene.run("generate", &job).await;
    wait::field(&mut scene.db, "remesa:channel:acme", "paused", &["quota_exceeded:insufficient_credit"]).await;
    wait::field(&mut scene.db, &run_key("c"), "queued", &["1"]).await;
    let expected = [
        outcome("s", 1, ""),
        outcome("n", 1, "answer_without_id"),
        outcome("n", 1, "answer_lost"),
        outcome("f", 1, "redirected:http_302"),
        outcome("f", 1, "refused:no_such_number"),
        outcome("q", 0, "quota_exceeded:insufficient_credit"),
    ];
    for (n, expected) in (1..).zip(expected) {
        assert_eq!(scene.outcome("c", n).await, expected, "recipient {n}");
    }
    assert!(scene.cell("c", 1).await.unwrap().ends_with(",M-1"));
    let requests = receiver.requests();
    assert_eq!((requests.len(), requests[0].path.as_str()), (6, "/v1/sms"));
    assert_eq!(requests[0].header("authorization"), Some("Bearer s3cret"));
    let body = requests[0].json();
    assert_eq!(body["msisdn"], phone(1));
    assert!(body["body"].as_str().unwrap().starts_with("Hola Ana \"la\" \\ Ñ: https://"), "{body}");
    campaign_audit(&mut scene.db, "c").await;
}
