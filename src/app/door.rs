//! The door: the HTTP listener, open from the first moment of a start on.
//!
//! A start may wait for a Redis that reads a large file. Meanwhile the door answers that the daemon is alive and not
//! started; the daemon itself takes the door over when it is ready, and no connection is refused in between: both
//! listen on the same socket. A reload hands it on in the same way.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    http::{self, HttpState},
};

/// The listener of health, metrics, receipts and the look-up.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    address: SocketAddr,
    started: CancellationToken,
}

impl Door {
    /// Opens it, if there is to be one; until [`Door::serve`] it says that the daemon starts.
    pub(super) async fn open(config: &Config, tasks: &TaskTracker) -> anyhow::Result<Option<Self>> {
        let Some(address) = config.http_listen else { return Ok(None) };
        let bound = tokio::net::TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}: set http.listen to a free port, or to \"\" for none")
        })?;
        let listener = bound.into_std()?;
        let door = Self { address: listener.local_addr()?, listener, started: CancellationToken::new() };
        tasks.spawn(http::serve_start(door.another()?, door.started.clone()));
        Ok(Some(door))
    }

    fn another(&self) -> std::io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.listener.try_clone()?)
    }

    /// Where it is.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A daemon is ready and answers from now on, until `end`; `tasks` wait for its last answer.
    pub(super) fn serve(&self, state: HttpState, tasks: &TaskTracker, end: CancellationToken) -> std::io::Result<()> {
        tasks.spawn(http::serve(self.another()?, state, end));
        self.started.cancel();
        Ok(())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.started.cancel();
    }
}
