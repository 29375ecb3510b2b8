//! A Redis that loses what it took last, just after a daemon was told to read its configuration again: what the daemon
//! before did is told again, too, while it drains and after it has.

use super::lost_tail::{ROWS, answers_until, begun, loses};
use super::sent_once;
use crate::support::daemon::Daemon;
use crate::support::scene::Scene;

/// The daemon works under another configuration; the one before it holds what it had at the provider.
async fn reloaded(scene: &Scene, daemon: &Daemon) {
    daemon.reload(&scene.settings.replaced("in_flight = 8", "in_flight = 6"));
    daemon.event("reloaded", |_| true).await;
}

async fn nobody_is_sent_to_twice(mut scene: Scene, daemon: &Daemon, mark: u64) {
    loses(&mut scene, mark).await;
    daemon.event("written again: redis had lost them, or never had them", |_| true).await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 0).await;
    assert_eq!(ledger["sent"], ROWS as u64);
}

#[tokio::test]
async fn what_a_daemon_sent_before_a_reload_is_told_again_while_it_drains() {
    let (scene, daemon, mark) = begun("").await;
    answers_until(&scene, 50).await;
    reloaded(&scene, &daemon).await;
    nobody_is_sent_to_twice(scene, &daemon, mark).await;
}

#[tokio::test]
async fn what_a_daemon_sent_before_a_reload_is_told_again_when_it_has_drained() {
    let (scene, daemon, mark) = begun("").await;
    answers_until(&scene, 30).await;
    reloaded(&scene, &daemon).await;
    answers_until(&scene, 60).await;
    daemon.event("drained", |_| true).await;
    nobody_is_sent_to_twice(scene, &daemon, mark).await;
}
