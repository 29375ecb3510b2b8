//! When a job runs: `at`, `not_after`, `after`. What waits is no entry and holds no permit.

use chrono::DateTime;
use redis::AsyncCommands as _;
use serde_json::{Value, json};

use super::{Stage, generate, named, with};
use crate::support::daemon::{Daemon, Settings};
use crate::support::gate::{Gate, Side};
use crate::support::wait;

/// A job that is accepted and cannot be finished: none of its rows is an order.
fn hopeless(id: &str, campaign: &str) -> Value {
    json!({"id": id, "campaign": campaign, "currency": "EUR", "rows": [{"amount": 0}]})
}

#[tokio::test]
async fn a_job_with_at_runs_once_and_not_before_its_time_whoever_of_three_daemons_fires_it() {
    const JOBS: usize = 60;
    let mut stage = Stage::plain().await;
    let at = stage.now_ms().await + 1_500;
    let text = DateTime::from_timestamp_millis(at).unwrap().to_rfc3339();
    for n in 0..JOBS {
        let job = named(&format!("a-{n}"), &format!("c-{n}"));
        let job = if n % 2 == 0 { with(job, "at", at) } else { with(job, "at", text.clone()) };
        stage.add_json("generate", &job).await;
    }
    let mut daemons = Vec::new();
    for name in ["one", "two", "three"] {
        daemons.push(Daemon::start(&stage.settings.instance(name)).await);
    }
    let waiting = stage.job("a-0", &["scheduled", "done"]).await;
    if waiting["state"] == "scheduled" {
        assert_eq!(waiting["at"], at.to_string());
        let payload: Value = serde_json::from_str(&waiting["payload"]).unwrap();
        assert_eq!(payload["campaign"], "c-0");
    }
    for n in 0..JOBS {
        let done = stage.job(&format!("a-{n}"), &["done"]).await;
        assert!(done["finished_at"].parse::<i64>().unwrap() >= at, "{done:?}");
        assert!(!done.contains_key("payload"), "{done:?}");
    }
    stage.drained("generate").await;
    let announced = stage.announced().await;
    assert_eq!(announced.len(), JOBS);
    assert!(announced.values().all(|count| *count == 1), "{announced:?}");
    let alarms: Vec<String> = stage.connection.zrange("remesa:scheduled", 0, -1).await.unwrap();
    assert!(alarms.iter().all(|alarm| alarm.starts_with("expire|")), "{alarms:?}");
}

#[tokio::test]
async fn an_alarm_that_fires_again_is_absorbed_by_the_state_of_its_job() {
    let mut stage = Stage::plain().await;
    let _daemon = Daemon::start(&stage.settings).await;
    let at = stage.now_ms().await + 200;
    stage.add_json("generate", &with(named("a", "c"), "at", at)).await;
    let done = stage.job("a", &["done"]).await;
    // As a daemon would that died between XADD and ZREM; and for a job that is long gone.
    for id in ["a", "a", "never-heard-of"] {
        let _: String = stage.connection.xadd("remesa:jobs:generate", "*", &[("ref", id)]).await.unwrap();
    }
    stage.drained("generate").await;
    assert_eq!(stage.job("a", &["done"]).await, done);
    assert_eq!(stage.announced().await, [(("a".into(), "done".into()), 1)].into());
    assert!(stage.letters("rejected").await.is_empty());
}

#[tokio::test]
async fn an_alarm_that_a_daemon_took_before_it_died_is_due_again_when_its_instance_starts() {
    let mut stage = Stage::plain().await;
    let gate = Gate::before(&stage.redis);
    stage.settings = Settings::with_redis_url(&gate.url());
    let mut first = Daemon::start(&stage.settings).await;
    gate.catch(&mut stage.connection, "add_entries", Side::Before, 0).await;
    let at = stage.now_ms().await + 200;
    stage.add_json("generate", &with(named("a", "c"), "at", at)).await;
    gate.caught("the entry of the alarm that was taken").await;
    first.kill();
    let second = Daemon::start(&stage.settings).await;
    second.event("alarms that nobody worked off are due again", |event| event["alarms"] == 1).await;
    stage.job("a", &["done"]).await;
    stage.drained("generate").await;
    assert_eq!(stage.announced().await, [(("a".into(), "done".into()), 1)].into());
}

