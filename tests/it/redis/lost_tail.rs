//! A Redis that comes back without what it took last: what was claimed and sent is told to it again, before anybody
//! claims.
//!
//! The tail of its append-only file is cut off, which is what a failure of the power does, and to the daemons the same as
//! a failover to a replica that lags.

use redis::AsyncCommands as _;
use remesa::sandbox::Fate;
use serde_json::json;

use super::{metric, sent_once};
use crate::bulk::{person, put_cases};
use crate::support::daemon::{Daemon, Settings};
use crate::support::gate::{Gate, Side};
use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, phone, run_key, send_job};
use crate::support::wait;

pub(super) const ROWS: usize = 120;
const IN_FLIGHT: u64 = 8;

/// A campaign whose run has begun, every permit held at the provider; and the mark where that was.
pub(super) async fn begun(channel: &str) -> (Scene, Daemon, u64) {
    let redis = Redis::start_append_only().await;
    let keys = format!("in_flight = {IN_FLIGHT}\n{channel}");
    let mut scene = Scene::over(redis, &keys, |sandbox| {
        sandbox.hold = true;
        // A second request is a second message, unless the channel says that the provider knows repeats.
        sandbox.idempotency = channel.contains("idempotent");
    })
    .await;
    let daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(ROWS))).await;
    scene.done("gen-c").await;
    counted(&scene.sandbox, "all permits are accepted", |stats| stats.counts.accepted == IN_FLIGHT).await;
    let mark = scene.redis.mark();
    (scene, daemon, mark)
}

/// Lets the provider answer until it has accepted so many, and holds those that come then.
pub(super) async fn answers_until(scene: &Scene, accepted: u64) {
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= accepted).await;
    scene.sandbox.change(|settings| settings.hold = true).unwrap();
}

/// Redis loses what it took behind the mark, and is there again.
pub(super) async fn loses(scene: &mut Scene, mark: u64) {
    scene.redis.restart_at(mark).await;
    scene.db = scene.redis.connect().await;
}

#[tokio::test]
async fn what_was_sent_and_what_was_in_flight_is_not_sent_again_by_the_daemon_that_knows_it() {
    let (mut scene, daemon, mark) = begun("").await;
    answers_until(&scene, 50).await;
    wait::until("all permits are in flight", async || (scene.sandbox.stats().in_flight == IN_FLIGHT).then_some(()))
        .await;
    loses(&mut scene, mark).await;
    daemon.event("written again: redis had lost them, or never had them", |_| true).await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 0).await;
    assert_eq!(ledger["sent"], ROWS as u64);
    assert!(metric(&daemon, "reasserted_total").await >= 50);
}

#[tokio::test]
async fn a_daemon_that_died_with_its_redis_tells_it_again_when_it_is_back() {
    let (mut scene, mut daemon, mark) = begun("").await;
    answers_until(&scene, 50).await;
    daemon.kill();
    loses(&mut scene, mark).await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let _next = scene.daemon().await;
    sent_once(&mut scene, "c", ROWS as u64, IN_FLIGHT).await;
}

#[tokio::test]
async fn what_is_in_doubt_since_a_failover_is_asked_for_again_where_the_provider_knows_repeats() {
    let (mut scene, mut daemon, mark) = begun("idempotent = true\nretry_base = \"20ms\"\n").await;
    answers_until(&scene, 50).await;
    daemon.kill();
    loses(&mut scene, mark).await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let _next = scene.daemon().await;
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 0).await;
    assert_eq!(ledger["sent"], ROWS as u64);
}

#[tokio::test]
async fn nobody_claims_before_every_daemon_has_told_what_it_did() {
    let (mut scene, first, _) = begun("").await;
    let second = Daemon::start(&scene.settings.instance("two")).await;
    let mark = scene.redis.mark();
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    counted(&scene.sandbox, "both have sent", |stats| stats.counts.accepted >= 60).await;
    scene.sandbox.change(|settings| settings.hold = true).unwrap();
    second.stop();
    loses(&mut scene, mark).await;
    first.event("waiting for what the other daemons did before", |_| true).await;
    second.cont();
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 0).await;
    assert_eq!(ledger["sent"], ROWS as u64);
}

#[tokio::test]
async fn a_daemon_that_does_not_come_back_is_waited_for_no_longer_than_a_lease() {
    let (mut scene, mut daemon, mark) = begun("").await;
    let other = Daemon::start(&scene.settings.instance("two")).await;
    daemon.kill();
    loses(&mut scene, mark).await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    other.event("waiting for what the other daemons did before", |_| true).await;
    sent_once(&mut scene, "c", ROWS as u64, IN_FLIGHT).await;
}

