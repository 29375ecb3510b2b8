//! A chain of deaths over two daemons, chosen by a seeded random: who dies, at which call, on which side of it.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::support::daemon::{Daemon, Settings};
use crate::support::gate::{Gate, Side};
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, people, run_key, send_job};
use crate::support::wait;

const ROWS: usize = 800;
const IN_FLIGHT: u64 = 8;
const KILLS: usize = 8;
/// Calls of the first three deaths, and those of the others.
const GENERATING: [&str; 2] = ["number_rows", "write_orders"];
const SENDING: [&str; 2] = ["claim", "land"];

/// Kills whoever comes by first at a random call, again and again; returns how many died.
async fn chain(seed: u64, channel: &str) -> (Scene, u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut scene = Scene::with(channel, |sandbox| (sandbox.latency_min_ms, sandbox.latency_max_ms) = (20, 60)).await;
    let gates = [Gate::before(&scene.redis), Gate::before(&scene.redis)];
    let keys = format!("in_flight = {IN_FLIGHT}\n{channel}");
    let settings = |gate: &Gate, name: &str| {
        let settings = Settings::with_redis_url(&gate.url()).sandbox_channel("sms", &scene.sandbox.url(), &keys);
        // Deaths come faster than any progress is made between them.
        settings.toml("[sources]\nslice_rows = 50\n").set("leases.max_deliveries", "100").instance(name)
    };
    let settings = [settings(&gates[0], "one"), settings(&gates[1], "two")];
    let mut daemons = [Daemon::start(&settings[0]).await, Daemon::start(&settings[1]).await];
    let mut watching = scene.redis.connect().await;
    for death in 0..KILLS {
        let calls: &[&str] = if death < 3 { &GENERATING } else { &SENDING };
        let call = calls[random.random_range(0..calls.len())];
        let (side, skip) = (if random.random() { Side::Before } else { Side::After }, random.random_range(0..3));
        for gate in &gates {
            gate.catch(&mut scene.db, call, side, skip).await;
        }
        if death == 0 {
            scene.enqueue("generate", &send_job("c", people(ROWS))).await;
        }
        let what = format!("seed {seed}, death {death}: {call} {side:?} {skip}");
        let run = run_key("c");
        let who = tokio::select! {
            () = gates[0].caught(&what) => 0,
            () = gates[1].caught(&what) => 1,
            _ = wait::field(&mut watching, &run, "state", &["finished"]) => panic!("{what}: the run is over"),
        };
        daemons[who].kill();
        for gate in &gates {
            gate.open();
        }
        daemons[who] = Daemon::start(&settings[who]).await;
    }
    scene.finished("c").await;
    scene.campaign_is("c", "delivered").await;
    (scene, KILLS as u64)
}

#[tokio::test]
async fn a_chain_of_deaths_loses_nobody_and_sends_to_nobody_twice() {
    for seed in [1, 2] {
        let (mut scene, kills) = chain(seed, "").await;
        let ledger = campaign_audit(&mut scene.db, "c").await;
        let (stats, unknown) = (scene.sandbox.stats(), ledger.get("unknown").copied().unwrap_or(0));
        assert_eq!(stats.counts.repeated_recipients, 0, "seed {seed}: sent twice");
        assert_eq!(ledger["sent"] + unknown, ROWS as u64, "seed {seed}: lost, {ledger:?}");
        assert!(unknown <= IN_FLIGHT * kills, "seed {seed}: {unknown} unknown after {kills} deaths");
        assert!((ledger["sent"]..=ROWS as u64).contains(&stats.counts.accepted), "seed {seed}: {ledger:?}");
    }
}

#[tokio::test]
async fn a_chain_of_deaths_before_an_idempotent_provider_leaves_nothing_unknown() {
    let (mut scene, _kills) = chain(3, "idempotent = true\nretry_base = \"20ms\"\nretry_attempts = 50\n").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", ROWS as u64)].into());
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.repeated_recipients), (ROWS as u64, 0));
}
