//! SIGHUP: the configuration is read again under load, and nothing is lost, sent twice, or half new.

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::http::{get, metrics_where, value};
use crate::support::ledger::campaign_audit;
use crate::support::provider::{Act, Receiver, counted};
use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, send_job};
use crate::support::wait;

const SLOW: &str = "in_flight = 8\nrate_per_second = 5\n";

#[tokio::test]
async fn a_new_rate_counts_at_once_and_under_load_nothing_is_lost_or_sent_twice() {
    let mut scene = Scene::with(SLOW, |sandbox| sandbox.latency_max_ms = 20).await;
    let daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(400))).await;
    counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= 3).await;
    // Several in a row: each relieves the one before while that one drains.
    for rate in ["rate_per_second = 6", "rate_per_second = 7", "rate_per_second = 0"] {
        daemon.reload(&scene.settings.replaced("rate_per_second = 5", rate));
        daemon.event("reloaded", |_| true).await;
    }
    // At the old rate this would take far longer than a test may.
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 400)].into());
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.repeated_recipients), (400, 0));
    let address = daemon.http().await;
    metrics_where(address, "the last rate is shown", |metrics| {
        value(metrics, "remesa_channel_rate_limit{channel=\"sms\"}") == Some(0.0)
            && value(metrics, "remesa_reloads_total{result=\"applied\"}") >= Some(1.0)
    })
    .await;
    assert_eq!(get(address, "/readyz").await.0, 200);
    wait::until("those that were relieved tell nothing of the channel any more", async || {
        let workers: Vec<String> = redis::AsyncCommands::zrange(&mut scene.db, "remesa:workers", 0, -1).await.unwrap();
        let mut serve = 0;
        for worker in workers {
            let key = format!("remesa:worker:{worker}");
            let channels: Option<String> = redis::AsyncCommands::hget(&mut scene.db, key, "channels").await.unwrap();
            serve += usize::from(channels.is_some_and(|channels| channels == "sms"));
        }
        (serve == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_channel_that_is_added_is_served_and_one_that_is_taken_away_is_not() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let mut job = send_job("c", people(3));
    job["channel"] = "new".into();
    scene.enqueue("generate", &job).await;
    assert_eq!(scene.refused("gen-c").await.0, "unknown_channel");
    job["id"] = "again".into();
    daemon.reload(&scene.settings.replaced("[channels.sms]", "[channels.new]"));
    daemon.event("reloaded", |_| true).await;
    scene.run("generate", &job).await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 3);
    metrics_where(daemon.http().await, "the old channel is not shown any more", |metrics| {
        metrics.contains("remesa_channel_state{channel=\"new\"")
            && !metrics.contains("remesa_channel_state{channel=\"sms\"")
    })
    .await;
}

#[tokio::test]
async fn the_level_of_the_log_changes_and_a_secret_is_read_again() {
    let mut scene = Scene::new().await;
    let receiver = Receiver::start((0..2).map(|_| Act::json(200, r#"{"id":"m-1"}"#)));
    let secrets = tempfile::tempdir().unwrap();
    std::fs::write(secrets.path().join("sms-key"), "first\n").unwrap();
    let channel = format!(
        "[channels.keyed]\nurl = \"{}/send\"\nbody = '{{\"to\": \"{{{{ to }}}}\"}}'\nretry_attempts = 1\n\
         headers = {{ authorization = \"Bearer {{{{ credentials.key }}}}\" }}\ncredentials = {{ key = \"file:sms-key\" }}\n",
        receiver.url()
    );
    scene.settings = scene.settings.toml(&channel).variable("CREDENTIALS_DIRECTORY", secrets.path().to_str().unwrap());
    let daemon = scene.daemon().await;
    let mut job = send_job("one", people(1));
    job["channel"] = "keyed".into();
    scene.run("generate", &job).await;
    scene.campaign_is("one", "delivered").await;
    std::fs::write(secrets.path().join("sms-key"), "second\n").unwrap();
    daemon.reload(&scene.settings.replaced("level = \"info\"", "level = \"debug\""));
    daemon.event("reloaded", |_| true).await;
    let mut job = send_job("two", people(1));
    (job["channel"], job["after"]) = ("keyed".into(), json!(["gen-one"]));
    scene.run("generate", &job).await;
    scene.campaign_is("two", "delivered").await;
    let requests = receiver.received(2).await;
    let keys: Vec<_> = requests.iter().map(|request| request.header("authorization").unwrap()).collect();
    assert_eq!(keys, ["Bearer first", "Bearer second"]);
    let mut parked = send_job("three", people(1));
    parked["after"] = json!(["nobody"]);
    scene.enqueue("generate", &parked).await;
    // Told at the level debug only.
    daemon.event("parked", |_| true).await;
}

#[tokio::test]
async fn a_file_that_is_not_valid_or_a_key_that_needs_a_restart_changes_nothing_and_says_so() {
    let mut scene = Scene::with(SLOW, |_| {}).await;
    let daemon = scene.daemon().await;
    let said = |event: &serde_json::Value| event["error"].as_str().unwrap().to_owned();
    let not = "not reloaded: everything stays as it was";
    for (before, after, why) in [
        ("rate_per_second = 5", "rate_per_sekond = 500", "rate_per_second"),
        ("rate_per_second = 5", "rate_per_second = 99999999", "must be from 0 to 1000000"),
        ("rate_per_second = 5", "on_unknown = \"resend\"", "on_unknown"),
        ("format = \"json\"", "format = \"text\"", "log.format cannot change while the daemon runs: restart it"),
        ("[channels.sms]", "[[channels", ""),
    ] {
        daemon.reload(&scene.settings.replaced(before, after));
        daemon.event(not, |event| said(event).contains(why)).await;
    }
    let shown = metrics_where(daemon.http().await, "all were refused", |metrics| {
        value(metrics, "remesa_reloads_total{result=\"refused\"}") == Some(5.0)
    })
    .await;
    assert_eq!(value(&shown, "remesa_channel_rate_limit{channel=\"sms\"}"), Some(5.0));
    scene.settings.write();
    scene.run("generate", &send_job("c", people(3))).await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 3);
}

#[tokio::test]
async fn a_reload_while_redis_is_away_is_refused_and_the_daemon_works_on_when_it_is_back() {
    let redis = Redis::start_append_only().await;
    let mut scene = Scene::over(redis, SLOW, |_| {}).await;
    let mut daemon = scene.daemon().await;
    scene.redis.kill();
    daemon.reload(&scene.settings.replaced("rate_per_second = 5", "rate_per_second = 0"));
    daemon.event("not reloaded: everything stays as it was", |_| true).await;
    scene.redis.restart().await;
    scene.db = scene.redis.connect().await;
    scene.run("generate", &send_job("c", people(3))).await;
    scene.campaign_is("c", "delivered").await;
    assert!(daemon.is_running());
}

#[tokio::test]
async fn a_daemon_killed_while_the_relieved_one_drains_leaves_both_to_the_next_start() {
    let mut scene = Scene::with("in_flight = 8\n", |sandbox| sandbox.hold = true).await;
    let mut daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(60))).await;
    counted(&scene.sandbox, "the first has its permits in flight", |stats| stats.in_flight == 8).await;
    daemon.reload(&scene.settings);
    daemon.event("reloaded", |_| true).await;
    counted(&scene.sandbox, "so has the second", |stats| stats.in_flight == 16).await;
    daemon.kill();
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let _next = scene.daemon().await;
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 44), ("unknown", 16)].into());
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.repeated_recipients), (60, 0));
}

