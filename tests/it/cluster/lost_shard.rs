//! A shard that goes away under load: killed and restarted with its append-only file, or for good, so that its replica takes
//! its place with what it had been given until then.

use serde_json::Value;

use super::Stage;
use crate::support::cluster::Cluster;
use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::scene::{people, send_job};

const ROWS: u64 = 300;

/// Two daemons, and a campaign on each shard under way.
async fn under_way(stage: &Stage) -> ([Daemon; 2], Vec<String>) {
    let daemons = [Daemon::start(&stage.settings).await, Daemon::start(&stage.settings.instance("two")).await];
    let campaigns = stage.cluster.campaigns().await;
    for (shard, campaign) in campaigns.iter().enumerate() {
        let rows: Vec<Value> = people(1_000 * shard + 300).split_off(1_000 * shard);
        stage.enqueue("generate", &send_job(campaign, rows)).await;
    }
    (daemons, campaigns)
}

/// Everybody was sent to once, or is unknown.
async fn nobody_is_lost(stage: &Stage, mut daemons: [Daemon; 2], campaigns: &[String], unknown_at_most: u64) {
    let mut unknown = 0;
    for campaign in campaigns {
        stage.run_finished(campaign, "delivery@1").await;
        stage.state(&format!("remesa:{{{campaign}}}:campaign"), "delivered").await;
        let ledger = campaign_audit(&mut stage.cluster.node_of(campaign).await, campaign).await;
        unknown += ledger.get("unknown").copied().unwrap_or(0);
        assert_eq!(ledger["sent"] + ledger.get("unknown").copied().unwrap_or(0), ROWS, "lost: {ledger:?}");
    }
    assert_eq!(stage.sandbox.stats().counts.repeated_recipients, 0, "sent twice");
    assert!(unknown <= unknown_at_most, "{unknown} are unknown");
    assert!(daemons.iter_mut().all(Daemon::is_running));
}

#[tokio::test]
async fn a_shard_killed_and_restarted_under_load_costs_nobody_a_message() {
    let mut stage = Stage::new("in_flight = 8\n").await;
    let (daemons, campaigns) = under_way(&stage).await;
    for (shard, accepted) in [(0, 100), (1, 250), (2, 400)] {
        counted(&stage.sandbox, "some are accepted", |stats| stats.counts.accepted >= accepted).await;
        stage.cluster.restart(shard).await;
        stage.cluster.is_whole().await;
    }
    nobody_is_lost(&stage, daemons, &campaigns, 3 * 16).await;
}

#[tokio::test]
async fn a_shard_whose_replica_takes_its_place_under_load_costs_nobody_a_message() {
    let mut stage = Stage::over(Cluster::start_with_replicas().await, "in_flight = 8\n").await;
    let (daemons, campaigns) = under_way(&stage).await;
    for (shard, accepted) in [(0, 100), (2, 400)] {
        counted(&stage.sandbox, "some are accepted", |stats| stats.counts.accepted >= accepted).await;
        stage.cluster.fail_over(shard).await;
    }
    nobody_is_lost(&stage, daemons, &campaigns, 2 * 16).await;
}
