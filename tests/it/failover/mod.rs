//! Sentinels, failovers and partitions: three sentinels, a master and its replica as real processes, and daemons that
//! know only the sentinels. Counted at the provider.

mod partition;
mod sentinels;
mod tls;
mod waiting;

use crate::support::ledger::campaign_audit;
use crate::support::scene::Scene;
use crate::support::sentinel::Watched;

/// A campaign of so many recipients has come to its end: nobody was lost, nobody was sent to twice, and at most so many
/// are unknown.
async fn came_to_its_end(scene: &mut Scene, recipients: u64, unknown_at_most: u64) {
    scene.finished("c").await;
    scene.campaign_is("c", "delivered").await;
    let ledger = campaign_audit(&mut scene.db, "c").await;
    let (counts, unknown) = (scene.sandbox.stats().counts, ledger.get("unknown").copied().unwrap_or(0));
    assert_eq!(counts.repeated_recipients, 0, "sent twice: {ledger:?}");
    assert_eq!(ledger["sent"] + unknown, recipients, "lost: {ledger:?}");
    assert!(unknown <= unknown_at_most, "{ledger:?}");
    assert!((ledger["sent"]..=recipients).contains(&counts.accepted), "{ledger:?} {counts:?}");
}

/// A scene whose daemons ask the sentinels for their Redis, with so many replicas and further settings of all servers.
async fn watched(replicas: usize, settings: &[&str]) -> (Scene, Watched) {
    let (master, watched) = Watched::start(replicas, settings).await;
    let channel = "in_flight = 8\n";
    let scene = Scene::through(&watched.url(), master, channel, |sandbox| sandbox.latency_max_ms = 20).await;
    (scene, watched)
}
