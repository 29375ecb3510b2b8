//! Sentinels: each new connection asks them who is the master now.
//!
//! They are asked one after the other, the one that answered last first; one that is away or does not know the service
//! costs the others nothing. What they say is believed only once the server itself says that it is a master. But a master
//! that was replaced says so too, for some seconds, and what it takes then is lost: so the sentinels' news of a failover
//! is heard, and every connection is opened anew at once.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use redis::{Client, RedisResult};

use super::{
    Timeouts, Tls,
    dial::{connect, within},
};
use crate::config::redis_address::SentinelAddress;

/// Sentinels of one service.
pub(super) struct Sentinels {
    address: SentinelAddress,
    tls: Tls,
    /// The one that answered last stands first.
    clients: Mutex<Vec<Arc<Client>>>,
}

impl Sentinels {
    pub(super) fn new(address: &SentinelAddress, tls: &Tls) -> RedisResult<Self> {
        let clients =
            address.sentinel_urls().map(|url| tls.client(&url).map(Arc::new)).collect::<RedisResult<Vec<_>>>()?;
        Ok(Self { address: address.clone(), tls: tls.clone(), clients: Mutex::new(clients) })
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Client>>> {
        self.clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The next one to ask is this one.
    fn prefer(&self, sentinel: &Arc<Client>) {
        let mut clients = self.clients();
        if let Some(place) = clients.iter().position(|client| Arc::ptr_eq(client, sentinel)) {
            clients.rotate_left(place);
        }
    }

    /// The client of the server that is the master now.
    pub(super) async fn master(&self, timeouts: Timeouts) -> RedisResult<Client> {
        let clients = self.clients().clone();
        let mut last = None;
        for client in &clients {
            match self.ask(client, timeouts).await {
                Ok(Some((host, port))) => {
                    self.prefer(client);
                    return self.tls.client(&self.address.server_url(&with_port(&host, port)));
                }
                Ok(None) => last = Some(unknown(&self.address.service)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| unknown(&self.address.service)))
    }

    /// Waits until a sentinel tells of a failover of the service. An error: it is heard no more.
    pub(super) async fn failed_over(&self, timeouts: Timeouts) -> RedisResult<()> {
        let clients = self.clients().clone();
        let mut last = unknown(&self.address.service);
        for client in &clients {
            let subscribed = async {
                let mut subscription = client.get_async_pubsub().await?;
                subscription.subscribe("+switch-master").await?;
                Ok(subscription.into_on_message())
            };
            let mut news = match within(timeouts.connect + timeouts.response, subscribed).await {
                Ok(news) => news,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            while let Some(told) = news.next().await {
                // `<service> <old host> <old port> <new host> <new port>`
                let told: String = told.get_payload().unwrap_or_default();
                if told.split(' ').next() == Some(&self.address.service) {
                    // The others may not know yet.
                    self.prefer(client);
                    return Ok(());
                }
            }
            last = std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into();
        }
        Err(last)
    }

    async fn ask(&self, sentinel: &Client, timeouts: Timeouts) -> RedisResult<Option<(String, u16)>> {
        let mut connection = connect(sentinel, timeouts).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(&self.address.service);
        question.query_async(&mut connection).await
    }
}

/// `host:port`, with the brackets that an IPv6 address needs.
pub(super) fn with_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// It may be told to them later: an outage, not a mistake that no waiting mends.
fn unknown(service: &str) -> redis::RedisError {
    std::io::Error::other(format!("no sentinel knows the service {service:?}")).into()
}
