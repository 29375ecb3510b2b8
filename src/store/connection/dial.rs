//! One server at a time: its client with what TLS needs, and a connection that has told who is at its other end.

use std::{path::PathBuf, time::Duration};

use redis::{AsyncConnectionConfig, Client, ClientTlsConfig, RedisResult, TlsCertificates, aio::MultiplexedConnection};

use super::{ServerIdentity, StoreError, Timeouts};
use crate::config::TlsFiles;

/// What TLS needs beside the system's certificates, as PEM.
#[derive(Clone)]
pub(super) struct Tls {
    /// The certificates of those who may sign the servers' ones; without them, those that the system trusts.
    authorities: Option<Vec<u8>>,
    /// Our own certificate and its key, where the servers ask for them.
    own: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn read(files: &TlsFiles) -> Result<Self, StoreError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| StoreError::Refused(format!("cannot read {}: {error}", path.display())))
        };
        let own = files.own.as_ref().map(|(certificate, key)| Ok::<_, StoreError>((read(certificate)?, read(key)?)));
        Ok(Self { authorities: files.authorities.as_ref().map(read).transpose()?, own: own.transpose()? })
    }

    /// The client of the server at `url`.
    pub(super) fn client(&self, url: &str) -> RedisResult<Client> {
        let Self { authorities, own } = self;
        if !url.starts_with("rediss://") || (authorities.is_none() && own.is_none()) {
            return Client::open(url);
        }
        let client_tls = own.clone().map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
        Client::build_with_tls(url, TlsCertificates { client_tls, root_cert: authorities.clone() })
    }
}

/// Connects, and nothing more.
pub(super) async fn connect(client: &Client, timeouts: Timeouts) -> RedisResult<MultiplexedConnection> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeouts.connect))
        .set_response_timeout(Some(timeouts.response));
    client.get_multiplexed_async_connection_with_config(&settings).await
}

/// Connects to a master. A server that is none to work with is an error.
pub(super) async fn dial(client: &Client, timeouts: Timeouts) -> RedisResult<(MultiplexedConnection, ServerIdentity)> {
    let mut connection = connect(client, timeouts).await?;
    let identity = ServerIdentity::ask(&mut connection).await?;
    Ok((connection, identity))
}

/// The future's end, or an error when it takes longer.
pub(super) async fn within<T>(limit: Duration, future: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match tokio::time::timeout(limit, future).await {
        Ok(end) => end,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}
