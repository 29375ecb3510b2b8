//! `remesa why`: each reason as an operator meets it, with the command that ends it, which is then typed.

use redis::AsyncCommands as _;
use remesa::sandbox::Fate;
use serde_json::{Value, json};

use crate::support::command::{json_of, refused, shown};
use crate::support::daemon::Daemon;
use crate::support::provider::counted;
use crate::support::scene::{Scene, generate_job, people, phone, run_key, send_job};
use crate::support::wait;

async fn why(scene: &Scene, about: &[&str]) -> Value {
    let arguments: Vec<&str> = ["why"].iter().chain(about).chain(&["--json"]).copied().collect();
    json_of(&scene.settings, &arguments).await
}

fn codes(answer: &Value) -> Vec<&str> {
    answer["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap()).collect()
}

fn reason<'a>(answer: &'a Value, code: &str) -> &'a Value {
    let found = answer["reasons"].as_array().unwrap().iter().find(|reason| reason["code"] == code);
    found.unwrap_or_else(|| panic!("no {code} in {answer:#}"))
}

/// The first step of a reason that is a control job.
fn job_of(reason: &Value) -> Value {
    let steps = reason["steps"].as_array().unwrap();
    steps.iter().find_map(|step| step.get("job")).unwrap_or_else(|| panic!("no job in {reason:#}")).clone()
}

/// Four of fifty are at the provider, which holds its answers.
async fn four_of_fifty_in_flight() -> (Scene, Daemon) {
    let mut scene = Scene::with("in_flight = 4\n", |sandbox| sandbox.hold = true).await;
    let daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(50))).await;
    counted(&scene.sandbox, "four in flight", |stats| stats.in_flight == 4).await;
    (scene, daemon)
}

#[tokio::test]
async fn a_pause_of_campaign_run_and_channel_says_who_and_since_when_and_its_step_ends_it() {
    let (mut scene, _daemon) = four_of_fifty_in_flight().await;
    let asked = scene.now_ms().await;
    shown(&scene.settings, &["campaign", "pause", "c"]).await;
    shown(&scene.settings, &["campaign", "pause", "c", "--run", "delivery@1"]).await;
    shown(&scene.settings, &["channels", "pause", "sms"]).await;
    let answer = why(&scene, &["run", "c", "delivery@1"]).await;
    assert_eq!((answer["verdict"].as_str(), answer["state"].as_str()), (Some("stuck"), Some("paused")));
    assert_eq!(codes(&answer)[..3], ["campaign_paused", "run_paused", "channel_paused"], "{answer:#}");
    for code in ["campaign_paused", "run_paused", "channel_paused"] {
        let paused = reason(&answer, code);
        assert!(paused["by"].as_str().unwrap().contains('@'), "{paused}");
        let since = paused["since"].as_i64().unwrap();
        assert!((asked..=scene.now_ms().await).contains(&since), "{paused}");
    }
    // The queued ones wait for the same; what is at the provider is told apart.
    let order = why(&scene, &["order", "c", "40"]).await;
    assert_eq!(codes(&order["parts"][0])[..3], ["campaign_paused", "run_paused", "channel_paused"]);
    let sending = why(&scene, &["order", "c", "1"]).await;
    assert_eq!(codes(&sending["parts"][0]), ["being_sent"]);
    let text = shown(&scene.settings, &["why", "campaign", "c"]).await;
    assert!(text.starts_with("the campaign c is paused: it goes on only when somebody acts\n"), "{text}");
    assert!(text.contains("remesa campaign resume c --run delivery@1"), "{text}");

    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    for code in ["campaign_paused", "run_paused", "channel_paused"] {
        let result = scene.command(job_of(reason(&answer, code))).await;
        assert_eq!(result["changed"], true, "{code}");
    }
    scene.finished("c").await;
    let over = why(&scene, &["run", "c", "delivery@1"]).await;
    assert_eq!((over["verdict"].as_str(), codes(&over)), (Some("ended"), vec!["run_finished"]));
    let campaign = why(&scene, &["campaign", "c"]).await;
    assert_eq!((campaign["verdict"].as_str(), codes(&campaign)), (Some("ended"), vec!["campaign_delivered"]));
}

