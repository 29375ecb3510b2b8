//! Where Redis is: one server, what sentinels say, or a cluster.
//!
//! | Address | Means |
//! |---|---|
//! | `redis://[user:password@]host[:port][/db]`, `rediss://` with TLS, `unix:///path[?db=n]` | that server |
//! | `redis+sentinel://[user:password@]host[:port],.../service[/db]` | the master of `service`, asked of these sentinels |
//! | `redis+cluster://[user:password@]host[:port],...` | the cluster that these nodes belong to |
//!
//! `rediss+sentinel` and `rediss+cluster` use TLS. User and password are those of the servers; the sentinels' own stand
//! behind it, as `?sentinel_username=...&sentinel_password=...`. An address is shown without them.

use std::fmt;

const SENTINEL_PORT: u16 = 26_379;
const SERVER_PORT: u16 = 6_379;

/// An address of Redis, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub enum RedisAddress {
    /// One server: the address as it stands.
    Server(String),
    /// The master of a service.
    Sentinel(SentinelAddress),
    /// A cluster.
    Cluster(ClusterAddress),
}

/// Sentinels and the service they watch.
#[derive(Clone, PartialEq, Eq)]
pub struct SentinelAddress {
    tls: bool,
    credentials: String,
    sentinel_credentials: String,
    /// `host:port` of each sentinel.
    sentinels: Vec<String>,
    /// The service's name.
    pub service: String,
    database: u32,
}

/// Nodes of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterAddress {
    tls: bool,
    credentials: String,
    /// `host:port` of each.
    seeds: Vec<String>,
}

/// `[user[:password]@]` in front of a host, as it stands in an address, the sign included; or nothing.
fn split_credentials(text: &str) -> (&str, &str) {
    match text.rsplit_once('@') {
        Some((credentials, rest)) => (text.get(..=credentials.len()).unwrap_or_default(), rest),
        None => ("", text),
    }
}

fn server(tls: bool, credentials: &str, host: &str, database: u32) -> String {
    let scheme = if tls { "rediss" } else { "redis" };
    format!("{scheme}://{credentials}{host}/{database}")
}

/// `host[:port]` with commas between, each with its port.
fn hosts(text: &str, port: u16) -> Option<Vec<String>> {
    let with_port = |host: &str| {
        let name = match host.rsplit_once(':') {
            // A colon inside brackets is one of an IPv6 address.
            Some((name, digits)) if !digits.ends_with(']') => {
                digits.parse::<u16>().ok().filter(|port| *port > 0)?;
                name
            }
            _ => host,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_[]:%".contains(c);
        let whole = !name.is_empty() && name.chars().all(plain) && (!name.contains(':') || name.starts_with('['));
        whole.then(|| if name.len() == host.len() { format!("{host}:{port}") } else { host.to_owned() })
    };
    text.split(',').map(with_port).collect()
}

impl SentinelAddress {
    fn parse(tls: bool, rest: &str) -> Option<Self> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (credentials, rest) = split_credentials(rest);
        let mut parts = rest.split('/');
        let (sentinels, service, database) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
        let named = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if parts.next().is_some() || service.is_empty() || !service.chars().all(named) {
            return None;
        }
        let (mut username, mut password) = ("", "");
        for (name, value) in query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('='))
            .collect::<Option<Vec<_>>>()?
        {
            match name {
                "sentinel_username" => username = value,
                "sentinel_password" => password = value,
                _ => return None,
            }
        }
        let sentinel_credentials =
            if username.is_empty() && password.is_empty() { String::new() } else { format!("{username}:{password}@") };
        Some(Self {
            tls,
            credentials: credentials.to_owned(),
            sentinel_credentials,
            sentinels: hosts(sentinels, SENTINEL_PORT)?,
            service: service.to_owned(),
            database: database.parse().ok()?,
        })
    }

    /// `host:port` of each sentinel.
    pub fn sentinels(&self) -> &[String] {
        &self.sentinels
    }

    /// The address of each sentinel.
    pub fn sentinel_urls(&self) -> impl Iterator<Item = String> {
        self.sentinels.iter().map(|host| server(self.tls, &self.sentinel_credentials, host, 0))
    }

    /// The address of the server at `host` (with its port), as a sentinel names it.
    pub fn server_url(&self, host: &str) -> String {
        server(self.tls, &self.credentials, host, self.database)
    }
}

impl ClusterAddress {
    fn parse(tls: bool, rest: &str) -> Option<Self> {
        let (credentials, rest) = split_credentials(rest);
        let seeds = hosts(rest.strip_suffix('/').unwrap_or(rest), SERVER_PORT)?;
        Some(Self { tls, credentials: credentials.to_owned(), seeds })
    }

