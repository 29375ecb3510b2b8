//! The connections of an HTTP server: an idle one that can be written to, else a new one.
//!
//! A connection older than `pool_idle` is never used: providers close idle ones, and a request that meets the closing
//! would end `unknown`. The pool does not bound connections; the channel's permits do. Where this machine has no socket
//! left, nothing is sent and nobody's attempt is counted.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::DeliverError;
use super::failure::{Rules, Trouble, classify};
use super::idle::Idle;
use super::line::Line;
use super::shortage::shortage;
use super::socket::Endpoint;

/// Connections of one channel.
pub(super) struct Pool {
    endpoint: Endpoint,
    idle: Idle<Line>,
    connect_timeout: Duration,
}

impl Pool {
    /// An empty pool.
    pub(super) fn new(endpoint: Endpoint, most_idle: usize, idle_limit: Duration, connect_timeout: Duration) -> Self {
        Self { endpoint, idle: Idle::new(most_idle, idle_limit), connect_timeout }
    }

    /// A connection that can be written to: an idle one, else a new one. Never waits past the deadline.
    pub(super) async fn line(&self, deadline: Instant, rules: &Rules) -> Result<Line, DeliverError> {
        while let Some(mut line) = self.idle.youngest() {
            if line.is_usable().await {
                return Ok(line);
            }
        }
        let now = Instant::now();
        let patience = now + self.connect_timeout;
        match timeout_at(patience.min(deadline).into(), Line::open(&self.endpoint)).await {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(Trouble::NoSocket)) => Err(shortage(deadline).await),
            Ok(Err(trouble)) => Err(classify(&trouble, rules).into()),
            Err(_) if deadline <= patience => Err(DeliverError::NotSent),
            Err(_) => Err(classify(&Trouble::ConnectTimeout, rules).into()),
        }
    }

    /// Takes a connection back whose answer was read to its end.
    pub(super) fn put_back(&self, line: Line) {
        self.idle.put(line);
    }

    /// Closes what has been idle for too long.
    pub(super) fn drop_idle(&self) {
        self.idle.drop_old();
    }
}
