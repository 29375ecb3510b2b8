//! Fetching a source from an address, and from nothing that was not allowed.
//!
//! An address comes from another program, so every hop is judged alike: its scheme, its host against
//! `sources.url_hosts`, and the address that is connected to, not one that was looked up before (a name may resolve to
//! another one each time). Time and bytes are bounded; the answer goes straight into a [`Staging`] file. Sentences name
//! host and path, never what stands behind the `?`: people put keys there.

use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response, StatusCode, Url, redirect::Policy};

use super::address::is_private;
use super::staging::Staging;
use super::{Format, SourceError};
use crate::config::UrlSettings;

/// Redirects followed.
const MAX_HOPS: usize = 5;

/// For the connection alone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An address that a job names.
#[derive(Debug, Clone)]
pub struct Address {
    url: Url,
}

impl Address {
    /// Reads an address and judges what needs no connection.
    pub fn parse(text: &str, settings: &UrlSettings) -> Result<Self, SourceError> {
        let refused = |reason: String| SourceError::UrlNotAllowed { name: "the address".to_owned(), reason };
        let url = Url::parse(text).map_err(|error| refused(format!("it is no address: {error}")))?;
        check(&url, settings)?;
        Ok(Self { url })
    }

    /// As a sentence names it.
    pub fn name(&self) -> String {
        named(&self.url)
    }

    /// Fetches it into `staging`. Returns the format that name or server say.
    pub async fn fetch(&self, settings: &UrlSettings, staging: &mut Staging) -> Result<Option<Format>, SourceError> {
        let name = self.name();
        let late = || SourceError::UrlUnavailable {
            name: name.clone(),
            reason: format!("it was not there whole after {:?} (sources.url_timeout)", settings.timeout),
        };
        tokio::time::timeout(settings.timeout, self.fetch_whole(settings, staging)).await.map_err(|_| late())?
    }

    async fn fetch_whole(&self, settings: &UrlSettings, staging: &mut Staging) -> Result<Option<Format>, SourceError> {
        let client = client(settings).map_err(|error| unavailable(&self.url, &error))?;
        let mut response = follow(&client, self.url.clone(), settings).await?;
        let url = response.url().clone();
        judge(&response, &url)?;
        let format = Format::of_path(std::path::Path::new(self.url.path()))
            .or_else(|| Format::of_path(std::path::Path::new(url.path())))
            .or_else(|| of_content_type(&header(&response, CONTENT_TYPE.as_str())));
        while let Some(chunk) = response.chunk().await.map_err(|error| unavailable(&url, &error))? {
            staging.write(&chunk).await?;
        }
        Ok(format)
    }
}

/// Asks, and goes where the answer points, as far as that is allowed.
async fn follow(client: &Client, mut url: Url, settings: &UrlSettings) -> Result<Response, SourceError> {
    for _ in 0..=MAX_HOPS {
        check(&url, settings)?;
        let asked = client.get(url.clone()).header(ACCEPT_ENCODING, "identity").send().await;
        let response = asked.map_err(|error| unavailable(&url, &error))?;
        let status = response.status();
        if !status.is_redirection() {
            return Ok(response);
        }
        let to = header(&response, LOCATION.as_str());
        url = url.join(&to).map_err(|_| SourceError::UrlRefused {
            name: named(&url),
            reason: format!("the server answered {status} and does not say where to go"),
        })?;
    }
    Err(SourceError::UrlRefused { name: named(&url), reason: format!("it leads on more than {MAX_HOPS} times") })
}

/// Whether the configuration allows to connect there.
fn check(url: &Url, settings: &UrlSettings) -> Result<(), SourceError> {
    let refuse = |reason: String| Err(SourceError::UrlNotAllowed { name: named(url), reason });
    match url.scheme() {
        "https" => {}
        "http" if settings.allow_http => {}
        "http" => return refuse("http is not allowed, only https (sources.url_allow_http)".to_owned()),
        other => return refuse(format!("{other} is not a scheme that is fetched, only https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("a user or a password stands in it".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    if !settings.hosts.iter().any(|rule| allows(rule, host, url)) {
        return refuse(format!("the host {host:?} is not among sources.url_hosts"));
    }
    let literal: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    if !settings.allow_private && literal.is_some_and(is_private) {
        return refuse(PrivateAddress.to_string());
    }
    Ok(())
}

/// Whether one rule of the list allows host and port: `files.example`, `*.files.example`, `files.example:8443`.
fn allows(rule: &str, host: &str, url: &Url) -> bool {
    let (rule, port) = match rule.rsplit_once(':') {
        Some((rule, port)) if !rule.ends_with(':') && !port.ends_with(']') => (rule, port.parse().ok()),
        _ => (rule, None),
    };
    let port_fits = match port {
        Some(port) => url.port_or_known_default() == Some(port),
        // Without a port only the scheme's own.
        None => url.port().is_none(),
    };
    let host_fits = match rule.strip_prefix("*.") {
        Some(domain) => host.strip_suffix(domain).is_some_and(|sub| sub.len() > 1 && sub.ends_with('.')),
        None => host == rule,
    };
    port_fits && host_fits
}

/// Judges an answer by its head.
fn judge(response: &Response, url: &Url) -> Result<(), SourceError> {
    let (name, status) = (named(url), response.status());
    let reason = format!("the server answered {status}");
    match status {
        StatusCode::OK => {}
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            return Err(SourceError::UrlUnavailable { name, reason });
        }
        status if status.is_server_error() => return Err(SourceError::UrlUnavailable { name, reason }),
        _ => return Err(SourceError::UrlRefused { name, reason }),
    }
    let encoding = header(response, CONTENT_ENCODING.as_str());
    if !["", "identity", "gzip", "x-gzip"].contains(&encoding.as_str()) {
        let reason = "the server packed it in another way than gzip, though it was asked not to pack it";
        return Err(SourceError::Unsupported { name, reason });
    }
    let kind = header(response, CONTENT_TYPE.as_str());
    if kind.starts_with("text/html") || kind.starts_with("application/xhtml") {
        return Err(SourceError::Unsupported { name, reason: "the server answered with a web page, not with rows" });
    }
    Ok(())
}

/// A header in small letters, empty where there is none.
fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    if name == LOCATION.as_str() { value.to_owned() } else { value.to_ascii_lowercase() }
}

