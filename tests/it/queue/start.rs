//! What a daemon looks at before it takes the first job: its instance, the layout of the keys, a Redis that answers.

use redis::AsyncCommands as _;

use super::{Stage, named};
use crate::support::daemon::Daemon;

#[tokio::test]
async fn a_second_daemon_of_the_same_instance_refuses_to_start_and_the_first_goes_on() {
    let mut stage = Stage::plain().await;
    let mut first = Daemon::start(&stage.settings).await;
    let mut second = Daemon::spawn(&stage.settings);
    assert_eq!(second.exit_code().await, Some(1));
    let log = second.log();
    assert!(log.contains("another daemon of the instance \"it\" runs already"), "{log}");
    assert!(log.contains("it.lock"), "{log}");
    stage.add_json("generate", &named("a", "c")).await;
    stage.job("a", &["done"]).await;
    assert!(first.is_running());
}

#[tokio::test]
async fn an_older_daemon_refuses_to_start_beside_a_newer_layout() {
    let mut stage = Stage::plain().await;
    let () = stage.connection.set("remesa:schema", 2).await.unwrap();
    stage.add_json("generate", &named("a", "c")).await;
    let mut daemon = Daemon::spawn(&stage.settings);
    assert_eq!(daemon.exit_code().await, Some(1));
    assert!(daemon.log().contains("have layout 2, newer than this version's"), "{}", daemon.log());
    let schema: u32 = stage.connection.get("remesa:schema").await.unwrap();
    assert_eq!(schema, 2);
    stage.left("generate", 1).await;
    assert_eq!(stage.pending("generate").await, []);
}

#[tokio::test]
async fn a_daemon_waits_for_a_redis_that_comes_after_it() {
    let mut stage = Stage::plain().await;
    stage.redis.kill();
    let daemon = Daemon::spawn(&stage.settings);
    daemon.event("waiting for redis", |_| true).await;
    stage.redis.restart().await;
    daemon.ready().await;
    stage.connection = stage.redis.connect().await;
    stage.add_json("generate", &named("a", "c")).await;
    stage.job("a", &["done"]).await;
}

#[tokio::test]
async fn a_daemon_that_waits_for_redis_can_be_stopped() {
    let mut stage = Stage::plain().await;
    stage.redis.kill();
    let mut daemon = Daemon::spawn(&stage.settings);
    daemon.event("waiting for redis", |_| true).await;
    daemon.term();
    assert!(daemon.exit_code().await.is_some());
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}
