//! A channel whose provider is in trouble beside one that is well, on one daemon: the breaker opens and closes, whoever can
//! be sent to is sent to once, and the other channel does not wait. How long its messages did is printed.

use remesa::sandbox::{SandboxHandle, SandboxSettings, Stats};
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::front::Front;
use crate::support::ledger::{Counted, campaign_audit};
use crate::support::provider::{Act, Receiver, counted, sandbox_with};
use crate::support::scene::{Scene, people, run_key, send_job};
use crate::support::wait;

/// Recipients on the channel in trouble.
const SICK: u64 = 60;

/// The breaker opens at the first group of failures; nothing takes long.
const KEYS: &str = "in_flight = 8\nbreaker_failures = 8\nbreaker_cooldown = \"200ms\"\nretry_base = \"20ms\"\n\
                    retry_cap = \"100ms\"\nretry_attempts = 100\ntimeout = \"1s\"\nconnect_timeout = \"1s\"\n";

const SICK_KEY: &str = "remesa:channel:sick";

fn sick_job() -> Value {
    let mut job = send_job("s", people(usize::try_from(SICK).unwrap()));
    job["channel"] = "sick".into();
    job
}

/// Sends a hundred on the other channel, all of them, and shows how long they waited for it.
async fn others_go_on(scene: &mut Scene, beside: &str) {
    scene.run("generate", &send_job("w", people(100))).await;
    let run = scene.finished("w").await;
    assert_eq!(campaign_audit(&mut scene.db, "w").await, [("sent", 100)].into());
    let began: i64 = run["created_at"].parse().unwrap();
    let sent = scene.sandbox.inbox(None, 0, 1_000);
    let sent = sent.iter().filter(|message| message.reference.as_deref().unwrap().starts_with("w/"));
    let mut waited: Vec<i64> = sent.map(|message| message.at_ms - began).collect();
    waited.sort_unstable();
    eprintln!("beside {beside}: 100 messages waited {} ms, the longest {} ms", waited[50], waited[99]);
}

async fn breaker_opens(scene: &mut Scene) {
    wait::until("the breaker opens", async || scene.hash(SICK_KEY).await.remove("breaker_opened")).await;
}

/// The end of a trouble: everything has its outcome, and the breaker is closed.
async fn is_over(scene: &mut Scene) -> Counted {
    scene.finished("s").await;
    wait::until("the breaker closes", async || {
        (!scene.hash(SICK_KEY).await.contains_key("breaker_opened")).then_some(())
    })
    .await;
    campaign_audit(&mut scene.db, "s").await
}

/// Through a trouble of the simulator: it begins at once, and ends when another channel has had its hundred.
async fn through(trouble: &str, keys: &str, change: impl FnOnce(&mut SandboxSettings)) -> (Counted, Stats) {
    let mut scene = Scene::new().await;
    let sick = sandbox_with(change).await;
    scene.settings = scene.settings.sandbox_channel("sick", &sick.url(), &format!("{KEYS}{keys}"));
    let daemon = scene.daemon().await;
    scene.run("generate", &sick_job()).await;
    breaker_opens(&mut scene).await;
    daemon.event("breaker open", |event| event["channel"] == "sick").await;
    others_go_on(&mut scene, trouble).await;
    assert_eq!(scene.delivery("s").await["state"], "running");
    mend(&sick);
    let ledger = is_over(&mut scene).await;
    let stats = sick.stats();
    assert_eq!(stats.counts.repeated_recipients, 0, "sent twice: {stats:?}");
    (ledger, stats)
}

fn mend(sandbox: &SandboxHandle) {
    let port = sandbox.addr.port();
    sandbox.change(|settings| *settings = SandboxSettings { port, ..SandboxSettings::default() }).unwrap();
}

fn count(ledger: &Counted, state: &str) -> u64 {
    ledger.get(state).copied().unwrap_or(0)
}

#[tokio::test]
async fn a_provider_that_hangs_leaves_unknown_whom_it_did_not_answer_and_the_others_are_sent() {
    let (ledger, stats) = through("a provider that hangs", "", |sandbox| sandbox.hang_per_mille = 1000).await;
    assert_eq!(count(&ledger, "unknown"), stats.answers.hung, "{ledger:?}");
    assert_eq!(count(&ledger, "sent") + count(&ledger, "unknown"), SICK);
    assert_eq!(stats.counts.accepted, count(&ledger, "sent"));
}

