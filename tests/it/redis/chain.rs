//! A chain of losses chosen by a seeded random: Redis loses what it took last, and daemons die before, after, or not at
//! all, each time.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::sent_once;
use crate::support::daemon::Daemon;
use crate::support::provider::counted;
use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, send_job};

const ROWS: usize = 600;
const IN_FLIGHT: u64 = 8;
const LOSSES: u64 = 4;
/// Whoever died is waited for so long: on the slowest machine it is back and has told what it did before.
const LEASE: &str = "12s";

/// Returns the scene, its daemons, and how many died.
async fn chain(seed: u64, channel: &str) -> (Scene, [Daemon; 2], u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let keys = format!("in_flight = {IN_FLIGHT}\n{channel}");
    let mut scene = Scene::over(Redis::start_append_only().await, &keys, |sandbox| {
        (sandbox.latency_min_ms, sandbox.latency_max_ms) = (5, 40);
        sandbox.idempotency = channel.contains("idempotent");
    })
    .await;
    let settings = ["one", "two"]
        .map(|name| scene.settings.instance(name).set("leases.max_deliveries", "100").set("leases.lease", LEASE));
    let mut daemons = [Daemon::start(&settings[0]).await, Daemon::start(&settings[1]).await];
    scene.enqueue("generate", &send_job("c", people(ROWS))).await;
    scene.done("gen-c").await;
    let mut deaths = 0;
    for loss in 1..=LOSSES {
        let what = format!("seed {seed}, loss {loss}");
        let begin = scene.sandbox.stats().counts.accepted;
        let kept = begin + random.random_range(5..25);
        let lost = kept + random.random_range(5..50);
        counted(&scene.sandbox, &what, |stats| stats.counts.accepted >= kept).await;
        let mark = scene.redis.mark();
        counted(&scene.sandbox, &what, |stats| stats.counts.accepted >= lost).await;
        let before: Option<usize> = random.random_bool(0.4).then(|| random.random_range(0..2));
        if let Some(who) = before {
            daemons[who].kill();
        }
        scene.redis.restart_at(mark).await;
        scene.db = scene.redis.connect().await;
        let after: Option<usize> = random.random_bool(0.4).then(|| random.random_range(0..2));
        if let Some(who) = after.filter(|who| before != Some(*who)) {
            daemons[who].kill();
        }
        for who in [before, after].into_iter().flatten().collect::<std::collections::BTreeSet<_>>() {
            deaths += 1;
            daemons[who] = Daemon::start(&settings[who]).await;
        }
    }
    (scene, daemons, deaths)
}

#[tokio::test]
async fn a_chain_of_losses_sends_to_nobody_twice_and_loses_nobody() {
    for seed in [1, 2] {
        let (mut scene, _daemons, deaths) = chain(seed, "").await;
        sent_once(&mut scene, "c", ROWS as u64, deaths * IN_FLIGHT).await;
    }
}

#[tokio::test]
async fn a_chain_of_losses_before_a_provider_that_knows_repeats_leaves_nothing_unknown() {
    let keys = "idempotent = true\nretry_base = \"20ms\"\nretry_attempts = 50\n";
    let (mut scene, _daemons, _) = chain(4, keys).await;
    sent_once(&mut scene, "c", ROWS as u64, 0).await;
}
