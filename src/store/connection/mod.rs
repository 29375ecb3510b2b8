//! The connection to Redis: one multiplexed connection that is opened again when it breaks.
//!
//! Guarantees: a call never waits longer than the configured time-outs; an error that says "this is
//! not the master I should talk to" (`READONLY`, `LOADING`, `MASTERDOWN`, `NOREPLICAS`) or a broken connection
//! drops it, so that the next call resolves the address and connects anew; so does another server that another connection to
//! the same address has found. Calls are not repeated
//! here: only the caller knows whether a repeat is safe. A server that is newly connected to is asked
//! who it is first ([`ServerIdentity`]), and what it says is told before the first command goes there.
//!
//! Which server that is stands in the address: one server; the master that `sentinel` names, asked at each new
//! connection; or the masters of a `cluster`, where each command finds its own.

mod cluster;
mod dial;
mod error;
mod identity;
mod sentinel;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{
    Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{TlsFiles, redis_address::RedisAddress};
use cluster::Cluster;
use dial::Tls;
pub use error::StoreError;
use error::breaks_connection;
use identity::Announcer;
pub use identity::ServerIdentity;
use sentinel::Sentinels;

/// Between two tries to hear what sentinels tell.
const HEARD_AGAIN: Duration = Duration::from_secs(1);

/// Time-outs of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For opening a connection.
    pub connect: Duration,
    /// For one answer. redis-rs defaults to 500 ms, which loses the reply of a blocking read.
    pub response: Duration,
}

/// Where the server is found.
enum Place {
    Server(Client),
    Sentinels(Sentinels),
    Cluster(Arc<Cluster>),
}

/// An opened way to Redis.
#[derive(Clone)]
enum Link {
    Server(MultiplexedConnection),
    Cluster(cluster::Link),
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(server) => server.req_packed_command(command),
            Self::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(server) => server.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(server) => server.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// A shared, self-healing connection. Clones share it.
#[derive(Debug, Clone)]
pub struct Connection {
    inner: Arc<Inner>,
    /// Every call fails on another server than this.
    only: Option<Arc<ServerIdentity>>,
}

struct Inner {
    /// Shared by all connections to this address.
    place: Arc<Place>,
    announcer: Arc<Announcer>,
    timeouts: Timeouts,
    current: Mutex<Option<Open>>,
    generation: AtomicU64,
}

#[derive(Clone)]
struct Open {
    generation: u64,
    link: Link,
    /// The server at the other end, and its number among those that were announced; a cluster has many.
    server: Option<(Arc<ServerIdentity>, u64)>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The place may hold a password.
        f.debug_struct("Inner").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

impl Connection {
    /// Prepares a connection to `url`, an address as the configuration knows them; nothing is opened yet.
    pub fn new(url: &str, timeouts: Timeouts) -> Result<Self, StoreError> {
        let address = RedisAddress::parse(url).ok_or_else(|| StoreError::Refused(RedisAddress::RULE.to_owned()))?;
        Self::to(&address, &TlsFiles::default(), timeouts)
    }

    /// Prepares a connection to `address`, with what these files hold under TLS; nothing is opened yet.
    pub fn to(address: &RedisAddress, tls: &TlsFiles, timeouts: Timeouts) -> Result<Self, StoreError> {
        let tls = &Tls::read(tls)?;
        let announcer = Arc::new(Announcer::new());
        let place = match address {
            RedisAddress::Server(url) => tls.client(url).map(Place::Server),
            RedisAddress::Sentinel(address) => Sentinels::new(address, tls).map(Place::Sentinels),
            RedisAddress::Cluster(address) => {
                Cluster::new(address, tls, Arc::clone(&announcer)).map(Arc::new).map(Place::Cluster)
            }
        };
        let place = place.map_err(|error| StoreError::Refused(error.to_string()))?;
        Ok(Self::over(Arc::new(place), announcer, timeouts))
    }

    fn over(place: Arc<Place>, announcer: Arc<Announcer>, timeouts: Timeouts) -> Self {
        let (current, generation) = (Mutex::new(None), AtomicU64::new(0));
        Self { inner: Arc::new(Inner { place, announcer, timeouts, current, generation }), only: None }
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
        Self::over(Arc::clone(&self.inner.place), Arc::clone(&self.inner.announcer), timeouts)
    }

    /// Which server answers: `None` until the first connection, then the server of the newest one, over all connections
    /// that were made of this one or that this one was made of. It is told before the first command of a connection.
    /// Of a cluster it is all masters together.
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

    /// The server at the other end, connected to where it is not yet. None of a cluster, which has many.
    pub async fn server(&self) -> Result<Option<Arc<ServerIdentity>>, StoreError> {
        Ok(self.open().await?.server.map(|(server, _)| server))
    }

    async fn open(&self) -> RedisResult<Open> {
        let open = self.connect().await?;
        let is_meant = self.only.as_ref().is_none_or(|only| match &open.server {
            Some((server, _)) => server == only,
            // A node of a cluster is asked again when it is connected to.
            None => self.inner.announcer.is_newest(only),
        });
        if is_meant { Ok(open) } else { Err(std::io::Error::other("the server is another one by now").into()) }
    }