#[tokio::test]
async fn alarms_taken_by_a_call_whose_answer_was_lost_are_due_again() {
    let mut stage = Stage::plain().await;
    let gate = Gate::before(&stage.redis);
    stage.settings = Settings::with_redis_url(&gate.url()).set("redis.response_timeout", "1s");
    let mut daemon = Daemon::start(&stage.settings).await;
    let at = stage.now_ms().await + 1_500;
    stage.add_json("generate", &with(named("a", "c"), "at", at)).await;
    stage.job("a", &["scheduled"]).await;
    // Its time comes while the daemon looks away, so that its next look takes the alarm.
    daemon.stop();
    gate.catch(&mut stage.connection, "fire_alarms", Side::After, 0).await;
    wait::until("its time has come", async || (stage.now_ms().await > at).then_some(())).await;
    daemon.cont();
    gate.caught("the answer").await;
    daemon.event("alarms that nobody worked off are due again", |event| event["alarms"] == 1).await;
    stage.job("a", &["done"]).await;
    stage.drained("generate").await;
    assert!(daemon.is_running());
}

#[tokio::test]
async fn an_earlier_alarm_wakes_a_scheduler_that_sleeps_until_a_later_one() {
    let mut stage = Stage::plain().await;
    let _daemon = Daemon::start(&stage.settings).await;
    let now = stage.now_ms().await;
    stage.add_json("generate", &with(named("late", "late"), "at", now + 3_600_000)).await;
    stage.job("late", &["scheduled"]).await;
    stage.drained("generate").await;
    stage.add_json("generate", &with(named("soon", "soon"), "at", now + 300)).await;
    stage.job("soon", &["done"]).await;
    assert_eq!(stage.job("late", &["scheduled"]).await["at"], (now + 3_600_000).to_string());
}

#[tokio::test]
async fn da_5_a_job_after_its_not_after_is_rejected_as_expired_and_frees_its_id() {
    let mut stage = Stage::plain().await;
    let now = stage.now_ms().await;
    let too_late = with(named("a", "c"), "not_after", now - 1);
    let in_time = with(named("b", "d"), "not_after", now + 3_600_000);
    stage.add_json("generate", &too_late).await;
    stage.add_json("generate", &in_time).await;
    let _daemon = Daemon::start(&stage.settings).await;
    stage.job("b", &["done"]).await;
    let refused = stage.job("a", &["rejected"]).await;
    assert_eq!(refused["error_code"], "expired");
    assert!(refused["error"].contains("not_after"), "{}", refused["error"]);
    stage.add_json("generate", &named("a", "c")).await;
    stage.job("a", &["done"]).await;
}

#[tokio::test]
async fn a_scheduled_job_whose_time_passed_while_nobody_ran_is_rejected_as_expired() {
    let mut stage = Stage::plain().await;
    let mut first = Daemon::start(&stage.settings).await;
    let now = stage.now_ms().await;
    let job = with(with(named("a", "c"), "at", now + 1_500), "not_after", now + 1_600);
    stage.add_json("generate", &job).await;
    stage.job("a", &["scheduled"]).await;
    first.kill();
    wait::until("not_after has passed", async || (stage.now_ms().await > now + 1_600).then_some(())).await;
    let _second = Daemon::start(&stage.settings).await;
    assert_eq!(stage.job("a", &["rejected"]).await["error_code"], "expired");
    assert_eq!(stage.orders("c").await, 0);
    stage.drained("generate").await;
}

