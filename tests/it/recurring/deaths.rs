//! Three daemons that die at random: one run for each due time all the same.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use redis::AsyncCommands as _;
use serde_json::json;

use super::{job, scene};
use crate::support::daemon::{Daemon, Settings};
use crate::support::gate::{Gate, Side};
use crate::support::wait;

/// Permanent messages side by side: one whose alarm hides behind a death leaves the others to die at.
const MESSAGES: [&str; 5] = ["w1", "w2", "w3", "w4", "w5"];
const DEATHS: usize = 12;
const ORDERS: u64 = 2;
/// Due times of each message, a second apart.
const DUE: i64 = 22;

/// What a daemon is caught at: deciding about a due time, making its run, setting the alarm, taking it off the clock.
const CALLS: [&str; 4] = ["tick", "create_run", "arm", "disarm"];

#[tokio::test]
async fn bm_7_exactly_one_run_a_tick_with_three_daemons_killed_at_random() {
    let seed = 7;
    let mut random = StdRng::seed_from_u64(seed);
    let mut scene = scene(usize::try_from(ORDERS).unwrap()).await;
    let gates = [Gate::before(&scene.redis), Gate::before(&scene.redis), Gate::before(&scene.redis)];
    let settings = ["one", "two", "three"].map(|name| (name, scene.sandbox.url()));
    let settings: Vec<Settings> = gates
        .iter()
        .zip(settings)
        .map(|(gate, (name, sandbox))| {
            let settings = Settings::with_redis_url(&gate.url()).sandbox_channel("sms", &sandbox, "");
            settings.set("recurring.min_interval", "1s").set("leases.max_deliveries", "100").instance(name)
        })
        .collect();
    let mut daemons = Vec::new();
    for settings in &settings {
        daemons.push(Daemon::start(settings).await);
    }
    scene.done("gen-c").await;
    // Time enough to define all of them: a due time before its definition is none.
    let first = scene.now_ms().await + 3_000;
    let last = first + (DUE - 1) * 1000;
    // Not at one instant: whoever dies then would hide all their alarms at once.
    let shift = |name: &str| 200 * i64::from(name.as_bytes()[1] - b'1');
    for name in MESSAGES {
        let (first, last) = (first + shift(name), last + shift(name));
        // Nothing is ever too late here, so that each due time is accounted for.
        let mut job =
            job(&json!({"every": "1s", "starts_at": first, "until": last, "grace": "1h", "overlap": "queue"}));
        (job["id"], job["recurring"]) = (name.into(), name.into());
        scene.run("recurring", &job).await;
    }
    let mut watching = scene.redis.connect().await;
    let mut deaths = 0;
    for death in 0..DEATHS {
        let call = CALLS[random.random_range(0..CALLS.len())];
        let side = if random.random() { Side::Before } else { Side::After };
        for gate in &gates {
            gate.catch(&mut scene.db, call, side, random.random_range(0..3)).await;
        }
        let what = format!("seed {seed}, death {death}: {call} {side:?}");
        let key = "remesa:{c}:recurring:w1";
        let who = tokio::select! {
            () = gates[0].caught(&what) => 0,
            () = gates[1].caught(&what) => 1,
            () = gates[2].caught(&what) => 2,
            _ = wait::field(&mut watching, key, "state", &["stopped"]) => break,
        };
        daemons[who].kill();
        deaths += 1;
        for gate in &gates {
            gate.open();
        }
        daemons[who] = Daemon::start(&settings[who]).await;
    }
    for gate in &gates {
        gate.open();
    }
    let mut made = 0;
    for name in MESSAGES {
        let key = format!("remesa:{{c}}:recurring:{name}");
        let definition = wait::until(&format!("{name} has come to its end"), async || {
            let definition = scene.hash(&key).await;
            (definition["state"] == "stopped" && !definition.contains_key("pending")).then_some(definition)
        })
        .await;
        let count = |field: &str| definition[field].parse::<usize>().unwrap();
        let names: Vec<String> = scene.db.zrange("remesa:{c}:runs", 0, -1).await.unwrap();
        let runs: Vec<&String> = names.iter().filter(|run| run.starts_with(&format!("{name}@"))).collect();
        let due: BTreeSet<i64> = runs.iter().map(|run| run.rsplit_once('@').unwrap().1.parse().unwrap()).collect();
        let (first, last) = (first + shift(name), last + shift(name));
        assert!(due.iter().all(|at| (first..=last).contains(at) && (at - first) % 1000 == 0), "{name}: {due:?}");
        assert_eq!((runs.len(), due.len()), (count("runs"), count("runs")), "{name}: a run for each that was decided");
        let all = count("runs") + count("missed") + count("overlapped");
        assert_eq!(
            all,
            usize::try_from(DUE).unwrap(),
            "{name}: each due time has its run or is counted: {definition:?}"
        );
        for run in runs {
            wait::field(&mut scene.db, &format!("remesa:{{c}}:run:{run}"), "state", &["finished"]).await;
            made += 1;
        }
    }
    // No message of a run twice; a death between sending and recording leaves at most that one unknown.
    assert!(scene.sandbox.stats().counts.accepted <= ORDERS * made);
    assert!(deaths >= 3 && made > MESSAGES.len() as u64, "{deaths} deaths, {made} runs");
}

#[tokio::test]
async fn an_alarm_that_redis_lost_is_set_again_when_a_daemon_starts() {
    let mut scene = scene(1).await;
    let mut daemon = scene.daemon().await;
    scene.done("gen-c").await;
    let soon = scene.now_ms().await + 2_000;
    scene.run("recurring", &job(&json!({"every": "1s", "starts_at": soon, "grace": "1h"}))).await;
    daemon.kill();
    let lost: usize = scene.db.zrem("remesa:scheduled", "recurring|c|w").await.unwrap();
    assert_eq!(lost, 1);
    let _daemon = scene.daemon().await;
    scene.made(1).await;
}

#[tokio::test]
async fn the_due_times_after_a_death_in_the_middle_of_one_are_kept() {
    // The first alarm that is set is the definition's own, the second its run's.
    for (call, side, skip) in
        [("tick", Side::Before, 0), ("tick", Side::After, 0), ("create_run", Side::Before, 0), ("arm", Side::Before, 1)]
    {
        let mut scene = scene(1).await;
        let gate = Gate::before(&scene.redis);
        scene.settings = Settings::with_redis_url(&gate.url())
            .sandbox_channel("sms", &scene.sandbox.url(), "")
            .set("recurring.min_interval", "1s");
        let mut first = scene.daemon().await;
        scene.done("gen-c").await;
        let soon = scene.now_ms().await + 500;
        gate.catch(&mut scene.db, call, side, skip).await;
        scene.run("recurring", &job(&json!({"every": "1h", "starts_at": soon}))).await;
        gate.caught(&format!("{call} {side:?}")).await;
        first.kill();
        // The alarm hides, and the next start knows that nobody works it off.
        let second = scene.daemon().await;
        second.event("alarms that nobody worked off are due again", |_| true).await;
        let run = scene.made(1).await.remove(0);
        assert_eq!(run, format!("w@{soon}"), "{call} {side:?}");
        scene.tick_finished(&run).await;
        assert_eq!(scene.definition().await["missed"], "0", "{call} {side:?}");
        assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0, "{call} {side:?}");
    }
}
