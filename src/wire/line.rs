//! One connection to a provider, driven by the task that uses it.
//!
//! hyper's connection future is polled inside the call instead of in a task of its own: no wake-up crosses threads,
//! and a connection that the provider closed while it was idle is seen before anything is written to it. Because the
//! caller holds the connection, it knows what a pooled client cannot tell: whether a request was handed to the socket
//! or not ([`Ended::NotWritten`] gives it back).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::Trouble;
use super::reply::Reply;

/// Longest reply that is read; a provider's answer to one message is a few hundred bytes.
const REPLY_BYTES: usize = 64 * 1024;

/// Where connections go.
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
}

/// How a request ended without an answer.
pub(super) enum Ended {
    /// Not a byte of it was written; here it is again.
    NotWritten(Box<Request<Full<Bytes>>>),
    /// It was, and the connection broke or spoke nonsense.
    Lost,
}

/// An open connection.
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<TokioIo<Wire>, Full<Bytes>>>>,
    /// The connection future has finished and must not be polled again.
    over: bool,
    /// When its last answer was complete.
    pub(super) idle_since: Instant,
}

impl Line {
    /// Resolves, connects, and shakes hands. The caller bounds the time.
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Self, Trouble<'static>> {
        let stream = connect(endpoint).await?;
        let wire = match &endpoint.tls {
            None => Wire::Plain(stream),
            Some((config, name)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(name.clone(), stream).await.map_err(|_| Trouble::Tls)?;
                Wire::Tls(Box::new(stream))
            }
        };
        let (sender, connection) = handshake(TokioIo::new(wire)).await.map_err(|_| Trouble::ConnectionFailed)?;
        Ok(Self { sender, connection: Box::pin(connection), over: false, idle_since: Instant::now() })
    }

    /// Whether a request can be written; looks at the socket, so that one closed by the provider says no.
    pub(super) async fn is_usable(&mut self) -> bool {
        let Self { sender, connection, over, .. } = self;
        !*over && drive(connection, over, sender.ready()).await.is_ok() && !self.over
    }

    /// Hands the request over and reads the whole answer. The caller bounds the time; dropping the future and the
    /// line closes the socket.
    pub(super) async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, Ended> {
        let answer = self.sender.try_send_request(request);
        let Self { connection, over, .. } = self;
        let exchange = async {
            let response = answer.await.map_err(|mut error| match error.take_message() {
                Some(request) => Ended::NotWritten(Box::new(request)),
                None => Ended::Lost,
            })?;
            Ok(collect(response).await)
        };
        drive(connection, over, exchange).await
    }

    /// Whether it may be used again after an answer: a broken or closing one may not, nor one with half a body in it.
    pub(super) fn is_reusable(&self, reply: &Reply) -> bool {
        !self.over && !self.sender.is_closed() && reply.body.is_some()
    }
}

/// The status counts even if the body does not arrive whole: a 400 that is cut off is still a refusal.
async fn collect(response: Response<Incoming>) -> Reply {
    let (head, mut incoming) = response.into_parts();
    let mut whole = Bytes::new();
    let mut more = BytesMut::new();
    let body = loop {
        match incoming.frame().await {
            None if more.is_empty() => break Some(whole),
            None => break Some(more.freeze()),
            Some(Err(_)) => break None,
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if whole.len().max(more.len()) + data.len() > REPLY_BYTES {
                    break None;
                }
                if whole.is_empty() {
                    // Nearly every reply is one chunk and is not copied.
                    whole = data;
                } else {
                    if more.is_empty() {
                        more.extend_from_slice(&whole);
                    }
                    more.extend_from_slice(&data);
                }
            }
        }
    };
    Reply { status: head.status, headers: head.headers, body }
}

/// Polls the connection and what waits for it, in one task.
async fn drive<F: Future>(
    connection: &mut Pin<Box<Connection<TokioIo<Wire>, Full<Bytes>>>>,
    over: &mut bool,
    waiting: F,
) -> F::Output {
    let mut waiting = pin!(waiting);
    poll_fn(|context| {
        if !*over {
            // How it ended is told to `waiting` by hyper.
            *over = connection.as_mut().poll(context).is_ready();
        }
        waiting.as_mut().poll(context)
    })
    .await
}

async fn connect(endpoint: &Endpoint) -> Result<TcpStream, Trouble<'static>> {
    let addresses = lookup_host((endpoint.host.as_str(), endpoint.port)).await.map_err(|_| Trouble::NotResolved)?;
    let mut trouble = Trouble::NotResolved;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Without it the last packet of a request waits for an acknowledgement (RFC 896).
                stream.set_nodelay(true).map_err(|_| Trouble::ConnectionFailed)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => trouble = Trouble::ConnectionRefused,
            Err(_) => trouble = Trouble::ConnectionFailed,
        }
    }
    Err(trouble)
}

/// The socket, with or without TLS.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
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
