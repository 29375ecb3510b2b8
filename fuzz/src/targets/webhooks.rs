//! Webhooks: what anybody on the internet may post as a receipt or a reply, for each provider that is known.
//!
//! The first byte of an input chooses provider and form; the first line is the signature that comes with it, the rest the
//! body. Nothing that was not signed by us is news, and nothing unsigned is believed.

use std::sync::LazyLock;
use std::time::Duration;

use remesa::config::Config;
use remesa::domain::clock::EpochMs;
use remesa::domain::receipt::{Told, clean_id, clean_reason};
use remesa::domain::reply::cut;
use remesa::domain::signature::{self, Digits, Standard};
use serde_json::{Map, Value};

use super::Target;

const SECRET: &[u8] = b"a secret that nobody guesses";

const CHANNELS: &str = r#"
[channels.own]
kind = "sandbox"
[channels.own.receipts]
secrets = ["whsec_c2VjcmV0"]
[channels.own.replies]
enabled = true
[channels.twilio]
kind = "http"
provider = "twilio"
sender = "+12025550100"
credentials = { account_sid = "AC1", auth_token = "t0ken" }
[channels.infobip]
kind = "http"
provider = "infobip"
url = "https://x.api.infobip.com"
credentials = { api_key = "key" }
[channels.whatsapp]
kind = "http"
provider = "whatsapp_cloud"
sender = "106540352242922"
credentials = { access_token = "EAAJB" }
"#;

static CONFIG: LazyLock<Config> =
    LazyLock::new(|| Config::parse(CHANNELS, "fuzz", std::iter::empty()).expect("the channels can be read"));

pub(super) const TARGET: Target = Target {
    name: "webhooks",
    seeds,
    words: &[
        "\"reference\":",
        "\"state\":",
        "\"status\":",
        "\"delivered\"",
        "\"failed\"",
        "\"results\":[",
        "\"callbackData\":",
        "\"entry\":[",
        "\"changes\":[",
        "\"value\":{",
        "\"statuses\":[",
        "\"messages\":[",
        "\"from\":",
        "\"text\":",
        "\"biz_opaque_callback_data\":",
        "MessageStatus=",
        "MessageSid=",
        "&",
        "=",
        "%00",
        "%ff",
        "+",
        "c/delivery@1/1.0/1.",
        "[[[[",
        "{\"a\":",
        "]",
        "}",
        "null",
        "1e999",
        "\\ud800",
        "STOP",
        "whatsapp:+34600123456",
        "<a@b.example>",
        "sha256=",
    ],
    read,
};

fn seeds() -> Vec<Vec<u8>> {
    [
        "\u{0}v1,c2ln\n{\"reference\":\"c/delivery@1/1.0/1.aaaaaaaaaaaaaaaa\",\"state\":\"delivered\",\"id\":\"1\",\"at\":1795647544612}",
        "\u{0}\n[{\"from\":\"+34600123456\",\"text\":\"STOP\",\"id\":\"r-1\"},{\"reference\":\"x\",\"state\":\"failed\"}]",
        "\u{3}sig\nMessageStatus=delivered&MessageSid=SM1&To=%2B34600123456&ErrorCode=30003&From=%2B1202&Body=hola",
        "\u{1}sha256=00ff\n{\"results\":[{\"callbackData\":\"c\",\"messageId\":\"1\",\"status\":{\"groupName\":\"DELIVERED\"},\"doneAt\":\"2026-11-25T10:00:00.000+0000\"}]}",
        "\u{4}sha256=00\n{\"entry\":[{\"changes\":[{\"value\":{\"statuses\":[{\"id\":\"w\",\"status\":\"read\",\"timestamp\":\"1795647544\"}],\"messages\":[{\"from\":\"34600123456\",\"text\":{\"body\":\"ok\"}}]}}]}]}",
    ]
    .iter()
    .map(|seed| seed.as_bytes().to_vec())
    .collect()
}

fn read(input: &[u8]) -> String {
    let Some((how, rest)) = input.split_first() else { return String::new() };
    let at = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (written, body) = rest.split_at(at);
    let body = body.get(1..).unwrap_or_default();
    believed(&String::from_utf8_lossy(written), body);
    // As the receiver reads it: a form as an object of texts, everything else as JSON.
    let parsed = if how & 1 == 1 && !body.trim_ascii_start().first().is_some_and(|first| b"{[".contains(first)) {
        let fields = form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into_owned().into()));
        Value::Object(fields.collect::<Map<_, _>>())
    } else {
        match serde_json::from_slice(body) {
            Ok(parsed) => parsed,
            Err(_) => return "not JSON".to_owned(),
        }
    };
    let names: Vec<&String> = CONFIG.receipts.keys().collect();
    let channel = names[usize::from(how >> 1) % names.len()];
    format!("{channel} {} {}", receipts(channel, &parsed), replies(channel, &parsed))
}

fn receipts(channel: &str, body: &Value) -> String {
    let map = &CONFIG.receipts[channel].map;
    let reports = match map.reports(body) {
        Ok(reports) => reports,
        Err(error) => return error.code().to_owned(),
    };
    let mut kinds: Vec<&str> = Vec::new();
    for report in reports {
        for reference in [None, Some("c/delivery@1/1.0/1.aaaaaaaaaaaaaaaa")] {
            kinds.push(match map.read(SECRET, report, reference) {
                Ok(Told::News(news)) => panic!("nobody signed this reference: {news:?}"),
                Ok(Told::NoNews) => "no news",
                Ok(Told::Foreign) => "foreign",
                Err(error) => error.code(),
            });
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    kinds.join("+")
}

fn replies(channel: &str, body: &Value) -> String {
    let Some(map) = CONFIG.channel_replies.get(channel) else { return String::new() };
    let replies = match map.replies(body) {
        Ok(replies) => replies,
        Err(error) => return error.code().to_owned(),
    };
    let mut kinds: Vec<String> = Vec::new();
    for reply in replies {
        kinds.push(match map.read(SECRET, channel, reply) {
            Ok(inbound) => {
                assert!(inbound.of.is_none(), "nobody signed this reference");
                assert_eq!(cut(&inbound.text), inbound.text, "a text is cut once");
                assert_eq!(inbound.digest(SECRET), inbound.digest(SECRET));
                format!("{:?}", CONFIG.replies.words.wish(&inbound.text))
            }
            Err(error) => error.code().to_owned(),
        });
    }
    kinds.sort_unstable();
    kinds.dedup();
    kinds.join("+")
}

/// No signature that anybody could write is believed.
fn believed(written: &str, body: &[u8]) {
    let keys = vec![SECRET.to_vec()];
    for digits in [Digits::Hex, Digits::Base64] {
        assert!(signature::check_plain(&keys, digits, written, body).is_err());
    }
    for form in [false, true] {
        assert!(signature::check_twilio(&keys, written, "https://x.example/receipts/twilio?a=1", body, form).is_err());
    }
    let standard = Standard { id: "m", timestamp: written, signatures: written };
    assert!(standard.check(&keys, body, EpochMs(1_795_647_544_612), Duration::from_mins(5)).is_err());
    assert!(clean_id(written).len() <= written.len());
    let _ = clean_reason(written);
    let _ = signature::key(written);
}
