//! `[redis]`, judged: which Redis, how it is spoken to, and how many replicas must have a claim before anything leaves.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::ConfigError;
use super::raw;
use super::redis_address::RedisAddress;
use super::resolve::Surroundings;
use super::rules::{MINUTE, SECOND, duration, number, one_of, show};

/// When the append-only file of the embedded Redis reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Once a second.
    EverySecond,
    /// Before each reply.
    Always,
}

impl Fsync {
    /// The word of `redis.conf`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EverySecond => "everysec",
            Self::Always => "always",
        }
    }
}

/// Which Redis is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisTarget {
    /// A private child process with its data in the state folder.
    Embedded {
        /// Name or path of `redis-server`.
        program: String,
        /// When its append-only file is flushed.
        fsync: Fsync,
    },
    /// One that others run.
    Server {
        /// Where it is.
        address: RedisAddress,
    },
}

/// Files in PEM that TLS needs beside the system's certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// The certificates of those who may sign the servers' ones; without it those that the system trusts.
    pub authorities: Option<PathBuf>,
    /// Our own certificate and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Replicas that must have a claim before its messages leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitSettings {
    /// So many of them.
    pub replicas: NonZeroU32,
    /// Within this time; shorter than a claim may wait to be sent.
    pub timeout: Duration,
}

/// How Redis is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// Which one.
    pub target: RedisTarget,
    /// What TLS needs.
    pub tls: TlsFiles,
    /// Longest wait for a reply, on top of what a blocking command asks for.
    pub response_timeout: Duration,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Whether claims wait for replicas.
    pub wait: Option<WaitSettings>,
}

/// Judges the table; `claim_deadline` as the leases have it.
pub(super) fn redis(
    raw: &raw::Redis,
    claim_deadline: Duration,
    around: &Surroundings,
) -> Result<RedisSettings, ConfigError> {
    let target = target(raw)?;
    let wait = wait(raw, &target, claim_deadline)?;
    Ok(RedisSettings {
        tls: tls(raw, &target, around)?,
        target,
        response_timeout: duration("redis.response_timeout", &raw.response_timeout, SECOND, MINUTE)?,
        connect_timeout: duration("redis.connect_timeout", &raw.connect_timeout, Duration::from_millis(100), MINUTE)?,
        wait,
    })
}

fn target(raw: &raw::Redis) -> Result<RedisTarget, ConfigError> {
    let fsync = [("everysec", Fsync::EverySecond), ("always", Fsync::Always)];
    let fsync = one_of("redis.embedded_fsync", &raw.embedded_fsync, &fsync)?;
    match raw.url.as_str() {
        "embedded" if raw.embedded_program.is_empty() => {
            Err(ConfigError::value("redis.embedded_program", "\"\"", "names the program redis-server"))
        }
        "embedded" => Ok(RedisTarget::Embedded { program: raw.embedded_program.clone(), fsync }),
        // The address may hold a password: only its scheme is shown.
        url => RedisAddress::parse(url).map(|address| RedisTarget::Server { address }).ok_or_else(|| {
            let shown = show(url.split("://").next().unwrap_or_default());
            ConfigError::value("redis.url", shown, format!("must be \"embedded\", or {}", RedisAddress::RULE))
        }),
    }
}

fn contradicts_url(key: &str, value: &str, target: &RedisTarget, rule: &str) -> ConfigError {
    let other = match target {
        RedisTarget::Embedded { .. } => show("embedded"),
        RedisTarget::Server { address } => show(&address.to_string()),
    };
    let (key, other_key) = (format!("redis.{key}"), "redis.url".to_owned());
    ConfigError::Contradiction { key, value: value.to_owned(), other_key, other, rule: rule.to_owned() }
}

fn tls(raw: &raw::Redis, target: &RedisTarget, around: &Surroundings) -> Result<TlsFiles, ConfigError> {
    let keys = [
        ("tls_ca_file", &raw.tls_ca_file),
        ("tls_certificate_file", &raw.tls_certificate_file),
        ("tls_key_file", &raw.tls_key_file),
    ];
    let has_tls = matches!(target, RedisTarget::Server { address } if address.uses_tls());
    if let Some((key, value)) = keys.iter().find(|(_, value)| !value.is_empty() && !has_tls) {
        return Err(contradicts_url(key, &show(value), target, "only an address of rediss:// is spoken to under TLS"));
    }
    let path = |(key, value): (&str, &String)| match value.as_str() {
        "" => Ok(None),
        text => around.folder(&format!("redis.{key}"), text).map(Some),
    };
    let [authorities, certificate, key] = keys.map(path);
    let own = match (certificate?, key?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err(ConfigError::value("redis.tls_key_file", "\"\"", "a certificate needs its key")),
        (None, Some(_)) => {
            return Err(ConfigError::value("redis.tls_certificate_file", "\"\"", "a key needs its certificate"));
        }
    };
    Ok(TlsFiles { authorities: authorities?, own })
}

