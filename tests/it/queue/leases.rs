//! Whose an entry is: taken over from the dead, at once or after the lease, and never settled by who lost it.

use redis::AsyncCommands as _;
use serde_json::json;

use super::{GROUP, Stage, endless, from_file, generate, incarnation, named};
use crate::support::daemon::Daemon;
use crate::support::wait;

/// A lease that no test lives to see the end of: what is taken over is taken over for another reason.
const LONG: [(&str, &str); 2] = [("leases.renew", "1m"), ("leases.lease", "10m")];

/// Reads all entries of a queue as a consumer that is no daemon.
async fn read_as(stage: &mut Stage, queue: &str, consumer: &str) {
    let key = format!("remesa:jobs:{queue}");
    let _: Result<(), _> = stage.connection.xgroup_create_mkstream(&key, GROUP, "0").await;
    let options = redis::streams::StreamReadOptions::default().group(GROUP, consumer).count(10_000);
    let _: redis::streams::StreamReadReply = stage.connection.xread_options(&[&key], &[">"], &options).await.unwrap();
}

/// Says that the instance's lock was held by this incarnation, which is dead.
fn held_before(stage: &Stage, incarnation: &str) {
    std::fs::create_dir_all(stage.settings.state_dir()).unwrap();
    std::fs::write(stage.settings.state_dir().join("it.lock"), format!("{incarnation}\n")).unwrap();
}

#[tokio::test]
async fn what_a_dead_daemon_had_in_hand_another_one_takes_over_after_the_lease() {
    let mut stage = Stage::plain().await;
    stage.spool_endless();
    let mut first = Daemon::start(&stage.settings.instance("first")).await;
    let second = Daemon::start(&stage.settings.instance("second")).await;
    let ids = [("a", "one"), ("b", "two")];
    for (id, campaign) in ids {
        stage.add_json("generate", &endless(id, campaign)).await;
    }
    for (id, _) in ids {
        stage.job(id, &["running"]).await;
    }
    stage.settings.spool("endless.csv", "amount\n1\n2\n3\n");
    first.kill();
    let dead = incarnation(&first).await;
    for (id, campaign) in ids {
        stage.job(id, &["done"]).await;
        stage.has_orders_once(campaign, 3).await;
    }
    let lost = stage.consumers("generate").await;
    assert!(lost.contains(&dead), "only its own instance knows that it is dead: {lost:?}");
    assert!(second.log().contains("adopted"));
    stage.drained("generate").await;
}

#[tokio::test]
async fn a_restarted_instance_takes_over_at_once_what_its_dead_incarnation_had() {
    let mut stage = Stage::set(&LONG).await;
    stage.spool_endless();
    stage.add_json("generate", &endless("a", "c")).await;
    let mut first = Daemon::start(&stage.settings).await;
    let dead = incarnation(&first).await;
    stage.job("a", &["running"]).await;
    first.kill();
    stage.settings.spool("endless.csv", "amount\n1\n2\n3\n");
    let second = Daemon::start(&stage.settings).await;
    stage.job("a", &["done"]).await;
    stage.has_orders_once("c", 3).await;
    let me = incarnation(&second).await;
    wait::until("the dead consumer is removed", async || {
        (!stage.consumers("generate").await.contains(&dead)).then_some(())
    })
    .await;
    assert_eq!(stage.consumers("generate").await, [me]);
}

