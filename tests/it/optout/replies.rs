//! Replies over real HTTP and by jobs: to which message they belong, what they do to its case, what they wish.

use redis::AsyncCommands as _;
use remesa::domain::{failure::Attempt, reference, signature};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{events, got, offer, public_scene};
use crate::support::daemon::{Daemon, Settings};
use crate::support::grep;
use crate::support::scene::{Scene, people, phone, send_job};

const REPLIES: &str = "[channels.sms.replies]\nenabled = true\nunsigned = true\n";

async fn talking_scene() -> Scene {
    Scene::with(REPLIES, |_| {}).await
}

/// Posts a body; status and answer.
pub(crate) async fn post(daemon: &Daemon, body: &Value, headers: &[(&str, String)]) -> (StatusCode, Value) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{}/replies/sms", daemon.http().await)).body(body.to_string());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap_or(Value::Null))
}

pub(crate) fn reply(n: usize, text: &str, id: &str) -> Value {
    json!({"from": phone(n), "text": text, "id": id})
}

/// A campaign with cases `1..=count`, each with the telephone of its number, and a run over them whose messages have all
/// been accepted: what sending leaves behind.
async fn sent_to_cases(scene: &mut Scene, campaign: &str, run: &str, count: usize) {
    let base = format!("remesa:{{{campaign}}}:");
    let now = scene.now_ms().await;
    for n in 1..=count {
        let () = scene.db.set(format!("{base}case:{n}"), case(n, now, "new", "").to_string()).await.unwrap();
        let cell = format!("s,1,{now},,p-{n}");
        let () = scene.db.hset(format!("{base}run:{run}:ledger:0"), n, cell).await.unwrap();
    }
    let fields = [("state", "generated"), ("name", campaign)];
    let () = scene.db.hset_multiple(format!("{base}campaign"), &fields).await.unwrap();
    let counts = [("cases", count), ("cases:new", count)];
    let () = scene.db.hset_multiple(format!("{base}campaign"), &counts).await.unwrap();
    let fields = [("state", "finished"), ("audience", "cases"), ("definition", "reminder"), ("channel", "sms")];
    let () = scene.db.hset_multiple(format!("{base}run:{run}"), &fields).await.unwrap();
}

/// The text of a case, its fields in the order that scripts read by position.
struct Written(String);

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn case(n: usize, now: i64, state: &str, head: &str) -> Written {
    Written(format!(
        "{{\"state\":\"{state}\",{head}\"number\":{n},\"id\":\"c-{n}\",\"client\":{{\"first_name\":\"Ana\"}},\
         \"contacts\":[{{\"kind\":\"mobile\",\"value\":\"{}\",\"updated_at\":{now}}}],\"created_at\":{now},\"updated_at\":{now}}}",
        phone(n)
    ))
}

