//! A Redis Cluster of three masters, each with a replica or without: real processes on free loopback ports, each with its
//! append-only file.

use redis::aio::MultiplexedConnection;

use super::redis::{Redis, free_port};
use super::wait;

const SHARDS: usize = 3;

/// Slots of a cluster.
const SLOTS: usize = 16_384;

async fn meet(first: &mut MultiplexedConnection, node: &Redis, bus: &str) {
    let mut meet = redis::cmd("CLUSTER");
    let () = meet.arg("MEET").arg("127.0.0.1").arg(node.port()).arg(bus).query_async(first).await.unwrap();
}

/// Three masters that share the slots, and their replicas.
pub(crate) struct Cluster {
    nodes: Vec<Redis>,
    replicas: Vec<Option<Redis>>,
}

/// A node of its own, and the port of its bus.
async fn node() -> (Redis, String) {
    let bus = free_port().to_string();
    // Flushed before each reply, so that a kill loses nothing.
    let settings = ["--appendonly", "yes", "--cluster-enabled", "yes", "--cluster-port", &bus];
    let quick = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
    // A node that is slow on a busy machine is not to be taken for dead, nor a replica for too old.
    let patient = ["--cluster-node-timeout", "3000", "--cluster-replica-validity-factor", "0"];
    (Redis::start_as(&[settings.as_slice(), &patient, &quick].concat()).await, bus)
}

impl Cluster {
    /// Starts them and waits until each says that the cluster is whole.
    pub(crate) async fn start() -> Self {
        let mut nodes = Vec::new();
        for shard in 0..SHARDS {
            let (node, bus) = node().await;
            let mut connection = node.connect().await;
            let (first, last) = (shard * SLOTS / SHARDS, (shard + 1) * SLOTS / SHARDS - 1);
            let mut serve = redis::cmd("CLUSTER");
            let () = serve.arg("ADDSLOTSRANGE").arg(first).arg(last).query_async(&mut connection).await.unwrap();
            nodes.push((node, bus));
        }
        let mut first = nodes[0].0.connect().await;
        for (node, bus) in &nodes[1..] {
            meet(&mut first, node, bus).await;
        }
        let nodes = nodes.into_iter().map(|(node, _)| node).collect();
        let cluster = Self { nodes, replicas: Vec::new() };
        cluster.is_whole().await;
        cluster
    }

    /// The same with a replica of each master, in step with it.
    pub(crate) async fn start_with_replicas() -> Self {
        let mut cluster = Self::start().await;
        let mut first = cluster.nodes[0].connect().await;
        for shard in 0..SHARDS {
            let (replica, bus) = node().await;
            meet(&mut first, &replica, &bus).await;
            let mut master = cluster.nodes[shard].connect().await;
            let id: String = redis::cmd("CLUSTER").arg("MYID").query_async(&mut master).await.unwrap();
            let mut connection = replica.connect().await;
            wait::until("the replica follows its master", async || {
                // Unknown to it until it has heard of it.
                let mut follow = redis::cmd("CLUSTER");
                follow.arg("REPLICATE").arg(&id).query_async::<()>(&mut connection).await.ok()
            })
            .await;
            wait::until("the replica is in step", async || {
                let mut connection = replica.connect().await;
                let info: String = redis::cmd("INFO").arg("replication").query_async(&mut connection).await.ok()?;
                info.contains("master_link_status:up").then_some(())
            })
            .await;
            cluster.replicas.push(Some(replica));
        }
        // Each master knows its replica, or it would not be elected.
        for node in &cluster.nodes {
            let mut connection = node.connect().await;
            wait::until("all nodes know each other", async || {
                let nodes: String = redis::cmd("CLUSTER").arg("NODES").query_async(&mut connection).await.ok()?;
                let up =
                    nodes.lines().filter(|node| node.contains(" connected") && !node.contains("handshake")).count();
                (up == 2 * SHARDS && nodes.matches("slave").count() == SHARDS).then_some(())
            })
            .await;
        }
        cluster
    }

    /// Kills the master of a shard for good, and waits until its replica serves its slots.
    pub(crate) async fn fail_over(&mut self, shard: usize) {
        self.nodes[shard].kill();
        self.nodes[shard] = self.replicas[shard].take().expect("the shard has a replica");
        wait::until("the replica is the master", async || {
            // A server that changes its role cuts its connections.
            let mut connection = self.nodes[shard].connect().await;
            let info: String = redis::cmd("INFO").arg("replication").query_async(&mut connection).await.ok()?;
            info.contains("role:master").then_some(())
        })
        .await;
        self.is_whole().await;
    }

    /// A connection to each node that serves slots.
    pub(crate) async fn each(&self) -> Vec<MultiplexedConnection> {
        let mut connections = Vec::new();
        for node in &self.nodes {
            connections.push(node.connect().await);
        }
        connections
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
