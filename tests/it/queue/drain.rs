//! The drain: what runs ends or is given back, what never began is given back uncounted, at once anybody's.

use nix::sys::signal::Signal;

use super::{Pending, Stage, endless, from_file, incarnation, named};
use crate::support::daemon::Daemon;

/// Nobody's lease ends while a test runs: what is taken over was given back.
const LONG: [(&str, &str); 3] = [("leases.renew", "1m"), ("leases.lease", "10m"), ("sources.slice_rows", "5")];

#[tokio::test]
async fn a_job_under_way_at_a_drain_is_given_back_uncounted_and_another_daemon_goes_on_with_it() {
    const ROWS: usize = 4_000;
    let mut stage = Stage::set(&LONG).await;
    stage.spool_rows("dues.csv", ROWS);
    let entry = stage.add_json("generate", &from_file("a", "c", "dues.csv")).await;
    let mut first = Daemon::start(&stage.settings.instance("first")).await;
    stage.orders_from("c", 1).await;
    first.term();
    assert_eq!(first.exit_code().await, Some(0));
    assert!(stage.orders("c").await < ROWS, "it was over too early");
    let released = Pending { entry: entry.clone(), consumer: "released".to_owned(), deliveries: 0 };
    assert_eq!(stage.pending("generate").await, [released]);
    assert_eq!(stage.job("a", &["running"]).await["attempt"], "1");

    let second = Daemon::start(&stage.settings.instance("second")).await;
    assert_eq!(second.event("adopted", |_| true).await["entry"], entry);
    assert_eq!(stage.job("a", &["done"]).await["attempt"], "1");
    stage.has_orders_once("c", ROWS).await;
    stage.drained("generate").await;
}

#[tokio::test]
async fn adopted_entries_that_wait_for_their_turn_are_given_back_as_often_counted_as_before() {
    const ROWS: usize = 4_000;
    let mut stage = Stage::set(&LONG).await;
    stage.settings = stage.settings.set("queues.permits_generate", "3");
    stage.spool_endless();
    stage.spool_rows("dues.csv", ROWS);
    let first = stage.add_json("generate", &from_file("a", "a", "dues.csv")).await;
    let second = stage.add_json("generate", &endless("b", "b")).await;
    let third = stage.add_json("generate", &endless("c", "c")).await;
    let mut daemon = Daemon::start(&stage.settings).await;
    stage.orders_from("a", 1).await;
    stage.job("b", &["running"]).await;
    stage.job("c", &["running"]).await;
    daemon.kill();
    let made = stage.orders("a").await;

    // The oldest runs, alone; the others wait behind it.
    let mut daemon = Daemon::start(&stage.settings).await;
    stage.orders_from("a", made + 1).await;
    let me = incarnation(&daemon).await;
    stage
        .pending_until("generate", "it has all three in hand", |pending| pending.iter().all(|e| e.consumer == me))
        .await;
    daemon.term();
    assert_eq!(daemon.exit_code().await, Some(0));
    assert!(stage.orders("a").await < ROWS, "it was over too early");
    let pending = stage.pending("generate").await;
    assert!(pending.iter().all(|entry| entry.consumer == "released"));
    let counts: Vec<_> = pending.into_iter().map(|entry| (entry.entry, entry.deliveries)).collect();
    // The first recorded progress; where Redis knew of it in time, its count began again at one.
    assert!(counts[0] == (first.clone(), 0) || counts[0] == (first, 1), "{counts:?}");
    assert_eq!(counts[1..], [(second, 1), (third, 1)]);
}

#[tokio::test]
async fn every_signal_drains_an_idle_daemon_and_leaves_nothing_behind() {
    let mut stage = Stage::plain().await;
    for (n, signal) in [Signal::SIGTERM, Signal::SIGINT].into_iter().enumerate() {
        let mut daemon = Daemon::start(&stage.settings).await;
        stage.add_json("generate", &named(&format!("a-{n}"), &format!("c-{n}"))).await;
        stage.job(&format!("a-{n}"), &["done"]).await;
        daemon.signal(signal);
        assert_eq!(daemon.exit_code().await, Some(0), "{signal}");
        stage.drained("generate").await;
        let beats: usize = redis::cmd("ZCARD").arg("remesa:workers").query_async(&mut stage.connection).await.unwrap();
        assert_eq!(beats, 0, "its heartbeat ended with it");
    }
}

#[tokio::test]
async fn jobs_that_come_during_and_after_a_drain_wait_for_the_next_daemon() {
    const JOBS: usize = 300;
    let mut stage = Stage::plain().await;
    let mut daemon = Daemon::start(&stage.settings).await;
    for n in 0..JOBS {
        stage.add_json("generate", &named(&format!("a-{n}"), &format!("c-{n}"))).await;
        if n == JOBS / 3 {
            daemon.term();
        }
    }
    assert_eq!(daemon.exit_code().await, Some(0));
    let held = stage.pending("generate").await;
    assert!(held.iter().all(|entry| entry.consumer == "released" && entry.deliveries == 0), "{held:?}");
    let _daemon = Daemon::start(&stage.settings.instance("next")).await;
    stage.drained("generate").await;
    let announced = stage.announced().await;
    assert_eq!(announced.len(), JOBS);
    assert!(announced.iter().all(|((_, state), count)| state == "done" && *count == 1), "{announced:?}");
}
