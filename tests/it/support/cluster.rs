//! A Redis Cluster of three masters: real processes on free loopback ports, each with its append-only file.

use redis::aio::MultiplexedConnection;

use super::redis::{Redis, free_port};
use super::wait;

const SHARDS: usize = 3;

/// Slots of a cluster.
const SLOTS: usize = 16_384;

/// Three masters that share the slots.
pub(crate) struct Cluster {
    nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts them and waits until each says that the cluster is whole.
    pub(crate) async fn start() -> Self {
        let mut nodes = Vec::new();
        for shard in 0..SHARDS {
            let bus = free_port().to_string();
            // Flushed before each reply, so that a kill loses nothing.
            let settings = ["--appendonly", "yes", "--cluster-enabled", "yes", "--cluster-port", &bus];
            let node = Redis::start_as(&settings).await;
            let mut connection = node.connect().await;
            let (first, last) = (shard * SLOTS / SHARDS, (shard + 1) * SLOTS / SHARDS - 1);
            let mut serve = redis::cmd("CLUSTER");
            let () = serve.arg("ADDSLOTSRANGE").arg(first).arg(last).query_async(&mut connection).await.unwrap();
            nodes.push((node, bus));
        }
        let mut first = nodes[0].0.connect().await;
        for (node, bus) in &nodes[1..] {
            let mut meet = redis::cmd("CLUSTER");
            meet.arg("MEET").arg("127.0.0.1").arg(node.port()).arg(bus);
            let () = meet.query_async(&mut first).await.unwrap();
        }
        let cluster = Self { nodes: nodes.into_iter().map(|(node, _)| node).collect() };
        cluster.is_whole().await;
        cluster
    }

    /// Waits until every node says that all slots are served.
    pub(crate) async fn is_whole(&self) {
        for node in &self.nodes {
            let mut connection = node.connect().await;
            wait::until("the cluster is whole", async || {
                let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await.ok()?;
                (info.contains("cluster_state:ok") && info.contains("cluster_size:3")).then_some(())
            })
            .await;
        }
    }

    /// The address, as `redis.url`: two of the nodes lead to all.
    pub(crate) fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", self.nodes[0].port(), self.nodes[1].port())
    }

    /// Which node has this key.
    pub(crate) async fn shard_of(&self, key: &str) -> usize {
        let mut connection = self.nodes[0].connect().await;
        let mut ask = redis::cmd("CLUSTER");
        let slot: usize = ask.arg("KEYSLOT").arg(key).query_async(&mut connection).await.unwrap();
        (0..SHARDS).find(|shard| slot < (shard + 1) * SLOTS / SHARDS).unwrap()
    }

    /// A connection to the node that has this campaign.
    pub(crate) async fn node_of(&self, campaign: &str) -> MultiplexedConnection {
        let shard = self.shard_of(&format!("{{{campaign}}}")).await;
        self.nodes[shard].connect().await
    }

    /// Names of campaigns, one on each node.
    pub(crate) async fn campaigns(&self) -> Vec<String> {
        let mut names = vec![None; SHARDS];
        for number in 0.. {
            let name = format!("c-{number}");
            names[self.shard_of(&format!("{{{name}}}")).await].get_or_insert(name);
            if names.iter().all(Option::is_some) {
                break;
            }
        }
        names.into_iter().flatten().collect()
    }

    /// Kills a node and starts it again with what its append-only file holds.
    pub(crate) async fn restart(&mut self, shard: usize) {
        self.nodes[shard].restart().await;
    }
}
