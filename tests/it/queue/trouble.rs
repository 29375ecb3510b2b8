//! Redis in trouble under a running daemon: it reconnects, makes its group again, and loses nothing that Redis kept.

use std::time::{Duration, Instant};

use futures_util::poll;
use redis::AsyncCommands as _;

use super::{GROUP, Stage, from_file, incarnation, named};
use crate::support::daemon::Daemon;
use crate::support::redis::Redis;
use crate::support::wait;

/// Adds jobs with ids and campaigns of that name, and waits until they are done.
async fn work_goes_on(stage: &mut Stage, name: &str) {
    for n in 0..3 {
        stage.add_json("generate", &named(&format!("{name}-{n}"), &format!("{name}-{n}"))).await;
    }
    for n in 0..3 {
        stage.job(&format!("{name}-{n}"), &["done"]).await;
    }
}

#[tokio::test]
async fn a_redis_killed_and_restarted_under_a_daemon_loses_no_job_and_needs_no_restart_of_the_daemon() {
    const ROWS: usize = 3_000;
    let redis = Redis::start_append_only().await;
    let mut stage = Stage::on(redis, &[("sources.slice_rows", "5")]).await;
    stage.spool_rows("dues.csv", ROWS);
    let mut daemon = Daemon::start(&stage.settings).await;
    stage.add_json("generate", &from_file("a", "c", "dues.csv")).await;
    for n in 0..20 {
        stage.add_json("generate", &named(&format!("b-{n}"), &format!("b-{n}"))).await;
    }
    for kill in 1..=3 {
        stage.orders_from("c", kill * 10).await;
        stage.redis.restart().await;
        stage.connection = stage.redis.connect().await;
    }
    assert!(stage.orders("c").await < ROWS, "it was over too early");
    stage.job("a", &["done"]).await;
    stage.has_orders_once("c", ROWS).await;
    for n in 0..20 {
        stage.job(&format!("b-{n}"), &["done"]).await;
        stage.has_orders_once(&format!("b-{n}"), 1).await;
    }
    stage.drained("generate").await;
    assert!(stage.letters("dead").await.is_empty());
    assert!(daemon.is_running());
}

#[tokio::test]
async fn a_group_destroyed_or_a_stream_deleted_under_a_blocked_reader_is_made_again() {
    let mut stage = Stage::plain().await;
    let mut daemon = Daemon::start(&stage.settings).await;
    let jobs = "remesa:jobs:generate";
    work_goes_on(&mut stage, "before").await;
    let _: bool = stage.connection.xgroup_destroy(jobs, GROUP).await.unwrap();
    work_goes_on(&mut stage, "destroyed").await;
    let () = stage.connection.del(jobs).await.unwrap();
    work_goes_on(&mut stage, "deleted").await;
    // Another type in its place is in the way until it goes.
    let () = redis::pipe().del(jobs).set(jobs, "in the way").query_async(&mut stage.connection).await.unwrap();
    daemon.event("reading failed, reconnecting", |_| true).await;
    let () = stage.connection.del(jobs).await.unwrap();
    work_goes_on(&mut stage, "replaced").await;
    stage.drained("generate").await;
    assert!(daemon.is_running());
}

#[tokio::test]
async fn after_flushall_the_daemon_works_on_and_nothing_of_the_past_comes_back() {
    let mut stage = Stage::plain().await;
    stage.spool_endless();
    let mut daemon = Daemon::start(&stage.settings).await;
    stage.add_json("generate", &super::endless("a", "c")).await;
    stage.job("a", &["running"]).await;
    work_goes_on(&mut stage, "before").await;
    let () = redis::cmd("FLUSHALL").query_async(&mut stage.connection).await.unwrap();
    work_goes_on(&mut stage, "after").await;
    stage.drained("generate").await;
    assert_eq!(stage.orders("before-0").await, 0);
    assert!(daemon.is_running());
}

#[tokio::test]
async fn scripts_that_redis_forgot_are_loaded_again() {
    let mut stage = Stage::plain().await;
    let daemon = Daemon::start(&stage.settings).await;
    for round in 0..3 {
        work_goes_on(&mut stage, &format!("round-{round}")).await;
        let () = redis::cmd("SCRIPT").arg("FLUSH").arg("SYNC").query_async(&mut stage.connection).await.unwrap();
    }
    work_goes_on(&mut stage, "last").await;
    stage.drained("generate").await;
    assert!(!daemon.log().contains("NOSCRIPT"), "{}", daemon.log());
}

