//! A client of one HTTP server that knows whether a request left.
//!
//! The order of the steps is the guarantee: a connection first, then the look at the deadline, then at
//! once the request; so nothing slow stands between the look and the socket. A request that hyper gives
//! back unwritten goes over another connection; once bytes may have left, there is no second try here.
//! Redirects are not followed and proxies from the environment are not used.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri};
use tokio::time::timeout;

use super::DeliverError;
use super::failure::{Rules, Trouble, classify};
use super::line::Ended;
use super::pool::Pool;
use super::reply::Reply;
use super::socket::Endpoint;

/// How often a request is given back unwritten before that is called a failure: once for a connection that the
/// provider closed at that very moment, once more for bad luck. A provider that accepts connections only to close
/// them would otherwise be hammered until the deadline.
const UNWRITTEN_TRIES: u32 = 3;

/// Why there is no client for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Not an http or https address with a host.
    #[error("not an http or https address with a host")]
    Address,
    /// TLS cannot be set up, as a rule because the machine has no CA certificates.
    #[error("TLS cannot be set up; are the CA certificates of the system installed?")]
    Tls,
}

/// How patient a client is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Idle connections kept at most.
    pub most_idle: usize,
    /// An idle connection is closed after this.
    pub pool_idle: Duration,
    /// For the TCP and TLS connection.
    pub connect_timeout: Duration,
    /// From the request to the end of the reply.
    pub timeout: Duration,
}

/// Speaks to one server. Cheap to share by reference; holds the connections.
pub struct Client {
    pool: Pool,
    timeout: Duration,
    rules: Rules,
}

impl Client {
    /// Checks the address; opens no connection.
    ///
    /// # Errors
    /// An address without a host, or no TLS.
    pub fn build(base: &Uri, patience: Patience, rules: Rules) -> Result<Self, ClientError> {
        let endpoint = endpoint(base)?;
        let pool = Pool::new(endpoint, patience.most_idle, patience.pool_idle, patience.connect_timeout);
        Ok(Self { pool, timeout: patience.timeout, rules })
    }

    /// Hands the request over and waits for the whole answer, whatever its status. The request has a path, not an
    /// address, and a `Host` header.
    ///
    /// # Errors
    /// [`DeliverError::NotSent`] if the deadline passed before anything was handed over, else the classified failure.
    pub async fn ask(&self, request: Request<Full<Bytes>>, deadline: Instant) -> Result<Reply, DeliverError> {
        let mut request = request;
        for _ in 0..UNWRITTEN_TRIES {
            let mut line = self.pool.line(deadline, &self.rules).await?;
            if Instant::now() >= deadline {
                self.pool.put_back(line);
                return Err(DeliverError::NotSent);
            }
            match timeout(self.timeout, line.ask(request)).await {
                Ok(Ok(reply)) => {
                    if line.is_reusable(&reply) {
                        self.pool.put_back(line);
                    }
                    return Ok(reply);
                }
                Ok(Err(Ended::NotWritten(unwritten))) => request = *unwritten,
                Ok(Err(Ended::Lost)) => return Err(classify(&Trouble::AnswerLost, &self.rules).into()),
                Err(_) => return Err(classify(&Trouble::AnswerTimeout, &self.rules).into()),
            }
        }
        Err(classify(&Trouble::ConnectionFailed, &self.rules).into())
    }

    /// Makes a connection, or has one, and asks nothing over it.
    ///
    /// # Errors
    /// [`DeliverError::NotSent`] if the deadline passed before, else the classified failure.
    pub async fn reach(&self, deadline: Instant) -> Result<(), DeliverError> {
        let line = self.pool.line(deadline, &self.rules).await?;
        self.pool.put_back(line);
        Ok(())
    }

    /// Closes the connections that were idle for too long; they are never used again anyway.
    pub fn drop_idle(&self) {
        self.pool.drop_idle();
    }
}

fn endpoint(base: &Uri) -> Result<Endpoint, ClientError> {
    let secure = match base.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(ClientError::Address),
    };
    let host = base.host().ok_or(ClientError::Address)?.trim_matches(['[', ']']).to_owned();
    let port = base.port_u16().unwrap_or(if secure { 443 } else { 80 });
    if secure { Endpoint::secure(host, port, Some("http/1.1")) } else { Ok(Endpoint::plain(host, port)) }
}
