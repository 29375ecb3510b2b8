//! The counters: right at any instant, and equal to the ledger at the end (DA-6).

use std::collections::HashMap;

use remesa::sandbox::Fate;

use crate::support::daemon::Daemon;
use crate::support::ledger::{campaign_audit, counters};
use crate::support::scene::{Scene, people, phone, run_key, send_job};

/// Counters and total of one reading of a hash, which is one instant.
fn sum(hash: &HashMap<String, String>, prefix: &str) -> (u64, u64) {
    (counters(hash, prefix).values().sum(), hash[&format!("{prefix}total")].parse().unwrap())
}

#[tokio::test]
async fn da_6_the_states_add_up_to_the_total_at_any_instant() {
    let keys = "retry_base = \"20ms\"\nretry_cap = \"50ms\"\nbreaker_failures = 100000\nidempotent = true\n";
    let mut scene = Scene::with(keys, |sandbox| {
        (sandbox.fail_per_mille, sandbox.cut_per_mille, sandbox.latency_max_ms) = (200, 100, 10);
        sandbox.recipients = (100..150).map(|n| (phone(n), Fate::Refuse)).collect();
    })
    .await;
    let _daemons = [scene.daemon().await, Daemon::start(&scene.settings.instance("two")).await];
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
    assert_eq!((counted["skipped"], counted["failed"]), (30, 50));
    let (stats, unknown) = (scene.sandbox.stats(), counted.get("unknown").copied().unwrap_or(0));
    assert_eq!((counted["sent"] + unknown, stats.counts.repeated_recipients), (520, 0));
    assert!((counted["sent"]..=520).contains(&stats.counts.accepted), "{stats:?}");
    assert!(stats.answers.replayed > 0 && stats.answers.cut > 0, "{stats:?}");
}