async fn stored(scene: &mut Scene, campaign: &str, n: u64) -> Value {
    let text: String = scene.db.get(format!("remesa:{{{campaign}}}:case:{n}")).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn signed(scene: &mut Scene, campaign: &str, run: &str, n: u64) -> String {
    let secret: String = scene.db.get("remesa:secret").await.unwrap();
    reference::sign(secret.as_bytes(), campaign, run, n, 0, Attempt::FIRST)
}

#[tokio::test]
async fn bm_17_a_reply_belongs_to_the_latest_message_to_its_sender_that_left() {
    let mut scene = talking_scene().await;
    scene.sandbox.change(|s| s.recipients = [(phone(2), remesa::sandbox::Fate::Refuse)].into()).unwrap();
    let daemon = scene.daemon().await;
    for campaign in ["c", "d"] {
        scene.run("generate", &send_job(campaign, people(2))).await;
        scene.finished(campaign).await;
    }
    let kept = json!({"kept": 1, "unknown": 0, "again": 0});
    assert_eq!(post(&daemon, &reply(1, "Ya pagué", "m-1"), &[]).await, (StatusCode::OK, kept));
    // Its only messages were refused by the provider: there is nothing to answer.
    let unknown = json!({"kept": 0, "unknown": 2, "again": 0});
    assert_eq!(
        post(&daemon, &json!([reply(2, "?", "m-2"), reply(9, "?", "m-3")]), &[]).await,
        (StatusCode::OK, unknown)
    );
    let told = events(&mut scene, "reply").await;
    assert_eq!((told.len(), &told[0]["campaign"], &told[0]["order"]), (3, &json!("d"), &json!(1)), "{told:?}");
    assert_eq!((&told[0]["text"], &told[0]["provider_id"]), (&json!("Ya pagué"), &json!("m-1")));
    assert!(!told[0].to_string().contains(&phone(1)), "{told:?}");
    assert!(told[1].get("campaign").is_none(), "{told:?}");
    assert!(!daemon.log().contains("pagué") && !daemon.log().contains(&phone(1)));
    // The keys hold no address.
    let keys: Vec<String> = scene.db.keys("remesa:outbound:*").await.unwrap();
    assert!(!keys.is_empty() && keys.iter().all(|key| !key.contains(&phone(1)[1..])), "{keys:?}");
}

#[tokio::test]
async fn bm_17_a_reply_is_kept_once_however_often_it_is_told() {
    let mut scene = talking_scene().await;
    let daemon = scene.daemon().await;
    sent_to_cases(&mut scene, "c", "reminder@1", 2).await;
    let mut said = reply(1, "hola", "m-1");
    said["from"] = phone(1).into();
    let reference = signed(&mut scene, "c", "reminder@1", 1).await;
    let job = |n: usize| {
        json!({"action": "reply", "channel": "sms", "contact": phone(1), "text": "hola", "provider_id": "m-1",
                      "reference": reference, "id": format!("r-{n}")})
    };
    let first = scene.run("control", &job(1)).await;
    assert_eq!(
        (&first["case"], &first["again"], &first["opened"]),
        (&json!(1), &json!(false), &json!(false)),
        "{first}"
    );
    assert_eq!(scene.run("control", &job(2)).await["again"], true);
    let again = json!({"kept": 0, "unknown": 0, "again": 1});
    assert_eq!(post(&daemon, &said, &[]).await, (StatusCode::OK, again));
    let case = stored(&mut scene, "c", 1).await;
    assert_eq!(case["replies"].as_array().unwrap().len(), 1, "{case}");
    assert_eq!((&case["replies"][0]["text"], &case["replies"][0]["run"]), (&json!("hola"), &json!("reminder@1")));
    assert_eq!(case["state"], "new");
    assert_eq!(events(&mut scene, "reply").await.len(), 1);
    // Ten are kept, the oldest go.
    for n in 0..12 {
        scene
            .command(json!({"action": "reply", "channel": "sms", "contact": phone(1), "text": format!("t-{n}"),
                             "reference": reference}))
            .await;
    }
    let case = stored(&mut scene, "c", 1).await;
    let texts: Vec<&str> =
        case["replies"].as_array().unwrap().iter().map(|reply| reply["text"].as_str().unwrap()).collect();
    assert_eq!((texts.len(), texts[0], texts[9]), (10, "t-2", "t-11"));
}

#[tokio::test]
async fn bm_16_a_reply_after_the_run_closed_its_case_opens_one_that_takes_the_next_reply_too() {
    let mut scene = talking_scene().await;
    let _daemon = scene.daemon().await;
    sent_to_cases(&mut scene, "c", "reminder@1", 1).await;
    let now = scene.now_ms().await;
    let closed = case(1, now, "closed", "\"closed_by\":\"reminder@1\",\"order\":7,");
    let () = scene.db.set("remesa:{c}:case:1", closed.to_string()).await.unwrap();
    let reference = signed(&mut scene, "c", "reminder@1", 1).await;
    let say = |text: &str| json!({"action": "reply", "channel": "sms", "contact": phone(1), "text": text, "reference": reference, "provider_id": text});
    let first = scene.command(say("uno")).await;
    assert_eq!((&first["case"], &first["opened"]), (&json!(2), &json!(true)), "{first}");
    let second = scene.command(say("dos")).await;
    assert_eq!((&second["case"], &second["opened"]), (&json!(2), &json!(false)), "{second}");
    let text: String = scene.db.get("remesa:{c}:case:2").await.unwrap();
    assert!(text.starts_with("{\"state\":\"new\",\"order\":7,\"reply_to\":\"reminder\",\"number\":2,"), "{text}");
    let opened = stored(&mut scene, "c", 2).await;
    assert_eq!((&opened["origin"], opened["replies"].as_array().unwrap().len()), (&json!("reply"), 2));
    assert_eq!(opened["contacts"][0]["value"], phone(1));
    assert_eq!(stored(&mut scene, "c", 1).await["state"], "closed");
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["cases"].as_str(), campaign["cases:new"].as_str()), ("2", "2"), "{campaign:?}");
    let told = events(&mut scene, "reply").await;
    assert_eq!((&told[0]["case"], &told[0]["answers"], &told[0]["opened"]), (&json!(2), &json!(1), &json!(true)));
    let id = opened["id"].as_str().unwrap();
    let shard = crc32fast::hash(format!("c:{id}").as_bytes()) % 4096;
    let indexed: u64 = scene.db.hget(format!("remesa:{{c}}:index:{shard}"), format!("c:{id}")).await.unwrap();
    assert_eq!(indexed, 2);
}

#[tokio::test]
async fn bm_16_a_closed_case_is_opened_again_where_the_configuration_says_so() {
    let mut scene = talking_scene().await;
    scene.settings = std::mem::replace(&mut scene.settings, Settings::new(&scene.redis)).set("replies.reopen", "true");
    let _daemon = scene.daemon().await;
    sent_to_cases(&mut scene, "c", "reminder@1", 1).await;
    let now = scene.now_ms().await;
    let closed = case(1, now, "closed", "\"closed_by\":\"reminder@1\",");
    let () = scene.db.set("remesa:{c}:case:1", closed.to_string()).await.unwrap();
    let counts = [("cases:new", 0), ("cases:closed", 1)];
    let () = scene.db.hset_multiple("remesa:{c}:campaign", &counts).await.unwrap();
    let reference = signed(&mut scene, "c", "reminder@1", 1).await;
    let answer = scene
        .command(json!({"action": "reply", "channel": "sms", "contact": phone(1), "text": "x", "reference": reference}))
        .await;
    assert_eq!((&answer["case"], &answer["opened"]), (&json!(1), &json!(false)));
    assert_eq!(stored(&mut scene, "c", 1).await["state"], "open");
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["cases:open"].as_str(), campaign["cases:closed"].as_str()), ("1", "0"), "{campaign:?}");
    assert_eq!(events(&mut scene, "case").await[0]["state"], "open");
}

