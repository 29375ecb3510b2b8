//! A network between a daemon and its Redis, over TCP: fair, slow, partitioned, or cutting a reply in its middle.
//!
//! It forwards bytes both ways and knows nothing of what they mean. The weather holds for all connections, present and
//! future, from the next chunk on.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::redis::Redis;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// It forwards.
    Fair,
    /// It forwards what Redis answers after so long.
    Slow(Duration),
    /// It forwards nothing, and breaks nothing.
    Partitioned,
    /// Of the next answer of at least so many bytes on each connection it forwards half, and breaks the connection.
    CutReplies(usize),
}

/// The network. Daemons connect to its [`Proxy::url`].
pub(crate) struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
    /// Connections that were cut.
    cuts: watch::Sender<usize>,
    _stop: DropGuard,
}

impl Proxy {
    /// A fair network in front of `redis`.
    pub(crate) async fn before(redis: &Redis) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, redis.port()));
        let (weather, cuts, stop) =
            (watch::Sender::new(Weather::Fair), watch::Sender::new(0), CancellationToken::new());
        let (look, count) = (weather.subscribe(), cuts.clone());
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(async move {
            let connections = TaskTracker::new();
            while let Ok((client, _)) = listener.accept().await {
                // A Redis that is away refuses: so does its network.
                let Ok(server) = TcpStream::connect(target).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let over = CancellationToken::new();
                for way in [
                    Way { from: from_client, to: to_server, answers: false, look: look.clone(), cuts: count.clone() },
                    Way { from: from_server, to: to_client, answers: true, look: look.clone(), cuts: count.clone() },
                ] {
                    let over = over.clone();
                    connections.spawn(async move {
                        // A connection that breaks is the daemon's affair; both ways of it end.
                        let _ = over.clone().run_until_cancelled_owned(way.forward()).await;
                        over.cancel();
                    });
                }
            }
        }));
        Self { port, weather, cuts, _stop: stop.drop_guard() }
    }

    /// The address for `redis.url`.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Changes the weather.
    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Waits until so many connections were cut in all.
    pub(crate) async fn cut(&self, connections: usize) {
        let mut cuts = self.cuts.subscribe();
        super::wait::within("answers are cut", cuts.wait_for(|cuts| *cuts >= connections)).await.unwrap();
    }
}

struct Way {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    answers: bool,
    look: watch::Receiver<Weather>,
    cuts: watch::Sender<usize>,
}

impl Way {
    async fn forward(mut self) -> std::io::Result<()> {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let read = self.from.read(&mut bytes).await?;
            let chunk = &bytes[..read];
            if chunk.is_empty() {
                return Ok(());
            }
            let _ = self.look.wait_for(|weather| *weather != Weather::Partitioned).await;
            let weather = *self.look.borrow();
            match weather {
                Weather::Slow(by) if self.answers => tokio::time::sleep(by).await,
                Weather::CutReplies(least) if self.answers && read >= least => {
                    self.to.write_all(&chunk[..read / 2]).await?;
                    self.cuts.send_modify(|cuts| *cuts += 1);
                    return Ok(());
                }
                Weather::Fair | Weather::Slow(_) | Weather::Partitioned | Weather::CutReplies(_) => {}
            }
            self.to.write_all(chunk).await?;
        }
    }
}
