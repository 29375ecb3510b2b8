//! What commands share: the configuration, logs, and Redis with a sentence where it is not there.
//!
//! A command that talks to a daemon does so through Redis alone, as any other program does: it finds the
//! Redis of the daemon by reading the same configuration.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::anyhow;
use redis::cmd;

use crate::{
    app,
    config::{self, Config, LogFormat, LogSettings, RedisTarget, redis_address::RedisAddress},
    operate::place::place,
    store::{Store, StoreError, embedded},
    telemetry,
};

/// Where a daemon of the packaged unit keeps its state.
const SYSTEM_STATE_DIR: &str = "/var/lib/remesa";

/// Arguments of every command.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Globals {
    /// Configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "Configuration file (default: $REMESA_CONFIG, else /etc/remesa/remesa.toml if it exists)"
    )]
    pub config: Option<PathBuf>,
}

impl Globals {
    /// The configuration that the daemon on this machine would have with the same arguments.
    pub fn config(&self) -> anyhow::Result<Arc<Config>> {
        Ok(Arc::new(Config::load(self.config.as_deref(), config::environment())?))
    }

    /// Configuration and Redis, with the logs of a command that is not the daemon.
    pub async fn open(&self) -> anyhow::Result<Context> {
        let config = self.config()?;
        quiet_logs()?;
        Context::open(config).await
    }
}

/// Logs of a command: only what somebody should look at.
pub fn quiet_logs() -> anyhow::Result<()> {
    telemetry::init(&LogSettings { format: LogFormat::Text, level: "error".to_owned() })?;
    Ok(())
}

/// An answering Redis and the configuration that named it.
#[derive(Debug, Clone)]
pub struct Context {
    /// The configuration.
    pub config: Arc<Config>,
    /// Redis.
    pub store: Store,
}

impl Context {
    /// Connects, and makes sure that Redis answers.
    pub async fn open(config: Arc<Config>) -> anyhow::Result<Self> {
        let store = app::store(&config)?;
        match store.connection.query::<String>(&cmd("PING")).await {
            Ok(_) => Ok(Self { config, store }),
            Err(StoreError::Unavailable(reason)) => Err(anyhow!(reason).context(no_redis(&config))),
            Err(error) => Err(anyhow!(error).context(format!("{} does not serve us", place(&config)))),
        }
    }

    /// How many daemons beat lately.
    pub async fn daemons(&self) -> anyhow::Result<usize> {
        Ok(self.store.workers().await?.len())
    }

    /// Refuses to go on where nobody would do what is asked.
    pub async fn need_daemon(&self) -> anyhow::Result<()> {
        if self.daemons().await? > 0 {
            return Ok(());
        }
        Err(anyhow!("no daemon is running: start one with `remesa run` (or `systemctl start remesa`)"))
    }
}

/// The line that reaches this Redis from a shell.
pub fn redis_cli(config: &Config) -> String {
    match &config.redis.target {
        RedisTarget::Embedded { .. } => format!("redis-cli -s {}", embedded::socket(&config.state_dir).display()),
        RedisTarget::Server { address } => match address {
            RedisAddress::Server(url) => match url.strip_prefix("unix://") {
                Some(path) => format!("redis-cli -s {}", path.split('?').next().unwrap_or(path)),
                None => format!("redis-cli -u {address}"),
            },
            RedisAddress::Sentinel(address) => {
                let sentinel = address.sentinels().first().map(String::as_str).unwrap_or_default();
                format!("redis-cli -u redis://{sentinel} SENTINEL get-master-addr-by-name {}", address.service)
            }
            RedisAddress::Cluster(address) => {
                format!("redis-cli -c -u redis://{}", address.seeds().first().map(String::as_str).unwrap_or_default())
            }
        },
    }
}

/// The sentence that Redis does not answer, and what helps.
pub fn no_redis(config: &Config) -> String {
    let place = place(config);
    match &config.redis.target {
        RedisTarget::Embedded { .. } => {
            let system = embedded::socket(Path::new(SYSTEM_STATE_DIR));
            if config.state_dir != Path::new(SYSTEM_STATE_DIR) && system.exists() {
                return format!(
                    "no Redis at {place}: a daemon of this machine has its own at {}: run the command as its user, \
                     or set REMESA_STATE_DIR={SYSTEM_STATE_DIR}",
                    system.display()
                );
            }
            format!(
                "no Redis at {place}: is the daemon running? start it with `remesa run` (or `systemctl start remesa`)"
            )
        }
        RedisTarget::Server { .. } => {
            format!("no Redis at {place}: is it running? its address is `redis.url` in the configuration")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(redis_url: &str) -> Config {
        let toml = format!("state_dir = \"/tmp/remesa-test\"\n[redis]\nurl = \"{redis_url}\"\n");
        Config::parse(&toml, "test", std::iter::empty()).unwrap()
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let config = config("redis://user:pa@ss@db.example:6379/2");
        assert!(no_redis(&config).contains("redis://db.example:6379/2"));
        assert!(!no_redis(&config).contains("pa@ss"), "{}", no_redis(&config));
    }

    #[test]
    fn the_redis_cli_line_reaches_sockets_and_servers() {
        assert_eq!(redis_cli(&config("embedded")), "redis-cli -s /tmp/remesa-test/redis.sock");
        assert_eq!(redis_cli(&config("unix:///run/redis.sock?db=1")), "redis-cli -s /run/redis.sock");
        assert_eq!(redis_cli(&config("redis://127.0.0.1:6379/1")), "redis-cli -u redis://127.0.0.1:6379/1");
        assert_eq!(redis_cli(&config("redis+cluster://:hush@a:7000,b")), "redis-cli -c -u redis://a:7000");
        assert_eq!(
            redis_cli(&config("redis+sentinel://:hush@s1,s2/main")),
            "redis-cli -u redis://s1:26379 SENTINEL get-master-addr-by-name main"
        );
    }
}
