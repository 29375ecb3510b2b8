//! Redis: the connection, every key, every script, and a typed function for each.
//!
//! Guarantees: what must be atomic is one script over one campaign or one stream; no script grows
//! with a backlog; nothing here decides a rule (the rules are in `domain`, their application in
//! `handler`). Start reading at [`keys`], then [`runs`]: the ledger is the heart.

pub mod active;
pub mod alarms;
pub mod audit;
pub mod barrier;
pub mod campaigns;
pub mod caps;
pub mod case_view;
pub mod cases;
pub mod channels;
pub mod circles;
pub mod connection;
pub mod creating;
pub mod embedded;
pub mod entries;
pub mod forget;
pub mod history;
pub mod imports;
pub mod janitor;
pub mod jobs;
pub mod keys;
pub mod landing;
pub mod lasting;
pub mod leases;
pub mod letters;
pub mod messages;
pub mod optouts;
pub mod orders;
pub mod outbox;
pub mod pressure;
pub mod publisher;
pub mod queue_length;
pub mod reassert;
pub mod receipts;
pub mod records;
pub mod recurring;
pub mod replicas;
pub mod replies;
pub mod runs;
pub mod script;
mod scripts;
pub mod server;
pub mod sift;
pub mod slots;
pub mod sources;
mod surely;
pub mod system;
pub mod templates;
pub mod view;
pub mod warnings;

use std::{collections::HashMap, sync::Arc};

pub use connection::{Connection, ServerIdentity, StoreError, Timeouts};
pub use keys::Keys;

/// The consumer group of every job stream.
pub const GROUP: &str = "remesa";

/// Redis as the rest of the crate sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    /// The shared connection.
    pub connection: Connection,
    /// The key names.
    pub keys: Arc<Keys>,
}

impl Store {
    /// A store over `connection` with keys under `prefix`.
    pub fn new(connection: Connection, prefix: &str) -> Self {
        Self { connection, keys: Arc::new(Keys::new(prefix)) }
    }

    /// The same store over a connection of its own.
    #[must_use]
    pub fn separate(&self) -> Self {
        Self { connection: self.connection.separate(), keys: Arc::clone(&self.keys) }
    }

    /// The same store over a connection for reads that block so long.
    #[must_use]
    pub fn blocking(&self, block: std::time::Duration) -> Self {
        Self { connection: self.connection.blocking(block), keys: Arc::clone(&self.keys) }
    }

    /// The same store for calls that are to reach this server and no other.
    #[must_use]
    pub fn only_on(&self, server: &Arc<ServerIdentity>) -> Self {
        Self { connection: self.connection.only_on(server), keys: Arc::clone(&self.keys) }
    }

    /// A small hash, whole. Only for hashes whose size does not grow with a campaign.
    pub async fn hash(&self, key: &str) -> Result<HashMap<String, String>, StoreError> {
        self.connection.query(redis::cmd("HGETALL").arg(key)).await
    }
}

/// An answer of a script, read from left to right.
#[derive(Debug)]
pub(crate) struct Answer(std::vec::IntoIter<String>);

impl Answer {
    pub(crate) fn new(parts: Vec<String>) -> Self {
        Self(parts.into_iter())
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        self.0.next().ok_or_else(|| StoreError::Refused("a script answered too little".into()))
    }

    pub(crate) fn number<T: std::str::FromStr>(&mut self) -> Result<T, StoreError> {
        let text = self.text()?;
        text.parse().map_err(|_| StoreError::Refused(format!("a script answered {text:?} for a number")))
    }

    /// A text, none where it is empty.
    pub(crate) fn some_text(&mut self) -> Result<Option<String>, StoreError> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.len() == 0
    }

    pub(crate) fn rest(self) -> impl Iterator<Item = String> {
        self.0
    }
}
