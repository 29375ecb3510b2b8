//! Actions over HTTP: who may, from where, in which state, and what the answer says.

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::scene::{Scene, generate_job, people, send_job};
use crate::support::visitor::{ANA, Answer, EVA, Visitor, tokens};

/// A daemon with tokens, and the campaign `c` of three orders, generated.
async fn generated() -> (Scene, Daemon, Visitor) {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.toml(&tokens());
    let daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(3))).await;
    let visitor = Visitor::of(&daemon).await;
    (scene, daemon, visitor)
}

/// What is told once: the cookie, read as the page reads it.
fn told(answer: &Answer) -> Value {
    use base64::Engine as _;
    assert_eq!(answer.status, 303, "{answer:?}");
    let cookie = answer.header("set-cookie").split(';').next().unwrap().strip_prefix("remesa_said=").unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cookie).unwrap()).unwrap()
}

/// The word of this session's forms, as a page has it.
fn csrf(session: &Visitor) -> String {
    use remesa::domain::{
        name::Name,
        pass::{Holder, Role},
    };
    let cookie = session.cookie("remesa_session");
    Holder::new(Name::parse("ana").unwrap(), Role::Operator, ANA).csrf(&cookie)
}

#[tokio::test]
async fn an_operator_acts_and_is_answered_with_what_became_of_it() {
    let (mut scene, _daemon, visitor) = generated().await;
    let ana = visitor.bearing(ANA);
    let pause = json!({"action": "pause", "channel": "sms"});
    let done = ana.post_json("/actions", &pause).await;
    let body = done.json();
    assert_eq!((done.status, &body["action"], &body["outcome"]), (200, &json!("pause"), &json!("done")), "{body}");
    let job = body["job"].as_str().unwrap();
    assert!(job.starts_with("http:ana:"), "{job}");
    assert_eq!(scene.hash("remesa:channel:sms").await["paused"], job);
    assert_eq!(ana.post_json("/actions", &pause).await.json()["outcome"], "same");

    scene.enqueue("generate", &send_job("s", people(3))).await;
    scene.done("gen-s").await;
    let cancelled =
        ana.post_json("/actions", &json!({"action": "cancel", "campaign": "s", "cancel_orders": true})).await;
    assert_eq!(cancelled.json()["result"]["orders_cancelled"], 3, "{cancelled:?}");
    scene.campaign_is("s", "cancelled").await;
    let resumed = ana.post_form("/actions", &[("action", "resume"), ("channel", "sms")]).await;
    assert_eq!(
        (resumed.status, &resumed.json()["outcome"]),
        (200, &json!("done")),
        "a form without a page is answered"
    );
}

#[tokio::test]
async fn what_a_state_does_not_allow_is_a_conflict_that_names_what_it_allows() {
    let (_scene, _daemon, visitor) = generated().await;
    let ana = visitor.bearing(ANA);
    for (job, status, code, says) in [
        (
            json!({"action": "resume", "campaign": "c"}),
            409,
            "wrong_state",
            "is generated: resume is not allowed; allowed: cancel",
        ),
        (json!({"action": "pause", "campaign": "none"}), 404, "unknown_campaign", "none"),
        (json!({"action": "pause", "channel": "none"}), 404, "unknown_channel", "none"),
        (json!({"action": "retry", "campaign": "c", "run": "none", "states": "all"}), 404, "unknown_run", "none"),
        (json!({"action": "run_now", "campaign": "c", "recurring": "none"}), 404, "unknown_recurring", "none"),
        (json!({"action": "close_case", "campaign": "c", "case": 1}), 404, "unknown_case", "1"),
        (json!({"action": "replay", "letters": "dead", "entry": "1-1"}), 404, "unknown_letter", "1-1"),
        (json!({"action": "pause"}), 400, "missing_field", "target"),
        (json!({"action": "pause", "campaign": "a b"}), 400, "invalid_name", "campaign"),
        (json!({"action": "retry", "campaign": "c", "run": "r", "states": "sent"}), 400, "invalid_value", "states"),
        (json!({"action": "forget", "contact": "+34600123456"}), 400, "unknown_action", "pause, resume"),
        (json!({"action": "pause", "campaign": "c", "id": "x"}), 400, "unknown_field", "campaign"),
        (json!({}), 400, "missing_field", "action"),
    ] {
        let answer = ana.post_json("/actions", &job).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{job}");
        let sentence = answer.json()["sentence"].as_str().unwrap().to_owned();
        assert!(sentence.contains(says), "{job}: {sentence}");
    }
}

#[tokio::test]
async fn only_operators_act_from_our_own_pages_with_the_word_of_their_session() {
    let (_scene, _daemon, visitor) = generated().await;
    let (pause, form) = (json!({"action": "pause", "channel": "sms"}), [("action", "pause"), ("channel", "sms")]);
    assert_eq!(visitor.post_json("/actions", &pause).await.refusal(), (401, "token_needed".to_owned()));
    assert_eq!(visitor.bearing("x").post_json("/actions", &pause).await.refusal(), (401, "unknown_token".to_owned()));
    assert_eq!(visitor.bearing(EVA).post_json("/actions", &pause).await.refusal(), (403, "operator_needed".to_owned()));
    for (name, value) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "same-site")] {
        let refused = visitor.bearing(ANA).with(name, value).post_json("/actions", &pause).await;
        assert_eq!(refused.refusal(), (403, "cross_site".to_owned()), "{name}: {value}");
    }
    let named = visitor.bearing(ANA).with("host", "evil.example").post_json("/actions", &pause).await;
    assert_eq!(named.refusal(), (421, "not_this_host".to_owned()));

    let session = visitor.logged_in(ANA).await;
    assert_eq!(session.post_form("/actions", &form).await.refusal(), (403, "csrf".to_owned()));
    let other = csrf(&visitor.logged_in(ANA).await);
    let foreign = [form[0], form[1], ("csrf", other.as_str())];
    assert_eq!(session.post_form("/actions", &foreign).await.refusal(), (403, "csrf".to_owned()));
    let own = csrf(&session);
    let with = [form[0], form[1], ("csrf", own.as_str())];
    assert_eq!(session.post_form("/actions", &with).await.json()["outcome"], "done");
    let resume = json!({"action": "resume", "channel": "sms"});
    let by_script = session.with("x-csrf-token", &own).post_json("/actions", &resume).await;
    assert_eq!(by_script.json()["outcome"], "done");
    let over = visitor.with("cookie", "remesa_session=ana~1~2~3").with("referer", "http://x/campaigns/c?a=1");
    let led = over.post_form("/actions", &with).await;
    assert_eq!(
        (led.status, led.header("location")),
        (303, "/login?refused=session_over&return=%2Fcampaigns%2Fc%3Fa%3D1")
    );
    assert_eq!(visitor.get("/actions").await.status, 405);
}

