//! `remesa channels test`: whether a provider is there and knows us, and one real message where that is wanted.

use redis::AsyncCommands as _;
use serde_json::Value;

use crate::support::command::{json_of, run};
use crate::support::daemon::Settings;
use crate::support::provider::{Act, Receiver};
use crate::support::redis::{Redis, free_port};
use crate::support::scene::Scene;

/// The verdict of a test that fails.
async fn failed(settings: &Settings, arguments: &[&str]) -> Value {
    let output = run(settings.command(arguments)).await;
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn twilio(redis: &Redis, receiver: &Receiver) -> Settings {
    Settings::new(redis).toml(&format!(
        "[channels.sms]\nkind = \"http\"\nprovider = \"twilio\"\nurl = \"{}\"\nsender = \"+34600000000\"\n\
         credentials = {{ account_sid = \"AC1\", auth_token = \"hush\" }}\n",
        receiver.url()
    ))
}

#[tokio::test]
async fn a_provider_is_asked_who_we_are_and_nothing_is_sent() {
    let scene = Scene::new().await;
    let verdict = json_of(&scene.settings, &["channels", "test", "sms", "--json"]).await;
    assert_eq!((verdict["verdict"].as_str(), verdict["sent"].as_bool()), (Some("knows_us"), Some(false)), "{verdict}");
    assert_eq!(scene.sandbox.stats().requests, 0);

    let receiver = Receiver::start([Act::json(200, r#"{"sid":"AC1"}"#)]);
    let settings = twilio(&scene.redis, &receiver);
    let verdict = json_of(&settings, &["channels", "test", "sms", "--json"]).await;
    assert_eq!(verdict["verdict"], "knows_us");
    let asked = receiver.requests();
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("GET", "/Accounts/AC1.json"));
    assert!(asked[0].header("authorization").is_some_and(|value| value.starts_with("Basic ")));

    let any = Receiver::start([Act::json(200, "{}")]);
    let settings = Settings::new(&scene.redis).toml(&format!(
        "[channels.sms]\nkind = \"http\"\nurl = \"{}/send\"\nbody = '{{\"to\":\"{{{{ to }}}}\",\"text\":\"{{{{ text }}}}\"}}'\n",
        any.url()
    ));
    let verdict = json_of(&settings, &["channels", "test", "sms", "--json"]).await;
    assert_eq!(verdict["verdict"], "reached", "of any JSON provider nothing but a message tells: {verdict}");
    assert!(any.requests().is_empty());
}

#[tokio::test]
async fn each_class_of_failure_is_named_with_what_helps_and_the_exit_code_says_so() {
    let redis = Redis::start().await;
    let test = ["channels", "test", "sms", "--json"];
    let refusing = Receiver::start([Act::json(401, r#"{"code":20003,"status":401}"#)]);
    let denied = failed(&twilio(&redis, &refusing), &test).await;
    assert_eq!((denied["verdict"].as_str(), denied["code"].as_str()), (Some("denied"), Some("not_authorised:20003")));
    assert_eq!(denied["help"], "mend the channel's credentials");
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let away = Settings::new(&redis).sandbox_channel("sms", &nobody, "");
    let transient = failed(&away, &test).await;
    assert_eq!(
        (transient["verdict"].as_str(), transient["code"].as_str()),
        (Some("transient"), Some("connection_refused"))
    );
    let slow = Receiver::start([Act::Reply {
        status: 429,
        headers: vec!["Retry-After: 9".to_owned()],
        body: "{}".to_owned(),
    }]);
    assert_eq!(failed(&twilio(&redis, &slow), &test).await["verdict"], "throttled");
    let unknown = run(away.command(&["channels", "test", "smss"])).await;
    assert_eq!(unknown.status.code(), Some(64));
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(said.contains("did you mean \"sms\"?"), "{said}");
}

#[tokio::test]
async fn a_real_message_is_said_before_and_leaves_only_with_a_yes_and_to_nobody_who_is_barred() {
    let mut scene = Scene::with("rate_per_second = 50\n", |_| {}).await;
    let to = ["channels", "test", "sms", "--to", "+34600111222"];
    let asked = run(scene.settings.command(&to)).await;
    assert_eq!(asked.status.code(), Some(64));
    let said = String::from_utf8(asked.stderr).unwrap();
    assert!(said.contains("this sends one real message over sms (sandbox) to +34******222, 1 SMS part"), "{said}");
    assert!(said.contains("add --yes") && !said.contains("600111222"), "{said}");
    assert_eq!(scene.sandbox.stats().requests, 0);

    let () = scene.db.sadd("remesa:blocked:phone", "+34600111222").await.unwrap();
    let barred = run(scene.settings.command(&[&to[..], &["--yes"]].concat())).await;
    let said = String::from_utf8(barred.stderr).unwrap();
    assert!(!barred.status.success() && said.contains("may not be written to: it is blocked"), "{said}");
    let () = scene.db.del("remesa:blocked:phone").await.unwrap();

    let sent = json_of(&scene.settings, &[&to[..], &["--yes", "--json"]].concat()).await;
    assert_eq!((sent["verdict"].as_str(), sent["sent"].as_bool()), (Some("accepted"), Some(true)), "{sent}");
    let inbox = scene.sandbox.inbox(None, 0, 10);
    assert_eq!((inbox.len(), inbox[0].text.as_str()), (1, "Remesa: test of the channel sms"));
    let place: Option<String> = scene.db.hget("remesa:channel:sms", "tat_us").await.unwrap();
    assert!(place.is_some(), "it took its place in the channel's rate");
    let noted = json_of(&scene.settings, &["audit", "--json"]).await;
    let noted = noted.to_string();
    assert!(noted.contains("test_message") && noted.contains("accepted") && !noted.contains("600111222"), "{noted}");
    // A pause is no reason not to test: it may be what the test is for.
    let () = scene.db.hset("remesa:channel:sms", "paused", "not_authorised:http_401").await.unwrap();
    assert_eq!(json_of(&scene.settings, &[&to[..], &["--yes", "--json"]].concat()).await["verdict"], "accepted");
    let wrong = run(scene.settings.command(&["channels", "test", "sms", "--to", "600111222", "--yes"])).await;
    assert_eq!(wrong.status.code(), Some(64), "a number without its country is nobody's");
}
