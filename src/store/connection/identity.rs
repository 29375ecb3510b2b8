//! Who a server is: asked of each one that is newly connected to, before its connection is handed out.
//!
//! A server that starts, or a replica that becomes a master, has another replication id: from then on its data may lack
//! what the server before it took last. A replica is never handed out: it answers reads from the past.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use redis::{RedisResult, aio::MultiplexedConnection};
use tokio::sync::watch;

use crate::store::script::digest;

/// Which server answers, and which history its data has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ServerIdentity {
    /// Of the process: another one after each start.
    pub run_id: String,
    /// Of the data's history (`master_replid`): another one after each start and after each failover.
    pub replication_id: String,
}

impl std::fmt::Display for ServerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.run_id, self.replication_id)
    }
}

impl ServerIdentity {
    /// Asks the server at the other end who it is. A replica, or a server that still loads, is none to work with.
    pub(super) async fn ask(connection: &mut MultiplexedConnection) -> RedisResult<Self> {
        let mut info = redis::cmd("INFO");
        info.arg("server").arg("replication").arg("persistence");
        Self::read(&info.query_async::<String>(connection).await?)
    }

    /// Several servers as one: it is another one when any of them is. None of none.
    pub(super) fn joint(servers: &[&Self]) -> Option<Self> {
        let joint = |of: fn(&Self) -> &str| {
            let ids: Vec<&str> = servers.iter().map(|server| of(server)).collect();
            digest(ids.join(",").as_bytes())
        };
        (!servers.is_empty()).then(|| Self {
            run_id: joint(|server| &server.run_id),
            replication_id: joint(|server| &server.replication_id),
        })
    }

    fn read(info: &str) -> RedisResult<Self> {
        let fields: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let word = |name: &str| fields.get(name).copied().unwrap_or_default();
        if word("role") == "slave" {
            let (host, port) = (word("master_host"), word("master_port"));
            return Err(unusable(format!("the server is a replica of {host}:{port}, not a master")));
        }
        if word("loading") == "1" {
            return Err(unusable("the server loads its data (LOADING)".into()));
        }
        Ok(Self { run_id: word("run_id").to_owned(), replication_id: word("master_replid").to_owned() })
    }
}

/// A server that another one may take the place of: an outage, which drops the connection.
fn unusable(why: String) -> redis::RedisError {
    std::io::Error::other(why).into()
}

/// The last server that a connection was opened to, told to whoever listens; and how often one was opened again.
#[derive(Debug)]
pub(super) struct Announcer {
    server: watch::Sender<Option<ServerIdentity>>,
    /// How many were told, or distrusted.
    count: AtomicU64,
    reopened: AtomicU64,
}

impl Announcer {
    pub(super) fn new() -> Self {
        Self { server: watch::Sender::new(None), count: AtomicU64::new(0), reopened: AtomicU64::new(0) }
    }

    /// A connection that had broken was opened again.
    pub(super) fn reopened(&self) {
        self.reopened.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was.
    pub(super) fn times_reopened(&self) -> u64 {
        self.reopened.load(Ordering::Relaxed)
    }

    /// Whether this is the server that was told last.
    pub(super) fn is_newest(&self, identity: &ServerIdentity) -> bool {
        self.server.borrow().as_ref() == Some(identity)
    }

    /// How many servers were told, or distrusted, so far.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    pub(super) fn listen(&self) -> watch::Receiver<Option<ServerIdentity>> {
        self.server.subscribe()
    }

    /// The server that was told last may be the master no more: whoever is connected to it connects anew.
    pub(super) fn distrust(&self) {
        self.server.send_if_modified(|_| {
            self.count.store(self.count() + 1, Ordering::Release);
            false
        });
    }

    /// Tells it where it is news. Returns its number among those that were told.
    pub(super) fn announce(&self, identity: &ServerIdentity) -> u64 {
        let mut number = 0;
        self.server.send_if_modified(|known| {
            // Counted while nobody else can tell another one.
            number = self.count();
            if known.as_ref() == Some(identity) {
                return false;
            }
            if known.is_some() {
                tracing::warn!(
                    replication_id = identity.replication_id,
                    "redis is another server, or was started again"
                );
            }
            *known = Some(identity.clone());
            number += 1;
            self.count.store(number, Ordering::Release);
            true
        });
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    fn identity(id: &str) -> ServerIdentity {
        ServerIdentity { run_id: id.into(), replication_id: id.into() }
    }

    const MASTER: &str = "# Server\r\nrun_id:aa\r\n\r\n# Replication\r\nrole:master\r\nmaster_replid:bb\r\n\
                          # Persistence\r\nloading:0\r\n";

    #[test]
    fn a_master_has_a_process_and_a_history() {
        let identity = ServerIdentity::read(MASTER).unwrap();
        assert_eq!(identity, ServerIdentity { run_id: "aa".into(), replication_id: "bb".into() });
    }

    #[test]
    fn a_replica_and_a_server_that_loads_are_not_worked_with() {
        let replica = MASTER.replace("role:master", "role:slave\r\nmaster_host:10.0.0.7\r\nmaster_port:6379");
        let refused = ServerIdentity::read(&replica).unwrap_err();
        assert!(refused.to_string().contains("a replica of 10.0.0.7:6379"), "{refused}");
        let loads = ServerIdentity::read(&MASTER.replace("loading:0", "loading:1")).unwrap_err();
        assert!(StoreError::from(refused).is_transient() && StoreError::from(loads).is_transient());
    }

    #[test]
    fn only_news_is_told() {
        let announcer = Announcer::new();
        let mut heard = announcer.listen();
        for (id, news, number) in [("a", true, 1), ("a", false, 1), ("b", true, 2), ("b", false, 2)] {
            assert_eq!(announcer.announce(&identity(id)), number);
            assert_eq!(heard.has_changed().unwrap(), news, "{id}");
            assert_eq!(*heard.borrow_and_update(), Some(identity(id)));
        }
    }

    #[test]
    fn a_cluster_is_another_one_when_one_of_its_masters_is() {
        let joint = |ids: &[&str]| {
            let servers: Vec<ServerIdentity> = ids.iter().map(|id| identity(id)).collect();
            ServerIdentity::joint(&servers.iter().collect::<Vec<_>>())
        };
        assert_eq!(joint(&["a", "b"]), joint(&["a", "b"]));
        assert_ne!(joint(&["a", "b"]), joint(&["a", "c"]));
        assert_eq!(joint(&[]), None);
    }
}
