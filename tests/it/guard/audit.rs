//! The audit: every act of whoever did it, with the state before and after, and nobody's number in it.

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::grep;
use crate::support::scene::{Scene, generate_job, people, phone, send_job};
use crate::support::visitor::{ANA, Visitor, tokens};
use crate::support::wait;

/// `remesa audit --json`, the oldest first.
async fn audited(scene: &Scene, arguments: &[&str]) -> Vec<Value> {
    let mut command = scene.settings.command(&[&["audit", "--json"], arguments].concat());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut entries: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    entries.reverse();
    entries
}

/// Who, what, before, after and outcome.
fn line(entry: &Value) -> String {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    ["actor", "action", "before", "after", "counts", "outcome"].map(text).join("|")
}

async fn guarded() -> (Scene, Daemon) {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.toml(&tokens());
    let daemon = scene.daemon().await;
    (scene, daemon)
}

#[tokio::test]
async fn whoever_acts_is_written_down_with_the_state_before_and_after() {
    let (mut scene, daemon) = guarded().await;
    let ana = Visitor::of(&daemon).await.bearing(ANA);
    scene.run("generate", &generate_job("c", people(3))).await;
    ana.post_json("/actions", &json!({"action": "pause", "channel": "sms"})).await;
    ana.post_json("/actions", &json!({"action": "pause", "channel": "sms"})).await;
    scene.enqueue("control", &json!({"id": "erp-7", "action": "resume", "campaign": "c"})).await;
    scene.refused("erp-7").await;
    let mut command = scene.settings.command(&["campaign", "cancel", "c", "--orders"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let entries = audited(&scene, &[]).await;
    let lines: Vec<String> = entries.iter().map(line).collect();
    let who = lines[3].split('|').next().unwrap();
    assert!(who.contains('@'), "{lines:?}");
    assert_eq!(
        lines,
        [
            "ana|pause|open|paused||done".to_owned(),
            "ana|pause|paused|paused||same".to_owned(),
            "erp-7|resume|generated|generated||wrong_state".to_owned(),
            format!("{who}|cancel|generated|cancelled|orders_cancelled 3|done"),
        ]
    );
    assert!(entries.iter().all(|entry| entry["at"].as_i64().is_some_and(|at| at > 0)));
    assert_eq!((&entries[0]["channel"], &entries[3]["campaign"]), (&json!("sms"), &json!("c")));
    let of_c: Vec<String> = audited(&scene, &["--campaign", "c", "--actor", "erp-7"]).await.iter().map(line).collect();
    assert_eq!(of_c, [&*lines[2]]);
    assert_eq!(audited(&scene, &["--limit", "1"]).await.len(), 1);
    let mut table = scene.settings.command(&["audit"]);
    let table = tokio::task::spawn_blocking(move || table.output().unwrap()).await.unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("channel sms") && table.contains("cancelled (orders_cancelled 3)"), "{table}");
}

#[tokio::test]
async fn what_a_daemon_does_by_itself_is_written_down_as_its_own() {
    let mut scene = Scene::with("", |sandbox| (sandbox.refuse_per_mille, sandbox.refuse_status) = (1000, 401)).await;
    scene.settings = scene.settings.toml(&tokens());
    let daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(5))).await;
    wait::until("the channel is paused", async || scene.hash("remesa:channel:sms").await.remove("paused")).await;
    daemon.reload(&scene.settings.replaced("sweep = \"200ms\"", "sweep = \"300ms\""));
    daemon.event("reloaded", |_| true).await;
    let lines = wait::until("both are written down", async || {
        let lines: Vec<String> = audited(&scene, &["--actor", "remesa"]).await.iter().map(line).collect();
        (lines.len() >= 2).then_some(lines)
    })
    .await;
    assert!(lines[0].starts_with("remesa|pause||") && lines[0].ends_with("||done"), "{lines:?}");
    assert_eq!(lines[1], "remesa|reload||leases||done");
}

#[tokio::test]
async fn traffic_is_no_act_and_nobody_is_named() {
    let (mut scene, _daemon) = guarded().await;
    scene.run("generate", &generate_job("c", people(3))).await;
    scene.command(json!({"action": "order_event", "campaign": "c", "order": 1, "event": "paid"})).await;
    scene.command(json!({"action": "opt_out", "contacts": [phone(2), phone(3)]})).await;
    scene.command(json!({"action": "forget", "contact": phone(3)})).await;
    let lines: Vec<String> = audited(&scene, &[]).await.iter().map(line).collect();
    let acts: Vec<&str> = lines.iter().map(|line| line.split('|').nth(1).unwrap()).collect();
    assert_eq!(acts, ["opt_out", "forget"], "{lines:?}");
    assert!(lines[0].contains("changed 2, contacts 2"), "{lines:?}");
    let found = grep::redis(&mut scene.db, &phone(3)[3..]).await;
    assert!(found.iter().all(|place| !place.starts_with("remesa:audit")), "{found:?}");
}

#[tokio::test]
async fn a_full_redis_takes_the_audit_still() {
    let (mut scene, daemon) = guarded().await;
    let ana = Visitor::of(&daemon).await.bearing(ANA);
    scene.run("generate", &generate_job("c", people(3))).await;
    redis::cmd("CONFIG").arg(&["SET", "maxmemory", "1mb"]).query_async::<()>(&mut scene.db).await.unwrap();
    let answer = ana.post_json("/actions", &json!({"action": "pause", "channel": "sms"})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(line(&audited(&scene, &[]).await[0]), "ana|pause|open|paused||done");
}
