//! Commands to what is being sent: pause, resume, cancel, retry; of a run, a campaign, a channel.

use redis::AsyncCommands as _;
use remesa::sandbox::Fate;
use serde_json::{Value, json};

use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::scene::{Scene, people, phone, run_key, send_job};
use crate::support::wait;

/// Four of fifty are at the provider, which holds its answers.
async fn four_of_fifty_in_flight() -> (Scene, crate::support::daemon::Daemon) {
    let mut scene = Scene::with("in_flight = 4\n", |sandbox| sandbox.hold = true).await;
    let daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(50))).await;
    counted(&scene.sandbox, "four in flight", |stats| stats.in_flight == 4).await;
    (scene, daemon)
}

fn release(scene: &Scene) {
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
}

/// Waits until every slot of the run has left its last turn and waits for nothing.
async fn slots_are_idle(scene: &mut Scene) {
    wait::until("the slots are idle", async || {
        let slots = scene.hash(&format!("{}:slots", run_key("c"))).await;
        let idle = (0..4).all(|k| {
            let of = |field: &str| slots.get(&format!("{k}:{field}")).map(String::as_str).unwrap_or_default();
            of("owner").is_empty() && of("queued") != "1"
        });
        idle.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_paused_run_claims_nothing_more_and_goes_on_when_it_is_resumed() {
    let (mut scene, _daemon) = four_of_fifty_in_flight().await;
    let run = json!({"action": "pause", "campaign": "c", "run": "delivery@1"});
    assert_eq!(scene.command(run.clone()).await["changed"], true);
    assert_eq!(scene.command(run).await["changed"], false);
    release(&scene);
    slots_are_idle(&mut scene).await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("queued", 46), ("sent", 4)].into());
    assert!(scene.delivery("c").await.contains_key("paused_by"));
    scene.command(json!({"action": "resume", "campaign": "c", "run": "delivery@1"})).await;
    scene.finished("c").await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 50)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, 50);
}

#[tokio::test]
async fn a_paused_campaign_claims_nothing_more_and_goes_on_when_it_is_resumed() {
    let (mut scene, _daemon) = four_of_fifty_in_flight().await;
    scene.command(json!({"action": "pause", "campaign": "c"})).await;
    release(&scene);
    slots_are_idle(&mut scene).await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("queued", 46), ("sent", 4)].into());
    scene.command(json!({"action": "resume", "campaign": "c"})).await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 50);
}

#[tokio::test]
async fn a_campaign_whose_last_message_comes_down_while_it_is_paused_is_delivered_when_it_is_resumed() {
    let mut scene = Scene::with("", |sandbox| sandbox.hold = true).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(2))).await;
    counted(&scene.sandbox, "both in flight", |stats| stats.in_flight == 2).await;
    scene.command(json!({"action": "pause", "campaign": "c"})).await;
    release(&scene);
    scene.finished("c").await;
    assert_eq!(scene.campaign("c").await["state"], "paused");
    scene.command(json!({"action": "resume", "campaign": "c"})).await;
    assert_eq!(scene.campaign("c").await["state"], "delivered");
}

#[tokio::test]
async fn a_paused_channel_holds_every_run_and_says_why() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    for campaign in ["a", "b"] {
        scene.run("generate", &send_job(campaign, people(3))).await;
    }
    assert!(scene.hash("remesa:channel:sms").await.contains_key("paused"));
    assert_eq!(campaign_audit(&mut scene.db, "b").await, [("queued", 3)].into());
    assert_eq!(scene.sandbox.stats().requests, 0);
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    for campaign in ["a", "b"] {
        scene.campaign_is(campaign, "delivered").await;
    }
    assert_eq!(scene.sandbox.stats().counts.accepted, 6);
}

