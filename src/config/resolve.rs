//! From what is written to what is meant: each value judged, each contradiction refused, paths and secrets found.
//!
//! The first fault ends it, naming key, value and rule. The surroundings (environment, root or not) come in as an
//! argument, so that a test can say them. Channels are in `resolve_channel`, payment points in `resolve_point`, single values in `rules`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::raw::{self, Raw};
use super::rules::{DAY, HOUR, MINUTE, SECOND, duration, name, number, one_of, show, size};
use super::{
    Config, ConfigError, JobSettings, LeaseSettings, LogFormat, LogSettings, OrderProvider, OrderSettings,
    PaymentPoint, QueueSettings, StreamSettings, known_receipts, resolve_access, resolve_channel, resolve_point,
    resolve_receipts, resolve_redis, resolve_replies, resolve_sources, resolve_unsubscribe,
};
use crate::channel::settings::ChannelKind;
use crate::domain::clock::format_duration;
use crate::domain::lookup::PersonalData;
use crate::domain::money::Currency;

/// What of the process decides about paths and secrets.
pub(super) struct Surroundings {
    /// Environment variables.
    pub(super) environment: BTreeMap<String, String>,
    /// Whether it runs as root.
    pub(super) is_root: bool,
}

impl Surroundings {
    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// `~` and `~/...` are the home folder.
    pub(super) fn path(&self, key: &str, text: &str) -> Result<PathBuf, ConfigError> {
        let Some(rest) = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            return Ok(PathBuf::from(text));
        };
        let home = self.variable("HOME").ok_or_else(|| ConfigError::value(key, show(text), "HOME is not set"))?;
        Ok(PathBuf::from(home).join(rest.trim_start_matches('/')))
    }

    /// A folder; a relative one begins at the working folder, now: the embedded Redis has another one.
    pub(super) fn folder(&self, key: &str, text: &str) -> Result<PathBuf, ConfigError> {
        let path = self.path(key, text)?;
        std::path::absolute(path).map_err(|_| ConfigError::value(key, show(text), "is not a path"))
    }

    fn state_dir(&self, text: &str) -> Result<PathBuf, ConfigError> {
        if !text.is_empty() {
            return self.folder("state_dir", text);
        }
        // systemd names several folders with colons between; ours is the first.
        if let Some(first) = self.variable("STATE_DIRECTORY").and_then(|folders| folders.split(':').next()) {
            return Ok(PathBuf::from(first));
        }
        if self.is_root {
            return Ok(PathBuf::from("/var/lib/remesa"));
        }
        match self.variable("XDG_STATE_HOME") {
            Some(folder) => Ok(PathBuf::from(folder).join("remesa")),
            None => self.path("state_dir", "~/.local/state/remesa"),
        }
    }
}

