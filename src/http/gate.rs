//! The gate of the look-up, the dashboard and the actions: from where one may ask, and how many look up at once.
//!
//! Every page in a browser on this machine reaches loopback too. A page whose name was made to point here (DNS rebinding) is found out by the name it asks for, one that
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

use super::answer::{Fault, respond};
use crate::config::Config;

/// Requests worked on at once.
const ROOM: usize = 4;

/// So long a request waits for room.
const WAIT: Duration = Duration::from_secs(2);

/// When who was turned away may come again.
const COME_AGAIN_SECONDS: u64 = 2;

/// The gate.
#[derive(Debug)]
pub struct Gate {
    public: Option<Authority>,
    encrypted: bool,
    hosts: Vec<String>,
    room: Semaphore,
}

impl Gate {
    /// As the configuration says.
    pub fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self::of(config.public_url.as_deref(), &config.access.hosts))
    }

    /// The gate of a daemon that is known outside by `public_url`, and to those who operate it by `hosts`.
    fn of(public_url: Option<&str>, hosts: &[String]) -> Self {
        let url = public_url.and_then(|url| url.parse::<Uri>().ok());
        Self {
            encrypted: url.as_ref().and_then(Uri::scheme_str) == Some("https"),
            public: url.and_then(|url| url.authority().cloned()),
            hosts: hosts.to_vec(),
            room: Semaphore::new(ROOM),
        }
    }

    /// Whether who asks may.
    pub(super) fn judge(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
        let authority = uri.authority().cloned().or_else(|| named(headers));
        if !authority.is_some_and(|authority| self.is_ours(authority.host())) {
            return Err(Fault::not_this_host());
        }
        let is = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
        // Who follows a link from elsewhere sees our page, and the page with the link does not.
        let follows = is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document");
        if is("sec-fetch-site", "cross-site") && !follows {
            return Err(Fault::cross_site());
        }
        Ok(())
    }

    /// Whether something may be posted from there: only a page of ours, or a program. What a browser says of the page
    /// (`Origin`, `Sec-Fetch-Site`) no page can forge.
    pub(super) fn judge_post(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
        self.judge(uri, headers)?;
        let from_ours = |site: &HeaderValue| site == "same-origin" || site == "none";
        if headers.get("sec-fetch-site").is_some_and(|site| !from_ours(site)) {
            return Err(Fault::cross_site());
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        let Some(origin) = origin.as_ref().and_then(Uri::authority) else { return Err(Fault::cross_site()) };
        let asked = uri.authority().cloned().or_else(|| named(headers));
        // A proxy may have put its own name for us into `Host`.
        let known = asked.as_ref() == Some(origin)
            || self.public.as_ref() == Some(origin)
            || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(origin.host()));
        if known { Ok(()) } else { Err(Fault::cross_site()) }
    }

    /// Whether the browser reached us over an encrypted connection: a cookie may then say that it needs one.
    pub(super) fn is_encrypted(&self, headers: &HeaderMap) -> bool {
        let forwarded = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
        let by_public_name = || named(headers).is_some_and(|authority| self.is_public(authority.host()));
        forwarded || (self.encrypted && by_public_name())
    }

    fn is_public(&self, host: &str) -> bool {
        self.public.as_ref().is_some_and(|public| public.host().eq_ignore_ascii_case(host))
    }

    /// An address cannot be made to point elsewhere; a name must be known.
    fn is_ours(&self, host: &str) -> bool {
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is = |name: &str| name.eq_ignore_ascii_case(host);
        is_address || is("localhost") || self.is_public(host) || self.hosts.iter().any(|name| is(name))
    }
}

/// The name that we are asked by.
fn named(headers: &HeaderMap) -> Option<Authority> {
    headers.get(header::HOST)?.to_str().ok()?.parse().ok()
}

/// Lets a request through that asks by a name of ours.
pub(super) async fn by_our_name(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    match gate.judge(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(fault) => respond(Err(fault)),
    }
}

/// Lets a request through when there is room.
pub(super) async fn room(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
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

    fn gate() -> Gate {
        Gate::of(Some("https://Sms.example:8443/remesa"), &["remesa.intern.example".to_owned()])
    }

    fn judged(host: &str, site: Option<&str>) -> Option<StatusCode> {
        let gate = gate();
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
        for ours in [
            "127.0.0.1:9464",
            "[::1]:9464",
            "10.0.0.7",
            "localhost:9464",
            "LOCALHOST",
            "sms.example",
            "remesa.intern.example:81",
        ] {
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

    #[test]
    fn only_our_own_pages_and_programs_may_post() {
        let gate = gate();
        let posted = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::from_iter([(header::HOST, "127.0.0.1:9464".parse().unwrap())]);
            headers.extend(
                pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap())),
            );
            gate.judge_post(&Uri::from_static("/actions"), &headers).map_err(|fault| fault.code().to_owned())
        };
        for fine in [
            &[][..],
            &[("origin", "http://127.0.0.1:9464"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://sms.example:8443")],
            &[("origin", "https://remesa.intern.example")],
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(posted(fine), Ok(()), "{fine:?}");
        }
        for other in [
            &[("origin", "http://127.0.0.1:8080")][..],
            &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("origin", "null")],
            &[("origin", "https://sms.example")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(posted(other), Err("cross_site".to_owned()), "{other:?}");
        }
    }

    #[test]
    fn a_cookie_needs_encryption_where_the_browser_came_with_it() {
        let asked = |name: &'static str, value: &str| {
            gate()
                .is_encrypted(&HeaderMap::from_iter([(header::HeaderName::from_static(name), value.parse().unwrap())]))
        };
        assert!(asked("host", "sms.example:8443") && asked("x-forwarded-proto", "https"));
        assert!(!asked("host", "127.0.0.1:9464") && !asked("x-forwarded-proto", "http"));
    }
}
