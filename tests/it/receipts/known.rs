//! The known providers, there and back: a campaign leaves through the real daemon, and its receipts come as each of them
//! documents and signs them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use redis::AsyncCommands as _;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;

use super::answers::free_port;
use super::read;
use crate::support::daemon::{Daemon, Settings};
use crate::support::ledger::campaign_audit;
use crate::support::provider::{Act, Receiver, Request};
use crate::support::scene::{Scene, people, send_job};

/// A daemon whose channel `sms` is a known provider that answers so, and whose two messages have arrived there.
struct Known {
    scene: Scene,
    daemon: Daemon,
    client: reqwest::Client,
    public: String,
    requests: Vec<Request>,
}

impl Known {
    async fn with(provider: &str, keys: &str, answers: [Value; 2], status: u16) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let receiver = Receiver::start(answers.map(|answer| Act::json(status, &answer.to_string())));
        let mut scene = Scene::new().await;
        let public = format!("http://127.0.0.1:{}", free_port());
        let table =
            format!("[channels.sms]\nprovider = \"{provider}\"\nurl = \"{}\"\nin_flight = 1\n{keys}", receiver.url());
        scene.settings = Settings::new(&scene.redis)
            .toml(&table)
            .set("http.listen", public.trim_start_matches("http://"))
            .set("http.public_url", &public);
        let daemon = scene.daemon().await;
        scene.run("generate", &send_job("c", people(2))).await;
        assert_eq!(scene.finished("c").await["sent"], "2");
        let requests = receiver.received(2).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { scene, daemon, client, public, requests }
    }

    async fn post(&self, url: &str, kind: &str, body: &str, signature: Option<(&str, String)>) -> (u16, Value) {
        let request = self.client.post(url).header("content-type", kind).body(body.to_owned());
        let request = signature.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        read(request.send().await.unwrap()).await
    }

    async fn audited(&mut self) -> Vec<(&'static str, u64)> {
        campaign_audit(&mut self.scene.db, "c").await.into_iter().collect()
    }
}