/// Judges everything.
pub(super) fn resolve(raw: Raw, around: &Surroundings) -> Result<Config, ConfigError> {
    let state_dir = around.state_dir(&raw.state_dir)?;
    let sources = resolve_sources::sources(&raw.sources, &state_dir, around)?;
    let payment_points = resolve_point::payment_points(raw.payment_points, &raw.orders, around)?;
    let drain = duration("shutdown.drain", &raw.shutdown.drain, Duration::from_secs(1), 10 * MINUTE)?;
    let contradiction = |key: String, timeout: Duration| ConfigError::Contradiction {
        key: "shutdown.drain".to_owned(),
        value: show(&raw.shutdown.drain),
        other_key: key,
        other: show(&format_duration(timeout)),
        rule: "what is in flight must be able to end while the daemon drains".to_owned(),
    };
    for (point, settings) in &payment_points {
        if let OrderProvider::Http(platform) = &settings.provider
            && platform.timeout > drain
        {
            return Err(contradiction(format!("payment_points.{point}.timeout"), platform.timeout));
        }
    }
    let leases = leases(&raw.leases)?;
    let public_url = resolve_receipts::public_url(&raw.http.public_url)?;
    let (mut channels, mut receipts, mut channel_replies) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (channel, mut settings) in raw.channels {
        resolve_receipts::needs_public_url(&channel, &settings, public_url.as_deref())?;
        let table = format!("channels.{channel}");
        let of_receipts = std::mem::take(&mut settings.receipts);
        let of_replies = std::mem::take(&mut settings.replies);
        let settings = resolve_channel::channel(&channel, settings, around)?;
        let mut of_receipts = resolve_receipts::receipts(&table, of_receipts, around)?;
        if let ChannelKind::Known(provider) = settings.kind {
            of_receipts = known_receipts::known(provider, of_receipts, &settings, public_url.as_deref());
        }
        if let Some(map) = resolve_replies::of_channel(&table, of_replies, &of_receipts)? {
            channel_replies.insert(channel.clone(), map);
        }
        receipts.insert(channel.clone(), of_receipts);
        if settings.timeout > drain {
            return Err(contradiction(format!("channels.{channel}.timeout"), settings.timeout));
        }
        channels.insert(channel, settings);
    }
    Ok(Config {
        prefix: prefix(&raw.prefix)?,
        instance: name("instance", &raw.instance)?,
        redis: resolve_redis::redis(&raw.redis, leases.claim_deadline, around)?,
        queues: QueueSettings {
            permits_generate: size("queues.permits_generate", raw.queues.permits_generate.into(), 1, 1_000)?,
            permits_control: size("queues.permits_control", raw.queues.permits_control.into(), 1, 1_000)?,
            permits_batch: size("queues.permits_batch", raw.queues.permits_batch.into(), 1, 1_000)?,
        },
        leases,
        jobs: jobs(&raw.jobs)?,
        orders: orders(&raw.orders, &payment_points)?,
        payment_points,
        sources,
        max_parts: size("messages.max_parts", raw.messages.max_parts.into(), 1, 10)?,
        recurring_min_interval: duration("recurring.min_interval", &raw.recurring.min_interval, SECOND, 31 * DAY)?,
        channels,
        receipts,
        replies: resolve_replies::replies(raw.replies)?,
        channel_replies,
        streams: StreamSettings {
            results_max_bytes: stream("results.max_bytes", &raw.results)?,
            rejected_max_bytes: stream("rejected.max_bytes", &raw.rejected)?,
            dead_max_bytes: stream("dead.max_bytes", &raw.dead)?,
            audit_max_bytes: stream("audit.max_bytes", &raw.audit)?,
        },
        recurring_retention: duration("retention.recurring_runs", &raw.retention.recurring_runs, HOUR, 3_650 * DAY)?,
        forgotten_retention: duration("retention.forgotten", &raw.retention.forgotten, DAY, 36_500 * DAY)?,
        export_retention: duration("retention.exports", &raw.retention.exports, HOUR, 3_650 * DAY)?,
        campaign_retention: duration("retention.campaigns", &raw.retention.campaigns, HOUR, 3_650 * DAY)?,
        source_digest_retention: duration(
            "retention.source_digests",
            &raw.retention.source_digests,
            MINUTE,
            3_650 * DAY,
        )?,
        http_listen: listen(&raw.http.listen)?,
        unsubscribe: resolve_unsubscribe::unsubscribe(raw.unsubscribe, public_url.as_deref())?,
        public_url,
        http_personal_data: personal_data(&raw.http.personal_data)?,
        access: resolve_access::access(&raw.http, around)?,
        drain,
        log: LogSettings {
            format: one_of("log.format", &raw.log.format, &[("text", LogFormat::Text), ("json", LogFormat::Json)])?,
            level: level(raw.log.level)?,
        },
        state_dir,
    })
}

fn prefix(text: &str) -> Result<String, ConfigError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    let ends = |c: Option<char>| c.is_some_and(|c| c != ':');
    if text.len() <= 32 && text.chars().all(allowed) && ends(text.chars().next()) && ends(text.chars().last()) {
        return Ok(text.to_owned());
    }
    Err(ConfigError::value("prefix", show(text), "must be 1 to 32 of A-Z a-z 0-9 . _ - and : inside"))
}

