//! The known providers against a scripted one: what is posted, as their documentation shows it, and what each of their
//! documented answers means.

use serde_json::{Value, json};

use super::super::scripted::{Act, Scripted, answer};
use super::super::settings::{ChannelKind, ChannelSettings, Provider, Secret};
use super::super::tests::{settings as http_settings, submission};
use super::super::{Channel, DeliverError, FilledTemplate, Submission};

const REFERENCE: &str = "nov-dues/delivery@1/7.0/1.aB3dE5gH7j";
const RECEIPTS: &str = "https://sms.example.com/receipts/sms/nov-dues/delivery@1/7.0/1.aB3dE5gH7j";

fn channel(provider: Provider, sender: &str, credentials: &[(&str, &str)], server: &Scripted) -> Channel {
    let mut settings = ChannelSettings {
        kind: ChannelKind::Known(provider),
        sender: sender.to_owned(),
        denied_codes: vec!["mine".to_owned()],
        ..http_settings(server.url.strip_suffix("/send").unwrap())
    };
    for (name, value) in credentials {
        settings.credentials.insert((*name).to_owned(), Secret::new((*value).to_owned()));
    }
    Channel::build(&settings).unwrap()
}

fn twilio(server: &Scripted) -> Channel {
    channel(Provider::Twilio, "+12025550100", &[("account_sid", "AC1"), ("auth_token", "t0ken")], server)
}

fn infobip(server: &Scripted) -> Channel {
    channel(Provider::Infobip, "InfoSMS", &[("api_key", "k3y")], server)
}

fn whatsapp(server: &Scripted) -> Channel {
    channel(Provider::WhatsappCloud, "106540352242922", &[("access_token", "EAAJB")], server)
}

async fn sent(channel: &Channel, submission: &Submission<'_>) -> String {
    match channel.deliver(submission).await {
        Ok(accepted) => format!("accepted {}", accepted.provider_id),
        Err(DeliverError::NotSent) => "not sent".to_owned(),
        Err(DeliverError::Failure(failure)) => format!("{} {}", failure.class(), failure.code()),
    }
}

/// What a request looked like.
struct Asked {
    line: String,
    head: String,
    body: String,
}

fn asked(server: &Scripted) -> Asked {
    let request = server.requests().pop().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let (line, head) = head.split_once("\r\n").unwrap();
    Asked { line: line.to_owned(), head: head.to_lowercase(), body: body.to_owned() }
}

fn body(server: &Scripted) -> Value {
    serde_json::from_str(&asked(server).body).unwrap()
}

fn replies(status: &'static str, body: &Value) -> Act {
    answer(status, "", &body.to_string())
}

