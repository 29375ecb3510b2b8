//! What would stand still for ever: odd entries, failing alarms, leaked members of what is in progress, stopped runs,
//! consumers of hosts that are gone, an embedded Redis that died.

use std::time::Duration;

use redis::AsyncCommands as _;
use remesa::queue::reconciler::Reconciler;
use serde_json::json;

use super::{GROUP, Stage, named};
use crate::support::daemon::{Daemon, Settings};
use crate::support::provider;
use crate::support::scene::{people, run_key, send_job};
use crate::support::wait;

const CAMPAIGN: &str = "remesa:{c}:campaign";
const RUN: &str = "remesa:{c}:run:r";

impl Stage {
    /// A run `c/r` over one recipient on `sms-main`, in this state, with these fields more.
    async fn run_in(&mut self, state: &str, fields: &[(&str, &str)]) {
        let campaign = [("state", "running"), ("running_runs", "1")];
        let () = self.connection.hset_multiple(CAMPAIGN, &campaign).await.unwrap();
        let () = self.connection.zadd("remesa:{c}:runs", "r", 1).await.unwrap();
        let run = [("state", state), ("channel", "sms-main"), ("slots", "1"), ("cursor", "1"), ("end", "1")];
        let () = self.connection.hset_multiple(RUN, &run).await.unwrap();
        for (field, value) in fields {
            let () = self.connection.hset(RUN, field, value).await.unwrap();
        }
    }

    async fn member_score(&mut self, member: &str) -> Option<i64> {
        self.connection.zscore("remesa:active", member).await.unwrap()
    }
}

#[tokio::test]
async fn an_entry_with_a_field_name_that_is_no_text_holds_up_no_other() {
    let mut stage = Stage::plain().await;
    stage.add_json("generate", &named("before", "b")).await;
    let odd: [(&[u8], &[u8]); 2] = [(b"\xff\xfe", b"x"), (b"", b"\xff")];
    let _: String = stage.connection.xadd("remesa:jobs:generate", "*", &odd).await.unwrap();
    let mixed: [(&[u8], Vec<u8>); 2] = [(b"\xff", b"x".to_vec()), (b"job", named("mixed", "m").to_string().into())];
    let _: String = stage.connection.xadd("remesa:jobs:generate", "*", &mixed).await.unwrap();
    stage.add_json("generate", &named("after", "a")).await;
    let daemon = Daemon::start(&stage.settings).await;
    for id in ["before", "mixed", "after"] {
        stage.job(id, &["done"]).await;
    }
    stage.drained("generate").await;
    let letters = stage.letters("rejected").await;
    let codes: Vec<&str> = letters.iter().map(|letter| letter["code"].as_str()).collect();
    assert_eq!(codes, ["no_job"]);
    assert!(!daemon.log().contains("reading failed"), "{}", daemon.log());
}

