//! The configuration: `config/remesa.toml` as compiled in, a file, the environment, in this order.
//!
//! [`Config::load`] reads them once, at start; everything it hands out is judged and typed, and two settings that
//! contradict each other never get past it. Every key with its default, unit and range is described in
//! `config/remesa.toml`, the only place where a default stands. The way: `layers` merges and refuses unknown keys,
//! `raw` is the shape of the file, `resolve` judges it. Nothing else in the crate reads the environment.

mod error;
mod known_receipts;
mod layers;
mod raw;
pub mod redis_address;
mod resolve;
mod resolve_access;
mod resolve_channel;
mod resolve_contact;
mod resolve_point;
mod resolve_receipts;
mod resolve_redis;
mod resolve_replies;
mod resolve_smtp;
mod resolve_sources;
mod resolve_unsubscribe;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::ConfigError;
use layers::Layer;
pub use resolve_access::AccessSettings;
pub use resolve_receipts::{ReceiptSettings, SignatureSettings};
pub use resolve_redis::{Fsync, RedisSettings, RedisTarget, TlsFiles, WaitSettings};
pub use resolve_replies::ReplySettings;
pub use resolve_unsubscribe::UnsubscribeSettings;

use crate::channel::settings::ChannelSettings;
use crate::domain::lookup::PersonalData;
use crate::domain::money::Currency;
use crate::domain::name::Name;
use crate::domain::reply::ReplyMap;
use crate::orders::settings::PlatformSettings;

/// The file read when none is named, if it exists.
pub const DEFAULT_PATH: &str = "/etc/remesa/remesa.toml";

/// Names the file where `--config` does not; not a key of the configuration.
pub const PATH_VARIABLE: &str = "REMESA_CONFIG";

/// What this process is told to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// First part of every Redis key.
    pub prefix: String,
    /// Name of this daemon on this machine.
    pub instance: Name,
    /// Folder of the instance lock and the embedded Redis.
    pub state_dir: PathBuf,
    /// Where Redis is.
    pub redis: RedisSettings,
    /// Jobs handled at once.
    pub queues: QueueSettings,
    /// Leases of running work.
    pub leases: LeaseSettings,
    /// Status, retries and size of jobs.
    pub jobs: JobSettings,
    /// Bounds of orders.
    pub orders: OrderSettings,
    /// Payment points by name; holds `orders.default_payment_point`.
    pub payment_points: BTreeMap<String, PaymentPoint>,
    /// Where rows may come from.
    pub sources: SourceSettings,
    /// Longest text in SMS parts.
    pub max_parts: usize,
    /// Shortest time between two runs of a permanent message.
    pub recurring_min_interval: Duration,
    /// Channels by name.
    pub channels: BTreeMap<String, ChannelSettings>,
    /// How the receipts of each channel are read, by its name.
    pub receipts: BTreeMap<String, ReceiptSettings>,
    /// What counts for all replies.
    pub replies: ReplySettings,
    /// How the replies of each channel that takes them are read, by its name.
    pub channel_replies: BTreeMap<String, ReplyMap>,
    /// Bounds of the capped streams.
    pub streams: StreamSettings,
    /// A campaign is removed this long after its last change.
    pub campaign_retention: Duration,
    /// Exports in the spool folder are kept so long.
    pub export_retention: Duration,
    /// Runs of permanent messages are kept so long.
    pub recurring_retention: Duration,
    /// Notes of what was forgotten are kept so long.
    pub forgotten_retention: Duration,
    /// The digest of a source is remembered this long.
    pub source_digest_retention: Duration,
    /// Where health, metrics and the look-up are served; none = not at all.
    pub http_listen: Option<SocketAddr>,
    /// Where providers reach it from outside, without a slash at the end.
    pub public_url: Option<String>,
    /// The links by which people unsubscribe.
    pub unsubscribe: UnsubscribeSettings,
    /// How the look-up shows contacts and variables to who may see them.
    pub http_personal_data: PersonalData,
    /// Who may look up and act over HTTP.
    pub access: AccessSettings,
    /// Running work may end within this after the first signal; at least every channel's time-out.
    pub drain: Duration,
    /// What is logged, and how.
    pub log: LogSettings,
}

/// Jobs of each queue that this daemon handles at once; none is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// Of `generate`.
    pub permits_generate: usize,
    /// Of `control`.
    pub permits_control: usize,
    /// Slot turns, per channel.
    pub permits_batch: usize,
}

/// Leases: `renew` <= `lease` / 3, `claim_deadline` <= `lease` / 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSettings {
    /// How often a lease is renewed.
    pub renew: Duration,
    /// How long a lease lasts without renewal.
    pub lease: Duration,
    /// How often expired leases are looked for.
    pub sweep: Duration,
    /// Starts without an end after which a job is dead.
    pub max_deliveries: u32,
    /// A claimed message is not handed over later than this after its claim.
    pub claim_deadline: Duration,
}