#[tokio::test]
async fn refusals_and_retries_are_told_again_with_their_attempts() {
    let redis = Redis::start_append_only().await;
    let keys = "in_flight = 8\nidempotent = true\nretry_base = \"1s\"\nretry_cap = \"1s\"\nretry_attempts = 50\n";
    let mut scene = Scene::over(redis, keys, |sandbox| {
        sandbox.hold = true;
        for n in (1..=ROWS).step_by(10) {
            sandbox.recipients.insert(phone(n), Fate::Refuse);
            sandbox.recipients.insert(phone(n + 1), Fate::Fail);
        }
    })
    .await;
    let daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(ROWS))).await;
    scene.done("gen-c").await;
    let mark = scene.redis.mark();
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    scene.counted("c", "failed", 12).await;
    scene.counted("c", "sent", 96).await;
    scene.counted("c", "retry", 1).await;
    loses(&mut scene, mark).await;
    daemon.event("written again: redis had lost them, or never had them", |_| true).await;
    scene.sandbox.change(|settings| settings.recipients.retain(|_, fate| *fate == Fate::Refuse)).unwrap();
    scene.finished("c").await;
    let ledger = campaign_audit(&mut scene.db, "c").await;
    assert_eq!((ledger["failed"], ledger["sent"]), (12, ROWS as u64 - 12), "{ledger:?}");
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
    for n in (2..=ROWS as u64).step_by(10) {
        let (letter, attempt, _) = scene.outcome("c", n).await;
        assert!(letter == "s" && attempt > 1, "{n}: {letter} {attempt}");
    }
}

#[tokio::test]
async fn cases_are_closed_again_and_further_contacts_of_a_case_are_not_written_to_twice() {
    const CASES: usize = 60;
    let redis = Redis::start_append_only().await;
    let mut scene = Scene::over(redis, "in_flight = 8\n", |sandbox| {
        (sandbox.hold, sandbox.idempotency) = (true, false);
    })
    .await;
    let daemon = scene.daemon().await;
    let cases = (1..=CASES).map(|n| {
        let mut case = person(n);
        case["contacts"] = json!([
            {"kind": "mobile", "value": phone(n), "updated_at": 2},
            {"kind": "mobile", "value": phone(n + 1000), "updated_at": 1},
        ]);
        case
    });
    put_cases(&mut scene, "c", &cases.collect::<Vec<_>>()).await;
    // Behind this mark the run is made, its cases are sifted, and half of them are written to.
    let send = json!({"id": "send-c", "message": "m", "campaign": "c", "channel": "sms", "text": "Hola {{ name }}",
                      "contacts": "all", "close_cases": true, "only_active": true});
    scene.enqueue("send", &send).await;
    scene.done("send-c").await;
    let mark = scene.redis.mark();
    answers_until(&scene, 70).await;
    loses(&mut scene, mark).await;
    daemon.event("written again: redis had lost them, or never had them", |_| true).await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let run = "remesa:{c}:run:m";
    wait::field(&mut scene.db, run, "state", &["finished"]).await;
    let ledger = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(ledger, [("sent", 2 * CASES as u64)].into());
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.repeated_recipients), (2 * CASES as u64, 0));
    let closed: u64 = scene.db.hget("remesa:{c}:campaign", "cases:closed").await.unwrap();
    let by_run: u64 = scene.db.hget(run, "cases_closed").await.unwrap();
    assert_eq!((closed, by_run), (CASES as u64, CASES as u64));
}

#[tokio::test]
async fn a_run_cancelled_before_it_was_told_again_counts_what_had_been_sent() {
    let (mut scene, mut daemon, mark) = begun("").await;
    answers_until(&scene, 50).await;
    daemon.kill();
    loses(&mut scene, mark).await;
    let () = redis::cmd("HSET").arg(run_key("c")).arg(&["paused_by", "test"]).query_async(&mut scene.db).await.unwrap();
    scene.store().act("c", Some("delivery@1"), "cancel", "test").await.unwrap();
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let _next = scene.daemon().await;
    let sent = scene.sandbox.stats().counts.accepted;
    wait::until("what was sent is counted", async || {
        let run = scene.delivery("c").await;
        let count = |state: &str| run.get(state).map_or(0, |count| count.parse::<u64>().unwrap());
        (count("sending") == 0 && count("sent") + count("unknown") >= sent).then_some(())
    })
    .await;
    campaign_audit(&mut scene.db, "c").await;
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.repeated_recipients), (sent, 0));
}

#[tokio::test]
async fn a_daemon_killed_while_it_tells_again_is_followed_by_the_next_one() {
    for side in [Side::Before, Side::After] {
        let redis = Redis::start_append_only().await;
        let mut scene = Scene::over(redis, "", |sandbox| (sandbox.hold, sandbox.idempotency) = (true, false)).await;
        let gate = Gate::before(&scene.redis);
        let keys = format!("in_flight = {IN_FLIGHT}\n");
        scene.settings = Settings::with_redis_url(&gate.url()).sandbox_channel("sms", &scene.sandbox.url(), &keys);
        let mut first = scene.daemon().await;
        scene.enqueue("generate", &send_job("c", people(ROWS))).await;
        scene.done("gen-c").await;
        counted(&scene.sandbox, "all permits are accepted", |stats| stats.counts.accepted == IN_FLIGHT).await;
        let mark = scene.redis.mark();
        answers_until(&scene, 50).await;
        first.kill();
        loses(&mut scene, mark).await;
        gate.catch(&mut scene.db, "reassert", side, 1).await;
        let mut second = Daemon::spawn(&scene.settings);
        gate.caught("what is told again").await;
        second.kill();
        gate.open();
        scene.sandbox.change(|settings| settings.hold = false).unwrap();
        let _third = scene.daemon().await;
        sent_once(&mut scene, "c", ROWS as u64, IN_FLIGHT).await;
    }
}