    async fn connect(&self) -> RedisResult<Open> {
        let mut current = self.inner.current.lock().await;
        // Where another connection has found another server, this one's is the master no more, whatever it thinks.
        let newest = self.inner.announcer.count();
        if let Some(open) = current.as_ref().filter(|open| open.server.as_ref().is_none_or(|(_, at)| *at == newest)) {
            return Ok(open.clone());
        }
        *current = None;
        let (link, server) = self.link().await?;
        let generation = self.inner.generation.fetch_add(1, Ordering::Relaxed);
        if generation > 0 {
            self.inner.announcer.reopened();
        }
        let open = Open { generation, link, server };
        *current = Some(open.clone());
        Ok(open)
    }

    async fn link(&self) -> RedisResult<(Link, Option<(Arc<ServerIdentity>, u64)>)> {
        let timeouts = self.inner.timeouts;
        let client = match &*self.inner.place {
            Place::Server(client) => client.clone(),
            Place::Sentinels(sentinels) => sentinels.master(timeouts).await?,
            // Its nodes are opened when there is a command for them, and asked then who they are.
            Place::Cluster(cluster) => {
                let link = cluster::Link::new(Arc::clone(cluster), timeouts);
                // All masters have told by then who they are.
                link.masters().await?;
                return Ok((Link::Cluster(link), None));
            }
        };
        let (connection, identity) = dial::dial(&client, timeouts).await?;
        let number = self.inner.announcer.announce(&identity);
        Ok((Link::Server(connection), Some((Arc::new(identity), number))))
    }

    async fn check<T>(&self, open: &Open, answer: RedisResult<T>) -> Result<T, StoreError> {
        if let Err(error) = &answer
            && breaks_connection(error)
            && matches!(open.link, Link::Server(_))
        {
            // A cluster's link drops the node concerned by itself.
            let mut current = self.inner.current.lock().await;
            if current.as_ref().is_some_and(|current| current.generation == open.generation) {
                *current = None;
            }
        }
        Ok(answer?)
    }

    /// Drops the connection; the next call opens a new one.
    pub async fn reset(&self) {
        *self.inner.current.lock().await = None;
    }

    /// One command.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let mut open = self.open().await?;
        let answer = command.query_async(&mut open.link).await;
        self.check(&open, answer).await
    }

    /// Several commands in one go, not atomic: whoever needs atomicity writes a script.
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        // Nothing asked is nothing answered; the client would call it an error.
        if pipeline.is_empty() {
            return Ok(redis::from_redis_value(redis::Value::Array(Vec::new())).map_err(RedisError::from)?);
        }
        let mut open = self.open().await?;
        let answer = pipeline.query_async(&mut open.link).await;
        self.check(&open, answer).await
    }

    /// How many masters share the keys: one, or those of a cluster.
    pub async fn masters(&self) -> Result<usize, StoreError> {
        match self.open().await?.link {
            Link::Server(_) => Ok(1),
            Link::Cluster(cluster) => Ok(cluster.masters().await?),
        }
    }

    /// One command at the master of this number, from 0: for what is asked of each.
    pub async fn at_master<T: FromRedisValue>(&self, number: usize, command: &Cmd) -> Result<T, StoreError> {
        match self.open().await?.link {
            Link::Server(_) => self.query(command).await,
            Link::Cluster(cluster) => {
                let value = cluster.at_master(number, command).await?;
                Ok(redis::from_redis_value(value).map_err(RedisError::from)?)
            }
        }
    }

    /// Hears of failovers until `stop`, where sentinels tell of them: every connection to this address is opened anew then.
    pub async fn follow_failovers(self, stop: CancellationToken) {
        let Place::Sentinels(sentinels) = &*self.inner.place else { return };
        loop {
            let heard = tokio::select! {
                () = stop.cancelled() => return,
                heard = sentinels.failed_over(self.inner.timeouts) => heard,
            };
            match heard {
                Ok(()) => {
                    tracing::warn!("the sentinels tell of another master");
                    self.inner.announcer.distrust();
                }
                Err(error) => {
                    tracing::debug!(%error, "no sentinel is heard for now");
                    tokio::time::sleep(HEARD_AGAIN).await;
                }
            }
        }
    }

    /// Messages published on `channel`, over a connection of their own.
    pub async fn subscribe(
        &self,
        channel: &str,
    ) -> Result<impl futures_util::Stream<Item = redis::Msg> + use<>, StoreError> {
        let timeouts = self.inner.timeouts;
        let client = match &*self.inner.place {
            Place::Server(client) => client.clone(),
            Place::Sentinels(sentinels) => sentinels.master(timeouts).await?,
            // What is published at one node of a cluster is heard at all.
            Place::Cluster(cluster) => cluster.any(timeouts).await?,
        };
        let subscribed = async {
            let mut subscription = client.get_async_pubsub().await?;
            subscription.subscribe(channel).await?;
            Ok(subscription)
        };
        Ok(dial::within(timeouts.connect + timeouts.response, subscribed).await?.into_on_message())
    }
}