#[tokio::test]
async fn an_alarm_that_fails_holds_up_no_other() {
    let mut stage = Stage::with_channel().await;
    stage.run_in("running", &[("queued", "1"), ("paused_by", "nobody")]).await;
    let () = stage.connection.set("remesa:{broken}:campaign", "no hash").await.unwrap();
    let () = stage.connection.hdel(RUN, "paused_by").await.unwrap();
    let alarms = [(1, "run|broken|r"), (1, "expire|broken|1"), (1, "nonsense"), (2, "run|c|r")];
    let () = stage.connection.zadd_multiple("remesa:scheduled", &alarms).await.unwrap();
    let _daemon = Daemon::start(&stage.settings).await;
    // The slot was enqueued and a turn has taken it.
    wait::until("a turn of the run", async || {
        let fence: Option<u64> = stage.connection.hget(RUN, "fence").await.unwrap();
        fence.filter(|fence| *fence > 0)
    })
    .await;
    wait::until("only what fails is left", async || {
        let left: Vec<String> = stage.connection.zrange("remesa:scheduled", 0, -1).await.unwrap();
        let mut left: Vec<&str> = left.iter().map(String::as_str).filter(|member| *member != "run|c|r").collect();
        left.sort_unstable();
        (left == ["expire|broken|1", "run|broken|r"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_announced_and_never_came_is_forgotten_only_after_a_minute() {
    let mut stage = Stage::plain().await;
    let now = stage.now_ms().await;
    let (old, fresh) = (now - 61_000, now - 1_000);
    let members = [(old, "old/"), (fresh, "fresh/"), (old, "old/refused"), (fresh, "fresh/refused"), (old, "loud/")];
    let () = stage.connection.zadd_multiple("remesa:active", &members).await.unwrap();
    // Not old enough to be published by anybody but its writer.
    let event = [("run", ""), ("events", "[]")];
    let _: String = stage.connection.xadd("remesa:{loud}:outbox", "*", &event).await.unwrap();
    Reconciler { store: stage.store(), metrics: std::sync::Arc::default() }.reconcile().await.unwrap();
    assert_eq!(stage.member_score("old/").await, None);
    assert_eq!(stage.member_score("old/refused").await, None);
    for kept in ["fresh/", "fresh/refused"] {
        assert!(stage.member_score(kept).await.is_some_and(|score| score < now), "{kept}");
    }
    assert!(stage.member_score("loud/").await.is_some_and(|score| score >= now));
}

#[tokio::test]
async fn a_thousand_paused_runs_do_not_hide_the_ones_behind_them() {
    let mut stage = Stage::with_channel().await;
    let mut paused = redis::pipe();
    for n in 0..1_100 {
        paused.hset_multiple(format!("remesa:{{p}}:run:r{n}"), &[("state", "running"), ("paused_by", "x")]);
        paused.zadd("remesa:active", format!("p/r{n}"), n);
    }
    let () = paused.query_async(&mut stage.connection).await.unwrap();
    stage.run_in("running", &[("queued", "1")]).await;
    let () = stage.connection.zadd("remesa:active", "c/r", 5_000).await.unwrap();
    let reconciler = Reconciler { store: stage.store(), metrics: std::sync::Arc::default() };
    reconciler.reconcile().await.unwrap();
    reconciler.reconcile().await.unwrap();
    stage.left("batch:sms-main", 1).await;
    let listed: usize = stage.connection.zcard("remesa:active").await.unwrap();
    assert_eq!(listed, 1_101);
}

#[tokio::test]
async fn a_stopped_run_is_armed_only_for_what_a_dead_owner_left_in_flight() {
    let mut stage = Stage::with_channel().await;
    let () = stage.connection.zadd("remesa:active", "c/r", 1).await.unwrap();
    let reconciler = Reconciler { store: stage.store(), metrics: std::sync::Arc::default() };
    for (state, paused) in [("cancelled", None), ("running", Some("an operator"))] {
        stage.run_in(state, &[("queued", "1"), ("sending", "0")]).await;
        if let Some(by) = paused {
            let () = stage.connection.hset(RUN, "paused_by", by).await.unwrap();
        }
        reconciler.reconcile().await.unwrap();
        stage.left("batch:sms-main", 0).await;
        let () = stage.connection.hset(RUN, "sending", 1).await.unwrap();
        let () = stage.connection.zadd("remesa:active", "c/r", 1).await.unwrap();
        reconciler.reconcile().await.unwrap();
        stage.left("batch:sms-main", 1).await;
        let _: u8 = stage.connection.del("remesa:jobs:batch:sms-main").await.unwrap();
    }
}

#[tokio::test]
async fn a_run_whose_text_nobody_can_send_fails_with_the_reason() {
    let mut stage = Stage::with_channel().await;
    stage.run_in("running", &[("queued", "1"), ("text", "Hola {{ name")]).await;
    let () = stage.connection.zadd("remesa:active", "c/r", 1).await.unwrap();
    let _daemon = Daemon::start(&stage.settings).await;
    wait::field(&mut stage.connection, RUN, "state", &["failed"]).await;
    let reason: String = stage.connection.hget(RUN, "failed_reason").await.unwrap();
    assert_eq!(reason, "template_syntax");
    wait::field(&mut stage.connection, CAMPAIGN, "state", &["delivered"]).await;
    let (queued, skipped): (i64, i64) = stage.connection.hmget(RUN, &["queued", "skipped"]).await.unwrap();
    assert_eq!((queued, skipped), (0, 1));
    stage.drained("batch:sms-main").await;
}

#[tokio::test]
async fn a_campaign_is_not_delivered_while_a_job_appends_to_it() {
    let mut stage = Stage::with_channel().await;
    stage.run_in("running", &[("queued", "1")]).await;
    let () = stage.connection.hset(CAMPAIGN, "generating", "appending").await.unwrap();
    stage.store().act("c", Some("r"), "cancel", "operator").await.unwrap();
    let states: (String, String) =
        (stage.connection.hget(RUN, "state").await.unwrap(), stage.connection.hget(CAMPAIGN, "state").await.unwrap());
    assert_eq!(states, ("cancelled".to_owned(), "running".to_owned()));
    // The job ends without a run of its own: then it is.
    let store = stage.store();
    store.end_batch("c", "appending").await.unwrap();
    store.close_campaign("c").await.unwrap();
    wait::field(&mut stage.connection, CAMPAIGN, "state", &["delivered"]).await;
}

#[tokio::test]
async fn consumers_idle_for_long_go_unless_something_is_pending_with_them() {
    let mut stage = Stage::plain().await;
    let store = stage.store();
    store.create_group("control").await.unwrap();
    stage.add("control", "{}").await;
    store.read_entries("control", "busy", 1, Duration::from_millis(1)).await.unwrap();
    let _: u8 = stage.connection.xgroup_createconsumer("remesa:jobs:control", GROUP, "gone").await.unwrap();
    assert_eq!(store.remove_idle_consumers("control", Duration::from_hours(24)).await.unwrap(), 0);
    wait::until("the idle one goes", async || {
        let removed = store.remove_idle_consumers("control", Duration::from_millis(1)).await.unwrap();
        (removed > 0).then_some(())
    })
    .await;
    assert_eq!(stage.consumers("control").await, ["busy"]);
    assert_eq!(stage.pending("control").await.len(), 1);
}

#[tokio::test]
async fn an_embedded_redis_that_dies_is_started_again_and_what_comes_then_is_delivered() {
    let sandbox = provider::sandbox_with(|_| {}).await;
    let settings = Settings::with_redis_url("embedded").sandbox_channel("sms", &sandbox.url(), "");
    let mut daemon = Daemon::start(&settings).await;
    let client = redis::Client::open(format!("unix://{}", settings.state_dir().join("redis.sock").display())).unwrap();
    for campaign in ["before", "after"] {
        let mut connection =
            wait::until("the embedded Redis answers", async || client.get_multiplexed_async_connection().await.ok())
                .await;
        let job = send_job(campaign, people(3)).to_string();
        let _: String = wait::until("the job is taken", async || {
            connection.xadd("remesa:jobs:generate", "*", &[("job", &job)]).await.ok()
        })
        .await;
        wait::field(&mut connection, &run_key(campaign), "state", &["finished"]).await;
        let sent: u64 = connection.hget(run_key(campaign), "sent").await.unwrap();
        assert_eq!(json!({"campaign": campaign, "sent": sent}), json!({"campaign": campaign, "sent": 3}));
        if campaign == "before" {
            daemon.kill_embedded_redis();
            daemon.event("the embedded redis-server is back", |_| true).await;
        }
    }
    assert!(daemon.is_running());
    daemon.term();
    assert_eq!(daemon.exit_code().await, Some(0));
}
