//! The channel against a real socket: what is sent, and what every way of not answering means.
//!
//! The rows of the failure table that need no socket are in `failure`; here each of them is provoked by bytes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::scripted::{Act, Scripted, answer};
use super::settings::{BodyFormat, ChannelKind, ChannelSettings, OnUnknown, RunsOrder, Secret};
use super::{Accepted, Channel, ChannelError, DeliverError, Submission};
use crate::domain::case::ContactKind;
use crate::domain::contact_rules::ChannelRules;
use crate::domain::failure::Failure;

/// An http channel with the product's defaults.
pub(crate) fn settings(url: &str) -> ChannelSettings {
    ChannelSettings {
        name: "sms-main".to_owned(),
        kind: ChannelKind::Http,
        address: ContactKind::Mobile,
        url: url.to_owned(),
        method: "POST".to_owned(),
        headers: BTreeMap::new(),
        body: String::new(),
        id_pointer: "/id".to_owned(),
        error_pointer: "/error/code".to_owned(),
        denied_codes: Vec::new(),
        throttled_codes: Vec::new(),
        body_format: BodyFormat::Json,
        sender: "REMESA".to_owned(),
        credentials: BTreeMap::new(),
        rate_per_second: 0,
        in_flight: 64,
        timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
        pool_idle: Duration::from_secs(4),
        idempotent: false,
        on_unknown: OnUnknown::Keep,
        runs: RunsOrder::Fair,
        slots: 4,
        retry_attempts: 5,
        retry_base: Duration::from_secs(2),
        retry_cap: Duration::from_mins(10),
        breaker_failures: 20,
        max_validity: Duration::from_hours(48),
        breaker_cooldown: Duration::from_secs(5),
        contact: ChannelRules::default(),
    }
}

pub(crate) fn submission(text: &str) -> Submission<'_> {
    Submission {
        to: "+34600123456",
        text,
        subject: "",
        html: "",
        template: None,
        unsubscribe_url: "",
        reference: "nov-dues/delivery@1/7.0/1.aB3dE5gH7j",
        idempotency_key: "nov-dues/delivery@1/7.0",
        validity_seconds: Some(600),
        parts: 1,
        receipt_url: "",
        trace: None,
        deadline: Instant::now() + Duration::from_mins(1),
    }
}

fn shown(outcome: Result<Accepted, DeliverError>) -> String {
    match outcome {
        Ok(accepted) => format!("accepted {}", accepted.provider_id),
        Err(DeliverError::NotSent) => "not sent".to_owned(),
        Err(DeliverError::Failure(failure)) => match failure {
            Failure::Transient { code } => format!("transient {code}"),
            Failure::Throttled { code, after } => {
                format!("throttled {code} {:?}", after.map(|wait| wait.as_secs()))
            }
            Failure::Denied { code } => format!("denied {code}"),
            Failure::Permanent { code } => format!("permanent {code}"),
            Failure::Ambiguous { code } => format!("ambiguous {code}"),
        },
    }
}

async fn deliver(settings: &ChannelSettings) -> String {
    shown(Channel::build(settings).unwrap().deliver(&submission("Hola")).await)
}