    /// `host:port` of the nodes that are asked first.
    pub fn seeds(&self) -> &[String] {
        &self.seeds
    }

    /// The address of the node at `host` (with its port). A cluster has only the database 0.
    pub fn server_url(&self, host: &str) -> String {
        server(self.tls, &self.credentials, host, 0)
    }
}

impl RedisAddress {
    /// What an address must look like, for the sentence that refuses one.
    pub const RULE: &str = "must be redis://host[:port][/db] or rediss://, unix:///path, \
                            redis+sentinel://host[:port],.../service[/db] or redis+cluster://host[:port],...";

    /// Takes an address apart; none where it is of no known kind.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        match scheme {
            "redis" | "rediss" | "unix" if !rest.is_empty() => Some(Self::Server(text.to_owned())),
            "redis+sentinel" => SentinelAddress::parse(false, rest).map(Self::Sentinel),
            "rediss+sentinel" => SentinelAddress::parse(true, rest).map(Self::Sentinel),
            "redis+cluster" => ClusterAddress::parse(false, rest).map(Self::Cluster),
            "rediss+cluster" => ClusterAddress::parse(true, rest).map(Self::Cluster),
            _ => None,
        }
    }

    /// Whether it is spoken to under TLS.
    pub fn uses_tls(&self) -> bool {
        match self {
            Self::Server(url) => url.starts_with("rediss://"),
            Self::Sentinel(address) => address.tls,
            Self::Cluster(address) => address.tls,
        }
    }
}

/// Without user and password.
impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.uses_tls() { "s" } else { "" };
        match self {
            Self::Server(url) => match (url.split_once("://"), url.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, rest))) => write!(f, "{scheme}://{rest}"),
                _ => f.write_str(url),
            },
            Self::Sentinel(SentinelAddress { sentinels, service, database, .. }) => {
                write!(f, "redis{s}+sentinel://{}/{service}/{database}", sentinels.join(","))
            }
            Self::Cluster(ClusterAddress { seeds, .. }) => write!(f, "redis{s}+cluster://{}", seeds.join(",")),
        }
    }
}

/// As it is shown: it may hold a password.
impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentinel(text: &str) -> SentinelAddress {
        match RedisAddress::parse(text) {
            Some(RedisAddress::Sentinel(address)) => address,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn sentinels_are_asked_where_they_are_and_the_master_is_spoken_to_with_its_password() {
        let address = sentinel("redis+sentinel://app:s%40crt@s1,s2:26400,[::1]/main/3?sentinel_password=w");
        let urls: Vec<String> = address.sentinel_urls().collect();
        assert_eq!(urls, ["redis://:w@s1:26379/0", "redis://:w@s2:26400/0", "redis://:w@[::1]:26379/0"]);
        assert_eq!(address.server_url("10.0.0.7:6379"), "redis://app:s%40crt@10.0.0.7:6379/3");
        assert_eq!(sentinel("rediss+sentinel://s1/main").server_url("db:6380"), "rediss://db:6380/0");
    }

    #[test]
    fn a_cluster_has_seeds_and_one_database() {
        let Some(RedisAddress::Cluster(address)) = RedisAddress::parse("redis+cluster://:pw@a:7000,b/") else {
            panic!("a cluster")
        };
        assert_eq!(address.seeds(), ["a:7000", "b:6379"]);
        assert_eq!(address.server_url("c:7002"), "redis://:pw@c:7002/0");
    }

    #[test]
    fn an_address_is_shown_without_its_passwords() {
        for (text, shown) in [
            ("redis://user:pa@ss@db.example:6379/2", "redis://db.example:6379/2"),
            ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
            (
                "redis+sentinel://u:secret@s1,s2/main?sentinel_password=secret",
                "redis+sentinel://s1:26379,s2:26379/main/0",
            ),
            ("rediss+cluster://:secret@a:7000", "rediss+cluster://a:7000"),
        ] {
            let address = RedisAddress::parse(text).unwrap();
            assert_eq!((address.to_string(), format!("{address:?}")), (shown.to_owned(), shown.to_owned()));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis+sentinel://s1",
            "redis+sentinel://s1/",
            "redis+sentinel://s1/main/x",
            "redis+sentinel://s1/main/0/1",
            "redis+sentinel://s1:port/main",
            "redis+sentinel:///main",
            "redis+sentinel://s1,/main",
            "redis+sentinel://s1/main?password=x",
            "redis+cluster://",
            "redis+cluster://a/1",
            "redis+cluster://a:0",
        ] {
            assert_eq!(RedisAddress::parse(text), None, "{text}");
        }
    }
}
