//! The gate of the look-up: whom it lets ask, and how many at once.
//!
//! Nobody is asked who they are, so the listener lies on loopback; but every page in a browser on this machine reaches
//! loopback too. A page whose name was made to point here (DNS rebinding) is found out by the name it asks for, one that
//! asks from elsewhere by what the browser says of it. And so many requests are worked on at once and no more: the
//! others wait a moment, then are told to come again, so that looking up never takes Redis from sending.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Uri, header, uri::Authority},
    middleware::Next,
    response::Response,
};
use tokio::sync::Semaphore;

use super::lookup::{Fault, respond};

/// Requests worked on at once.
const ROOM: usize = 4;

/// So long a request waits for room.
const WAIT: Duration = Duration::from_secs(2);

/// When who was turned away may come again.
const COME_AGAIN_SECONDS: u64 = 2;

/// The gate.
#[derive(Debug)]
pub(super) struct Gate {
    public_host: Option<String>,
    room: Semaphore,
}

impl Gate {
    /// The gate of a daemon that is known outside by `public_url`.
    pub(super) fn new(public_url: Option<&str>) -> Self {
        let url = public_url.and_then(|url| url.parse::<Uri>().ok());
        Self { public_host: url.and_then(|url| url.host().map(str::to_owned)), room: Semaphore::new(ROOM) }
    }

    /// Whether who asks may.
    fn judge(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
        let named = || headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse().ok());
        let authority: Option<Authority> = uri.authority().cloned().or_else(named);
        if !authority.is_some_and(|authority| self.is_ours(authority.host())) {
            return Err(Fault::not_this_host());
        }
        if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
            return Err(Fault::cross_site());
        }
        Ok(())
    }

    /// An address cannot be made to point elsewhere; a name must be known.
    fn is_ours(&self, host: &str) -> bool {
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is = |name: &str| name.eq_ignore_ascii_case(host);
        is_address || is("localhost") || self.public_host.as_deref().is_some_and(is)
    }
}

/// Lets a request through, or answers it.
pub(super) async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if let Err(fault) = gate.judge(request.uri(), request.headers()) {
        return respond(Err(fault));
    }
    let Ok(Ok(_room)) = tokio::time::timeout(WAIT, gate.room.acquire()).await else {
        let mut response = respond(Err(Fault::busy()));
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(COME_AGAIN_SECONDS));
        return response;
    };
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    fn judged(host: &str, site: Option<&str>) -> Option<StatusCode> {
        let gate = Gate::new(Some("https://Sms.example:8443/remesa"));
        let mut headers = HeaderMap::new();
        if !host.is_empty() {
            headers.insert(header::HOST, host.parse().unwrap());
        }
        if let Some(site) = site {
            headers.insert("sec-fetch-site", site.parse().unwrap());
        }
        gate.judge(&Uri::from_static("/campaigns"), &headers).err().map(|fault| respond(Err(fault)).status())
    }

    #[test]
    fn a_name_that_was_made_to_point_here_is_refused() {
        for ours in ["127.0.0.1:9464", "[::1]:9464", "10.0.0.7", "localhost:9464", "LOCALHOST", "sms.example"] {
            assert_eq!(judged(ours, None), None, "{ours}");
        }
        for other in ["evil.example:9464", "127.0.0.1.evil.example", "localhost.evil.example", "", "a b"] {
            assert_eq!(judged(other, None), Some(StatusCode::MISDIRECTED_REQUEST), "{other}");
        }
    }

    #[test]
    fn a_page_from_elsewhere_is_refused() {
        assert_eq!(judged("127.0.0.1:9464", Some("cross-site")), Some(StatusCode::FORBIDDEN));
        for fine in ["none", "same-origin"] {
            assert_eq!(judged("127.0.0.1:9464", Some(fine)), None, "{fine}");
        }
    }
}