#[tokio::test]
async fn twilio_is_posted_a_form_and_answers_with_a_sid() {
    let created = json!({"sid": "SM1f0e8ae6ade43cb3c0ce4525424e404f", "status": "queued", "error_code": null,
        "error_message": null, "account_sid": "AC1", "num_segments": "1", "price": null});
    let server = Scripted::start(vec![replies("201 Created", &created); 2]).await;
    let message = Submission { receipt_url: RECEIPTS, ..submission("Hola Ana & señora: 100%") };
    assert_eq!(sent(&twilio(&server), &message).await, "accepted SM1f0e8ae6ade43cb3c0ce4525424e404f");
    let Asked { line, head, body } = asked(&server);
    assert_eq!(line, "POST /Accounts/AC1/Messages.json HTTP/1.1");
    assert!(head.contains("authorization: basic qumxonqwa2vu"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
    let fields: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let expected = [
        ("To", "+34600123456"),
        ("From", "+12025550100"),
        ("Body", "Hola Ana & señora: 100%"),
        ("StatusCallback", RECEIPTS),
        ("ValidityPeriod", "600"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let service = channel(
        Provider::Twilio,
        "MG0123456789abcdef0123456789abcdef",
        &[("account_sid", "AC1"), ("auth_token", "t"), ("api_key", "SK1"), ("api_secret", "s3cret")],
        &server,
    );
    let long = Submission { validity_seconds: Some(172_800), ..submission("x") };
    assert!(sent(&service, &long).await.starts_with("accepted SM"));
    let Asked { head, body, .. } = asked(&server);
    assert!(head.contains("authorization: basic u0sxonmzy3jlda=="), "{head}");
    let form = "To=%2B34600123456&MessagingServiceSid=MG0123456789abcdef0123456789abcdef&Body=x&ValidityPeriod=36000";
    assert_eq!(body, form);
}

#[tokio::test]
async fn every_documented_refusal_of_twilio_has_its_class() {
    let error = |code: u32, status: u16| {
        json!({"code": code, "message": "…", "status": status,
        "more_info": format!("https://www.twilio.com/docs/errors/{code}")})
    };
    let table = [
        ("400 Bad Request", error(21211, 400), "permanent refused:21211"),
        ("400 Bad Request", error(21610, 400), "permanent refused:21610"),
        ("401 Unauthorized", error(20003, 401), "denied not_authorised:20003"),
        ("403 Forbidden", error(20005, 403), "denied not_authorised:20005"),
        ("404 Not Found", error(20404, 404), "denied quota_exceeded:20404"),
        ("400 Bad Request", error(21603, 400), "denied quota_exceeded:21603"),
        ("429 Too Many Requests", error(20429, 429), "throttled rate_limited:20429"),
        ("400 Bad Request", error(21611, 400), "throttled rate_limited:21611"),
        ("500 Internal Server Error", error(20500, 500), "ambiguous server_error:20500"),
        ("201 Created", json!({"sid": "SM1", "status": "failed", "error_code": 30005}), "permanent refused:30005"),
        ("201 Created", json!({"sid": "SM1", "status": "failed", "error_code": 30002}), "denied quota_exceeded:30002"),
        ("201 Created", json!({"status": "queued"}), "ambiguous answer_without_id"),
    ];
    for (status, body, expected) in table {
        let server = Scripted::start(vec![replies(status, &body)]).await;
        assert_eq!(sent(&twilio(&server), &submission("x")).await, expected, "{body}");
    }
}

#[tokio::test]
async fn infobip_is_posted_one_message_to_one_destination_with_our_reference() {
    let taken = json!({"bulkId": "2034072219640523072", "messages": [{"messageId": "2250be2d4219-3af1-78856-aabe-1362af1edfd2",
        "status": {"groupId": 1, "groupName": "PENDING", "id": 26, "name": "PENDING_ACCEPTED",
        "description": "Message sent to next instance"}, "destination": "34600123456", "details": {"messageCount": 1}}]});
    let server = Scripted::start(vec![replies("200 OK", &taken); 2]).await;
    let message = Submission { receipt_url: RECEIPTS, ..submission("Hola \"Ana\"\n") };
    let accepted = "accepted 2250be2d4219-3af1-78856-aabe-1362af1edfd2";
    assert_eq!(sent(&infobip(&server), &message).await, accepted);
    let Asked { line, head, .. } = asked(&server);
    assert_eq!(line, "POST /sms/3/messages HTTP/1.1");
    assert!(head.contains("authorization: app k3y") && head.contains("content-type: application/json"), "{head}");
    assert_eq!(
        body(&server),
        json!({"messages": [{
            "sender": "InfoSMS", "destinations": [{"to": "34600123456"}], "content": {"text": "Hola \"Ana\"\n"},
            "options": {"validityPeriod": {"amount": 10, "timeUnit": "MINUTES"}},
            "webhooks": {"delivery": {"url": "https://sms.example.com/receipts/sms"}, "contentType": "application/json",
                "callbackData": REFERENCE},
        }]})
    );
    let plain = Submission { validity_seconds: None, ..submission("x") };
    assert_eq!(sent(&infobip(&server), &plain).await, accepted);
    assert_eq!(
        body(&server),
        json!({"messages": [{"sender": "InfoSMS", "destinations": [{"to": "34600123456"}],
        "content": {"text": "x"}, "webhooks": {"callbackData": REFERENCE}}]})
    );
}

#[tokio::test]
async fn every_documented_refusal_of_infobip_has_its_class() {
    let error = |code: &str| json!({"requestError": {"serviceException": {"messageId": code, "text": "…"}}});
    let status = |group: &str, name: &str| json!({"messages": [{"messageId": "m-1", "status": {"groupName": group, "name": name}}]});
    let table = [
        ("401 Unauthorized", error("UNAUTHORIZED"), "denied not_authorised:unauthorized"),
        ("403 Forbidden", error("FORBIDDEN"), "denied not_authorised:forbidden"),
        ("400 Bad Request", error("BAD_REQUEST"), "permanent refused:bad_request"),
        ("400 Bad Request", json!({"errorCode": "E400", "description": "…"}), "permanent refused:e400"),
        ("429 Too Many Requests", error("TOO_MANY_REQUESTS"), "throttled rate_limited:too_many_requests"),
        ("500 Internal Server Error", error("GENERAL_ERROR"), "ambiguous server_error:general_error"),
        ("200 OK", status("REJECTED", "REJECTED_DESTINATION"), "permanent refused:rejected_destination"),
        (
            "200 OK",
            status("REJECTED", "REJECTED_NOT_ENOUGH_CREDITS"),
            "denied quota_exceeded:rejected_not_enough_credits",
        ),
        ("200 OK", status("UNDELIVERABLE", "UNDELIVERABLE_NOT_SENT"), "permanent refused:undeliverable_not_sent"),
        ("200 OK", status("PENDING", "PENDING_ENROUTE"), "accepted m-1"),
    ];
    for (status, body, expected) in table {
        let server = Scripted::start(vec![replies(status, &body)]).await;
        assert_eq!(sent(&infobip(&server), &submission("x")).await, expected, "{body}");
    }
}

#[tokio::test]
async fn whatsapp_is_posted_a_text_or_a_template_with_its_parameters() {
    let taken = json!({"messaging_product": "whatsapp", "contacts": [{"input": "+34600123456", "wa_id": "34600123456"}],
        "messages": [{"id": "wamid.HBgLMTY0NjcwNDM1OTUVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEA"}]});
    let server = Scripted::start(vec![replies("200 OK", &taken); 3]).await;
    let whatsapp = whatsapp(&server);
    let accepted = "accepted wamid.HBgLMTY0NjcwNDM1OTUVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEA";
    assert_eq!(sent(&whatsapp, &submission("Hola \"Ana\"")).await, accepted);
    let Asked { line, head, .. } = asked(&server);
    assert_eq!(line, "POST /106540352242922/messages HTTP/1.1");
    assert!(head.contains("authorization: bearer eaajb"), "{head}");
    assert_eq!(
        body(&server),
        json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+34600123456",
        "type": "text", "text": {"preview_url": false, "body": "Hola \"Ana\""}, "biz_opaque_callback_data": REFERENCE})
    );
    let parameters = ["Ana".to_owned(), "12.50 \"€\"".to_owned()];
    let template = FilledTemplate { name: "reminder", language: "es_CO", parameters: &parameters };
    let filled = Submission { template: Some(template), ..submission("") };
    assert_eq!(sent(&whatsapp, &filled).await, accepted);
    assert_eq!(
        body(&server),
        json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+34600123456",
        "type": "template", "template": {"name": "reminder", "language": {"code": "es_CO"}, "components": [
            {"type": "body", "parameters": [{"type": "text", "text": "Ana"}, {"type": "text", "text": "12.50 \"€\""}]}]},
        "biz_opaque_callback_data": REFERENCE})
    );
    let bare = FilledTemplate { parameters: &[], ..template };
    assert_eq!(sent(&whatsapp, &Submission { template: Some(bare), ..submission("") }).await, accepted);
    assert_eq!(body(&server)["template"], json!({"name": "reminder", "language": {"code": "es_CO"}}));
    assert_eq!(sent(&whatsapp, &submission("")).await, "permanent unsupported_content");
}