#[tokio::test]
async fn a_provider_that_accepts_and_cuts_the_connection_is_asked_once_and_leaves_unknown() {
    let (ledger, stats) = through("a provider that cuts", "", |sandbox| sandbox.cut_per_mille = 1000).await;
    assert_eq!(count(&ledger, "unknown"), stats.answers.cut, "{ledger:?}");
    assert_eq!((stats.requests, stats.counts.accepted), (SICK, SICK));
}

#[tokio::test]
async fn a_provider_that_accepts_and_cuts_and_knows_keys_is_asked_again_and_sends_once() {
    let keys = "idempotent = true\n";
    let (ledger, stats) = through("a provider that cuts and knows keys", keys, |s| s.cut_per_mille = 1000).await;
    assert_eq!(ledger, [("sent", SICK)].into());
    assert_eq!(stats.counts.accepted, SICK);
    assert!(stats.answers.replayed > 0, "{stats:?}");
}

#[tokio::test]
async fn a_storm_of_500s_is_waited_out_behind_the_breaker_and_everybody_is_sent_to() {
    let keys = "idempotent = true\n";
    let (ledger, stats) = through("a storm of 500s", keys, |sandbox| sandbox.fail_per_mille = 1000).await;
    assert_eq!(ledger, [("sent", SICK)].into());
    assert_eq!((stats.counts.accepted, stats.requests), (SICK, SICK + stats.answers.failed));
}

#[tokio::test]
async fn a_storm_of_429s_stops_the_channel_for_as_long_as_it_says_and_a_resume_ends_the_wait() {
    let mut scene = Scene::new().await;
    let sick = sandbox_with(|sandbox| {
        (sandbox.throttle_per_mille, sandbox.retry_after_seconds) = (1000, 3_600);
    })
    .await;
    scene.settings = scene.settings.sandbox_channel("sick", &sick.url(), KEYS);
    let _daemons = [scene.daemon().await, Daemon::start(&scene.settings.instance("two")).await];
    scene.run("generate", &sick_job()).await;
    wait::until("the channel is blocked", async || scene.hash(SICK_KEY).await.remove("blocked_until")).await;
    others_go_on(&mut scene, "a storm of 429s").await;
    wait::field(&mut scene.db, &run_key("s"), "queued", &[&SICK.to_string()]).await;
    let stormed = sick.stats();
    // What both daemons had in flight at the first answer, and nobody more.
    assert!(stormed.requests <= 16, "{stormed:?}");
    assert_eq!(stormed.answers.throttled, stormed.requests);
    mend(&sick);
    scene.command(json!({"action": "resume", "channel": "sick"})).await;
    assert_eq!(is_over(&mut scene).await, [("sent", SICK)].into());
    for n in 1..=SICK {
        assert_eq!(scene.outcome("s", n).await.1, 1, "a wait that the provider asks for costs no attempt");
    }
    assert_eq!((sick.stats().requests, sick.stats().counts.accepted), (SICK + stormed.requests, SICK));
}

#[tokio::test]
async fn answers_that_are_held_back_keep_no_other_channel_waiting() {
    let mut scene = Scene::new().await;
    let sick = sandbox_with(|sandbox| sandbox.hold = true).await;
    let keys = KEYS.replace("timeout = \"1s\"\nconnect", "timeout = \"50s\"\nconnect");
    scene.settings = scene.settings.set("shutdown.drain", "55s").sandbox_channel("sick", &sick.url(), &keys);
    let _daemon = scene.daemon().await;
    scene.run("generate", &sick_job()).await;
    counted(&sick, "all permits are at the provider", |stats| stats.in_flight == 8).await;
    others_go_on(&mut scene, "answers that are held back").await;
    // Not one of them has come back meanwhile.
    assert_eq!((sick.stats().in_flight, sick.stats().requests), (8, 8));
    mend(&sick);
    scene.finished("s").await;
    assert_eq!(campaign_audit(&mut scene.db, "s").await, [("sent", SICK)].into());
    assert_eq!(sick.stats().counts.accepted, SICK);
}

/// A provider of any kind as the channel `sick`.
fn any_provider(scene: Scene, url: &str) -> Scene {
    let channel =
        format!("[channels.sick]\nkind = \"http\"\nurl = \"{url}/v1\"\n{KEYS}body = '{{\"to\": \"{{{{ to }}}}\"}}'\n");
    Scene { settings: scene.settings.toml(&channel), ..scene }
}

