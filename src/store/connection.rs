//! The connection to Redis: one multiplexed connection that is opened again when it breaks.
//!
//! Guarantees: a call never waits longer than the configured time-out; an error that says "this is
//! not the master I should talk to" (`READONLY`, `LOADING`, `MASTERDOWN`) or a broken connection
//! drops it, so that the next call resolves the address and connects anew. Calls are not repeated
//! here: only the caller knows whether a repeat is safe.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerErrorKind,
    aio::MultiplexedConnection,
};
use tokio::sync::Mutex;

/// What went wrong between us and Redis.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Redis could not be reached, or answered that it cannot serve now; a later try may succeed.
    #[error("redis is unavailable: {0}")]
    Unavailable(String),
    /// Redis is over `maxmemory` and refused a write.
    #[error("redis is out of memory: {0}")]
    OutOfMemory(String),
    /// Redis does not know the script of this digest; [`super::script`] loads it and asks again.
    #[error("redis does not know the script")]
    UnknownScript,
    /// Redis answered something this version does not understand, or refused a command.
    #[error("redis refused a command: {0}")]
    Refused(String),
}

impl StoreError {
    /// Whether waiting and trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::OutOfMemory(_) | Self::UnknownScript => true,
            Self::Refused(_) => false,
        }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) {
            Self::UnknownScript
        } else if is_out_of_memory(&error) {
            Self::OutOfMemory(error.to_string())
        } else if breaks_connection(&error) || error.is_timeout() {
            Self::Unavailable(error.to_string())
        } else {
            Self::Refused(error.to_string())
        }
    }
}

/// Whether Redis refused a command, or one of a pipeline, because it is over `maxmemory`.
fn is_out_of_memory(error: &RedisError) -> bool {
    error.clone().into_server_errors().is_some_and(|errors| errors.iter().any(|(_, error)| error.code() == "OOM"))
}

/// Whether the connection behind this error is of no more use.
pub fn breaks_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
        || error.is_timeout()
        || error.is_unrecoverable_error()
        || matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
        )
}

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
}

struct Inner {
    client: Client,
    timeouts: Timeouts,
    current: Mutex<Option<(u64, MultiplexedConnection)>>,
    generation: AtomicU64,
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
        Ok(Self {
            inner: Arc::new(Inner { client, timeouts, current: Mutex::new(None), generation: AtomicU64::new(0) }),
        })
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
        Self {
            inner: Arc::new(Inner {
                client: self.inner.client.clone(),
                timeouts: Timeouts { connect, response: response + block },
                current: Mutex::new(None),
                generation: AtomicU64::new(0),
            }),
        }
    }

    async fn open(&self) -> Result<(u64, MultiplexedConnection), StoreError> {
        let mut current = self.inner.current.lock().await;
        if let Some((generation, connection)) = current.as_ref() {
            return Ok((*generation, connection.clone()));
        }
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.inner.timeouts.connect))
            .set_response_timeout(Some(self.inner.timeouts.response));
        let connection = self
            .inner
            .client
            .get_multiplexed_async_connection_with_config(&settings)
            .await
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let generation = self.inner.generation.fetch_add(1, Ordering::Relaxed);
        *current = Some((generation, connection.clone()));
        Ok((generation, connection))
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
        if current.as_ref().is_some_and(|(g, _)| *g == generation) {
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
