//! `on_unknown`: what becomes of a recipient of whom nobody knows, because the answer was lost or its daemon died.

use remesa::sandbox::Fate;
use serde_json::json;

use crate::support::ledger::{Counted, campaign_audit};
use crate::support::provider::counted;
use crate::support::scene::{Scene, people, run_key, send_job};
use crate::support::wait;

const FEW_AT_ONCE: &str = "in_flight = 4\nretry_base = \"20ms\"\nretry_cap = \"40ms\"\nbreaker_failures = 100000\n";

/// The first three of ten are accepted, and their answers lost.
async fn answers_are_lost(keys: &str) -> (Scene, Counted) {
    let keys = format!("{FEW_AT_ONCE}{keys}");
    let mut scene = Scene::with(&keys, |sandbox| sandbox.script = vec![Fate::Cut; 3]).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(10))).await;
    scene.finished("c").await;
    let ledger = campaign_audit(&mut scene.db, "c").await;
    assert_eq!((scene.sandbox.stats().counts.accepted, scene.sandbox.stats().counts.repeated_recipients), (10, 0));
    (scene, ledger)
}

/// A daemon dies with four messages at the provider, which has accepted them; another takes over.
async fn owner_dies(keys: &str) -> (Scene, Counted) {
    let mut scene = Scene::with(&format!("{FEW_AT_ONCE}{keys}"), |sandbox| sandbox.hold = true).await;
    let mut first = scene.daemon().await;
    scene.run("generate", &send_job("c", people(10))).await;
    counted(&scene.sandbox, "four at the provider", |stats| stats.in_flight == 4).await;
    first.kill();
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let _second = scene.daemon().await;
    scene.finished("c").await;
    let ledger = campaign_audit(&mut scene.db, "c").await;
    assert_eq!((scene.sandbox.stats().counts.accepted, scene.sandbox.stats().counts.repeated_recipients), (10, 0));
    (scene, ledger)
}

/// The reasons of those that were not sent.
async fn reasons(scene: &mut Scene) -> Vec<String> {
    let mut reasons = Vec::new();
    for n in 1..=10 {
        let (letter, _, reason) = scene.outcome("c", n).await;
        if letter != "s" {
            reasons.push(reason);
        }
    }
    reasons
}

#[tokio::test]
async fn keep_leaves_them_unknown_also_where_the_provider_knows_keys() {
    for keys in ["", "on_unknown = \"keep\"\nidempotent = true\n"] {
        let (mut scene, ledger) = answers_are_lost(keys).await;
        assert_eq!(ledger, [("sent", 7), ("unknown", 3)].into());
        assert_eq!(reasons(&mut scene).await, ["answer_lost"; 3]);
        let (mut scene, ledger) = owner_dies(keys).await;
        assert_eq!(ledger, [("sent", 6), ("unknown", 4)].into());
        assert_eq!(reasons(&mut scene).await, ["owner_died"; 4]);
    }
}

#[tokio::test]
async fn resend_asks_again_under_the_same_key_by_itself_and_sends_once() {
    for keys in ["idempotent = true\n", "on_unknown = \"resend\"\nidempotent = true\n"] {
        let (scene, ledger) = answers_are_lost(keys).await;
        assert_eq!(ledger, [("sent", 10)].into());
        assert_eq!(scene.sandbox.stats().answers.replayed, 3);
        let (scene, ledger) = owner_dies(keys).await;
        assert_eq!(ledger, [("sent", 10)].into());
        assert_eq!(scene.sandbox.stats().answers.replayed, 4);
    }
}

#[tokio::test]
async fn resend_is_bounded_by_the_attempts_and_then_nobody_knows() {
    let keys = format!("{FEW_AT_ONCE}idempotent = true\nretry_attempts = 3\n");
    let mut scene = Scene::with(&keys, |sandbox| sandbox.cut_per_mille = 1000).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(10))).await;
    scene.finished("c").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("unknown", 10)].into());
    let stats = scene.sandbox.stats();
    assert_eq!((stats.requests, stats.counts.accepted, stats.answers.cut), (30, 10, 30));
}

#[tokio::test]
async fn fail_calls_them_failed_with_a_reason_that_says_so_and_a_retry_of_what_failed_leaves_them_alone() {
    for (keys, replayed) in [("on_unknown = \"fail\"\n", 0), ("on_unknown = \"fail\"\nidempotent = true\n", 3)] {
        let (mut scene, ledger) = answers_are_lost(keys).await;
        assert_eq!(ledger, [("failed", 3), ("sent", 7)].into());
        assert_eq!(reasons(&mut scene).await, ["unknown:answer_lost"; 3]);
        let _daemon = scene.daemon().await;
        let retry = json!({"action": "retry", "campaign": "c", "run": "delivery@1", "states": "failed"});
        assert_eq!(scene.command(retry.clone()).await["queued"], 0);
        assert_eq!(scene.sandbox.stats().requests, 10);
        // Whoever says that some may be sent twice has them asked again; under the same key, where that helps.
        let mut retry = retry;
        retry["states"] = "unknown".into();
        assert_eq!(scene.command(retry).await["queued"], 3);
        wait::field(&mut scene.db, &run_key("c"), "state", &["finished"]).await;
        assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 10)].into());
        let stats = scene.sandbox.stats();
        assert_eq!((stats.answers.replayed, stats.counts.repeated_recipients), (replayed, 3 - replayed));
    }
    let (mut scene, ledger) = owner_dies("on_unknown = \"fail\"\n").await;
    assert_eq!(ledger, [("failed", 4), ("sent", 6)].into());
    assert_eq!(reasons(&mut scene).await, ["unknown:owner_died"; 4]);
}
