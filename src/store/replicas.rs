//! Replicas: whether they have what was written, before anything follows from it (`WAIT`).
//!
//! A claim that only the master has is lost with it, and the master that takes its place lets it be made again. So where
//! `redis.wait_replicas` asks for it, nothing leaves before that many replicas have the claim. Not on the claims' own
//! connection, which a `WAIT` would hold up: the replication stream is one, so whoever has something that was written
//! later, on whatever connection, has the claim. Whoever asks while an answer is under way shares the next one.
//!
//! Guarantees: yes means that the server that took the claim has so many replicas that have it. Anything else (too few,
//! too late, another server by now) is no, and the connection is opened anew: sentinels may know another master.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::config::WaitSettings;

use super::{Connection, ServerIdentity, Store, StoreError, entries::millis};

/// Claims that wait for the next answer; those beyond wait to be let in.
const ASKING: usize = 1024;

type Answer = oneshot::Sender<Option<Arc<ServerIdentity>>>;

/// Asks the replicas.
#[derive(Debug, Clone)]
pub struct Replicas {
    asking: mpsc::Sender<Answer>,
}

/// The other end.
#[derive(Debug)]
struct Asker {
    connection: Connection,
    channel: String,
    wait: WaitSettings,
    asked: mpsc::Receiver<Answer>,
}

impl Replicas {
    /// Begins to ask them, over a connection of its own, until every clone of this is gone.
    pub fn start(store: &Store, wait: WaitSettings, tracker: &TaskTracker) -> Self {
        let (asking, asked) = mpsc::channel(ASKING);
        let (connection, channel) = (store.connection.blocking(wait.timeout), store.keys.waited());
        tracker.spawn(Asker { connection, channel, wait, asked }.run());
        Self { asking }
    }

    /// Whether the replicas of `server` have everything that was written there before this was asked.
    pub async fn have_all_of(&self, server: &ServerIdentity) -> bool {
        self.have().await.is_some_and(|theirs| *theirs == *server)
    }

    /// The server whose replicas have everything that was written before this was asked.
    async fn have(&self) -> Option<Arc<ServerIdentity>> {
        let (answer, answered) = oneshot::channel();
        self.asking.send(answer).await.ok()?;
        answered.await.ok()?
    }
}

impl Asker {
    async fn run(mut self) {
        let mut asked = Vec::new();
        while self.asked.recv_many(&mut asked, ASKING).await > 0 {
            let server = match self.ask().await {
                Ok(server) => server,
                Err(error) => {
                    tracing::warn!(%error, "the replicas cannot be asked");
                    None
                }
            };
            if server.is_none() {
                self.connection.reset().await;
            }
            for answer in asked.drain(..) {
                let _ = answer.send(server.clone());
            }
        }
    }

    async fn ask(&self) -> Result<Option<Arc<ServerIdentity>>, StoreError> {
        let Some(server) = self.connection.server().await? else { return Ok(None) };
        let needed = self.wait.replicas.get();
        let mut wait = redis::pipe();
        // What is published goes to the replicas as what is written does: behind everything that was written before.
        wait.cmd("PUBLISH").arg(&self.channel).arg("").ignore();
        wait.cmd("WAIT").arg(needed).arg(millis(self.wait.timeout));
        let (have,): (u32,) = self.connection.only_on(&server).pipeline(&wait).await?;
        if have < needed {
            tracing::warn!(have, needed, "too few replicas have the latest claims: they are released");
            return Ok(None);
        }
        Ok(Some(server))
    }
}