#[tokio::test]
async fn every_connection_of_the_daemon_may_be_cut_at_any_time() {
    const ROWS: usize = 2_000;
    let mut stage = Stage::set(&[("sources.slice_rows", "5")]).await;
    stage.spool_rows("dues.csv", ROWS);
    let mut daemon = Daemon::start(&stage.settings).await;
    stage.add_json("generate", &from_file("a", "c", "dues.csv")).await;
    for cut in 1..=5 {
        stage.orders_from("c", cut * 10).await;
        for kind in ["normal", "pubsub"] {
            let _: i64 = redis::cmd("CLIENT")
                .arg(&["KILL", "TYPE", kind, "SKIPME", "yes"])
                .query_async(&mut stage.connection)
                .await
                .unwrap();
        }
    }
    assert!(stage.orders("c").await < ROWS, "it was over too early");
    work_goes_on(&mut stage, "after").await;
    assert_eq!(stage.job("a", &["done"]).await["attempt"], "1", "trouble with Redis is nobody's attempt");
    stage.has_orders_once("c", ROWS).await;
    stage.drained("generate").await;
    assert!(daemon.is_running());
}

#[tokio::test]
async fn a_reply_that_comes_late_leaves_nothing_pending_without_an_owner() {
    // Longer than a blocking read and 2 s, shorter than the response time-out: the reply does come.
    const FROZEN: Duration = Duration::from_millis(3_300);
    let mut stage = Stage::plain().await;
    let mut daemon = Daemon::start(&stage.settings).await;
    let me = incarnation(&daemon).await;
    work_goes_on(&mut stage, "before").await;
    stage.redis.stop();
    let began = Instant::now();
    let mut connection = stage.connection.clone();
    let job = named("late", "late").to_string();
    let mut adding = Box::pin(async move {
        let _: String = connection.xadd("remesa:jobs:generate", "*", &[("job", job)]).await.unwrap();
    });
    assert!(poll!(&mut adding).is_pending());
    wait::until("the reply is late", async || (began.elapsed() > FROZEN).then_some(())).await;
    stage.redis.cont();
    adding.await;
    stage.job("late", &["done"]).await;
    stage.drained("generate").await;
    work_goes_on(&mut stage, "after").await;
    assert!(daemon.is_running());
    assert_eq!(stage.consumers("generate").await, [me]);
    assert!(stage.announced().await.values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_reply_that_never_came_leaves_its_entry_to_the_sweeper() {
    let mut stage = Stage::set(&[("redis.response_timeout", "1s"), ("leases.lease", "1500ms")]).await;
    let mut daemon = Daemon::start(&stage.settings).await;
    work_goes_on(&mut stage, "before").await;
    stage.redis.stop();
    let mut connection = stage.connection.clone();
    let mut jobs = redis::pipe();
    for n in 0..5 {
        let name = format!("lost-{n}");
        jobs.xadd("remesa:jobs:generate", "*", &[("job", named(&name, &name).to_string())]);
    }
    let mut adding = Box::pin(async move {
        let _: Vec<String> = jobs.query_async(&mut connection).await.unwrap();
    });
    assert!(poll!(&mut adding).is_pending());
    daemon.event("reading failed, reconnecting", |event| event["queue"] == "generate").await;
    stage.redis.cont();
    adding.await;
    for n in 0..5 {
        stage.job(&format!("lost-{n}"), &["done"]).await;
        stage.has_orders_once(&format!("lost-{n}"), 1).await;
    }
    stage.drained("generate").await;
    assert!(daemon.is_running());
}

#[tokio::test]
async fn a_short_response_time_out_does_not_cut_the_blocking_read_of_an_idle_queue() {
    let mut stage = Stage::set(&[("redis.response_timeout", "1s")]).await;
    let daemon = Daemon::start(&stage.settings).await;
    let began = Instant::now();
    // Two whole blocking reads without an entry.
    wait::until("the readers were idle", async || (began.elapsed() > Duration::from_millis(2_500)).then_some(())).await;
    work_goes_on(&mut stage, "after").await;
    assert!(!daemon.log().contains("reading failed"), "{}", daemon.log());
}

#[tokio::test]
async fn while_redis_is_nearly_full_generate_waits_and_control_goes_on() {
    let mut stage = Stage::with_channel().await;
    let daemon = Daemon::start(&stage.settings).await;
    work_goes_on(&mut stage, "before").await;
    // So much that what connections and scripts take does not count beside it.
    let () = stage.connection.setrange("filler", 20_000_000, "x").await.unwrap();
    let full = |used: u64| format!("{}", used + used / 10);
    let info: String = redis::cmd("INFO").arg("memory").query_async(&mut stage.connection).await.unwrap();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap();
    let mut set = redis::cmd("CONFIG");
    let () = set.arg("SET").arg("maxmemory").arg(full(used)).query_async(&mut stage.connection).await.unwrap();
    daemon.event("redis is over 85 % of maxmemory: generate waits until it is below 80 %", |_| true).await;
    let resume = stage.add("control", r#"{"action":"resume","channel":"sms-main"}"#).await;
    stage.job(&format!("control:{resume}"), &["done"]).await;
    let mut reset = redis::cmd("CONFIG");
    let () = reset.arg("SET").arg("maxmemory").arg("0").query_async(&mut stage.connection).await.unwrap();
    daemon.event("redis has room again: generate goes on", |_| true).await;
    work_goes_on(&mut stage, "after").await;
}