#[tokio::test]
async fn a_daemon_told_to_end_in_the_middle_of_a_reload_drains_both() {
    let mut scene = Scene::with("in_flight = 4\n", |sandbox| sandbox.hold = true).await;
    let mut daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(30))).await;
    counted(&scene.sandbox, "four are in flight", |stats| stats.in_flight == 4).await;
    daemon.reload(&scene.settings);
    daemon.event("reloaded", |_| true).await;
    counted(&scene.sandbox, "eight are in flight", |stats| stats.in_flight == 8).await;
    daemon.term();
    daemon.event("draining; a second signal ends at once", |_| true).await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("queued", 22), ("sending", 8)].into());
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    assert_eq!(daemon.exit_code().await, Some(0));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("queued", 22), ("sent", 8)].into());
    let workers: Vec<String> = redis::AsyncCommands::zrange(&mut scene.db, "remesa:workers", 0, -1).await.unwrap();
    assert_eq!(workers, Vec::<String>::new(), "both have said farewell");
    wait::until("nobody has anything in hand", async || {
        let pending: Vec<redis::Value> =
            redis::cmd("XPENDING").arg("remesa:jobs:generate").arg("remesa").query_async(&mut scene.db).await.unwrap();
        matches!(pending.first(), Some(redis::Value::Int(0))).then_some(())
    })
    .await;
    let _next = Daemon::start(&scene.settings).await;
    scene.finished("c").await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 30);
}