#[tokio::test]
async fn twilio_calls_the_address_of_a_message_and_signs_it() {
    let keys = "sender = \"+12025550100\"\ncredentials = { account_sid = \"AC1\", auth_token = \"t0ken\" }\n";
    let answers = ["SM1", "SM2"].map(|sid| json!({"sid": sid, "status": "queued", "error_code": null}));
    let mut known = Known::with("twilio", keys, answers, 201).await;
    assert_eq!(known.requests[0].path, "/Accounts/AC1/Messages.json");
    let callback = |request: &Request| {
        let mut fields = form_urlencoded::parse(request.body.as_bytes());
        fields.find(|(name, _)| name == "StatusCallback").unwrap().1.into_owned()
    };
    let (first, second) = (callback(&known.requests[0]), callback(&known.requests[1]));
    assert!(first.starts_with(&format!("{}/receipts/sms/c/delivery@1/", known.public)), "{first}");
    let sign = |url: &str, sorted: &str| {
        let mac = Hmac::<Sha1>::new_from_slice(b"t0ken").unwrap().chain_update(url).chain_update(sorted);
        Some(("x-twilio-signature", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
    };
    let form = "application/x-www-form-urlencoded";
    let delivered =
        "SmsSid=SM1&SmsStatus=delivered&MessageStatus=delivered&To=%2B34600000001&MessageSid=SM1&AccountSid=AC1";
    let sorted = "AccountSidAC1MessageSidSM1MessageStatusdeliveredSmsSidSM1SmsStatusdeliveredTo+34600000001";
    assert_eq!(known.post(&first, form, delivered, None).await.0, 401);
    assert_eq!(known.post(&second, form, delivered, sign(&first, sorted)).await.0, 401, "signed for another message");
    assert_eq!(known.post(&first, form, delivered, sign(&first, sorted)).await.0, 200);
    let undelivered = "MessageStatus=undelivered&ErrorCode=30003&MessageSid=SM2";
    let signature = sign(&second, "ErrorCode30003MessageSidSM2MessageStatusundelivered");
    assert_eq!(known.post(&second, form, undelivered, signature).await.0, 200);
    assert_eq!(known.audited().await, [("delivered", 1), ("undelivered", 1)]);
    let cells = [known.scene.cell("c", 1).await.unwrap(), known.scene.cell("c", 2).await.unwrap()];
    assert!(cells.iter().any(|cell| cell.contains("receipt:30003") && cell.contains("SM2")), "{cells:?}");
}

#[tokio::test]
async fn infobip_reports_several_messages_at_once_with_our_reference() {
    let keys = "sender = \"InfoSMS\"\ncredentials = { api_key = \"k3y\" }\n";
    let answers = ["m-1", "m-2"].map(|id| {
        json!({"messages": [{"messageId": id, "status": {"groupId": 1, "groupName": "PENDING", "name": "PENDING_ACCEPTED"}}]})
    });
    let mut known = Known::with("infobip", keys, answers, 200).await;
    let webhooks: Vec<Value> =
        known.requests.iter().map(|request| request.json()["messages"][0]["webhooks"].clone()).collect();
    let address = webhooks[0]["delivery"]["url"].as_str().unwrap().to_owned();
    assert_eq!(address, format!("{}/receipts/sms", known.public));
    let report = |n: usize, group: &str, error: Value| {
        json!({"bulkId": "b", "messageId": format!("m-{}", n + 1), "to": "34600000001", "sentAt": "2026-11-25T17:00:00.000+0000",
            "doneAt": "2026-11-25T17:00:01.000+0000", "smsCount": 1, "price": {"pricePerMessage": 0.01, "currency": "EUR"},
            "status": {"groupId": 3, "groupName": group, "id": 5, "name": "…"}, "error": error,
            "callbackData": webhooks[n]["callbackData"]})
    };
    let fine = json!({"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "permanent": false});
    let absent = json!({"groupId": 1, "groupName": "HANDSET_ERRORS", "id": 27, "name": "EC_ABSENT_SUBSCRIBER"});
    let both = json!({"results": [report(0, "DELIVERED", fine), report(1, "UNDELIVERABLE", absent)]});
    let (status, counts) = known.post(&address, "application/json", &both.to_string(), None).await;
    assert_eq!((status, counts["applied"].as_u64()), (200, Some(2)), "{counts}");
    assert_eq!(known.audited().await, [("delivered", 1), ("undelivered", 1)]);
    let cells = [known.scene.cell("c", 1).await.unwrap(), known.scene.cell("c", 2).await.unwrap()];
    assert!(cells.iter().any(|cell| cell.contains("receipt:EC_ABSENT_SUBSCRIBER")), "{cells:?}");
    assert!(!cells.iter().any(|cell| cell.contains("NO_ERROR")), "{cells:?}");
}

#[tokio::test]
async fn whatsapp_asks_first_then_signs_and_tells_of_messages_of_others_too() {
    let keys = "sender = \"106540352242922\"\ncredentials = { access_token = \"EAAJB\" }\n\
        [channels.sms.receipts]\nsecrets = [\"app-s3cret\"]\nverify_token = \"is-it-you\"\n";
    let answers = ["wamid.1", "wamid.2"].map(|id| json!({"messaging_product": "whatsapp", "messages": [{"id": id}]}));
    let mut known = Known::with("whatsapp_cloud", keys, answers, 200).await;
    assert_eq!(known.requests[0].path, "/106540352242922/messages");
    let address = format!("{}/receipts/sms", known.public);
    let asked = |query: &str| known.client.get(format!("{address}?{query}")).send();
    let answer = asked("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=is-it-you").await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (200, "1158201444".to_owned()));
    for query in [
        "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=is-it-me",
        "hub.mode=subscribe&hub.challenge=1158201444",
        "hub.mode=subscribe&hub.challenge=%3Cscript%3E&hub.verify_token=is-it-you",
        "",
    ] {
        assert_eq!(asked(query).await.unwrap().status().as_u16(), 401, "{query}");
    }
    let references: Vec<Value> =
        known.requests.iter().map(|request| request.json()["biz_opaque_callback_data"].clone()).collect();
    let status = |id: &str, word: &str, more: Value| {
        let mut status = json!({"id": id, "status": word, "timestamp": "1764091200", "recipient_id": "34600000001"});
        status.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        status
    };
    let change = |value: Value| json!({"value": value, "field": "messages"});
    let body = json!({"object": "whatsapp_business_account", "entry": [
        {"id": "1", "changes": [change(json!({"statuses": [
            status("wamid.1", "read", json!({"biz_opaque_callback_data": references[0]})),
            status("wamid.other", "delivered", json!({})),
        ]}))]},
        {"id": "1", "changes": [
            change(json!({"messages": [{"from": "34600000001", "type": "text", "text": {"body": "gracias"}}]})),
            change(json!({"statuses": [status("wamid.2", "failed", json!({"biz_opaque_callback_data": references[1],
                "errors": [{"code": 131_026, "title": "Message undeliverable"}]}))]})),
        ]},
    ]})
    .to_string();
    let mac = Hmac::<Sha256>::new_from_slice(b"app-s3cret").unwrap().chain_update(&body).finalize().into_bytes();
    let hex = mac.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    assert_eq!(known.post(&address, "application/json", &body, None).await.0, 401);
    let signature = Some(("x-hub-signature-256", format!("sha256={hex}")));
    let (status, counts) = known.post(&address, "application/json", &body, signature).await;
    assert_eq!((status, counts), (200, json!({"applied": 2, "old": 0, "unknown": 1, "ignored": 0})));
    assert_eq!(known.audited().await, [("delivered", 1), ("failed", 1)]);
    let secret: String = known.scene.db.get("remesa:secret").await.unwrap();
    assert!(!known.daemon.log().contains(&secret));
}