#[tokio::test]
async fn every_documented_refusal_of_whatsapp_has_its_class() {
    let table = [
        ("400 Bad Request", 131_026, "permanent refused:131026"),
        ("400 Bad Request", 131_047, "permanent refused:131047"),
        ("400 Bad Request", 132_000, "permanent refused:132000"),
        ("400 Bad Request", 130_429, "throttled rate_limited:130429"),
        ("429 Too Many Requests", 130_429, "throttled rate_limited:130429"),
        ("400 Bad Request", 131_056, "throttled rate_limited:131056"),
        ("400 Bad Request", 80_007, "throttled rate_limited:80007"),
        ("401 Unauthorized", 190, "denied not_authorised:190"),
        ("401 Unauthorized", 0, "denied not_authorised:http_401"),
        ("400 Bad Request", 190, "denied quota_exceeded:190"),
        ("400 Bad Request", 131_042, "denied quota_exceeded:131042"),
        ("403 Forbidden", 131_031, "denied not_authorised:131031"),
        ("500 Internal Server Error", 131_000, "ambiguous server_error:131000"),
    ];
    for (status, code, expected) in table {
        let error = json!({"error": {"message": format!("(#{code}) …"), "type": "OAuthException", "code": code,
            "error_data": {"messaging_product": "whatsapp", "details": "…"}, "fbtrace_id": "Az8or2yhqkZfEZ"}});
        let server = Scripted::start(vec![replies(status, &error)]).await;
        assert_eq!(sent(&whatsapp(&server), &submission("x")).await, expected, "{status} {code}");
    }
}

#[tokio::test]
async fn a_provider_that_takes_no_templates_is_sent_none() {
    let server = Scripted::start(vec![]).await;
    let template = FilledTemplate { name: "reminder", language: "es", parameters: &[] };
    for channel in [twilio(&server), infobip(&server)] {
        let filled = Submission { template: Some(template), ..submission("") };
        assert_eq!(sent(&channel, &filled).await, "permanent unsupported_content");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn the_codes_of_the_settings_count_too() {
    let refused = json!({"code": "mine", "message": "…"});
    let server = Scripted::start(vec![replies("400 Bad Request", &refused)]).await;
    assert_eq!(sent(&twilio(&server), &submission("x")).await, "denied quota_exceeded:mine");
}
