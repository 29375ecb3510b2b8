//! One connection's way into a cluster: a connection to each master it has had a command for.
//!
//! A pipeline goes to its masters side by side, a part to each; within a part the order is kept. A command that a node
//! says is another's goes there. A node that breaks is dropped alone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{FutureExt as _, future::join_all};
use redis::{
    Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

use super::{
    Cluster, Timeouts, dial,
    slot::{Route, route},
};
use crate::store::connection::error::breaks_connection;

/// A command that is sent on more often than this runs after slots that move faster than the map.
const SENT_ON: usize = 5;

type Node = Arc<tokio::sync::Mutex<Option<MultiplexedConnection>>>;

/// The way into a cluster. Clones share it.
#[derive(Clone)]
pub(in super::super) struct Link {
    cluster: Arc<Cluster>,
    timeouts: Timeouts,
    nodes: Arc<Mutex<HashMap<String, Node>>>,
}

impl Link {
    pub(in super::super) fn new(cluster: Arc<Cluster>, timeouts: Timeouts) -> Self {
        Self { cluster, timeouts, nodes: Arc::default() }
    }

    fn nodes(&self) -> std::sync::MutexGuard<'_, HashMap<String, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many masters there are.
    pub(in super::super) async fn masters(&self) -> RedisResult<usize> {
        Ok(self.cluster.topology(self.timeouts).await?.masters().len())
    }

    /// One command at the master of this number.
    pub(in super::super) async fn at_master(&self, number: usize, command: &Cmd) -> RedisResult<Value> {
        let topology = self.cluster.topology(self.timeouts).await?;
        let host = topology.masters().get(number).ok_or_else(fewer_masters)?;
        self.ask(host, command).await
    }

    /// The connection to a node, opened where there is none.
    async fn node(&self, host: &str) -> RedisResult<MultiplexedConnection> {
        let node = Arc::clone(self.nodes().entry(host.to_owned()).or_default());
        let mut connection = node.lock().await;
        if let Some(open) = connection.as_ref() {
            return Ok(open.clone());
        }
        let (open, identity) = dial::dial(&self.cluster.client(host)?, self.timeouts).await?;
        let is_another = self.cluster.note(host, identity);
        *connection = Some(open.clone());
        if is_another {
            // Unsent, for it may be meant for the one before (`Connection::only_on`).
            return Err(std::io::Error::other(format!("the master at {host} is another one by now")).into());
        }
        Ok(open)
    }

    /// Drops a node's connection where it is of no more use; the map may be wrong then, too.
    fn judge(&self, host: &str, error: &RedisError) {
        if breaks_connection(error) {
            if self.nodes().remove(host).is_some() {
                self.cluster.announcer.reopened();
            }
            self.cluster.mistrust();
        } else if error.kind() == ErrorKind::Server(ServerErrorKind::ClusterDown) {
            self.cluster.mistrust();
        }
    }

    async fn ask(&self, host: &str, command: &Cmd) -> RedisResult<Value> {
        let asked = async { self.node(host).await?.send_packed_command(command).await.and_then(Value::extract_error) };
        let answer = asked.await;
        if let Err(error) = &answer {
            self.judge(host, error);
        }
        answer
    }

    async fn ask_many(&self, host: &str, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let asked = async { self.node(host).await?.send_packed_commands(pipeline, 0, pipeline.len()).await };
        let answer = asked.await;
        match &answer {
            Err(error) => self.judge(host, error),
            Ok(values) => {
                for value in values {
                    if let Some(error) = refusal(value) {
                        self.judge(host, &error);
                    }
                }
            }
        }
        answer
    }

    /// One command of a slot, sent on to where the slot has moved.
    async fn at_slot(&self, slot: u16, command: &Cmd) -> RedisResult<Value> {
        let mut host = self.cluster.topology(self.timeouts).await?.master_of(slot)?.to_owned();
        let mut sent = 0;
        loop {
            let answer = self.ask(&host, command).await;
            match answer.as_ref().err().and_then(|error| moved_to(error, &host)) {
                Some(other) if sent < SENT_ON => {
                    self.cluster.mistrust();
                    host = other;
                    sent += 1;
                }
                _ => return answer,
            }
        }
    }

    async fn one(&self, command: &Cmd) -> RedisResult<Value> {
        match route(command) {
            Route::Slot(slot) => self.at_slot(slot, command).await,
            Route::Anywhere => self.at_master(0, command).await,
            Route::Everywhere => {
                // A shard that is away misses it, and says so when it is back (`NOSCRIPT`).
                let masters = self.masters().await?;
                let answers = join_all((0..masters).map(|number| self.at_master(number, command))).await;
                let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
                taken.into_iter().chain(refused).next().unwrap_or_else(|| Err(fewer_masters()))
            }
        }
    }

    async fn many(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let hosts = self.hosts(pipeline).await?;
        let mut parts: Vec<(&str, Vec<usize>)> = Vec::new();
        for (at, host) in hosts.iter().enumerate() {
            match parts.iter_mut().find(|(other, _)| other == host) {
                Some((_, commands)) => commands.push(at),
                None => parts.push((host, vec![at])),
            }
        }
        let answers = if let [(host, _)] = parts.as_slice() {
            vec![self.ask_many(host, pipeline).await]
        } else {
            let all: Vec<&Cmd> = pipeline.cmd_iter().collect();
            let part = |commands: &[usize]| {
                let mut part = redis::pipe();
                for command in commands.iter().filter_map(|at| all.get(*at)) {
                    part.add_command((*command).clone());
                }
                part
            };
            let part = &part;
            join_all(parts.iter().map(|(host, commands)| async move { self.ask_many(host, &part(commands)).await }))
                .await
        };
        let mut values = vec![Value::Nil; hosts.len()];
        for ((_, commands), answer) in parts.iter().zip(answers) {
            for (at, value) in commands.iter().zip(answer?) {
                if let Some(place) = values.get_mut(*at) {
                    *place = value;
                }
            }
        }
        for ((value, command), host) in values.iter_mut().zip(pipeline.cmd_iter()).zip(&hosts) {
            if refusal(value).is_some_and(|error| moved_to(&error, host).is_some()) {
                self.cluster.mistrust();
                *value = self.one(command).await?;
            }
        }
        Ok(values)
    }

    /// The master of each command of a pipeline; one without a key goes where the first with a key goes.
    async fn hosts(&self, pipeline: &Pipeline) -> RedisResult<Vec<String>> {
        let topology = self.cluster.topology(self.timeouts).await?;
        let routes: Vec<Route> = pipeline.cmd_iter().map(route).collect();
        let keyed = routes.iter().find_map(|route| match route {
            Route::Slot(slot) => Some(topology.master_of(*slot)),
            Route::Anywhere | Route::Everywhere => None,
        });
        let any = match keyed {
            Some(host) => host?,
            None => topology.masters().first().ok_or_else(fewer_masters)?,
        };
        let host = |route: &Route| match route {
            Route::Slot(slot) => topology.master_of(*slot).map(str::to_owned),
            Route::Anywhere | Route::Everywhere => Ok(any.to_owned()),
        };
        routes.iter().map(host).collect()
    }
}

/// Where a `MOVED` of the node at `host` leads: `<slot> <host>:<port>`, without the host where it is the same.
fn moved_to(error: &RedisError, host: &str) -> Option<String> {
    if error.kind() != ErrorKind::Server(ServerErrorKind::Moved) {
        return None;
    }
    let (other, port) = error.redirect_node()?.0.rsplit_once(':')?;
    let own = host.rsplit_once(':').map_or(host, |(own, _)| own);
    Some(super::super::sentinel::with_port(if other.is_empty() { own } else { other }, port.parse().ok()?))
}

/// The error in place of a command's answer in a pipeline.
fn refusal(value: &Value) -> Option<RedisError> {
    matches!(value, Value::ServerError(_)).then(|| value.clone().extract_error().err()).flatten()
}

pub(super) fn fewer_masters() -> RedisError {
    std::io::Error::other("the cluster has fewer masters than before").into()
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.one(command).boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        _offset: usize,
        _count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.many(pipeline).boxed()
    }

    fn get_db(&self) -> i64 {
        0
    }
}
