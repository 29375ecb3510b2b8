//! What is answered as kept lasts: for whoever says something once and, told that it is kept, does not say it again.
//!
//! A person who unsubscribes or answers, or the provider that passes it on, gives it once. Where claims wait for replicas
//! (`redis.wait_replicas`), such an answer waits for them too, so that a failover does not lose what was answered as kept;
//! one that they do not have in time is no answer, and is given again. Without that setting what the server had not
//! passed on is lost with it.

use std::sync::Arc;

use super::{ServerIdentity, Store, StoreError, replicas::Replicas};

/// Writes what somebody is told about.
#[derive(Debug)]
pub struct Lasting {
    store: Store,
    replicas: Option<Replicas>,
}

/// Something being written.
#[derive(Debug)]
pub struct Writing<'a> {
    /// Where: on one server.
    pub store: Store,
    awaited: Option<(&'a Replicas, Arc<ServerIdentity>)>,
}

impl Lasting {
    /// Over `store`, with a connection of its own.
    pub fn new(store: &Store, replicas: Option<Replicas>) -> Self {
        Self { store: store.separate(), replicas }
    }

    /// To read, and to write what may be lost.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Begins to write on the server that answers now.
    pub async fn begin(&self) -> Result<Writing<'_>, StoreError> {
        let (store, server) = (self.store.clone(), self.store.connection.server().await?);
        Ok(match (&self.replicas, server) {
            (Some(replicas), Some(server)) => {
                Writing { store: store.only_on(&server), awaited: Some((replicas, server)) }
            }
            (None, _) | (_, None) => Writing { store, awaited: None },
        })
    }
}

impl Writing<'_> {
    /// Whether what was written lasts; an error where nobody may be told so.
    pub async fn lasts(self) -> Result<(), StoreError> {
        let Some((replicas, server)) = self.awaited else { return Ok(()) };
        if replicas.have_all_of(&server).await {
            return Ok(());
        }
        Err(StoreError::Unavailable("too few replicas have it".to_owned()))
    }
}
