//! The idle connections of a channel.
//!
//! Last in, first out, so that a channel with little traffic keeps few connections warm and lets the others grow old.
//! A connection older than `pool_idle` is never used: providers close idle ones, and a request that meets the closing
//! would end `unknown`. The pool does not bound connections; the channel's permits do.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::DeliverError;
use super::failure::{Rules, Trouble, classify};
use super::line::{Endpoint, Line};

/// Connections of one channel.
pub(super) struct Pool {
    endpoint: Endpoint,
    idle: Mutex<VecDeque<Line>>,
    most_idle: usize,
    idle_limit: Duration,
    connect_timeout: Duration,
}

impl Pool {
    /// An empty pool.
    pub(super) fn new(endpoint: Endpoint, most_idle: usize, idle_limit: Duration, connect_timeout: Duration) -> Self {
        Self { endpoint, idle: Mutex::new(VecDeque::new()), most_idle, idle_limit, connect_timeout }
    }

    /// A connection that can be written to: an idle one, else a new one. Never waits past the deadline.
    pub(super) async fn line(&self, deadline: Instant, rules: &Rules) -> Result<Line, DeliverError> {
        while let Some(mut line) = self.youngest() {
            if line.is_usable().await {
                return Ok(line);
            }
        }
        let now = Instant::now();
        let patience = now + self.connect_timeout;
        match timeout_at(patience.min(deadline).into(), Line::open(&self.endpoint)).await {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(trouble)) => Err(classify(&trouble, rules).into()),
            Err(_) if deadline <= patience => Err(DeliverError::NotSent),
            Err(_) => Err(classify(&Trouble::ConnectTimeout, rules).into()),
        }
    }

    /// Takes a connection back whose answer was read to its end.
    pub(super) fn put_back(&self, mut line: Line) {
        line.idle_since = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most_idle {
            idle.push_back(line);
        }
    }

    /// Closes what has been idle for too long.
    pub(super) fn drop_idle(&self) {
        let old = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = idle.iter().position(|line| line.idle_since.elapsed() < self.idle_limit).unwrap_or(idle.len());
            let young = idle.split_off(kept);
            std::mem::replace(&mut *idle, young)
        };
        // Closing sockets is not done under the lock.
        drop(old);
    }

    fn youngest(&self) -> Option<Line> {
        let line = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_back()?;
        if line.idle_since.elapsed() < self.idle_limit {
            return Some(line);
        }
        // The youngest is too old, so all are.
        self.drop_idle();
        None
    }
}
