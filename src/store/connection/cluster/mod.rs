//! A Redis Cluster: who is the master of which slot, shared by all connections to it.
//!
//! The map is asked of any node and asked again when a node is away, or says that a slot has moved (`MOVED`: it
//! did not execute the command, so asking the other one is safe). While it is asked for, whoever has the old map goes on with it:
//! a shard that is down holds up nobody at the others. `ASK` and `TRYAGAIN` are not followed: they say that a slot is
//! being moved key by key, and our scripts need the keys of a campaign in one place; the caller tries again.
//!
//! The identity of a cluster is that of all its masters together: a shard that starts again or fails over makes it
//! another one.

mod link;
mod slot;
mod topology;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use redis::{Client, RedisResult, Value};

use super::{ServerIdentity, Timeouts, Tls, dial, identity::Announcer};
use crate::config::redis_address::ClusterAddress;
pub(super) use link::Link;
use topology::Topology;

/// The map is asked for at most this often, however many commands miss their node.
const ASKED_EVERY: Duration = Duration::from_millis(250);

/// What all connections to one cluster share.
pub(super) struct Cluster {
    address: ClusterAddress,
    tls: Tls,
    announcer: Arc<Announcer>,
    known: Mutex<Known>,
    /// One asks at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    topology: Option<Arc<Topology>>,
    /// A command missed its node since the map was asked for.
    is_stale: bool,
    asked_at: Option<Instant>,
    /// The node that told the map: it is asked first.
    teller: Option<String>,
    identities: HashMap<String, ServerIdentity>,
}

impl Known {
    /// The map, unless it is to be asked for again.
    fn fresh(&self) -> Option<Arc<Topology>> {
        let lately = self.asked_at.is_some_and(|at| at.elapsed() < ASKED_EVERY);
        self.topology.clone().filter(|_| lately || !self.is_stale)
    }

    /// All masters as one, once all of them are known.
    fn identity(&self) -> Option<ServerIdentity> {
        let masters = self.topology.as_ref()?.masters();
        let identities: Option<Vec<_>> = masters.iter().map(|master| self.identities.get(master)).collect();
        ServerIdentity::joint(&identities?)
    }
}

impl Cluster {
    pub(super) fn new(address: &ClusterAddress, tls: &Tls, announcer: Arc<Announcer>) -> RedisResult<Self> {
        let cluster = Self {
            address: address.clone(),
            tls: tls.clone(),
            announcer,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        };
        // What cannot be an address is refused now.
        address.seeds().iter().try_for_each(|seed| cluster.client(seed).map(drop))?;
        Ok(cluster)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of the node at `host`.
    pub(super) fn client(&self, host: &str) -> RedisResult<Client> {
        self.tls.client(&self.address.server_url(host))
    }

    /// The client of some master.
    pub(super) async fn any(&self, timeouts: Timeouts) -> RedisResult<Client> {
        let topology = self.topology(timeouts).await?;
        topology.masters().first().map_or_else(|| Err(link::fewer_masters()), |host| self.client(host))
    }

    /// A command missed its node: the next one asks who is where.
    fn mistrust(&self) {
        self.known().is_stale = true;
    }

    /// Notes who a node is, and tells it where that makes the cluster another one. Returns whether it does.
    fn note(&self, host: &str, identity: ServerIdentity) -> bool {
        let (before, joint) = {
            let mut known = self.known();
            let before = known.identity();
            known.identities.insert(host.to_owned(), identity);
            (before, known.identity())
        };
        if let Some(joint) = &joint {
            self.announcer.announce(joint);
        }
        joint != before
    }

    /// The map of the cluster.
    async fn topology(&self, timeouts: Timeouts) -> RedisResult<Arc<Topology>> {
        let old = {
            let known = self.known();
            if let Some(fresh) = known.fresh() {
                return Ok(fresh);
            }
            known.topology.clone()
        };
        let _asking = match (self.asking.try_lock(), old) {
            (Ok(asking), _) => asking,
            (Err(_), Some(old)) => return Ok(old),
            (Err(_), None) => self.asking.lock().await,
        };
        if let Some(fresh) = self.known().fresh() {
            return Ok(fresh);
        }
        self.ask(timeouts).await
    }

    async fn ask(&self, timeouts: Timeouts) -> RedisResult<Arc<Topology>> {
        let hosts = {
            let mut known = self.known();
            // Before the answer: what misses its node from here on asks again.
            known.is_stale = false;
            known.asked_at = Some(Instant::now());
            let masters = known.topology.iter().flat_map(|topology| topology.masters());
            let mut hosts: Vec<String> =
                known.teller.iter().chain(masters).chain(self.address.seeds()).cloned().collect();
            let mut seen = std::collections::HashSet::new();
            hosts.retain(|host| seen.insert(host.clone()));
            hosts
        };
        let mut last = None;
        for host in hosts {
            match self.ask_node(&host, timeouts).await {
                Ok(topology) => return self.take(topology, &host, timeouts).await,
                Err(error) => last = Some(error),
            }
        }
        self.mistrust();
        Err(last.unwrap_or_else(|| std::io::Error::other("the cluster has no nodes").into()))
    }

    async fn ask_node(&self, host: &str, timeouts: Timeouts) -> RedisResult<Topology> {
        let mut connection = dial::connect(&self.client(host)?, timeouts).await?;
        let answer: Value = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
        Topology::read(answer, host)
            .ok_or_else(|| std::io::Error::other(format!("the node {host} knows of no slots of a cluster")).into())
    }

    /// Takes over a map. Masters that nobody has spoken to yet are asked who they are: at the first time all of them
    /// must answer, later one that does not is asked by whoever has a command for it.
    async fn take(&self, topology: Topology, teller: &str, timeouts: Timeouts) -> RedisResult<Arc<Topology>> {
        let (strangers, is_first) = {
            let known = self.known();
            let strange = |host: &&String| !known.identities.contains_key(*host);
            (topology.masters().iter().filter(strange).cloned().collect::<Vec<_>>(), known.topology.is_none())
        };
        for host in strangers {
            match dial::dial(&self.client(&host)?, timeouts).await {
                Ok((_, identity)) => drop(self.note(&host, identity)),
                Err(error) if is_first => {
                    self.mistrust();
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let topology = Arc::new(topology);
        let joint = {
            let mut known = self.known();
            known.identities.retain(|host, _| topology.masters().contains(host));
            known.topology = Some(Arc::clone(&topology));
            known.teller = Some(teller.to_owned());
            known.identity()
        };
        if let Some(joint) = &joint {
            self.announcer.announce(joint);
        }
        Ok(topology)
    }
}