#[tokio::test]
async fn a_page_is_led_back_to_and_told_once() {
    let (_scene, _daemon, visitor) = generated().await;
    let session = visitor.logged_in(ANA).await;
    let word = csrf(&session);
    let post = async |fields: &[(&str, &str)]| {
        let all: Vec<_> = fields.iter().copied().chain([("csrf", word.as_str())]).collect();
        session.post_form("/actions", &all).await
    };
    let paused = post(&[("action", "pause"), ("channel", "sms"), ("campaign", ""), ("return", "/channels?x=1")]).await;
    assert_eq!(paused.header("location"), "/channels?x=1");
    let said = told(&paused);
    assert_eq!((&said["action"], &said["outcome"]), (&json!("pause"), &json!("done")));
    let wrong = post(&[("action", "resume"), ("campaign", "c"), ("return", "/campaigns/c")]).await;
    assert_eq!(told(&wrong)["outcome"], "wrong_state");
    assert!(told(&wrong)["sentence"].as_str().unwrap().contains("allowed: cancel"), "{wrong:?}");
    for elsewhere in ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb: c"]
    {
        let led = post(&[("action", "pause"), ("channel", "sms"), ("return", elsewhere)]).await;
        assert_eq!(led.header("location"), "/", "{elsewhere}");
    }
    let scripted = post(&[("action", "<script>alert(1)</script>"), ("return", "/")]).await;
    assert!(!told(&scripted).to_string().contains("script"), "what was sent does not come back");
}

#[tokio::test]
async fn a_refused_job_is_replayed_once_its_cause_is_gone() {
    let (mut scene, _daemon, visitor) = generated().await;
    let ana = visitor.bearing(ANA);
    scene.enqueue("control", &json!({"id": "p-1", "action": "pause", "campaign": "later"})).await;
    scene.refused("p-1").await;
    scene.enqueue("generate", &send_job("later", people(3))).await;
    scene.done("gen-later").await;
    let replay = json!({"action": "replay", "letters": "rejected", "entry": "p-1"});
    let done = ana.post_json("/actions", &replay).await;
    assert_eq!((done.status, &done.json()["job"]), (200, &json!("p-1")), "{done:?}");
    assert_eq!(ana.post_json("/actions", &replay).await.refusal(), (404, "unknown_letter".to_owned()));
    scene.enqueue("control", &json!({"id": "bad", "action": "pause", "campain": "x"})).await;
    scene.refused("bad").await;
    let again = json!({"action": "replay", "letters": "rejected", "entry": "bad"});
    assert_eq!(ana.post_json("/actions", &again).await.refusal(), (409, "refused_again".to_owned()));
}

#[tokio::test]
async fn without_an_operators_token_nobody_acts() {
    let scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let anybody = Visitor::of(&daemon).await;
    let refused = anybody.post_json("/actions", &json!({"action": "pause", "channel": "sms"})).await;
    assert_eq!(refused.refusal(), (403, "operator_needed".to_owned()));
    assert!(refused.json()["sentence"].as_str().unwrap().contains("[http.tokens]"), "{refused:?}");
}

#[tokio::test]
async fn bodies_that_are_too_big_of_another_kind_or_no_json_get_their_status() {
    let (_scene, _daemon, visitor) = generated().await;
    let ana = visitor.bearing(ANA);
    let big = json!({"action": "pause", "campaign": "x".repeat(70_000)});
    assert_eq!(ana.post_json("/actions", &big).await.refusal(), (413, "too_big".to_owned()));
    for kind in ["text/plain", "multipart/form-data", "application/xml"] {
        assert_eq!(
            ana.post("/actions", kind, "{}").await.refusal(),
            (415, "unsupported_media_type".to_owned()),
            "{kind}"
        );
    }
    for body in ["", "[]", "{\"action\":", "\u{0}"] {
        let refused = ana.post("/actions", "application/json", body).await;
        assert_eq!(refused.refusal(), (400, "unreadable".to_owned()), "{body:?}");
    }
    let twice = ana.post("/actions", "application/x-www-form-urlencoded", "action=pause&action=resume").await;
    assert_eq!(twice.refusal(), (400, "unreadable".to_owned()));
}

#[tokio::test]
async fn while_redis_is_away_an_action_says_so_and_nothing_is_done() {
    let (mut scene, _daemon, visitor) = generated().await;
    scene.redis.kill();
    let refused = visitor.bearing(ANA).post_json("/actions", &json!({"action": "pause", "channel": "sms"})).await;
    assert_eq!(refused.refusal(), (503, "redis_unavailable".to_owned()));
    scene.redis.restart().await;
}
