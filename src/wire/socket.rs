//! A socket to a server, with or without TLS: the one way in which this process connects to providers.
//!
//! TLS is 1.2 or later against the system's certificates; nothing is trusted that they do not vouch for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use nix::errno::Errno;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ClientError;
use super::failure::Trouble;

/// Where connections go.
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
}

impl Endpoint {
    /// A server that is spoken to in TLS, saying so in the protocol of `alpn` if there is one.
    pub(crate) fn secure(host: String, port: u16, alpn: Option<&str>) -> Result<Self, ClientError> {
        let name = ServerName::try_from(host.clone()).map_err(|_| ClientError::Address)?;
        Ok(Self { host, port, tls: Some((Arc::new(tls_config(alpn)?), name)) })
    }

    /// A server that is spoken to as it is.
    pub(crate) const fn plain(host: String, port: u16) -> Self {
        Self { host, port, tls: None }
    }
}

fn tls_config(alpn: Option<&str>) -> Result<rustls::ClientConfig, ClientError> {
    let failed = |_| ClientError::Tls;
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_platform_verifier()
        .map_err(failed)?
        .with_no_client_auth();
    config.alpn_protocols = alpn.into_iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

/// Resolves, connects, and shakes hands where TLS is asked for. The caller bounds the time.
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Wire, Trouble<'static>> {
    secure(endpoint, connect(endpoint).await?).await
}

/// Shakes hands over an open socket, where TLS is asked for.
pub(crate) async fn secure(endpoint: &Endpoint, stream: TcpStream) -> Result<Wire, Trouble<'static>> {
    let Some((config, name)) = &endpoint.tls else { return Ok(Wire::Plain(stream)) };
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connector.connect(name.clone(), stream).await.map_err(|_| Trouble::Tls)?;
    Ok(Wire::Tls(Box::new(stream)))
}

/// A TCP connection to the first address that takes one. The caller bounds the time.
pub(crate) async fn connect(endpoint: &Endpoint) -> Result<TcpStream, Trouble<'static>> {
    let found = lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    let addresses = found.map_err(|error| if is_ours(&error) { Trouble::NoSocket } else { Trouble::NotResolved })?;
    let mut trouble = Trouble::NotResolved;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Without it the last packet of a request waits for an acknowledgement (RFC 896).
                stream.set_nodelay(true).map_err(|_| Trouble::ConnectionFailed)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => trouble = Trouble::ConnectionRefused,
            Err(error) if is_ours(&error) => return Err(Trouble::NoSocket),
            Err(_) => trouble = Trouble::ConnectionFailed,
        }
    }
    Err(trouble)
}

/// Whether this machine has nothing to connect with: no file descriptor, no memory for a socket, no port.
fn is_ours(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::EADDRNOTAVAIL))
}

/// The socket, with or without TLS.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Who is at the other end.
    pub(crate) fn peer_addr(&self) -> io::Result<std::net::SocketAddr> {
        match self {
            Self::Plain(stream) => stream.peer_addr(),
            Self::Tls(stream) => stream.get_ref().0.peer_addr(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