#[tokio::test]
async fn each_answer_of_a_provider_has_its_class() {
    let soon = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:49:49 GMT\r\n";
    let table = [
        (answer("202 Accepted", "", r#"{"id":"p-7"}"#), "accepted p-7"),
        (answer("200 OK", "", r#"{"id":7}"#), "accepted 7"),
        (
            Act::Answer(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"id\"\r\n5\r\n:\"c\"}\r\n0\r\n\r\n".into(),
            ),
            "accepted c",
        ),
        (answer("200 OK", "", "thanks"), "ambiguous answer_unreadable"),
        (answer("204 No Content", "", ""), "ambiguous answer_unreadable"),
        (answer("200 OK", "", "{}"), "ambiguous answer_without_id"),
        (answer("200 OK", "", &format!(r#"{{"id":"{}"}}"#, "x".repeat(70_000))), "ambiguous answer_unreadable"),
        (answer("200 OK", "", r#"{"error":{"code":"BAD_TO"}}"#), "permanent refused:bad_to"),
        (answer("302 Found", "location: /elsewhere\r\n", ""), "permanent redirected:http_302"),
        (answer("400 Bad Request", "", r#"{"error":{"code":"BAD_TO"}}"#), "permanent refused:bad_to"),
        (answer("400 Bad Request", "", r#"{"error":{"code":"NO_CREDIT"}}"#), "denied quota_exceeded:no_credit"),
        (answer("401 Unauthorized", "", ""), "denied not_authorised:http_401"),
        (answer("402 Payment Required", "", ""), "denied not_authorised:http_402"),
        (answer("403 Forbidden", "", ""), "denied not_authorised:http_403"),
        (answer("404 Not Found", "", "<html>"), "permanent refused:http_404"),
        (answer("429 Too Many Requests", "", ""), "throttled rate_limited None"),
        (answer("429 Too Many Requests", "Retry-After: 3\r\n", ""), "throttled rate_limited Some(3)"),
        (answer("429 Too Many Requests", soon, ""), "throttled rate_limited Some(12)"),
        (answer("500 Internal Server Error", "", ""), "ambiguous server_error:http_500"),
        (answer("503 Service Unavailable", "", ""), "ambiguous server_error:http_503"),
        (answer("503 Service Unavailable", "retry-after: 9\r\n", ""), "throttled unavailable Some(9)"),
        (
            Act::AnswerAndClose("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"id\"".into()),
            "ambiguous answer_unreadable",
        ),
        (
            Act::AnswerAndClose("HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\n\r\n{\"er".into()),
            "permanent refused:http_400",
        ),
        (Act::AnswerAndClose("HTTP/1.1 200 O".into()), "ambiguous answer_lost"),
        (Act::AnswerAndClose("220 smtp.example ESMTP\r\n".into()), "ambiguous answer_lost"),
        (Act::AnswerAndClose(String::new()), "ambiguous answer_lost"),
        (Act::ResetUnread, "ambiguous answer_lost"),
        (Act::ResetAfterReading, "ambiguous answer_lost"),
    ];
    for (act, expected) in table {
        let server = Scripted::start(vec![act]).await;
        let mut settings = settings(&server.url);
        settings.denied_codes = vec!["NO_CREDIT".to_owned()];
        assert_eq!(deliver(&settings).await, expected);
        assert!(server.requests().len() <= 1, "{expected}: sent more than once");
    }
}

#[tokio::test]
async fn a_server_error_of_an_idempotent_provider_may_be_repeated() {
    for status in ["500 Internal Server Error", "503 Service Unavailable"] {
        let server = Scripted::start(vec![answer(status, "", "")]).await;
        let mut settings = settings(&server.url);
        settings.idempotent = true;
        assert_eq!(deliver(&settings).await, format!("transient server_error:http_{}", &status[..3]));
    }
}

#[tokio::test]
async fn silence_after_the_request_is_ambiguous() {
    let server = Scripted::start(vec![Act::Silence, Act::Answer("HTTP/1.1 200 OK\r\n".into())]).await;
    let mut settings = settings(&server.url);
    settings.timeout = Duration::from_millis(50);
    assert_eq!(deliver(&settings).await, "ambiguous answer_timeout");
    assert_eq!(deliver(&settings).await, "ambiguous answer_timeout", "half an answer is none");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn what_fails_before_the_connection_stands_is_transient() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(deliver(&settings(&format!("http://{free}/"))).await, "transient connection_refused");
    assert_eq!(deliver(&settings("http://no-such-host.invalid/")).await, "transient name_not_resolved");
    let plain = Scripted::start(vec![]).await;
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut mute = settings(&format!("https://{}/", mute.local_addr().unwrap()));
    mute.connect_timeout = Duration::from_millis(50);
    assert_eq!(deliver(&mute).await, "transient connect_timeout");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let refuse = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 no TLS here\r\n\r\n").await.unwrap();
        stream
    };
    let settings = settings(&url);
    let (outcome, _stream) = tokio::join!(deliver(&settings), refuse);
    assert_eq!(outcome, "transient tls_failed");
    assert_eq!(plain.connections(), 0);
}

#[tokio::test]
async fn after_the_deadline_nothing_is_handed_over() {
    let server = Scripted::start(vec![]).await;
    let channel = Channel::build(&settings(&server.url)).unwrap();
    assert_eq!(shown(channel.deliver(&submission("warm")).await), "accepted p-1");
    let late = Submission { deadline: Instant::now(), ..submission("late") };
    assert_eq!(channel.deliver(&late).await, Err(DeliverError::NotSent), "over an idle connection");
    assert_eq!(shown(channel.deliver(&submission("again")).await), "accepted p-1");
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let channel = Channel::build(&settings(&format!("https://{}/", mute.local_addr().unwrap()))).unwrap();
    let late = Submission { deadline: Instant::now() + Duration::from_millis(50), ..submission("late") };
    assert_eq!(channel.deliver(&late).await, Err(DeliverError::NotSent), "while it was connecting");
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_while_idle_is_replaced_before_anything_is_written() {
    let good = "HTTP/1.1 202 Accepted\r\ncontent-length: 12\r\n\r\n{\"id\":\"p-9\"}";
    let mut server = Scripted::start(vec![Act::AnswerAndClose(good.into()), Act::AnswerAndClose(good.into())]).await;
    let channel = Channel::build(&settings(&server.url)).unwrap();
    for _ in 0..2 {
        assert_eq!(shown(channel.deliver(&submission("x")).await), "accepted p-9");
        server.closed().await;
        // The runtime looks at the sockets once before it goes on.
        tokio::task::yield_now().await;
    }
    assert_eq!(shown(channel.deliver(&submission("x")).await), "accepted p-1");
    assert_eq!((server.requests().len(), server.connections()), (3, 3));
}

#[tokio::test]
async fn connections_are_kept_but_not_beyond_their_idle_time() {
    let server = Scripted::start(vec![]).await;
    let mut settings = settings(&server.url);
    let channel = Channel::build(&settings).unwrap();
    for _ in 0..50 {
        assert_eq!(shown(channel.deliver(&submission("x")).await), "accepted p-1");
    }
    assert_eq!(server.connections(), 1);
    settings.pool_idle = Duration::ZERO;
    let channel = Channel::build(&settings).unwrap();
    for _ in 0..3 {
        assert_eq!(shown(channel.deliver(&submission("x")).await), "accepted p-1");
    }
    channel.drop_idle();
    assert_eq!(server.connections(), 4);
}

#[tokio::test]
async fn a_templated_request_arrives_as_the_provider_wants_it() {
    let server = Scripted::start(vec![]).await;
    let mut settings = settings(&format!("{}/{{{{ sender }}}}?to={{{{ to }}}}", server.url));
    settings.method = "PUT".to_owned();
    settings.credentials = BTreeMap::from([("token".to_owned(), Secret::new("s3cr3t"))]);
    settings.headers = BTreeMap::from([
        ("Authorization".to_owned(), "Bearer {{ credentials.token }}".to_owned()),
        ("Idempotency-Key".to_owned(), "{{ idempotency_key }}".to_owned()),
    ]);
    settings.body = r#"{"messages":[{"destination":"{{ to }}","sms":"{{ text }}"{% if validity_seconds %},"ttl":{{ validity_seconds }}{% endif %},"n":{{ parts }}}]}"#.to_owned();
    let channel = Channel::build(&settings).unwrap();
    let text = "Él dijo \"sí\"\\\nya: https://pay.example/?p=aB3\u{1}";
    assert_eq!(shown(channel.deliver(&submission(text)).await), "accepted p-1");
    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("PUT /send/REMESA?to=%2B34600123456 HTTP/1.1\r\n"), "{head}");
    for line in [
        "authorization: Bearer s3cr3t",
        "idempotency-key: nov-dues/delivery@1/7.0",
        "content-type: application/json",
        concat!("user-agent: remesa/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(head.lines().any(|got| got == line), "{line} is not in {head}");
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let expected = serde_json::json!({"messages":[{"destination":"+34600123456","sms":text,"ttl":600,"n":1}]});
    assert_eq!(body, expected);
}

#[tokio::test]
async fn the_sandbox_kind_brings_its_own_request() {
    let server = Scripted::start(vec![]).await;
    let mut settings = settings(server.url.trim_end_matches("/send"));
    settings.kind = ChannelKind::Sandbox;
    let channel = Channel::build(&settings).unwrap();
    let unlimited = Submission { validity_seconds: None, ..submission("a\"b") };
    assert_eq!(shown(channel.deliver(&unlimited).await), "accepted p-1");
    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /messages HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("idempotency-key: nov-dues/delivery@1/7.0"), "{head}");
    let expected =
        r#"{"to":"+34600123456","text":"a\"b","from":"REMESA","reference":"nov-dues/delivery@1/7.0/1.aB3dE5gH7j"}"#;
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_value_that_no_header_can_carry_is_a_permanent_failure_of_that_message_alone() {
    let server = Scripted::start(vec![]).await;
    let mut settings = settings(&server.url);
    settings.headers = BTreeMap::from([("x-text".to_owned(), "{{ text }}".to_owned())]);
    let channel = Channel::build(&settings).unwrap();
    let smuggled = "x\r\nx-admin: 1";
    assert_eq!(shown(channel.deliver(&submission(smuggled)).await), "permanent unrenderable_request");
    assert_eq!(shown(channel.deliver(&submission("x")).await), "accepted p-1");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_channel_that_cannot_work_is_refused_when_it_is_built() {
    let good = || settings("http://127.0.0.1:1/");
    let header = |name: &str, value: &str| ChannelSettings {
        headers: BTreeMap::from([(name.to_owned(), value.to_owned())]),
        ..good()
    };
    let bodies = [r#"{"to":{{ to }}}"#, r#"{"to":"{{ to }}""#, r#"{"a":"{% if validity_seconds %}"}"#, "to={{ to }}"];
    for body in bodies {
        let refused = Channel::build(&ChannelSettings { body: body.to_owned(), ..good() }).unwrap_err();
        assert!(matches!(refused, ChannelError::BodyNotJson { .. } | ChannelError::Syntax { .. }), "{body}: {refused}");
    }
    for url in ["", "127.0.0.1", "ftp://x/", "http://{{ to }}/", "http://x{{ text }}/", "http://u:p@x/", "/send"] {
        let refused = Channel::build(&settings(url)).unwrap_err();
        assert!(matches!(refused, ChannelError::Url { .. }), "{url}: {refused}");
    }
    for refused in [header("Host", "x"), header("content-length", "1"), header("a b", "x"), header("x", "a\nb")] {
        let refused = Channel::build(&refused).unwrap_err();
        assert!(matches!(refused, ChannelError::Header { .. }), "{refused}");
    }
    let pointer = Channel::build(&ChannelSettings { id_pointer: "id".to_owned(), ..good() }).unwrap_err();
    assert_eq!(pointer.to_string(), "channel sms-main: id_pointer is not a JSON pointer such as \"/id\"");
    let method = Channel::build(&ChannelSettings { method: "P O".to_owned(), ..good() }).unwrap_err();
    assert_eq!(method.to_string(), "channel sms-main: method \"P O\" is not an HTTP method");
    let unknown = Channel::build(&header("x", "{{ credentials.pin }}")).unwrap_err();
    assert!(unknown.to_string().starts_with("channel sms-main: header x uses {{ credentials.pin }}"), "{unknown}");
}

#[test]
fn no_secret_is_in_what_a_channel_prints() {
    let mut settings = settings("https://api.example/send?key=s3cr3t");
    settings.credentials = BTreeMap::from([("token".to_owned(), Secret::new("s3cr3t"))]);
    settings.headers = BTreeMap::from([
        ("x-key".to_owned(), "s3cr3t".to_owned()),
        ("authorization".to_owned(), "{{ credentials.token }}".to_owned()),
    ]);
    settings.body = r#"{"pin":"s3cr3t"}"#.to_owned();
    let shown = format!("{:?} {:?} {:?}", settings, Channel::build(&settings).unwrap(), submission("s3cr3t"));
    assert!(!shown.contains("s3cr3t") && !shown.contains("600123456"), "{shown}");
    settings.headers.insert("x-bad".to_owned(), "s3cr3t\n".to_owned());
    let error = Channel::build(&settings).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
}

#[tokio::test]
async fn a_form_of_the_configuration_is_posted_as_one() {
    let server = Scripted::start(vec![]).await;
    let form = ChannelSettings {
        body: "to={{ to }}&text={{ text }}&key={{ credentials.key }}".to_owned(),
        body_format: BodyFormat::Form,
        credentials: [("key".to_owned(), Secret::new("a&b"))].into(),
        ..settings(&server.url)
    };
    assert_eq!(shown(Channel::build(&form).unwrap().deliver(&submission("a&b=ñ")).await), "accepted p-1");
    let request = server.requests().remove(0);
    assert!(request.contains("content-type: application/x-www-form-urlencoded\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nto=%2B34600123456&text=a%26b%3D%C3%B1&key=a%26b"), "{request}");
}