#[tokio::test]
async fn jobs_that_wait_for_others_are_parked_without_a_permit_and_wake_at_the_end_of_what_they_wait_for() {
    let mut stage = Stage::set(&[("queues.permits_generate", "1")]).await;
    let _daemon = Daemon::start(&stage.settings).await;
    // A chain, enqueued from its end: with one permit, a waiting job that held it would stop everything.
    for n in (1..=8).rev() {
        let job = with(named(&format!("j-{n}"), &format!("c-{n}")), "after", vec![format!("j-{}", n - 1)]);
        stage.add_json("generate", &job).await;
    }
    for n in 1..=8 {
        stage.job(&format!("j-{n}"), &["parked"]).await;
    }
    stage.drained("generate").await;
    stage.add_json("generate", &named("j-0", "c-0")).await;
    let mut earlier = 0;
    for n in 0..=8 {
        let finished = stage.job(&format!("j-{n}"), &["done"]).await["finished_at"].parse::<i64>().unwrap();
        assert!(finished >= earlier, "j-{n} ended before what it waits for");
        earlier = finished;
    }
}

#[tokio::test]
async fn a_job_waits_for_all_of_its_dependencies_and_for_none_that_are_done() {
    let mut stage = Stage::plain().await;
    let _daemon = Daemon::start(&stage.settings).await;
    stage.add_json("generate", &named("one", "one")).await;
    stage.job("one", &["done"]).await;
    let entry = stage.add_json("generate", &generate("nameless", 1)).await;
    let nameless = format!("generate:{entry}");
    stage.job(&nameless, &["done"]).await;
    stage.add_json("generate", &with(named("ready", "ready"), "after", vec!["one", &nameless])).await;
    stage.job("ready", &["done"]).await;
    stage.add_json("generate", &with(named("both", "both"), "after", vec!["one", "two"])).await;
    stage.job("both", &["parked"]).await;
    stage.drained("generate").await;
    stage.add_json("generate", &named("two", "two")).await;
    stage.job("both", &["done"]).await;
}

#[tokio::test]
async fn a_dead_dependency_makes_what_waits_for_it_dead_before_and_after_it_died() {
    let mut stage = Stage::plain().await;
    let _daemon = Daemon::start(&stage.settings).await;
    stage.add_json("generate", &with(named("before", "before"), "after", vec!["d"])).await;
    stage.job("before", &["parked"]).await;
    stage.add_json("generate", &hopeless("d", "d")).await;
    stage.job("d", &["dead"]).await;
    stage.add_json("generate", &with(named("behind", "behind"), "after", vec!["d"])).await;
    for id in ["before", "behind"] {
        let dead = stage.job(id, &["dead"]).await;
        assert_eq!(dead["error_code"], "dependency_failed");
        assert!(dead["error"].contains("\"d\""), "{}", dead["error"]);
        assert_eq!(stage.orders(id).await, 0);
    }
    stage.drained("generate").await;
    let mut codes: Vec<_> = stage.letters("dead").await.into_iter().map(|letter| letter["code"].clone()).collect();
    codes.sort();
    assert_eq!(codes, ["dependency_failed", "dependency_failed", "nothing_generated"]);
}

#[tokio::test]
async fn a_dependency_that_nobody_knows_for_24_hours_makes_what_waits_for_it_dead() {
    const DAY_MS: i64 = 24 * 3_600_000;
    let mut stage = Stage::plain().await;
    let _daemon = Daemon::start(&stage.settings).await;
    stage.add_json("generate", &with(named("a", "c"), "after", vec!["nobody"])).await;
    let parked = stage.job("a", &["parked"]).await;
    let since: i64 = parked["parked_at"].parse().unwrap();
    // Time goes on: it has waited for a day, and its alarm is due.
    let () = stage.connection.hset("remesa:job:a", "parked_at", since - DAY_MS).await.unwrap();
    let () = stage.connection.zadd("remesa:scheduled", "job|generate|a", since).await.unwrap();
    let dead = stage.job("a", &["dead"]).await;
    assert_eq!(dead["error_code"], "dependency_failed");
    assert!(dead["error"].contains("\"nobody\""), "{}", dead["error"]);
}
