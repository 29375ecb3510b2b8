//! Who a server is: asked of each one that is newly connected to, before its connection is handed out.
//!
//! A server that starts, or a replica that becomes a master, has another replication id: from then on its data may lack
//! what the server before it took last. A replica is never handed out: it answers reads from the past.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use redis::aio::MultiplexedConnection;
use tokio::sync::watch;

use super::StoreError;

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
    pub(super) async fn ask(connection: &mut MultiplexedConnection) -> Result<Self, StoreError> {
        let mut info = redis::cmd("INFO");
        info.arg("server").arg("replication").arg("persistence");
        Self::read(&info.query_async::<String>(connection).await?)
    }

    fn read(info: &str) -> Result<Self, StoreError> {
        let fields: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let word = |name: &str| fields.get(name).copied().unwrap_or_default();
        if word("role") == "slave" {
            let (host, port) = (word("master_host"), word("master_port"));
            return Err(StoreError::Unavailable(format!("the server is a replica of {host}:{port}, not a master")));
        }
        if word("loading") == "1" {
            return Err(StoreError::Unavailable("the server loads its data (LOADING)".into()));
        }
        Ok(Self { run_id: word("run_id").to_owned(), replication_id: word("master_replid").to_owned() })
    }
}

/// The last server that a connection was opened to, told to whoever listens; and how often one was opened again.
#[derive(Debug)]
pub(super) struct Announcer(watch::Sender<Option<ServerIdentity>>, AtomicU64);

impl Announcer {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None), AtomicU64::new(0))
    }

    pub(super) fn listen(&self) -> watch::Receiver<Option<ServerIdentity>> {
        self.0.subscribe()
    }

    /// A connection that had broken was opened again.
    pub(super) fn reopened(&self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was.
    pub(super) fn times_reopened(&self) -> u64 {
        self.1.load(Ordering::Relaxed)
    }

    /// Tells it where it is news.
    pub(super) fn announce(&self, identity: &ServerIdentity) {
        self.0.send_if_modified(|known| {
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
            true
        });
    }

    /// Whether another server than this was met since.
    pub(super) fn is_overtaken(&self, identity: &ServerIdentity) -> bool {
        self.0.borrow().as_ref() != Some(identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(refused.is_transient() && refused.to_string().contains("a replica of 10.0.0.7:6379"), "{refused}");
        assert!(ServerIdentity::read(&MASTER.replace("loading:0", "loading:1")).unwrap_err().is_transient());
    }

    #[test]
    fn only_news_is_told() {
        let announcer = Announcer::new();
        let mut heard = announcer.listen();
        let identity = |id: &str| ServerIdentity { run_id: id.into(), replication_id: id.into() };
        for (id, news) in [("a", true), ("a", false), ("b", true), ("b", false)] {
            announcer.announce(&identity(id));
            assert_eq!(heard.has_changed().unwrap(), news, "{id}");
            assert_eq!(*heard.borrow_and_update(), Some(identity(id)));
        }
    }
}
