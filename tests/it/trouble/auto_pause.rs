//! BM-26: a run with too many errors pauses itself, whichever daemons met them; a resume lets it go on.

use remesa::sandbox::SandboxSettings;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, people_csv, run_key, send_file_job};
use crate::support::wait;

/// The channel's breaker stays closed: a provider that fails now and then is the run's affair.
const KEYS: &str = "breaker_failures = 100000\nretry_attempts = 1\n";

/// Permits of a daemon.
const IN_FLIGHT: u64 = 64;

/// A campaign from a file: more rows than a job may bring with it.
async fn send_many(scene: &mut Scene, campaign: &str, rows: usize) {
    let file = format!("{campaign}.csv");
    scene.settings.spool(&file, people_csv(rows));
    scene.run("generate", &send_file_job(campaign, &file)).await;
}

async fn paused_itself(scene: &mut Scene, campaign: &str) -> u64 {
    let key = run_key(campaign);
    wait::until("the run pauses itself", async || scene.hash(&key).await.remove("auto_paused")).await;
    wait::field(&mut scene.db, &key, "sending", &["0"]).await;
    let ledger = campaign_audit(&mut scene.db, campaign).await;
    ledger.values().sum::<u64>() - ledger["queued"]
}

async fn run_events(scene: &mut Scene, campaign: &str) -> Vec<Value> {
    let entries: Vec<(String, Vec<(String, String)>)> =
        redis::cmd("XRANGE").arg("remesa:results").arg("-").arg("+").query_async(&mut scene.db).await.unwrap();
    let events = entries.into_iter().filter_map(|(_, fields)| {
        let data = fields.into_iter().find(|(name, _)| name == "data")?.1;
        serde_json::from_str::<Value>(&data).ok()
    });
    events.filter(|event| event["type"] == "run" && event["campaign"] == campaign).collect()
}

#[tokio::test]
async fn bm_26_a_run_with_too_many_errors_pauses_itself_and_resume_begins_to_count_anew() {
    let mut scene = Scene::with(KEYS, |sandbox| sandbox.fail_per_mille = 1000).await;
    let daemons = [scene.daemon().await, Daemon::start(&scene.settings.instance("two")).await];
    send_many(&mut scene, "c", 4_000).await;
    let tried = paused_itself(&mut scene, "c").await;
    // A thousand errors, and what both daemons had in flight then.
    assert!((1_000..=1_000 + 2 * IN_FLIGHT).contains(&tried), "{tried}");
    assert_eq!(scene.sandbox.stats().requests, tried, "nobody is asked while it is paused");
    let hash = scene.delivery("c").await;
    assert_eq!((hash["state"].as_str(), hash["auto_paused"].as_str()), ("running", "too_many_errors:server_error"));
    let shown = scene.settings.command(&["campaign", "show", "c", "--json"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let (run, why) = (&shown["runs"][0], shown["runs"][0]["reason"].as_str().unwrap());
    assert_eq!(run["shown"], "paused");
    assert!(why.starts_with("paused itself: too_many_errors:server_error (1"), "{why}");
    let (errors, attempts) = (&hash["auto_paused_errors"], &hash["auto_paused_attempts"]);
    assert!(why.ends_with(&format!("({errors} of the last {attempts} attempts)")), "{why}");
    let said = "too many errors: the run has paused itself until somebody resumes it";
    let all: String = daemons.iter().map(Daemon::log).collect();
    assert_eq!(all.matches(said).count(), 1, "one of the daemons says so, once");

    scene.command(json!({"action": "resume", "campaign": "c", "run": "delivery@1"})).await;
    let again = paused_itself(&mut scene, "c").await - tried;
    assert!((1_000..=1_000 + 2 * IN_FLIGHT).contains(&again), "{again}");

    scene
        .sandbox
        .change(|settings| *settings = SandboxSettings { port: settings.port, ..SandboxSettings::default() })
        .unwrap();
    scene.command(json!({"action": "resume", "campaign": "c", "run": "delivery@1"})).await;
    scene.finished("c").await;
    let ledger = campaign_audit(&mut scene.db, "c").await;
    assert_eq!(ledger, [("sent", 4_000 - tried - again), ("unknown", tried + again)].into());
    let events = run_events(&mut scene, "c").await;
    let told: Vec<_> =
        events.iter().map(|event| (event["state"].as_str().unwrap(), event["reason"].as_str())).collect();
    let paused = ("paused", Some("too_many_errors:server_error"));
    let goes_on = ("running", None);
    assert_eq!(told, [goes_on, paused, goes_on, paused, goes_on, ("finished", None)]);
}

#[tokio::test]
async fn bm_26_numbers_that_do_not_exist_and_a_fifth_of_errors_pause_nobody() {
    let mut scene = Scene::with(KEYS, |sandbox| {
        (sandbox.fail_per_mille, sandbox.refuse_per_mille) = (120, 600);
    })
    .await;
    let _daemon = scene.daemon().await;
    send_many(&mut scene, "c", 9_000).await;
    let hash = scene.finished("c").await;
    assert!(!hash.contains_key("auto_paused"));
    let stats = scene.sandbox.stats();
    assert!(stats.answers.failed > 1_000 && stats.answers.refused > 4_000, "{stats:?}");
    assert_eq!(hash["attempts"], "9000");
    assert!(hash["errors"].starts_with(&format!("{};", stats.answers.failed)), "{}", hash["errors"]);
}

#[tokio::test]
async fn bm_26_a_run_beside_one_that_paused_itself_goes_on() {
    let mut scene = Scene::with(KEYS, |sandbox| sandbox.fail_per_mille = 1000).await;
    let _daemon = scene.daemon().await;
    send_many(&mut scene, "c", 2_000).await;
    paused_itself(&mut scene, "c").await;
    scene.sandbox.change(|settings| settings.fail_per_mille = 0).unwrap();
    send_many(&mut scene, "d", 200).await;
    scene.finished("d").await;
    assert_eq!(campaign_audit(&mut scene.db, "d").await, [("sent", 200)].into());
    // The campaign's own pause and resume leave the run as it is; a cancel ends it.
    scene.command(json!({"action": "pause", "campaign": "c"})).await;
    scene.command(json!({"action": "resume", "campaign": "c"})).await;
    assert!(scene.delivery("c").await.contains_key("auto_paused"));
    scene.command(json!({"action": "cancel", "campaign": "c", "run": "delivery@1"})).await;
    let hash = scene.delivery("c").await;
    assert_eq!((hash["state"].as_str(), hash.contains_key("auto_paused")), ("cancelled", false));
}
