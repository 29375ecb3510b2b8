//! A master, its replicas and three sentinels: real processes on free loopback ports, killed when dropped.
//!
//! The master stands behind a wall, a TCP proxy: everybody knows it by the wall's address. The replicas and the sentinels
//! come from 127.0.0.2, daemons and tests from 127.0.0.1, so that a partition can cut off the former and leave the
//! latter their connections, as a switch between two rooms would.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

use super::redis::{Redis, free_port};
use super::wait;
use super::wall::Wall;

/// What the sentinels call the master.
pub(crate) const SERVICE: &str = "main";

/// Where replicas and sentinels come from.
const OTHER_ROOM: &str = "127.0.0.2";

/// How many sentinels must agree that the master is down.
const QUORUM: usize = 2;

/// What stands around a master: its wall, its replicas, three sentinels.
pub(crate) struct Watched {
    pub(crate) replicas: Vec<Redis>,
    pub(crate) wall: Wall,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    port: u16,
    child: Child,
}

impl Watched {
    /// Starts a master and all of this, and waits until the sentinels could fail over. Both servers have these settings
    /// too: `&["--min-replicas-to-write", "1"]`.
    pub(crate) async fn start(replicas: usize, settings: &[&str]) -> (Redis, Self) {
        let settings = [
            settings,
            &["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--protected-mode", "no"],
        ]
        .concat();
        let master = Redis::start_as(&settings).await;
        let wall = Wall::before(master.port());
        let port = wall.port().to_string();
        let of_replica = ["--replicaof", "127.0.0.1", &port, "--bind-source-addr", OTHER_ROOM];
        let mut watched = Self { replicas: Vec::new(), wall, sentinels: Vec::new() };
        for _ in 0..replicas {
            let replica = Redis::start_as(&[settings.as_slice(), &of_replica].concat()).await;
            watched.is_replica(&replica).await;
            watched.replicas.push(replica);
        }
        for number in 0..3 {
            let config = watched.replicas[0].folder().join(format!("sentinel-{number}.conf"));
            watched.sentinels.push(Sentinel::start(&config, watched.wall.port()));
        }
        watched.could_fail_over().await;
        (master, watched)
    }

    /// The address of the service, as `redis.url`.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis+sentinel://{}/{SERVICE}", hosts.join(","))
    }

    /// Kills a sentinel.
    pub(crate) fn kill_sentinel(&mut self, number: usize) {
        end(&mut self.sentinels[number].child);
    }

    /// Waits until this server is the replica of another and in step with it.
    pub(crate) async fn is_replica(&self, server: &Redis) {
        wait::until("a replica is in step with its master", async || {
            // A server that changes its role cuts its connections.
            let mut connection = server.connect().await;
            let info: String = redis::cmd("INFO").arg("replication").query_async(&mut connection).await.ok()?;
            info.contains("master_link_status:up").then_some(())
        })
        .await;
    }

    /// Waits until the sentinels know each other and the replicas.
    async fn could_fail_over(&self) {
        for sentinel in &self.sentinels {
            let connection = sentinel.connect().await;
            wait::until("a sentinel knows the others and the replicas", async || {
                let of = async |what: &str| {
                    let mut ask = redis::cmd("SENTINEL");
                    let mut connection = connection.clone();
                    ask.arg(what).arg(SERVICE).query_async::<Vec<HashMap<String, String>>>(&mut connection).await.ok()
                };
                let replicas = of("replicas").await?;
                let up = |replica: &&HashMap<String, String>| {
                    replica["flags"] == "slave" && replica["master-link-status"] == "ok"
                };
                let others = of("sentinels").await?;
                let met = others.iter().filter(|other| other["flags"] == "sentinel").count();
                (met == QUORUM && replicas.iter().filter(up).count() == self.replicas.len()).then_some(())
            })
            .await;
        }
    }

    /// Waits until a replica is the master.
    pub(crate) async fn failed_over(&self) -> MultiplexedConnection {
        wait::until("a replica is the master", async || {
            for replica in &self.replicas {
                // A server that changes its role cuts its connections.
                let mut replica = replica.connect().await;
                let info: String = redis::cmd("INFO").arg("replication").query_async(&mut replica).await.ok()?;
                if info.contains("role:master") {
                    return Some(replica);
                }
            }
            None
        })
        .await
    }

    /// Orders a failover, as an operator would.
    pub(crate) async fn fail_over(&self) {
        let mut connection = self.sentinels[0].connect().await;
        let () = redis::cmd("SENTINEL").arg("failover").arg(SERVICE).query_async(&mut connection).await.unwrap();
    }
}

impl Sentinel {
    fn start(config: &Path, master: u16) -> Self {
        let port = free_port();
        let text = format!(
            "port {port}\nbind 127.0.0.1\nprotected-mode no\nbind-source-addr {OTHER_ROOM}\nsentinel announce-ip 127.0.0.1\n\
             sentinel monitor {SERVICE} 127.0.0.1 {master} {QUORUM}\n\
             sentinel down-after-milliseconds {SERVICE} 1500\nsentinel failover-timeout {SERVICE} 5000\n"
        );
        std::fs::write(config, text).unwrap();
        let log = std::fs::File::create(config.with_extension("log")).unwrap();
        let child = Command::new("redis-server")
            .arg(config)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("redis-server is on PATH (make test installs it)");
        Self { port, child }
    }

    async fn connect(&self) -> MultiplexedConnection {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(10)));
        let client = Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        wait::until("a connection to a sentinel", async || {
            client.get_multiplexed_async_connection_with_config(&config).await.ok()
        })
        .await
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // Best effort: it may have ended.
    let _ = child.kill();
    let _ = child.wait();
}