#[tokio::test]
async fn a_cancelled_run_skips_what_was_not_claimed_and_its_campaign_is_delivered() {
    let (mut scene, _daemon) = four_of_fifty_in_flight().await;
    scene.command(json!({"action": "cancel", "campaign": "c", "run": "delivery@1"})).await;
    release(&scene);
    scene.counted("c", "sent", 4).await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 4), ("skipped", 46)].into());
    assert_eq!(scene.campaign("c").await["state"], "delivered");
    let retry = json!({"action": "retry", "campaign": "c", "run": "delivery@1", "states": "all"});
    assert_eq!(scene.command_refused(retry).await.0, "wrong_state");
}

/// Three sent, two failed, two unknown, one skipped.
async fn of_all_kinds(keys: &str) -> (Scene, crate::support::daemon::Daemon) {
    let mut scene = Scene::with(keys, |sandbox| {
        for (n, fate) in [(4, Fate::Refuse), (5, Fate::Refuse), (6, Fate::Cut), (7, Fate::Cut)] {
            sandbox.recipients.insert(phone(n), fate);
        }
    })
    .await;
    let daemon = scene.daemon().await;
    let mut rows = people(8);
    rows[7]["SMScontact"] = "nobody".into();
    scene.run("generate", &send_job("c", rows)).await;
    scene.finished("c").await;
    let expected = [("failed", 2), ("sent", 3), ("skipped", 1), ("unknown", 2)].into();
    assert_eq!(campaign_audit(&mut scene.db, "c").await, expected);
    scene.sandbox.change(|settings| settings.recipients.clear()).unwrap();
    (scene, daemon)
}

async fn retry(scene: &mut Scene, states: &str) -> Value {
    let result =
        scene.command(json!({"action": "retry", "campaign": "c", "run": "delivery@1", "states": states})).await;
    scene.finished("c").await;
    scene.campaign_is("c", "delivered").await;
    result
}

#[tokio::test]
async fn retry_failed_sends_to_the_failed_with_the_next_attempt_and_to_nobody_else() {
    let (mut scene, _daemon) = of_all_kinds("").await;
    assert_eq!(retry(&mut scene, "failed").await["queued"], 2);
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 5), ("skipped", 1), ("unknown", 2)].into());
    assert_eq!(scene.outcome("c", 4).await, ("s".to_owned(), 2, String::new()));
    assert_eq!(scene.outcome("c", 1).await.1, 1);
    assert_eq!(retry(&mut scene, "failed").await["queued"], 0);
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
}

#[tokio::test]
async fn retry_unknown_accepts_that_somebody_receives_it_twice() {
    let (mut scene, _daemon) = of_all_kinds("").await;
    assert_eq!(retry(&mut scene, "unknown").await["queued"], 2);
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("failed", 2), ("sent", 5), ("skipped", 1)].into());
    // They had been accepted before the answer was lost, and this provider was asked under another key.
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 2);
}

#[tokio::test]
async fn retry_all_is_both() {
    let (mut scene, _daemon) = of_all_kinds("").await;
    assert_eq!(retry(&mut scene, "all").await["queued"], 4);
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 7), ("skipped", 1)].into());
    let run: Vec<Option<String>> = scene.db.hmget(run_key("c"), &["failed", "unknown"]).await.unwrap();
    assert_eq!(run, [Some("0".to_owned()), Some("0".to_owned())]);
}

#[tokio::test]
async fn a_retry_of_unknowns_asks_an_idempotent_provider_under_the_key_of_the_first_attempt() {
    let keys = "idempotent = true\nretry_attempts = 3\nretry_base = \"20ms\"\n";
    let (mut scene, _daemon) = of_all_kinds(keys).await;
    let before = scene.sandbox.stats();
    assert_eq!(scene.outcome("c", 6).await.1, 3);
    assert_eq!(retry(&mut scene, "unknown").await["queued"], 2);
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("failed", 2), ("sent", 5), ("skipped", 1)].into());
    let stats = scene.sandbox.stats();
    assert_eq!((stats.counts.repeated_recipients, stats.answers.replayed - before.answers.replayed), (0, 2));
}