#[tokio::test]
async fn an_order_that_waits_knows_how_many_come_before_it_and_how_long_they_take() {
    let mut scene =
        Scene::with("in_flight = 1\nslots = 1\nrate_per_second = 10\n", |sandbox| sandbox.hold = true).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(50))).await;
    counted(&scene.sandbox, "one in flight", |stats| stats.in_flight == 1).await;
    let answer = why(&scene, &["order", "c", "--key", "k-41"]).await;
    assert_eq!(answer["order"], 41);
    let part = &answer["parts"][0];
    assert_eq!(codes(part), ["recipients_ahead"]);
    let ahead = reason(part, "recipients_ahead");
    let claimed = scene.delivery("c").await["sending"].parse::<u64>().unwrap();
    let sentence = format!("{} recipients of its run before it", 40 - claimed);
    assert_eq!(ahead["sentence"].as_str(), Some(sentence.as_str()));
    // Ten a second: the rest of the forty take some four seconds.
    let until = ahead["until"].as_i64().unwrap() - scene.now_ms().await;
    assert!((1_000..=4_200).contains(&until), "{until}");
    let run = why(&scene, &["run", "c", "delivery@1"]).await;
    assert_eq!((run["verdict"].as_str(), codes(&run)), (Some("moves"), vec!["sending"]));
}

#[tokio::test]
async fn what_became_of_a_message_is_told_by_its_code_and_what_helps() {
    let mut scene = Scene::with("", |sandbox| {
        sandbox.recipients.insert(phone(2), Fate::Refuse);
        sandbox.recipients.insert(phone(3), Fate::Cut);
    })
    .await;
    let _daemon = scene.daemon().await;
    let mut rows = people(4);
    rows[3]["SMScontact"] = "nobody".into();
    scene.run("generate", &send_job("c", rows)).await;
    scene.finished("c").await;
    let told = async |number: &str| {
        let answer = why(&scene, &["order", "c", number]).await;
        let reason = &answer["parts"][0]["reasons"][0];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&answer["verdict"]), text(&reason["code"]), text(&reason["sentence"]))
    };
    let (verdict, code, _) = told("1").await;
    assert_eq!((verdict.as_str(), code.as_str()), ("ended", "sent_no_receipt"));
    let (verdict, code, sentence) = told("2").await;
    assert_eq!((verdict.as_str(), code.as_str()), ("ended", "failed"));
    assert!(sentence.contains("the provider refuses this message"), "{sentence}");
    let (verdict, code, sentence) = told("3").await;
    assert_eq!((verdict.as_str(), code.as_str()), ("stuck", "unknown"));
    assert!(sentence.contains("answer_lost: the connection ended before its answer came"), "{sentence}");
    let (verdict, code, sentence) = told("4").await;
    assert_eq!((verdict.as_str(), code.as_str()), ("ended", "skipped"));
    assert!(sentence.contains("no_valid_contact: its row had no valid SMScontact; mend the row"), "{sentence}");

    let run = why(&scene, &["run", "c", "delivery@1"]).await;
    assert_eq!(codes(&run), ["run_finished", "some_unknown", "some_failed"]);
    scene.sandbox.change(|settings| settings.recipients.clear()).unwrap();
    assert_eq!(scene.command(job_of(reason(&run, "some_failed"))).await["queued"], 1);
    wait::until("the failed one is sent", async || (scene.outcome("c", 2).await.0 == "s").then_some(())).await;
    let short_code = scene.order("c", 1).await["short_code"].as_str().unwrap().to_owned();
    assert_eq!(why(&scene, &["order", &short_code]).await["order"], 1);
}

