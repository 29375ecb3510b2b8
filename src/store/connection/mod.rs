//! The connection to Redis: one multiplexed connection that is opened again when it breaks.
//!
//! Guarantees: a call never waits longer than the configured time-out; an error that says "this is
//! not the master I should talk to" (`READONLY`, `LOADING`, `MASTERDOWN`, `NOREPLICAS`) or a broken connection
//! drops it, so that the next call resolves the address and connects anew. Calls are not repeated
//! here: only the caller knows whether a repeat is safe. A server that is newly connected to is asked
//! who it is first ([`ServerIdentity`]), and what it says is told before the first command goes there.

mod error;
mod identity;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, aio::MultiplexedConnection};
use tokio::sync::{Mutex, watch};

pub use error::StoreError;
use error::breaks_connection;
use identity::Announcer;
pub use identity::ServerIdentity;

/// Time-outs of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For opening a connection.
    pub connect: Duration,
    /// For one answer. redis-rs defaults to 500 ms, which loses the reply of a blocking read.
    pub response: Duration,
}

/// A shared, self-healing connection. Clones share it.
#[derive(Debug, Clone)]
pub struct Connection {
    inner: Arc<Inner>,
    /// Every call fails on another server than this.
    only: Option<Arc<ServerIdentity>>,
}

/// A connection in use, and whom it leads to.
#[derive(Clone)]
struct Current {
    generation: u64,
    server: Arc<ServerIdentity>,
    connection: MultiplexedConnection,
}

struct Inner {
    client: Client,
    timeouts: Timeouts,
    current: Mutex<Option<Current>>,
    generation: AtomicU64,
    /// Shared by all connections to this address.
    announcer: Arc<Announcer>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client's address may carry a password.
        f.debug_struct("Inner").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

impl Connection {
    /// Prepares a connection to `url` (`redis://`, `unix://`); nothing is opened yet.
    pub fn new(url: &str, timeouts: Timeouts) -> Result<Self, StoreError> {
        let client = Client::open(url).map_err(|e| StoreError::Refused(e.to_string()))?;
        Ok(Self::over(client, timeouts, Arc::new(Announcer::new())))
    }

    fn over(client: Client, timeouts: Timeouts, announcer: Arc<Announcer>) -> Self {
        let (current, generation) = (Mutex::new(None), AtomicU64::new(0));
        Self { inner: Arc::new(Inner { client, timeouts, current, generation, announcer }), only: None }
    }

    /// A connection of its own to the same server, for a thread or a load of its own.
    #[must_use]
    pub fn separate(&self) -> Self {
        self.blocking(Duration::ZERO)
    }

    /// A connection of its own for reads that block so long: an answer has that time on top.
    #[must_use]
    pub fn blocking(&self, block: Duration) -> Self {
        let Timeouts { connect, response } = self.inner.timeouts;
        let timeouts = Timeouts { connect, response: response + block };
        Self::over(self.inner.client.clone(), timeouts, Arc::clone(&self.inner.announcer))
    }

    /// Which server answers: `None` until the first connection, then the server of the newest one, over all connections
    /// that were made of this one or that this one was made of. It is told before the first command of a connection.
    pub fn servers(&self) -> watch::Receiver<Option<ServerIdentity>> {
        self.inner.announcer.listen()
    }

    /// The same connection for calls that are to reach this server and no other: on another one they fail as
    /// [`StoreError::Unavailable`], unsent.
    #[must_use]
    pub fn only_on(&self, server: &Arc<ServerIdentity>) -> Self {
        Self { inner: Arc::clone(&self.inner), only: Some(Arc::clone(server)) }
    }

    /// How often a broken connection was opened again, over all that were made of this one or that this one was made of.
    pub fn times_reopened(&self) -> u64 {
        self.inner.announcer.times_reopened()
    }

    async fn open(&self) -> Result<(u64, MultiplexedConnection), StoreError> {
        let current = self.connect().await?;
        match &self.only {
            Some(only) if **only != *current.server => {
                if self.inner.announcer.is_overtaken(&current.server) {
                    self.drop_generation(current.generation).await;
                }
                Err(StoreError::Unavailable("the server is another one by now".into()))
            }
            _ => Ok((current.generation, current.connection)),
        }
    }

    async fn connect(&self) -> Result<Current, StoreError> {
        let mut current = self.inner.current.lock().await;
        if let Some(current) = current.as_ref() {
            return Ok(current.clone());
        }
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.inner.timeouts.connect))
            .set_response_timeout(Some(self.inner.timeouts.response));
        let mut connection = self
            .inner
            .client
            .get_multiplexed_async_connection_with_config(&settings)
            .await
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let server = Arc::new(ServerIdentity::ask(&mut connection).await?);
        self.inner.announcer.announce(&server);
        let generation = self.inner.generation.fetch_add(1, Ordering::Relaxed);
        if generation > 0 {
            self.inner.announcer.reopened();
        }
        let opened = Current { generation, server, connection };
        *current = Some(opened.clone());
        Ok(opened)
    }

    async fn check<T>(&self, generation: u64, answer: Result<T, RedisError>) -> Result<T, StoreError> {
        match answer {
            Ok(value) => Ok(value),
            Err(error) => {
                if breaks_connection(&error) {
                    self.drop_generation(generation).await;
                }
                Err(error.into())
            }
        }
    }

    async fn drop_generation(&self, generation: u64) {
        let mut current = self.inner.current.lock().await;
        if current.as_ref().is_some_and(|current| current.generation == generation) {
            *current = None;
        }
    }

    /// Drops the connection; the next call opens a new one.
    pub async fn reset(&self) {
        *self.inner.current.lock().await = None;
    }

    /// One command.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let (generation, mut connection) = self.open().await?;
        let answer = command.query_async(&mut connection).await;
        self.check(generation, answer).await
    }

    /// Several commands in one go, not atomic: whoever needs atomicity writes a script.
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        // Nothing asked is nothing answered; the client would call it an error.
        if pipeline.is_empty() {
            return Ok(redis::from_redis_value(redis::Value::Array(Vec::new())).map_err(RedisError::from)?);
        }
        let (generation, mut connection) = self.open().await?;
        let answer = pipeline.query_async(&mut connection).await;
        self.check(generation, answer).await
    }

    /// Messages published on `channel`, over a connection of their own.
    pub async fn subscribe(
        &self,
        channel: &str,
    ) -> Result<impl futures_util::Stream<Item = redis::Msg> + use<>, StoreError> {
        let mut subscription = self.inner.client.get_async_pubsub().await?;
        subscription.subscribe(channel).await?;
        Ok(subscription.into_on_message())
    }
}