fn wait(raw: &raw::Redis, target: &RedisTarget, deadline: Duration) -> Result<Option<WaitSettings>, ConfigError> {
    let timeout = duration("redis.wait_timeout", &raw.wait_timeout, Duration::from_millis(10), MINUTE)?;
    let replicas = number("redis.wait_replicas", raw.wait_replicas, 0, 16)?;
    let Some(replicas) = NonZeroU32::new(replicas) else { return Ok(None) };
    let refused = |rule| Err(contradicts_url("wait_replicas", &replicas.to_string(), target, rule));
    match target {
        RedisTarget::Embedded { .. } => return refused("the embedded Redis has no replicas"),
        RedisTarget::Server { address: RedisAddress::Cluster(_) } => {
            return refused("in a cluster claims cannot be made to wait for replicas");
        }
        RedisTarget::Server { address: RedisAddress::Server(_) | RedisAddress::Sentinel(_) } => {}
    }
    if timeout >= deadline {
        return Err(ConfigError::Contradiction {
            key: "redis.wait_timeout".to_owned(),
            value: show(&raw.wait_timeout),
            other_key: "leases.claim_deadline".to_owned(),
            other: show(&crate::domain::clock::format_duration(deadline)),
            rule: "a claim that waits so long could not be sent any more".to_owned(),
        });
    }
    Ok(Some(WaitSettings { replicas, timeout }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn resolved(redis: &str) -> Result<RedisSettings, String> {
        let toml = format!("state_dir = \"/tmp/remesa-test\"\n[redis]\n{redis}");
        Config::parse(&toml, "test", std::iter::empty()).map(|config| config.redis).map_err(|error| error.to_string())
    }

    #[test]
    fn claims_wait_for_replicas_where_there_can_be_some() {
        assert_eq!(resolved("").unwrap().wait, None);
        let url = "url = \"redis+sentinel://s1/main\"\nwait_replicas = 2\n";
        let wait = resolved(url).unwrap().wait.unwrap();
        assert_eq!((wait.replicas.get(), wait.timeout), (2, Duration::from_secs(1)));
        for (text, says) in [
            ("wait_replicas = 1\n", "the embedded Redis has no replicas"),
            ("url = \"redis+cluster://a\"\nwait_replicas = 1\n", "in a cluster claims cannot be made to wait"),
            (&format!("{url}wait_timeout = \"6s\"\n"), "contradicts `leases.claim_deadline` = \"6s\""),
            ("wait_replicas = 17\n", "must be from 0 to 16"),
        ] {
            let refused = resolved(text).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn files_of_tls_belong_to_an_address_of_tls_and_a_certificate_to_its_key() {
        let tls = resolved("url = \"rediss://db\"\ntls_ca_file = \"/ca.pem\"\n").unwrap().tls;
        assert_eq!(tls, TlsFiles { authorities: Some("/ca.pem".into()), own: None });
        let own = "tls_certificate_file = \"/c.pem\"\ntls_key_file = \"/k.pem\"\n";
        let tls = resolved(&format!("url = \"rediss+cluster://db\"\n{own}")).unwrap().tls;
        assert_eq!(tls.own, Some(("/c.pem".into(), "/k.pem".into())));
        for (text, says) in [
            ("url = \"redis://:hush@db\"\ntls_ca_file = \"/ca.pem\"\n", "contradicts `redis.url` = \"redis://db\""),
            ("url = \"rediss://db\"\ntls_key_file = \"/k.pem\"\n", "a key needs its certificate"),
            ("url = \"rediss://db\"\ntls_certificate_file = \"/c.pem\"\n", "a certificate needs its key"),
        ] {
            let refused = resolved(text).unwrap_err();
            assert!(refused.contains(says) && !refused.contains("hush"), "{refused}");
        }
    }
}
