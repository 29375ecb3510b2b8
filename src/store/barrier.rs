//! The barrier: on which server outcomes may be written by now, and on which recipients may be claimed.
//!
//! A server that took over from another may lack what that one took last. So on a server that is new to us no outcome is
//! written before our own claims and outcomes stand there again, and nobody is claimed before those of all daemons do
//! (`journal`). Whoever passes gets a store that reaches only the server the barrier was opened for: a call that would
//! land on the next one fails, and comes to the barrier again.

use std::sync::Arc;

use tokio::sync::watch;

use super::{ServerIdentity, Store};

/// How far the server that answers now may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// It is new, or there is none.
    Closed,
    /// What this daemon did stands there.
    Ours(Arc<ServerIdentity>),
    /// What every daemon did stands there.
    Everybodys(Arc<ServerIdentity>),
}

/// Shared by the turns, the renewer, and the keeper of the journal, who opens and closes it.
#[derive(Debug)]
pub struct Barrier(watch::Sender<Standing>);

impl Default for Barrier {
    fn default() -> Self {
        Self(watch::Sender::new(Standing::Closed))
    }
}

impl Barrier {
    /// Nothing may be written, and nobody claimed.
    pub fn close(&self) {
        self.0.send_replace(Standing::Closed);
    }

    /// What we did stands on `server`: outcomes may be written there.
    pub fn open_to_outcomes(&self, server: &Arc<ServerIdentity>) {
        self.0.send_replace(Standing::Ours(Arc::clone(server)));
    }

    /// What everybody did stands there: recipients may be claimed.
    pub fn open(&self, server: &Arc<ServerIdentity>) {
        self.0.send_replace(Standing::Everybodys(Arc::clone(server)));
    }

    /// The store for outcomes, as soon as they may be written.
    pub async fn to_record(&self, store: &Store) -> Store {
        let server = self.wait_for(|standing| match standing {
            Standing::Closed => None,
            Standing::Ours(server) | Standing::Everybodys(server) => Some(Arc::clone(server)),
        });
        store.only_on(&server.await)
    }

    /// The store for claims, as soon as they may be made, and the server it reaches.
    pub async fn to_claim(&self, store: &Store) -> (Store, Arc<ServerIdentity>) {
        let server = self.wait_for(|standing| match standing {
            Standing::Closed | Standing::Ours(_) => None,
            Standing::Everybodys(server) => Some(Arc::clone(server)),
        });
        let server = server.await;
        (store.only_on(&server), server)
    }

    /// Whether outcomes may be written now.
    pub fn lets_record(&self) -> bool {
        *self.0.borrow() != Standing::Closed
    }

    /// Whether recipients may be claimed now.
    pub fn lets_claim(&self) -> bool {
        matches!(*self.0.borrow(), Standing::Everybodys(_))
    }

    async fn wait_for(&self, pass: impl Fn(&Standing) -> Option<Arc<ServerIdentity>> + Send) -> Arc<ServerIdentity> {
        let mut standing = self.0.subscribe();
        loop {
            let passed = pass(&standing.borrow_and_update());
            match passed {
                Some(server) => return server,
                // We hold the sender: it does not go away.
                None => drop(standing.changed().await),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Connection, Timeouts};
    use futures_util::FutureExt as _;
    use std::time::Duration;

    fn store() -> Store {
        let timeouts = Timeouts { connect: Duration::from_secs(1), response: Duration::from_secs(1) };
        Store::new(Connection::new("redis://127.0.0.1:1", timeouts).unwrap(), "remesa")
    }

    #[tokio::test]
    async fn outcomes_pass_when_ours_are_there_and_claims_when_everybodys_are() {
        let (barrier, store) = (Barrier::default(), store());
        let server = Arc::new(ServerIdentity { run_id: "a".into(), replication_id: "b".into() });
        assert!(barrier.to_record(&store).now_or_never().is_none());
        barrier.open_to_outcomes(&server);
        assert!(barrier.to_record(&store).now_or_never().is_some());
        assert!(barrier.to_claim(&store).now_or_never().is_none());
        barrier.open(&server);
        assert!(barrier.to_record(&store).now_or_never().is_some());
        assert_eq!(barrier.to_claim(&store).now_or_never().unwrap().1, server);
        barrier.close();
        assert!(
            barrier.to_record(&store).now_or_never().is_none() && barrier.to_claim(&store).now_or_never().is_none()
        );
    }
}