fn leases(raw: &raw::Leases) -> Result<LeaseSettings, ConfigError> {
    let lease = duration("leases.lease", &raw.lease, Duration::from_secs(1), 10 * MINUTE)?;
    let renew = duration("leases.renew", &raw.renew, Duration::from_millis(10), 10 * MINUTE)?;
    let claim_deadline = match raw.claim_deadline.as_str() {
        "" => lease / 2,
        text => duration("leases.claim_deadline", text, Duration::from_millis(10), 10 * MINUTE)?,
    };
    let contradiction = |key: &str, value: &str, rule: &str| ConfigError::Contradiction {
        key: key.to_owned(),
        value: show(value),
        other_key: "leases.lease".to_owned(),
        other: show(&raw.lease),
        rule: rule.to_owned(),
    };
    if renew > lease / 3 {
        let rule = "a lease must outlive two missed renewals (at most a third of it)";
        return Err(contradiction("leases.renew", &raw.renew, rule));
    }
    if claim_deadline > lease / 2 {
        let rule = "a claim must end well before another daemon takes it over (at most half of the lease)";
        return Err(contradiction("leases.claim_deadline", &raw.claim_deadline, rule));
    }
    Ok(LeaseSettings {
        renew,
        lease,
        sweep: duration("leases.sweep", &raw.sweep, Duration::from_millis(100), MINUTE)?,
        max_deliveries: number("leases.max_deliveries", raw.max_deliveries, 1, 100)?,
        claim_deadline,
    })
}

fn jobs(raw: &raw::Jobs) -> Result<JobSettings, ConfigError> {
    let (retry_base, retry_cap) = resolve_channel::retry("jobs", &raw.retry_base, &raw.retry_cap)?;
    Ok(JobSettings {
        retention_with_id: duration("jobs.retention_with_id", &raw.retention_with_id, MINUTE, 365 * DAY)?,
        retention: duration("jobs.retention", &raw.retention, MINUTE, 365 * DAY)?,
        max_attempts: number("jobs.max_attempts", raw.max_attempts, 1, 100)?,
        retry_base,
        retry_cap,
        max_bytes: size("jobs.max_bytes", raw.max_bytes, 1_024, 16_777_216)?,
    })
}

fn orders(raw: &raw::Orders, points: &BTreeMap<String, PaymentPoint>) -> Result<OrderSettings, ConfigError> {
    let mut currencies = Vec::new();
    for code in &raw.currencies {
        let refused = |error| ConfigError::value("orders.currencies", show(code), format!("{error}"));
        currencies.push(Currency::parse(code).map_err(refused)?);
    }
    if !points.contains_key(&raw.default_payment_point) {
        let known = points.keys().cloned().collect::<Vec<_>>().join(", ");
        let rule = format!("must be one of the payment points defined: {known}");
        return Err(ConfigError::value("orders.default_payment_point", show(&raw.default_payment_point), rule));
    }
    Ok(OrderSettings {
        max_amount_minor: number("orders.max_amount", raw.max_amount, 1, 1_000_000_000_000)?,
        currencies,
        expires_in: duration("orders.expires_in", &raw.expires_in, 10 * MINUTE, 15 * DAY)?,
        floor: duration("orders.floor", &raw.floor, Duration::ZERO, DAY)?,
        short_code_length: size("orders.short_code_length", raw.short_code_length.into(), 6, 16)?,
        default_payment_point: name("orders.default_payment_point", &raw.default_payment_point)?,
        index_reference: raw.index_reference,
    })
}

fn stream(key: &str, raw: &raw::Capped) -> Result<u64, ConfigError> {
    number(key, raw.max_bytes, 65_536, 1_099_511_627_776)
}

fn listen(text: &str) -> Result<Option<SocketAddr>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let rule = "must be an address and a port, such as 127.0.0.1:9464, or \"\" for none";
    text.parse().map(Some).map_err(|_| ConfigError::value("http.listen", show(text), rule))
}

fn personal_data(text: &str) -> Result<PersonalData, ConfigError> {
    let words = [("masked", PersonalData::Masked), ("whole", PersonalData::Whole)];
    one_of("http.personal_data", text, &words)
}

fn level(text: String) -> Result<String, ConfigError> {
    match tracing_subscriber::EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(ConfigError::value(
            "log.level",
            show(&text),
            "must be error, warn, info, debug, trace or directives such as info,remesa::queue=debug",
        )),
    }
}
