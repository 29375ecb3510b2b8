//! `redis.wait_replicas`: nothing leaves before the replicas have the claim.

use super::{came_to_its_end, watched};
use crate::support::daemon::{Daemon, Settings};
use crate::support::provider::counted;
use crate::support::scene::{people, send_job};

/// These settings, with claims that wait for the replica.
fn waiting(settings: Settings) -> Settings {
    settings.set("redis.wait_replicas", "1").set("redis.wait_timeout", "300ms")
}

/// The log event of a claim that was not replicated.
const RELEASED: &str = "too few replicas have the latest claims: they are released";

#[tokio::test]
async fn a_claim_that_no_replica_has_is_released_and_nothing_leaves_until_one_has() {
    let (mut scene, watched) = watched(1, &[]).await;
    scene.settings = waiting(scene.settings);
    watched.replicas[0].stop();
    let daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(50))).await;
    daemon.event(RELEASED, |_| true).await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 0);
    watched.replicas[0].cont();
    came_to_its_end(&mut scene, 50, 0).await;
    let (_, attempt, _) = scene.outcome("c", 1).await;
    assert_eq!(attempt, 1, "a release is no attempt");
}

#[tokio::test]
async fn under_a_partition_a_daemon_on_each_side_sends_nothing_twice() {
    let (mut scene, watched) = watched(2, &[]).await;
    scene.settings = waiting(scene.settings);
    let _on_the_old_side = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(600))).await;
    counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= 100).await;
    watched.wall.shut();
    scene.db = watched.failed_over().await;
    let _on_the_new_side = Daemon::start(&scene.settings.instance("two")).await;
    came_to_its_end(&mut scene, 600, 600).await;
    watched.wall.open();
    watched.is_replica(&scene.redis).await;
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
}
