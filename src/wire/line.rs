//! One connection to a provider, driven by the task that uses it.
//!
//! hyper's connection future is polled inside the call instead of in a task of its own: no wake-up crosses threads,
//! and a connection that the provider closed while it was idle is seen before anything is written to it. Because the
//! caller holds the connection, it knows what a pooled client cannot tell: whether a request was handed to the socket
//! or not ([`Ended::NotWritten`] gives it back).

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::failure::Trouble;
use super::reply::Reply;
use super::socket::{self, Endpoint, Wire};

/// Longest reply that is read; a provider's answer to one message is a few hundred bytes.
const REPLY_BYTES: usize = 64 * 1024;

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
}

impl Line {
    /// Resolves, connects, and shakes hands. The caller bounds the time.
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Self, Trouble<'static>> {
        let wire = socket::open(endpoint).await?;
        let (sender, connection) = handshake(TokioIo::new(wire)).await.map_err(|_| Trouble::ConnectionFailed)?;
        Ok(Self { sender, connection: Box::pin(connection), over: false })
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
