//! Reload: the configuration is read again while the daemon works.
//!
//! A reload is a second daemon in the same process: it starts under the new configuration, takes the door over, and then
//! the first one drains, and stays for as long as its journal may be needed. So nothing stands still meanwhile, and everything that holds for two daemons on two machines
//! holds for these two. A configuration that is not valid, or a daemon that cannot start under it, changes nothing.
//! What belongs to the process as a whole (`fixed`) needs a restart, and is refused with the key's name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::Arc,
    time::Duration,
};

use anyhow::bail;
use tokio::sync::Notify;

use crate::{
    channel::settings::ChannelSettings,
    config::{Config, ReceiptSettings},
    domain::reply::ReplyMap,
    telemetry::LogLevel,
};

/// A Redis that does not answer within this puts a reload off: the present daemon works on.
pub(super) const REDIS_WITHIN: Duration = Duration::from_secs(2);

/// How a reload is asked for, and what it needs.
pub struct Reloads {
    /// Somebody asks.
    pub asked: Arc<Notify>,
    /// Reads the configuration.
    pub read: Box<dyn Fn() -> anyhow::Result<Arc<Config>> + Send + Sync>,
    /// The level of the log, where it can change.
    pub level: Option<LogLevel>,
}

impl std::fmt::Debug for Reloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloads").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Reloads {
    /// Nobody ever asks.
    pub fn never(config: &Arc<Config>) -> Self {
        let config = Arc::clone(config);
        Self { asked: Arc::default(), read: Box::new(move || Ok(Arc::clone(&config))), level: None }
    }

    /// The configuration as it stands now, if a daemon that runs under `before` can change to it.
    pub(super) fn read(&self, before: &Config) -> anyhow::Result<Arc<Config>> {
        let config = (self.read)()?;
        let changed = fixed(before, &config);
        if !changed.is_empty() {
            bail!("{} cannot change while the daemon runs: restart it", changed.join(", "));
        }
        Ok(config)
    }
}

/// The keys that differ and belong to the process as a whole.
fn fixed(before: &Config, after: &Config) -> Vec<&'static str> {
    let keys = [
        ("prefix", before.prefix == after.prefix),
        ("instance", before.instance == after.instance),
        ("state_dir", before.state_dir == after.state_dir),
        ("redis", before.redis == after.redis),
        ("http.listen", before.http_listen == after.http_listen),
        ("log.format", before.log.format == after.log.format),
    ];
    keys.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}

/// The tables that differ, each channel and payment point by its name: what a reload changed.
pub(super) fn changed(before: &Config, after: &Config) -> String {
    let mut tables = named("channels", &served(before), &served(after));
    tables.extend(named("payment_points", &before.payment_points, &after.payment_points));
    let others = [
        ("queues", before.queues == after.queues),
        ("leases", before.leases == after.leases),
        ("jobs", before.jobs == after.jobs),
        ("orders", before.orders == after.orders),
        ("sources", before.sources == after.sources),
        ("replies", before.replies == after.replies),
        ("unsubscribe", before.unsubscribe == after.unsubscribe),
        ("http", web(before) == web(after)),
        ("retention", kept(before) == kept(after)),
        ("log", before.log == after.log),
    ];
    tables.extend(others.into_iter().filter(|(_, same)| !same).map(|(table, _)| table.to_owned()));
    tables.join(", ")
}

type Served<'a> = BTreeMap<&'a String, (&'a ChannelSettings, Option<&'a ReceiptSettings>, Option<&'a ReplyMap>)>;

fn served(config: &Config) -> Served<'_> {
    let of = |name| (config.receipts.get(name), config.channel_replies.get(name));
    config.channels.iter().map(|(name, settings)| (name, (settings, of(name).0, of(name).1))).collect()
}

fn web(config: &Config) -> impl PartialEq + '_ {
    (&config.access, &config.public_url, config.http_personal_data)
}

fn kept(config: &Config) -> impl PartialEq + '_ {
    let campaigns = (config.campaign_retention, config.recurring_retention, config.export_retention);
    (&config.streams, campaigns, config.forgotten_retention, config.source_digest_retention)
}

fn named<K: Ord + Display, V: PartialEq>(table: &str, before: &BTreeMap<K, V>, after: &BTreeMap<K, V>) -> Vec<String> {
    let names: BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    let differ = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differ.map(|name| format!("{table}.{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Arc<Config> {
        Arc::new(Config::parse(text, "test", std::iter::empty()).unwrap())
    }

    #[test]
    fn channels_change_under_a_running_daemon_and_its_redis_does_not() {
        let before = config("state_dir = \"/a\"\n");
        let channel = config("state_dir = \"/a\"\n[channels.sms]\nkind = \"sandbox\"\n");
        assert_eq!(*Reloads::never(&channel).read(&before).unwrap(), *channel);
        let redis = config("state_dir = \"/b\"\n[redis]\nurl = \"redis://127.0.0.1/\"\n");
        let refused = Reloads::never(&redis).read(&before).unwrap_err().to_string();
        assert_eq!(refused, "state_dir, redis cannot change while the daemon runs: restart it");
    }

    #[test]
    fn what_a_reload_changed_is_named_and_no_secret_shown() {
        let before = config("[channels.sms]\nkind = \"sandbox\"\n[channels.gone]\nkind = \"sandbox\"\n");
        let after = config(
            "[channels.sms]\nkind = \"sandbox\"\nrate_per_second = 5\n[log]\nlevel = \"debug\"\n\
             [http.tokens.ana]\ntoken = \"0123456789abcdef0123456789abcdef\"\nrole = \"read\"\n",
        );
        assert_eq!(changed(&before, &after), "channels.gone, channels.sms, http, log");
        assert_eq!(changed(&before, &before), "");
    }
}