/// Status, retries and size of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSettings {
    /// A status is kept this long after the end of a job that has a producer's id.
    pub retention_with_id: Duration,
    /// The same without one.
    pub retention: Duration,
    /// Attempts, the first one included.
    pub max_attempts: u32,
    /// Wait before the second attempt, before jitter.
    pub retry_base: Duration,
    /// Longest wait between two attempts; at least `retry_base`.
    pub retry_cap: Duration,
    /// Largest job.
    pub max_bytes: usize,
}

/// Bounds of orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSettings {
    /// Largest amount, minor units (rule PO-9).
    pub max_amount_minor: u64,
    /// Currencies allowed (rule PO-10); empty = all.
    pub currencies: Vec<Currency>,
    /// Life when the job does not say (rule PO-7).
    pub expires_in: Duration,
    /// Least time left for a message to be worth sending (rule PO-19).
    pub floor: Duration,
    /// Characters of a short code, 6 to 16.
    pub short_code_length: usize,
    /// The payment point of a campaign that names none; a key of `payment_points`.
    pub default_payment_point: Name,
    /// Whether the orders of new campaigns are found by their reference.
    pub index_reference: bool,
}

/// Who makes the orders of a payment point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderProvider {
    /// Remesa itself.
    Local,
    /// A payment platform.
    Http(Box<PlatformSettings>),
}

/// One payment point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentPoint {
    /// The name that jobs use.
    pub name: Name,
    /// Who makes its orders.
    pub provider: OrderProvider,
    /// Address of the payment form; the link is `<link_base>?p=<short code>`.
    pub link_base: String,
}

/// Where rows may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// The folder of files.
    pub spool_dir: PathBuf,
    /// Most rows of one job.
    pub max_rows: u64,
    /// Longest line.
    pub max_line_bytes: usize,
    /// Rows written at once, checkpoint after each.
    pub slice_rows: usize,
    /// Refused rows that are recorded.
    pub kept_errors: u64,
    /// Most bytes of a source, unpacked.
    pub max_bytes: u64,
    /// Most bytes of an error file; 0 = none is written.
    pub error_file_max_bytes: u64,
    /// A file that is not here is asked for among the other daemons this long.
    pub seek: Duration,
    /// What may be fetched.
    pub url: UrlSettings,
}

/// What may be fetched from an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlSettings {
    /// Hosts in small letters, with `*.` in front for all below, with `:port` behind where it is not the scheme's own.
    pub hosts: Vec<String>,
    /// Whether http will do.
    pub allow_http: bool,
    /// Whether it may lead to this machine or an inner network.
    pub allow_private: bool,
    /// From the request to the last byte.
    pub timeout: Duration,
    /// The longest silence.
    pub idle: Duration,
}

/// Bounds of the streams that others read, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// Of `results`.
    pub results_max_bytes: u64,
    /// Of `rejected`.
    pub rejected_max_bytes: u64,
    /// Of `dead`.
    pub dead_max_bytes: u64,
    /// Of the audit.
    pub audit_max_bytes: u64,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// Level or directives, known to parse.
    pub level: String,
}

impl Config {
    /// The file that is read: the one named, else that of `REMESA_CONFIG`, else [`DEFAULT_PATH`] if it exists.
    pub fn file(named: Option<&Path>, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
        let variable = || environment.get(PATH_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let there = || Some(PathBuf::from(DEFAULT_PATH)).filter(|path| path.exists());
        named.map(Path::to_owned).or_else(variable).or_else(there)
    }

    /// Reads the three layers and judges them. `path` is `--config`; without it `REMESA_CONFIG` names the file,
    /// else [`DEFAULT_PATH`] is read if it exists. A file that is named must exist.
    pub fn load(path: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let environment: BTreeMap<String, String> = env.collect();
        let Some(path) = Self::file(path, &environment) else { return Self::from_layers(None, environment, is_root()) };
        let text =
            std::fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
        let layer = Layer { origin: &path.display().to_string(), text: &text };
        Self::from_layers(Some(layer), environment, is_root())
    }

    /// The same with a text in the place of the file; `origin` names it in sentences.
    pub fn parse(text: &str, origin: &str, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        Self::from_layers(Some(Layer { origin, text }), env.collect(), is_root())
    }

    fn from_layers(
        file: Option<Layer<'_>>,
        environment: BTreeMap<String, String>,
        is_root: bool,
    ) -> Result<Self, ConfigError> {
        let merged = layers::merge(file, &environment)?;
        let raw: raw::Raw = merged.try_deserialize()?;
        resolve::resolve(raw, &resolve::Surroundings { environment, is_root })
    }

    /// The payment point of this name, if it is defined. `orders.default_payment_point` always is.
    pub fn payment_point(&self, name: &str) -> Option<&PaymentPoint> {
        self.payment_points.get(name)
    }
}

/// The environment of this process, for [`Config::load`]. What is not UTF-8 is none of ours and left out.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
