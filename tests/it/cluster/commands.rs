//! What operators and other systems ask for, with campaigns on every shard: commands, a preview, an export, the erasure of a
//! person, and the removal of what is over.

use std::time::Duration;

use redis::AsyncCommands as _;
use remesa::store::Store;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Stage, case};
use crate::support::daemon::Daemon;
use crate::support::grep;
use crate::support::ledger::campaign_audit;
use crate::support::scene::{people, phone, send_job};
use crate::support::wait;

const ROWS: usize = 20;

/// Somebody who is in every campaign.
const EVERYWHERE: &str = "+34611222333";

/// A campaign of orders and cases on each shard, all sent to once.
async fn stage() -> (Stage, Daemon, Vec<String>) {
    let stage = Stage::new("").await;
    let daemon = Daemon::start(&stage.settings).await;
    let campaigns = stage.cluster.campaigns().await;
    for (shard, campaign) in campaigns.iter().enumerate() {
        let mut rows: Vec<Value> = people(100 * shard + ROWS).split_off(100 * shard);
        rows[4]["SMScontact"] = EVERYWHERE.into();
        stage.run("generate", &send_job(campaign, rows)).await;
        stage.run_finished(campaign, "delivery@1").await;
        let cases: Vec<Value> = (100 * shard + ROWS + 1..=100 * shard + 2 * ROWS).map(case).collect();
        let import = json!({"id": format!("imp-{campaign}"), "campaign": campaign, "country": "ES", "rows": cases});
        stage.run("import", &import).await;
    }
    (stage, daemon, campaigns)
}

impl Stage {
    /// Gives a command and returns what came of it.
    async fn command_of(&self, id: &str, command: Value) -> Value {
        let mut job = command;
        job["id"] = id.into();
        self.run("control", &job).await
    }
}

#[tokio::test]
async fn commands_reach_campaigns_on_every_shard() {
    let (stage, _daemon, campaigns) = stage().await;
    let act = async |campaign: &str, n: usize, mut command: Value| {
        command["campaign"] = campaign.into();
        stage.command_of(&format!("{campaign}-{n}"), command).await
    };
    // A channel is no campaign's: its state is on some shard, its queue on another.
    stage.command_of("pause", json!({"action": "pause", "channel": "sms"})).await;
    for (n, campaign) in campaigns.iter().enumerate() {
        let key = format!("remesa:{{{campaign}}}:campaign");
        let send = json!({"id": format!("send-{campaign}"), "message": "m", "campaign": campaign, "channel": "sms",
                          "text": "Hola {{ first_name }}"});
        stage.run("send", &send).await;
        act(campaign, 1, json!({"action": "pause"})).await;
        stage.state(&key, "paused").await;
        let first_case = format!("p-{}", 100 * n + ROWS + 1);
        act(campaign, 2, json!({"action": "order_event", "order": 1, "event": "paid"})).await;
        act(campaign, 3, json!({"action": "close_case", "case_id": first_case})).await;
        act(campaign, 4, json!({"action": "opt_out", "order": 2})).await;
        act(campaign, 5, json!({"action": "resume"})).await;
        act(campaign, 6, json!({"action": "cancel", "run": "m"})).await;
        let run = stage.hash(&format!("remesa:{{{campaign}}}:run:m")).await;
        assert_eq!(run["state"], "cancelled", "{run:?}");
        let ledger = campaign_audit(&mut stage.cluster.node_of(campaign).await, campaign).await;
        assert_eq!(ledger, [("sent", ROWS as u64), ("skipped", ROWS as u64)].into());
        let totals = stage.hash(&key).await;
        assert_eq!((totals["orders:paid"].as_str(), totals["state"].as_str()), ("1", "delivered"), "{totals:?}");
    }
    let more = json!({"id": "more", "message": "n", "campaign": campaigns[0], "channel": "sms", "text": "Hola"});
    stage.run("send", &more).await;
    assert_eq!(stage.sandbox.stats().counts.accepted, (campaigns.len() * ROWS) as u64);
    stage.command_of("resume", json!({"action": "resume", "channel": "sms"})).await;
    stage.run_finished(&campaigns[0], "n").await;
}

#[tokio::test]
async fn a_preview_and_an_export_count_a_campaign_on_any_shard() {
    let (stage, _daemon, campaigns) = stage().await;
    for campaign in &campaigns {
        let job = json!({"message": "m", "campaign": campaign, "channel": "sms", "text": "Hola {{ first_name }}"});
        let preview = json!({"action": "preview", "queue": "send", "job": job});
        let seen = stage.command_of(&format!("preview-{campaign}"), preview).await;
        assert_eq!(seen["messages"]["send"], ROWS, "{seen}");
        let export = json!({"action": "export", "campaign": campaign, "format": "ndjson"});
        let written = stage.command_of(&format!("export-{campaign}"), export).await;
        assert_eq!(written["rows"], ROWS, "{written}");
        let mut shown = stage.settings.command(&["export", campaign, "--format", "ndjson", "--out", "-"]);
        let lines = String::from_utf8(shown.output().unwrap().stdout).unwrap();
        let sent = lines.lines().filter(|line| line.contains("\"delivery_status\":\"sent\"")).count();
        assert_eq!(sent, ROWS, "{lines}");
    }
}

#[tokio::test]
async fn a_person_is_forgotten_on_every_shard() {
    let (stage, _daemon, campaigns) = stage().await;
    let digits = EVERYWHERE.trim_start_matches('+');
    let note = stage.command_of("forget", json!({"action": "forget", "contact": EVERYWHERE})).await;
    assert_eq!(note["erased"]["orders"], campaigns.len(), "{note}");
    let mut found = Vec::new();
    for mut node in stage.cluster.each().await {
        found.extend(grep::redis(&mut node, digits).await);
    }
    assert_eq!(found, Vec::<String>::new());
    for campaign in &campaigns {
        let ledger = campaign_audit(&mut stage.cluster.node_of(campaign).await, campaign).await;
        assert_eq!(ledger, [("sent", ROWS as u64)].into());
    }
    // The others are still there.
    let other = grep::redis(&mut stage.cluster.node_of(&campaigns[0]).await, phone(1).trim_start_matches('+')).await;
    assert!(!other.is_empty());
}

#[tokio::test]
async fn what_is_over_is_removed_from_every_shard() {
    let (stage, _daemon, campaigns) = stage().await;
    let store = Store::new(stage.db.clone(), "remesa");
    let removed = store.remove_old_campaigns(Duration::ZERO, &CancellationToken::new()).await.unwrap();
    assert_eq!(removed, campaigns.len() as u64);
    // What is kept of a job of a campaign goes by itself, when its time is over.
    wait::until("no key of a campaign is left on any shard for good", async || {
        for mut node in stage.cluster.each().await {
            let keys: Vec<String> = redis::cmd("KEYS").arg("*{c-*}*").query_async(&mut node).await.unwrap();
            for key in keys {
                if node.ttl::<_, i64>(&key).await.unwrap() == -1 {
                    return None;
                }
            }
        }
        Some(())
    })
    .await;
}
