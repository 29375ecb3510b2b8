//! BM-26: a run with too many errors pauses itself, whichever daemons met them; a resume lets it go on.

use std::time::Duration;

use remesa::domain::delivery::DeliveryState;
use remesa::domain::failure::Tried;
use remesa::sandbox::SandboxSettings;
use remesa::store::Store;
use remesa::store::runs::{ClaimRequest, Claimed, Record, SlotRef, Take};
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
    send_many(&mut scene, "c", 2_600).await;
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
    let status = scene.settings.command(&["status"]).output().unwrap();
    let status = String::from_utf8(status.stdout).unwrap();
    let line = status.lines().find(|line| line.contains("c/delivery@1")).unwrap_or_else(|| panic!("{status}"));
    assert!(status.contains("PAUSED ITSELF") && line.contains("too_many_errors:server_error ("), "{status}");
    assert!(line.ends_with("remesa campaign resume c --run delivery@1"), "{status}");
    let status = scene.settings.command(&["status", "--json"]).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let run = &status["paused_runs"][0];
    assert_eq!((&run["campaign"], &run["run"], &run["channel"]), (&json!("c"), &json!("delivery@1"), &json!("sms")));
    assert_eq!((run["errors"].to_string(), run["attempts"].to_string()), (errors.clone(), attempts.clone()));
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
    assert_eq!(ledger, [("sent", 2_600 - tried - again), ("unknown", tried + again)].into());
    let events = run_events(&mut scene, "c").await;
    let told: Vec<_> =
        events.iter().map(|event| (event["state"].as_str().unwrap(), event["reason"].as_str())).collect();
    let paused = ("paused", Some("too_many_errors:server_error"));
    let goes_on = ("running", None);
    assert_eq!(told, [goes_on, paused, goes_on, paused, goes_on, ("finished", None)]);
    let mut audited: Vec<_> = scene.store().audited(None, 10).await.unwrap();
    audited.reverse();
    let acts: Vec<_> = audited.iter().map(|entry| (entry.action.as_str(), entry.of.run.as_str())).collect();
    let (paused, resumed) = (("auto_pause", "delivery@1"), ("resume", "delivery@1"));
    assert_eq!(acts, [paused, resumed, paused, resumed]);
    assert_eq!((&*audited[0].actor, &*audited[0].after), ("remesa", "too_many_errors:server_error"));
    assert_eq!((&*audited[1].before, &*audited[1].after), ("paused", "running"));
}

#[tokio::test]
async fn bm_26_numbers_that_do_not_exist_pause_nobody() {
    let mut scene = Scene::with(KEYS, |sandbox| sandbox.refuse_per_mille = 1000).await;
    let _daemon = scene.daemon().await;
    send_many(&mut scene, "c", 1_500).await;
    let hash = scene.finished("c").await;
    assert_eq!((hash["failed"].as_str(), hash["attempts"].as_str()), ("1500", "1500"));
    assert!(!hash.contains_key("auto_paused") && !hash.contains_key("errors"), "{hash:?}");
}

/// A turn of the test's own, in a run whose channel is paused.
struct Hand {
    store: Store,
    slot: SlotRef,
    fence: u64,
}

impl Hand {
    const NAME: &str = "test:hand:1";

    async fn take(scene: &mut Scene) -> Self {
        let store = scene.store();
        let token = scene.hash(&format!("{}:slots", run_key("c"))).await["0:token"].parse().unwrap();
        let slot = SlotRef { campaign: "c".to_owned(), run: "delivery@1".to_owned(), slot: 0, token };
        // The daemon that was killed may have been in the middle of a turn.
        let fence = wait::until("the slot is free", async || {
            match store.take_slot(&slot, Self::NAME, Duration::from_mins(5), &[]).await.unwrap() {
                Take::Taken { fence, .. } => Some(fence),
                Take::Busy { .. } => None,
                other @ (Take::Over | Take::Paused) => panic!("{other:?}"),
            }
        })
        .await;
        Self { store, slot, fence }
    }

    /// Attempts a hundred, of which so many come to nothing. Returns why the run paused itself, if it did.
    async fn hundred(&self, nonce: usize, troubled: usize) -> Option<String> {
        let lease = Duration::from_mins(5);
        let request =
            ClaimRequest { nonce: nonce.to_string(), count: 100, floor: u64::MAX / 2, lease, min_life: Duration::ZERO };
        let claimed = self.store.claim(&self.slot, self.fence, Self::NAME, &request).await.unwrap();
        let Claimed::Recipients { recipients, .. } = claimed else { panic!("{claimed:?}") };
        assert_eq!(recipients.len(), 100);
        let records: Vec<Record> = recipients
            .into_iter()
            .enumerate()
            .map(|(i, recipient)| Record {
                of: recipient.of,
                state: if i < troubled { DeliveryState::Unknown } else { DeliveryState::Sent },
                attempt: 1,
                key_attempt: 1,
                doubt: i < troubled,
                cell: recipient.cell,
                at_ms: 1,
                reason: if i < troubled { "answer_lost".to_owned() } else { String::new() },
                provider_id: String::new(),
                due_in: None,
                event: None,
                tried: if i < troubled { Tried::Troubled } else { Tried::Answered },
            })
            .collect();
        self.store.land(&self.slot, false, &records).await.unwrap().unwrap().auto_paused
    }
}

#[tokio::test]
async fn bm_26_a_thousand_errors_and_over_a_fifth_of_the_last_two_thousand_attempts_are_the_limit() {
    let mut scene = Scene::new().await;
    let mut daemon = scene.daemon().await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    send_many(&mut scene, "c", 7_000).await;
    daemon.kill();
    let hand = Hand::take(&mut scene).await;
    // A fifth, for long enough: 1,000 errors in 5,000 attempts, and 400 in the last 2,000.
    for n in 0..50 {
        assert_eq!(hand.hundred(n, 20).await, None, "after {n} hundreds");
    }
    let hash = scene.delivery("c").await;
    assert_eq!((hash["attempts"].as_str(), &hash["errors"][..5]), ("5000", "1000;"));
    // Over a fifth by one.
    assert_eq!(hand.hundred(50, 21).await.as_deref(), Some("too_many_errors:answer_lost"));
    let hash = scene.delivery("c").await;
    assert_eq!((hash["auto_paused_errors"].as_str(), hash["auto_paused_attempts"].as_str()), ("401", "2000"));
    campaign_audit(&mut scene.db, "c").await;

    // From the resume on everything is counted anew: 999 errors are too few, however many they are of the last.
    let _daemon = scene.daemon().await;
    scene.command(json!({"action": "resume", "campaign": "c", "run": "delivery@1"})).await;
    for n in 51..60 {
        assert_eq!(hand.hundred(n, 100).await, None);
    }
    assert_eq!(hand.hundred(60, 99).await, None);
    assert!(hand.hundred(61, 1).await.is_some());
    let hash = scene.delivery("c").await;
    assert_eq!((hash["auto_paused_errors"].as_str(), hash["auto_paused_attempts"].as_str()), ("1000", "1100"));
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