#[tokio::test]
async fn a_job_says_what_it_waits_for_unread_early_parked_or_refused() {
    let mut scene = Scene::new().await;
    for n in 1..=3 {
        let mut job = generate_job(&format!("c{n}"), people(1));
        job["id"] = format!("gen-{n}").into();
        scene.enqueue("generate", &job).await;
    }
    let unread = why(&scene, &["job", "gen-3"]).await;
    assert_eq!((unread["verdict"].as_str(), unread["state"].as_str()), (Some("stuck"), Some("queued")));
    assert_eq!(codes(&unread), ["no_daemon", "job_queued"]);
    let sentence = reason(&unread, "job_queued")["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("it waits in the queue generate: 2 jobs before it"), "{sentence}");
    let bare: String = scene.db.xadd("remesa:jobs:control", "*", &[("job", "{}")]).await.unwrap();
    assert_eq!(codes(&why(&scene, &["job", &format!("control:{bare}")]).await), ["no_daemon", "job_queued"]);

    let _daemon = scene.daemon().await;
    let done = scene.ended("gen-3").await;
    assert_eq!(done["state"], "done");
    assert_eq!(codes(&why(&scene, &["job", "gen-3"]).await), ["job_done"]);
    let refused_one = why(&scene, &["job", &format!("control:{bare}")]).await;
    assert_eq!(codes(&refused_one), ["job_rejected"]);

    let at = scene.now_ms().await + 3_600_000;
    let mut early = generate_job("later", people(1));
    early["at"] = at.into();
    scene.enqueue("generate", &early).await;
    wait::field(&mut scene.db, "remesa:job:gen-later", "state", &["scheduled"]).await;
    let scheduled = why(&scene, &["job", "gen-later"]).await;
    assert_eq!((scheduled["verdict"].as_str(), codes(&scheduled)), (Some("waits"), vec!["scheduled_for"]));
    assert_eq!(reason(&scheduled, "scheduled_for")["until"], at);

    let mut behind = generate_job("behind", people(1));
    behind["after"] = json!(["gen-1", "gen-later", "never-came"]);
    scene.enqueue("generate", &behind).await;
    wait::field(&mut scene.db, "remesa:job:gen-behind", "state", &["parked"]).await;
    let parked = why(&scene, &["job", "gen-behind"]).await;
    assert_eq!(codes(&parked), ["parked_unknown", "parked_behind"], "what is done is not named: {parked:#}");
    let sentence = reason(&parked, "parked_behind")["sentence"].as_str().unwrap();
    assert_eq!(sentence, "it comes after the job gen-later, which is scheduled");
    let absent = refused(&scene.settings, &["why", "job", "nobody-knows"]).await;
    assert!(absent.contains("no job \"nobody-knows\" is known"), "{absent}");
    let absent = refused(&scene.settings, &["why", "run", "c1", "delivery@9"]).await;
    assert!(absent.contains("no such thing as the run delivery@9 of c1"), "{absent}");
}

#[tokio::test]
async fn a_provider_that_refuses_us_and_a_channel_that_nobody_serves_are_told_apart() {
    let mut scene = Scene::with("", |sandbox| (sandbox.refuse_per_mille, sandbox.refuse_status) = (1000, 401)).await;
    let mut daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(3))).await;
    wait::until("the channel pauses", async || scene.hash("remesa:channel:sms").await.remove("paused")).await;
    let denied = why(&scene, &["channel", "sms"]).await;
    assert_eq!((denied["verdict"].as_str(), codes(&denied)), (Some("stuck"), vec!["channel_denied"]));
    let reason_text = reason(&denied, "channel_denied")["sentence"].as_str().unwrap();
    assert!(reason_text.contains("credentials, account or sender are not accepted (not_authorised:"));
    assert!(reason(&denied, "channel_denied").get("by").is_none(), "nobody did it");
    daemon.term();
    daemon.exit_code().await;
    let without = scene.settings.replaced("[channels.sms]", "[channels.other]");
    let _other = Daemon::start(&without.instance("other")).await;
    let unserved = why(&scene, &["run", "c", "delivery@1"]).await;
    assert_eq!(codes(&unserved), ["channel_denied", "channel_unserved"], "{unserved:#}");
    assert!(refused(&scene.settings, &["why", "channel", "no-such"]).await.contains("no channel \"no-such\""));
}