/// The most memory that a process has had, in kB.
fn peak_kb(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn replies_of_100_megabytes_are_not_read_and_cost_no_memory() {
    let flood = std::iter::repeat_n(Act::Flood(100_000_000), 10);
    let receiver = Receiver::start(flood.chain([Act::json(200, r#"{"id":"M"}"#)]));
    let mut scene = any_provider(Scene::new().await, &receiver.url());
    let daemon = scene.daemon().await;
    scene.run("generate", &send_job("warm", people(100))).await;
    scene.finished("warm").await;
    let before = peak_kb(daemon.id());
    scene.run("generate", &sick_job()).await;
    breaker_opens(&mut scene).await;
    others_go_on(&mut scene, "replies of 100 megabytes").await;
    assert_eq!(is_over(&mut scene).await, [("sent", SICK - 10), ("unknown", 10)].into());
    let grown = peak_kb(daemon.id()) - before;
    assert!(grown < 20_000, "{grown} kB more than before");
    let requests = receiver.requests();
    assert_eq!(requests.len() as u64, SICK);
    for n in 1..=SICK {
        let (letter, attempt, reason) = scene.outcome("s", n).await;
        let expected = if letter == "n" { "answer_unreadable" } else { "" };
        assert_eq!((attempt, reason.as_str()), (1, expected));
    }
}

#[tokio::test]
async fn a_reply_that_drips_is_given_up_after_the_time_out() {
    let receiver = Receiver::start(std::iter::repeat_n(Act::Drip, 10).chain([Act::json(200, r#"{"id":"M"}"#)]));
    let mut scene = any_provider(Scene::new().await, &receiver.url());
    let _daemon = scene.daemon().await;
    scene.run("generate", &sick_job()).await;
    breaker_opens(&mut scene).await;
    others_go_on(&mut scene, "replies that drip").await;
    let ledger = is_over(&mut scene).await;
    assert_eq!(count(&ledger, "sent") + count(&ledger, "unknown"), SICK);
    assert!(count(&ledger, "unknown") >= 10, "{ledger:?}");
    assert_eq!(receiver.requests().len() as u64, SICK);
}

#[tokio::test]
async fn while_tls_fails_nothing_leaves_and_afterwards_everybody_is_sent_to() {
    let mut scene = Scene::new().await;
    let sick = sandbox_with(|_| {}).await;
    let front = Front::broken(sick.addr).await;
    scene.settings = scene
        .settings
        .sandbox_channel("sick", &front.url(), KEYS)
        .variable("SSL_CERT_FILE", front.certificate().to_str().unwrap());
    let _daemon = scene.daemon().await;
    scene.run("generate", &sick_job()).await;
    breaker_opens(&mut scene).await;
    assert_eq!(scene.hash(SICK_KEY).await["breaker_reason"], "tls_failed");
    others_go_on(&mut scene, "a TLS that fails").await;
    assert_eq!(sick.stats().requests, 0);
    front.mend();
    assert_eq!(is_over(&mut scene).await, [("sent", SICK)].into());
    assert_eq!((sick.stats().counts.accepted, sick.stats().counts.repeated_recipients), (SICK, 0));
}

#[tokio::test]
async fn a_provider_that_refuses_connections_for_a_while_is_found_again_by_the_probe() {
    let gone = sandbox_with(|_| {}).await;
    let (url, port) = (gone.url(), gone.addr.port());
    gone.shutdown().await;
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.sandbox_channel("sick", &url, KEYS);
    let _daemon = scene.daemon().await;
    scene.run("generate", &sick_job()).await;
    breaker_opens(&mut scene).await;
    others_go_on(&mut scene, "connections that are refused").await;
    // Probes fail, and the pause between them grows.
    wait::until("three probes have failed", async || {
        let opened: u32 = scene.hash(SICK_KEY).await["breaker_opened"].parse().unwrap();
        (opened > 3).then_some(())
    })
    .await;
    let back = sandbox_with(|settings| settings.port = port).await;
    assert_eq!(is_over(&mut scene).await, [("sent", SICK)].into());
    assert_eq!((back.stats().counts.accepted, back.stats().counts.repeated_recipients), (SICK, 0));
}
