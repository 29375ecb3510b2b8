//! The server under everything: so many connections, none of which may take its time.
//!
//! A connection says what it wants within 10 s, a head is at most 16 KiB, and whoever does not take their answer for 30 s
//! ([`Patience`]) is let go. At 1,024 connections the next ones wait at the door of the operating system. What a body may
//! be is for each path to say. Where no descriptor is left, it waits for one.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

use super::patience::Patience;

/// Connections at once: what providers, a proxy and some browsers need, well below the 65,536 files of the unit.
const CONNECTIONS: usize = 1024;

/// From the opening of a connection, or the answer before, to the end of the next head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// The same for a connection without a request when the server ends.
const LAST_HEAD_WITHIN: Duration = Duration::from_millis(500);

/// Largest head of a request, its address and cookies included.
const HEAD_BYTES: usize = 16 * 1024;

/// After an error that is not one connection's (no descriptor is left) it is tried again after this.
const REST: Duration = Duration::from_secs(1);

/// Serves until `stop`, then lets open requests end.
pub(super) async fn run(listener: TcpListener, router: Router, stop: CancellationToken) -> io::Result<()> {
    run_with(CONNECTIONS, listener, router, stop).await
}

async fn run_with(
    connections: usize,
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let (room, open) = (Arc::new(Semaphore::new(connections)), TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            // From then on it is the next one's, who listens on the same socket.
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let connection = serve(stream, router.clone(), stop.clone());
                open.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken for now");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(REST) => {}
                }
            }
        }
    }
    open.close();
    open.wait().await;
    Ok(())
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

async fn serve(stream: TcpStream, router: Router, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    // Moves when a request begins and when it is answered: odd while there is one.
    let (counter, mut moved) = watch::channel(0_u64);
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let (mut router, counter) = (router.clone(), counter.clone());
        async move {
            counter.send_modify(|moves| *moves += 1);
            let answer = router.call(request.map(Body::new)).await.unwrap_or_else(|never| match never {});
            counter.send_modify(|moves| *moves += 1);
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(Patience::new(stream)), answer)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            if moved.borrow_and_update().is_multiple_of(2) {
                // Who has just come, or is about to ask once more, may: nobody is turned away by a start or a reload.
                tokio::select! {
                    ended = connection.as_mut() => return told(ended),
                    _ = tokio::time::timeout(LAST_HEAD_WITHIN, moved.changed()) => {}
                }
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    told(ended);
}

fn told(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn answered(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn above_its_connections_the_next_waits_until_one_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new().route("/", get(|| async { "here" }));
        let tasks = TaskTracker::new();
        let server = tasks.spawn(run_with(2, listener, router, stop.clone()));
        let mut first = TcpStream::connect(address).await.unwrap();
        let second = TcpStream::connect(address).await.unwrap();
        // Both are taken before the third: connections are taken in their order.
        let mut third = TcpStream::connect(address).await.unwrap();
        third.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        assert!(answered(&mut first).await.ends_with("here"));
        let mut answer = String::new();
        third.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");
        drop(second);
        stop.cancel();
        server.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let server = tasks.spawn(run(listener, Router::new(), stop.clone()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let long = format!("GET / HTTP/1.1\r\nHost: x\r\nx-long: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES));
        let _ = stream.write_all(long.as_bytes()).await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        stop.cancel();
        server.await.unwrap().unwrap();
    }
}
