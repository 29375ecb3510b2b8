//! The rate of a channel, kept by three daemons together: over any ten seconds, counted at the provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, people, send_job};

const RATE: i64 = 80;

/// The longest that this process, the provider's, stood still meanwhile, in milliseconds: what arrived then is counted late.
fn watch_stalls() -> Arc<AtomicI64> {
    const TICK: Duration = Duration::from_millis(2);
    let longest = Arc::new(AtomicI64::new(0));
    let watched = Arc::downgrade(&longest);
    std::thread::spawn(move || {
        let mut before = Instant::now();
        while let Some(longest) = watched.upgrade() {
            std::thread::park_timeout(TICK);
            let stall = before.elapsed().saturating_sub(TICK).as_millis();
            longest.fetch_max(i64::try_from(stall).unwrap(), Ordering::Relaxed);
            before = Instant::now();
        }
    });
    longest
}

#[tokio::test]
async fn three_daemons_keep_a_rate_over_any_ten_seconds_within_one_percent() {
    let mut scene = Scene::with(&format!("rate_per_second = {RATE}\n"), |_| {}).await;
    let _daemons = [
        scene.daemon().await,
        Daemon::start(&scene.settings.instance("two")).await,
        Daemon::start(&scene.settings.instance("three")).await,
    ];
    let stalls = watch_stalls();
    scene.run("generate", &send_job("c", people(1_000))).await;
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 1_000)].into());
    let mut arrivals: Vec<i64> = scene.sandbox.inbox(None, 0, 1_000).iter().map(|message| message.at_ms).collect();
    arrivals.sort_unstable();
    let in_window = |from: usize| arrivals[from..].iter().take_while(|at| **at < arrivals[from] + 10_000).count();
    let most = i64::try_from((0..arrivals.len()).map(in_window).max().unwrap()).unwrap();
    let stall = stalls.load(Ordering::Relaxed);
    eprintln!("the most in any ten seconds: {most} of {}; the provider stood still for {stall} ms at most", 10 * RATE);
    let allowed = 10 * RATE * 101 / 100 + 1 + RATE * stall / 1_000;
    assert!(most <= allowed, "{most} in ten seconds, allowed are {allowed}");
}
