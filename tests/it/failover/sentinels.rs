//! The master fails under load, by a crash and by order; sentinels that are away.

use super::{came_to_its_end, watched};
use crate::support::daemon::Daemon;
use crate::support::provider::counted;
use crate::support::scene::{people, send_job};

const IN_FLIGHT: u64 = 2 * 8;

#[tokio::test]
async fn a_master_that_dies_under_load_is_followed_to_its_replica() {
    let (mut scene, watched) = watched(1, &[]).await;
    let mut daemons = [scene.daemon().await, Daemon::start(&scene.settings.instance("two")).await];
    scene.enqueue("generate", &send_job("c", people(600))).await;
    counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= 100).await;
    scene.redis.kill();
    scene.db = watched.failed_over().await;
    came_to_its_end(&mut scene, 600, IN_FLIGHT).await;
    assert!(daemons.iter_mut().all(Daemon::is_running));
    let id = scene.done("gen-c").await;
    assert_eq!(id["run"], "delivery@1");
}

#[tokio::test]
async fn an_ordered_failover_under_load_moves_every_connection_to_the_new_master() {
    let (mut scene, watched) = watched(1, &[]).await;
    let mut daemons = [scene.daemon().await, Daemon::start(&scene.settings.instance("two")).await];
    scene.enqueue("generate", &send_job("c", people(600))).await;
    counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= 100).await;
    watched.fail_over().await;
    scene.db = watched.failed_over().await;
    came_to_its_end(&mut scene, 600, IN_FLIGHT).await;
    // What comes now is read, generated and sent at the new one.
    scene.enqueue("generate", &send_job("d", people(20))).await;
    scene.finished("d").await;
    assert!(daemons.iter_mut().all(Daemon::is_running));
}

#[tokio::test]
async fn one_sentinel_of_three_is_enough_to_find_the_master() {
    let (mut scene, mut watched) = watched(1, &[]).await;
    watched.kill_sentinel(0);
    watched.kill_sentinel(1);
    let _daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(20))).await;
    came_to_its_end(&mut scene, 20, 0).await;
    let status = scene.settings.command(&["status"]).output().unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
}

#[tokio::test]
async fn a_service_that_no_sentinel_knows_and_a_replica_are_named_by_check() {
    let (scene, watched) = watched(1, &[]).await;
    for (url, says) in [
        (watched.url().replace("/main", "/other"), "no sentinel knows the service \"other\"".to_owned()),
        (watched.replicas[0].tcp_url(), format!("a replica of 127.0.0.1:{}", watched.wall.port())),
    ] {
        let check = scene.settings.command(&["check"]).env("REMESA_REDIS__URL", url).output().unwrap();
        let found = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(!check.status.success() && found.contains(&says), "{found}");
    }
}
