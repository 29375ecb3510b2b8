//! The poison guard: a job that kills its daemon again and again ends dead, and takes nobody with it.
//!
//! The killer is the test: SIGKILL at the moment the job runs and has recorded nothing, which is what a job looks
//! like that brings its daemon down.

use super::{Pending, Stage, endless, from_file, incarnation, named};
use crate::support::daemon::Daemon;

const MAX_DELIVERIES: u64 = 5;

/// How often each entry was delivered.
fn counts(pending: &[Pending]) -> Vec<(&str, u64)> {
    pending.iter().map(|entry| (entry.entry.as_str(), entry.deliveries)).collect()
}

#[tokio::test]
async fn a_job_that_killed_five_daemons_is_dead_and_those_beside_it_are_not_counted() {
    let mut stage = Stage::set(&[("queues.permits_generate", "3")]).await;
    stage.spool_endless();
    std::fs::copy(stage.settings.spool_dir().join("endless.csv"), stage.settings.spool_dir().join("other.csv"))
        .unwrap();
    let culprit = stage.add_json("generate", &endless("culprit", "culprit")).await;
    let one = stage.add_json("generate", &from_file("one", "one", "other.csv")).await;
    let two = stage.add_json("generate", &from_file("two", "two", "other.csv")).await;

    for delivery in 1..=MAX_DELIVERIES {
        let mut daemon = Daemon::start(&stage.settings).await;
        let me = incarnation(&daemon).await;
        let pending = stage
            .pending_until("generate", "all are in hand and the culprit runs", |pending| {
                pending.len() == 3
                    && pending.iter().all(|entry| entry.consumer == me)
                    && pending[0].deliveries == delivery
            })
            .await;
        stage.job("culprit", &["running"]).await;
        daemon.kill();
        assert_eq!(counts(&pending), [(culprit.as_str(), delivery), (one.as_str(), 1), (two.as_str(), 1)]);
    }

    stage.settings.spool("other.csv", "amount\n1\n");
    let _daemon = Daemon::start(&stage.settings).await;
    let dead = stage.job("culprit", &["dead"]).await;
    assert_eq!(dead["error_code"], "poisoned");
    for id in ["one", "two"] {
        assert_eq!(stage.job(id, &["done"]).await["attempt"], "1");
    }
    stage.drained("generate").await;
    let letters = stage.letters("dead").await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0]["id"].as_str(), letters[0]["code"].as_str()), ("culprit", "poisoned"));
}

#[tokio::test]
async fn one_adopted_entry_runs_at_a_time_while_fresh_ones_go_on() {
    let mut stage = Stage::set(&[("queues.permits_generate", "2")]).await;
    stage.spool_endless();
    stage.add_json("generate", &endless("one", "one")).await;
    stage.add_json("generate", &endless("two", "two")).await;
    let mut first = Daemon::start(&stage.settings).await;
    stage.job("one", &["running"]).await;
    stage.job("two", &["running"]).await;
    first.kill();

    let second = Daemon::start(&stage.settings).await;
    let me = incarnation(&second).await;
    stage.add_json("generate", &named("fresh", "fresh")).await;
    stage.job("fresh", &["done"]).await;
    let pending = stage
        .pending_until("generate", "one of the two runs again", |pending| {
            pending.len() == 2 && pending.iter().any(|entry| entry.deliveries == 2)
        })
        .await;
    assert!(pending.iter().all(|entry| entry.consumer == me));
    assert_eq!(pending.iter().map(|entry| entry.deliveries).collect::<Vec<_>>(), [2, 1], "the older one, alone");
}

#[tokio::test]
async fn a_job_that_makes_progress_is_no_poison_however_often_its_daemon_dies() {
    const ROWS: usize = 8_000;
    let keys = [
        ("leases.max_deliveries", "2"),
        ("leases.renew", "100ms"),
        ("leases.lease", "2s"),
        ("sources.slice_rows", "5"),
    ];
    let mut stage = Stage::set(&keys).await;
    stage.spool_rows("dues.csv", ROWS);
    stage.add_json("generate", &from_file("a", "c", "dues.csv")).await;
    let mut made = 0;
    for _ in 0..4 {
        let mut daemon = Daemon::start(&stage.settings).await;
        let me = incarnation(&daemon).await;
        stage.orders_from("c", made + 1).await;
        stage
            .pending_until("generate", "the count starts again", |pending| {
                pending.len() == 1 && pending[0].consumer == me && pending[0].deliveries == 1
            })
            .await;
        daemon.kill();
        made = stage.orders("c").await;
    }
    assert!(made < ROWS, "it was over too early");
    let _daemon = Daemon::start(&stage.settings).await;
    stage.job("a", &["done"]).await;
    stage.has_orders_once("c", ROWS).await;
    assert!(stage.letters("dead").await.is_empty());
}
