//! A partition: the old master goes on with the daemons on its side, while the sentinels make one of its replicas the master.

use super::{came_to_its_end, watched};
use crate::support::daemon::Daemon;
use crate::support::provider::counted;
use crate::support::scene::{people, send_job};

/// Refuses writes as soon as its replicas have gone.
const NEEDS_A_REPLICA: [&str; 2] = ["--min-replicas-to-write", "1"];

#[tokio::test]
async fn daemons_leave_an_old_master_that_has_lost_its_replicas() {
    let (mut scene, watched) = watched(2, &NEEDS_A_REPLICA).await;
    let mut daemons = [scene.daemon().await, Daemon::start(&scene.settings.instance("two")).await];
    scene.enqueue("generate", &send_job("c", people(600))).await;
    counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= 100).await;
    watched.wall.shut();
    scene.db = watched.failed_over().await;
    came_to_its_end(&mut scene, 600, 600).await;
    // The old one comes back, as a replica, and nothing of what it knew is sent again.
    watched.wall.open();
    watched.is_replica(&scene.redis).await;
    let others = people(700).split_off(600);
    scene.enqueue("generate", &send_job("d", others)).await;
    scene.finished("d").await;
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
    assert!(daemons.iter_mut().all(Daemon::is_running));
}
