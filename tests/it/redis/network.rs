//! The network between a daemon and its Redis: slow, partitioned, cutting replies in their middle.

use std::time::{Duration, Instant};

use super::sent_once;
use crate::support::daemon::{Daemon, Settings};
use crate::support::provider::counted;
use crate::support::proxy::{Proxy, Weather};
use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, send_job};
use crate::support::wait;

const ROWS: usize = 300;

/// A scene whose daemons reach Redis over a network.
async fn over_network() -> (Scene, Proxy) {
    let mut scene = Scene::over(Redis::start().await, "", |sandbox| {
        (sandbox.latency_max_ms, sandbox.idempotency) = (20, false);
    })
    .await;
    let proxy = Proxy::before(&scene.redis).await;
    scene.settings =
        Settings::with_redis_url(&proxy.url()).sandbox_channel("sms", &scene.sandbox.url(), "in_flight = 8\n");
    (scene, proxy)
}

#[tokio::test]
async fn replies_cut_in_their_middle_lose_nothing_and_send_nothing_twice() {
    let (mut scene, proxy) = over_network().await;
    let _daemons = [scene.daemon().await, Daemon::start(&scene.settings.instance("two")).await];
    scene.enqueue("generate", &send_job("c", people(ROWS))).await;
    for cut in 1..=8_usize {
        counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= 30 * cut as u64).await;
        // From half of a claim to a word: whatever comes next.
        proxy.set(Weather::CutReplies(if cut % 2 == 0 { 1 } else { 200 }));
        proxy.cut(cut).await;
        proxy.set(Weather::Fair);
    }
    // What was claimed by a cut reply is claimed again under the same nonce: nothing is unknown.
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 0).await;
    assert_eq!(ledger["sent"], ROWS as u64);
}

#[tokio::test]
async fn a_partition_longer_than_the_lease_only_delays() {
    const LEASE: Duration = Duration::from_secs(3);
    let (mut scene, proxy) = over_network().await;
    let _behind = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(ROWS))).await;
    counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= 50).await;
    proxy.set(Weather::Partitioned);
    // Another daemon, with a way of its own, goes on in its place.
    let direct = Settings::new(&scene.redis).sandbox_channel("sms", &scene.sandbox.url(), "in_flight = 8\n");
    let _other = Daemon::start(&direct.instance("two")).await;
    scene.finished("c").await;
    let began = Instant::now();
    wait::until("the lease is over", async || (began.elapsed() > LEASE).then_some(())).await;
    proxy.set(Weather::Fair);
    // What the partitioned one had sent and could not say, it says now. What it had claimed and not sent stays unknown:
    // the run is over.
    let accepted = scene.sandbox.stats().counts.accepted;
    scene.counted("c", "sent", accepted).await;
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 8).await;
    assert_eq!(ledger["sent"], accepted);
}

#[tokio::test]
async fn a_redis_that_takes_50_ms_for_each_answer_is_slow_and_nothing_else() {
    let (mut scene, proxy) = over_network().await;
    let _daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(ROWS))).await;
    counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= 20).await;
    proxy.set(Weather::Slow(Duration::from_millis(50)));
    let ledger = sent_once(&mut scene, "c", ROWS as u64, 0).await;
    assert_eq!(ledger["sent"], ROWS as u64);
}