#[tokio::test]
async fn more_than_one_sweep_can_take_is_taken_over_and_only_then_the_consumer_removed() {
    const JOBS: usize = 350;
    let mut stage = Stage::set(&LONG).await;
    stage.settings = stage.settings.sandbox_channel("sms-main", "http://127.0.0.1:9", "");
    for n in 0..JOBS {
        let job = json!({"id": format!("a-{n}"), "action": "resume", "channel": "sms-main"});
        stage.add_json("control", &job).await;
    }
    read_as(&mut stage, "control", "ghost").await;
    assert!(!stage.store().remove_consumer("control", "ghost").await.unwrap(), "it has entries pending");
    assert_eq!(stage.pending("control").await.len(), JOBS);
    held_before(&stage, "ghost");
    let _daemon = Daemon::start(&stage.settings).await;
    stage.drained("control").await;
    for n in 0..JOBS {
        stage.job(&format!("a-{n}"), &["done"]).await;
    }
    wait::until("the dead consumer is removed", async || {
        (!stage.consumers("control").await.contains(&"ghost".to_owned())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_entry_that_somebody_claimed_from_a_running_daemon_is_never_settled_by_it() {
    let mut stage = Stage::set(&[("leases.renew", "100ms"), ("leases.lease", "10m")]).await;
    stage.spool_endless();
    let entry = stage.add_json("generate", &endless("a", "c")).await;
    let daemon = Daemon::start(&stage.settings).await;
    stage.job("a", &["running"]).await;
    let _: redis::Value = redis::cmd("XCLAIM")
        .arg(&["remesa:jobs:generate", GROUP, "thief", "0", &entry])
        .query_async(&mut stage.connection)
        .await
        .unwrap();
    let told = daemon.event("entry lost to another daemon", |_| true).await;
    assert_eq!(told["entry"], entry);
    // Its hands are free again, and what it lost stays the thief's.
    for n in 0..4 {
        stage.add_json("generate", &named(&format!("b-{n}"), &format!("b-{n}"))).await;
    }
    for n in 0..4 {
        stage.job(&format!("b-{n}"), &["done"]).await;
    }
    stage.left("generate", 1).await;
    let pending = stage.pending("generate").await;
    assert_eq!((pending[0].entry.as_str(), pending[0].consumer.as_str()), (entry.as_str(), "thief"));
    assert_eq!(stage.job("a", &["running"]).await["entry"], format!("generate:{entry}"));
}

#[tokio::test]
async fn a_frozen_daemon_that_thaws_leaves_its_job_to_the_one_that_took_it_over() {
    const ROWS: usize = 2_000;
    let mut stage = Stage::set(&[("sources.slice_rows", "5"), ("leases.lease", "1500ms")]).await;
    stage.spool_rows("dues.csv", ROWS);
    let first = Daemon::start(&stage.settings.instance("first")).await;
    let entry = stage.add_json("generate", &from_file("a", "c", "dues.csv")).await;
    stage.orders_from("c", 1).await;
    first.stop();
    let second = Daemon::start(&stage.settings.instance("second")).await;
    let adopted = second.event("adopted", |_| true).await;
    assert_eq!(adopted["entry"], entry);
    first.cont();
    stage.job("a", &["done"]).await;
    stage.drained("generate").await;
    stage.has_orders_once("c", ROWS).await;
    assert_eq!(stage.announced().await, [(("a".into(), "done".into()), 1)].into());
    // The thawed one is well and takes work again.
    drop(second);
    stage.add_json("generate", &named("b", "b")).await;
    stage.job("b", &["done"]).await;
}

#[tokio::test]
async fn a_job_put_off_by_a_daemon_that_died_before_it_set_the_alarm_is_not_lost() {
    let mut stage = Stage::set(&LONG).await;
    let job = generate("c", 1).to_string();
    let entry = stage.add("generate", &job).await;
    read_as(&mut stage, "generate", "ghost").await;
    let id = format!("generate:{entry}");
    let fields = [("state", "scheduled"), ("queue", "generate"), ("entry", &id), ("attempt", "2"), ("payload", &job)];
    let () = stage.connection.hset_multiple(format!("remesa:job:{id}"), &fields).await.unwrap();
    held_before(&stage, "ghost");
    let _daemon = Daemon::start(&stage.settings).await;
    assert_eq!(stage.job(&id, &["done"]).await["attempt"], "2");
    stage.drained("generate").await;
}

#[tokio::test]
async fn a_job_whose_daemon_died_between_its_end_and_its_settling_does_not_run_again() {
    let mut stage = Stage::set(&LONG).await;
    let entry = stage.add_json("generate", &generate("c", 1)).await;
    read_as(&mut stage, "generate", "ghost").await;
    let id = format!("generate:{entry}");
    let fields = [("state", "done"), ("queue", "generate"), ("entry", &id), ("result", "{}")];
    let () = stage.connection.hset_multiple(format!("remesa:job:{id}"), &fields).await.unwrap();
    held_before(&stage, "ghost");
    let _daemon = Daemon::start(&stage.settings).await;
    stage.drained("generate").await;
    assert_eq!(stage.orders("c").await, 0);
    // Perhaps nobody was told of its end: it is told now, as it was written.
    assert_eq!(stage.announced().await, [((id, "done".to_owned()), 1)].into());
}