#[tokio::test]
async fn a_breaker_and_a_wait_that_the_provider_asked_for_end_by_themselves() {
    let keys = "breaker_failures = 2\nbreaker_cooldown = \"5m\"\nretry_attempts = 5\nidempotent = true\n";
    let mut scene = Scene::with(keys, |sandbox| sandbox.fail_per_mille = 1000).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(5))).await;
    wait::until("the breaker opens", async || scene.hash("remesa:channel:sms").await.remove("breaker_until")).await;
    let open = why(&scene, &["channel", "sms"]).await;
    assert_eq!((open["verdict"].as_str(), codes(&open)), (Some("waits"), vec!["breaker_open"]));
    assert!(reason(&open, "breaker_open")["until"].as_i64().unwrap() > scene.now_ms().await);
    let tried = wait::until("one waits for its next attempt", async || {
        for number in 1..=5 {
            if scene.outcome("c", number).await.0 == "r" {
                return Some(number);
            }
        }
        None
    })
    .await;
    let order = why(&scene, &["order", "c", &tried.to_string()]).await;
    assert_eq!(codes(&order["parts"][0]), ["breaker_open", "retry_at"], "{order:#}");
    let until = scene.now_ms().await + 600_000;
    let fields = [("blocked_until", until.to_string()), ("blocked_reason", "rate_limited".to_owned())];
    let () = scene.db.hset_multiple("remesa:channel:sms", &fields).await.unwrap();
    let throttled = why(&scene, &["run", "c", "delivery@1"]).await;
    assert_eq!(throttled["state"], "held");
    assert_eq!(reason(&throttled, "channel_throttled")["until"], until);
}

#[tokio::test]
async fn a_permanent_message_says_when_it_is_due_and_who_paused_it() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let case = json!({"id": "c-1", "mobile": phone(1)});
    scene.run("import", &json!({"id": "imp", "campaign": "c", "country": "ES", "rows": [case]})).await;
    let starts = scene.now_ms().await + 7_200_000;
    let weekly = json!({"id": "rec", "campaign": "c", "recurring": "weekly", "every": "7d", "channel": "sms",
                        "text": "Hola", "starts_at": starts});
    scene.run("recurring", &weekly).await;
    let due = why(&scene, &["recurring", "c", "weekly"]).await;
    assert_eq!((due["verdict"].as_str(), codes(&due)), (Some("waits"), vec!["due_at"]));
    assert_eq!(reason(&due, "due_at")["until"], starts);
    shown(&scene.settings, &["recurring", "pause", "c", "weekly"]).await;
    let paused = why(&scene, &["recurring", "c", "weekly"]).await;
    assert_eq!((paused["verdict"].as_str(), codes(&paused)), (Some("stuck"), vec!["recurring_paused"]));
    assert!(reason(&paused, "recurring_paused")["by"].as_str().unwrap().contains('@'));
    scene.command(job_of(reason(&paused, "recurring_paused"))).await;
    let later = json!({"id": "later", "campaign": "c", "message": "reminder", "channel": "sms", "text": "Hola",
                       "frequency": {"at": starts}});
    scene.enqueue("send", &later).await;
    wait::field(&mut scene.db, "remesa:job:later", "state", &["scheduled"]).await;
    let promised = why(&scene, &["run", "c", "reminder"]).await;
    assert_eq!((promised["state"].as_str(), codes(&promised)), (Some("scheduled"), vec!["scheduled_for"]));
    assert_eq!(reason(&promised, "scheduled_for")["until"], starts);
    let campaign = why(&scene, &["campaign", "c"]).await;
    assert_eq!(codes(&campaign["parts"][0]), ["due_at"], "{campaign:#}");
    // The run of now is a case's message too.
    scene.command(job_of(reason(&due, "due_at"))).await;
    let told = wait::until("it is sent", async || {
        let answer = why(&scene, &["case", "c", "--id", "c-1"]).await;
        (answer["parts"][0]["state"] == "sent").then_some(answer)
    })
    .await;
    assert_eq!((told["verdict"].as_str(), told["case"].as_u64()), (Some("ended"), Some(1)));
    let absent = run_key("c");
    let exists: bool = scene.db.exists(absent).await.unwrap();
    assert!(!exists, "a permanent message has its own runs");
}
