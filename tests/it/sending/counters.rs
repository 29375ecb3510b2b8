//! The counters: right at any instant, and equal to the ledger at the end (DA-6).

use std::collections::HashMap;

use crate::support::ledger::{campaign_audit, counters};
use crate::support::scene::{Scene, people, run_key, send_job};

/// Counters and total of one reading of a hash, which is one instant.
fn sum(hash: &HashMap<String, String>, prefix: &str) -> (u64, u64) {
    (counters(hash, prefix).values().sum(), hash[&format!("{prefix}total")].parse().unwrap())
}

#[tokio::test]
async fn da_6_the_states_add_up_to_the_total_at_any_instant() {
    let keys = "retry_base = \"20ms\"\nretry_cap = \"50ms\"\nbreaker_failures = 100000\nidempotent = true\n";
    let mut scene = Scene::with(keys, |sandbox| {
        (sandbox.refuse_per_mille, sandbox.fail_per_mille, sandbox.cut_per_mille) = (100, 200, 100);
        sandbox.latency_max_ms = 10;
    })
    .await;
    let _daemons = [scene.daemon().await, crate::support::daemon::Daemon::start(&scene.settings.instance("two")).await];
    let mut job = send_job("c", people(600));
    for n in 0..30 {
        job["rows"][n]["SMScontact"] = "nobody".into();
    }
    scene.enqueue("generate", &job).await;
    let mut instants = 0;
    loop {
        let (run, campaign) = (scene.hash(&run_key("c")).await, scene.campaign("c").await);
        if run.is_empty() {
            continue;
        }
        let (states, total) = sum(&run, "");
        assert_eq!((states, total), (600, 600), "{run:?}");
        let (states, total) = sum(&campaign, "deliveries:");
        assert_eq!((states, total), (600, 600), "{campaign:?}");
        instants += 1;
        if run["state"] == "finished" {
            break;
        }
    }
    assert!(instants > 20, "only {instants} instants were seen");
    let counted = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(counted["skipped"], 30);
    assert!(counted["failed"] > 10, "{counted:?}");
    let stats = scene.sandbox.stats();
    assert_eq!((counted["sent"], stats.counts.repeated_recipients), (stats.counts.accepted, 0));
    assert!(stats.answers.replayed + stats.answers.cut > 0, "{stats:?}");
}