#[tokio::test]
async fn bm_18_a_word_stops_what_is_commercial_to_that_address_and_another_starts_it_again() {
    let mut scene = public_scene().await;
    scene.settings = std::mem::replace(&mut scene.settings, Settings::new(&scene.redis)).toml(REPLIES);
    let daemon = scene.daemon().await;
    scene.run("generate", &offer("c", people(2))).await;
    scene.campaign_is("c", "delivered").await;
    for (text, id) in [("No me escriban más", "m-1"), (" baja ", "m-2")] {
        assert_eq!(post(&daemon, &reply(1, text, id), &[]).await.0, StatusCode::OK);
        let listed: bool = scene.db.sismember("remesa:optout:phone", phone(1)).await.unwrap();
        assert_eq!(listed, id == "m-2", "{text}");
    }
    scene.run("generate", &offer("d", people(2))).await;
    scene.campaign_is("d", "delivered").await;
    assert_eq!(scene.outcome("d", 1).await.2, "opted_out");
    assert_eq!(post(&daemon, &reply(1, "Alta", "m-3"), &[]).await.0, StatusCode::OK);
    scene.run("generate", &offer("e", people(2))).await;
    scene.campaign_is("e", "delivered").await;
    assert!(got(&scene, &phone(1)).contains("https://sms.example/u/"));
    assert_eq!(scene.outcome("e", 1).await.0, "s");
    let told = events(&mut scene, "opt_out").await;
    let by: Vec<_> = told.iter().map(|event| (&event["by"], &event["listed"])).collect();
    assert_eq!(by, [(&json!("word"), &json!(true)), (&json!("word"), &json!(false))]);
}

#[tokio::test]
async fn a_channel_that_is_not_open_to_all_takes_signed_replies_only() {
    let keys = "[channels.sms.replies]\nenabled = true\n[channels.sms.receipts]\nsecrets = [\"old\"]\n";
    let mut scene = Scene::with(keys, |_| {}).await;
    let daemon = scene.daemon().await;
    let body = reply(1, "STOP", "m-1");
    assert_eq!(post(&daemon, &body, &[]).await.0, StatusCode::UNAUTHORIZED);
    assert!(!scene.db.exists::<_, bool>("remesa:optout:phone").await.unwrap());
    let at = scene.now_ms().await / 1000;
    let key = signature::key("old").unwrap();
    let signature = signature::sign_standard(&key, "m1", at, body.to_string().as_bytes());
    let headers =
        [("webhook-id", "m1".to_owned()), ("webhook-timestamp", at.to_string()), ("webhook-signature", signature)];
    assert_eq!(post(&daemon, &body, &headers).await.0, StatusCode::OK);
    assert!(scene.db.sismember::<_, _, bool>("remesa:optout:phone", phone(1)).await.unwrap());
}

#[tokio::test]
async fn what_is_no_reply_is_refused_and_the_others_of_its_body_are_kept() {
    let mut scene = talking_scene().await;
    let daemon = scene.daemon().await;
    let (status, answer) = post(&daemon, &json!([reply(1, "BAJA", "m-1"), {"from": "BANK", "text": "x"}]), &[]).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("missing_sender")), "{answer}");
    assert!(scene.db.sismember::<_, _, bool>("remesa:optout:phone", phone(1)).await.unwrap());
    for rubbish in [json!("x"), json!({"from": phone(1)}), json!(vec![reply(1, "x", "y"); 201])] {
        assert!(post(&daemon, &rubbish, &[]).await.0.is_client_error());
    }
}

#[tokio::test]
async fn da_9_what_a_forgotten_person_answered_is_nowhere() {
    let mut scene = talking_scene().await;
    let daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(2))).await;
    scene.finished("c").await;
    for (n, text, id) in [(1, "soy Ana y vivo en Soria", "m-1"), (2, "yo no", "m-2")] {
        assert_eq!(post(&daemon, &reply(n, text, id), &[]).await.1["kept"], 1);
    }
    scene.command(json!({"action": "forget", "contact": phone(1)})).await;
    assert_eq!(grep::redis(&mut scene.db, "Soria").await, Vec::<String>::new());
    let told = events(&mut scene, "reply").await;
    let texts: Vec<&Value> = told.iter().map(|event| &event["text"]).collect();
    assert_eq!(texts, [&json!("yo no"), &json!("")], "{told:?}");
    assert_eq!(scene.db.keys::<_, Vec<String>>("remesa:outbound:*").await.unwrap().len(), 1);
}