fn of_content_type(kind: &str) -> Option<Format> {
    match kind.split(';').next().unwrap_or_default().trim() {
        "text/csv" | "application/csv" => Some(Format::Csv),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/json-lines" => {
            Some(Format::Ndjson)
        }
        _ => None,
    }
}

/// Scheme, host and path.
fn named(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("the address {}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn unavailable(url: &Url, error: &reqwest::Error) -> SourceError {
    let name = named(url);
    let (mut cause, mut last) = (error.source(), String::new());
    while let Some(inner) = cause {
        if inner.is::<PrivateAddress>() {
            return SourceError::UrlNotAllowed { name, reason: PrivateAddress.to_string() };
        }
        last = inner.to_string();
        cause = inner.source();
    }
    let what = if error.is_timeout() {
        "the server was silent for too long (sources.url_idle)"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the answer broke off"
    };
    let reason = if last.is_empty() { what.to_owned() } else { format!("{what}: {last}") };
    SourceError::UrlUnavailable { name, reason }
}

fn client(settings: &UrlSettings) -> Result<Client, reqwest::Error> {
    // One provider for the process; it may have been installed by another part already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT.min(settings.idle))
        .read_timeout(settings.idle)
        .dns_resolver(Arc::new(Guard { allow_private: settings.allow_private }))
        .build()
}

/// Names become addresses here and nowhere else, so what is refused here is never connected to.
#[derive(Debug)]
struct Guard {
    allow_private: bool,
}

/// A name that leads to this machine or to a network behind it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("it leads to an address of this machine or of an inner network (sources.url_allow_private)")]
struct PrivateAddress;

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (allowed, refused): (Vec<SocketAddr>, Vec<_>) =
                found.partition(|address| allow_private || !is_private(address.ip()));
            if allowed.is_empty() && !refused.is_empty() {
                return Err(PrivateAddress.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(hosts: &[&str]) -> UrlSettings {
        UrlSettings {
            hosts: hosts.iter().map(ToString::to_string).collect(),
            allow_http: false,
            allow_private: false,
            timeout: Duration::from_secs(5),
            idle: Duration::from_secs(5),
        }
    }

    fn refusal(text: &str, settings: &UrlSettings) -> String {
        Address::parse(text, settings).unwrap_err().to_string()
    }

    #[test]
    fn only_https_to_a_host_of_the_list_is_fetched() {
        let list = settings(&["files.example", "*.bank.example", "other.example:8443", "10.0.0.1"]);
        for good in [
            "https://files.example/a.csv?key=x",
            "https://FILES.example:443/a.csv",
            "https://a.bank.example/x",
            "https://other.example:8443/x",
        ] {
            assert!(Address::parse(good, &list).is_ok(), "{good}");
        }
        for bad in [
            "http://files.example/a.csv",
            "file:///etc/passwd",
            "ftp://files.example/a.csv",
            "https://files.example:8443/a.csv",
            "https://bank.example/x",
            "https://xbank.example/x",
            "https://other.example/x",
            "https://files.example.evil.example/x",
            "https://files.example@evil.example/x",
            "https://user:secret@files.example/x",
            "https://10.0.0.1/x",
            "not an address",
        ] {
            let error = Address::parse(bad, &list).unwrap_err();
            assert_eq!(error.code(), "url_not_allowed", "{bad}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(refusal("https://10.0.0.1/x", &list).contains("url_allow_private"));
        assert!(refusal("https://files.example/x", &settings(&[])).contains("sources.url_hosts"));
    }

    #[test]
    fn what_stands_behind_the_question_mark_is_never_shown() {
        let list = settings(&["files.example"]);
        let address = Address::parse("https://files.example/nov/dues.csv?token=hush#x", &list).unwrap();
        assert_eq!(address.name(), "the address https://files.example/nov/dues.csv");
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let mut list = settings(&["localhost"]);
        let address = Address::parse("https://localhost/x.csv", &list).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut staging = Staging::begin(dir.path(), "j", "x", 1, 100).await.unwrap();
        let error = address.fetch(&list, &mut staging).await.unwrap_err();
        assert_eq!(error.code(), "url_not_allowed", "{error}");
        list.allow_private = true;
        list.hosts = vec!["localhost:1".to_owned()];
        let nobody = Address::parse("https://localhost:1/x.csv", &list).unwrap();
        let error = nobody.fetch(&list, &mut staging).await.unwrap_err();
        assert_eq!(error.code(), "url_unavailable", "{error}");
    }
}
