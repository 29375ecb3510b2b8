//! The stage of a measurement: a private Redis, the provider simulator and the daemons, each a process.
//!
//! Everything lives in a temporary folder and listens on a Unix socket or a free port of 127.0.0.1, so
//! nothing outside is touched. The processes are ended by their ids, at the end or when dropped.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use redis::cmd;
use tempfile::TempDir;

use crate::store::{Connection, Store, Timeouts};

use super::process::Process;

/// Key prefix of the daemons under measurement.
const PREFIX: &str = "remesa";

/// How the daemons are configured where it differs from the defaults.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    /// Daemons beside each other.
    pub(super) daemons: usize,
    /// Permits of the control and batch queues.
    pub(super) permits: u16,
    /// Requests at once.
    pub(super) in_flight: u32,
    /// Parts a second, 0 for no limit.
    pub(super) rate_per_second: u32,
    /// Whether Redis keeps an append-only file.
    pub(super) durable: bool,
    /// Slots of a run over the channel `bench`, 0 for the default.
    pub(super) slots: u8,
    /// Arguments of a second simulator, behind the channel `sick`; none: there is no such channel.
    pub(super) sick: &'static [&'static str],
}

/// A stage.
#[derive(Debug)]
pub(super) struct Stage {
    // Daemons first: fields are dropped in order.
    daemons: Vec<Process>,
    provider: Process,
    sick: Option<(Process, String)>,
    redis: Process,
    provider_url: String,
    setting: Setting,
    /// The Redis of this stage.
    pub(super) store: Store,
    folder: TempDir,
}

impl Stage {
    /// Starts Redis and the provider, and no daemon yet.
    pub(super) async fn set(setting: Setting) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("remesa-bench-").tempdir()?;
        std::fs::create_dir(folder.path().join("spool"))?;
        let socket = folder.path().join("redis.sock");
        let redis = Process::start("redis-server", &mut redis_command(folder.path(), &socket, setting.durable))?;
        let (provider, provider_url) = simulator(&[])?;
        let sick = if setting.sick.is_empty() { None } else { Some(simulator(setting.sick)?) };
        let timeouts = Timeouts { connect: Duration::from_secs(2), response: Duration::from_mins(1) };
        let store = Store::new(Connection::new(&format!("unix://{}", socket.display()), timeouts)?, PREFIX);
        let mut stage = Self { daemons: Vec::new(), provider, sick, redis, provider_url, setting, store, folder };
        stage.wait_for_redis().await?;
        Ok(stage)
    }

    async fn wait_for_redis(&mut self) -> anyhow::Result<()> {
        let mut looks = tokio::time::interval(Duration::from_millis(2));
        for _ in 0..5_000 {
            looks.tick().await;
            if !self.redis.is_running() {
                break;
            }
            if self.store.connection.query::<String>(&cmd("PING")).await.is_ok() {
                return Ok(());
            }
        }
        bail!("the redis-server of the measurement does not answer: is Redis 7 installed?")
    }

    /// Starts the daemons; they are ready when their first job has ended.
    pub(super) fn start_daemons(&mut self) -> anyhow::Result<()> {
        (0..self.setting.daemons).try_for_each(|number| self.start_daemon(number))
    }

    /// Starts the daemon `number`, or starts it again.
    pub(super) fn start_daemon(&mut self, number: usize) -> anyhow::Result<()> {
        std::fs::write(self.config_path(number), self.config(number))?;
        let mut command = self.program(number)?;
        command.arg("run");
        self.daemons.push(Process::start("a daemon", command.stdout(Stdio::null()))?);
        Ok(())
    }

    /// The daemon that was started as the `index`th; dropping it kills it.
    pub(super) fn take_daemon(&mut self, index: usize) -> Process {
        self.daemons.remove(index)
    }

    fn config_path(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("bench-{number}.toml"))
    }

    /// Our own program with the configuration of the daemon `number`, which was started before.
    pub(super) fn program(&self, number: usize) -> anyhow::Result<Command> {
        let mut command = Command::new(own_program()?);
        // Nothing of our own environment but PATH: a REMESA_ variable would change what is measured.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.arg("--config").arg(self.config_path(number));
        Ok(command)
    }

    /// Ends the daemons in order.
    pub(super) async fn stop_daemons(&mut self) -> anyhow::Result<()> {
        for daemon in self.daemons.drain(..) {
            daemon.end().await?;
        }
        Ok(())
    }

    fn config(&self, number: usize) -> String {
        let Setting { permits, in_flight, rate_per_second, .. } = self.setting;
        let folder = self.folder.path().display();
        let url = &self.provider_url;
        let slots = if self.setting.slots > 0 { format!("slots = {}\n", self.setting.slots) } else { String::new() };
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "prefix = \"{PREFIX}\"\ninstance = \"bench-{number}\"\nstate_dir = \"{folder}/state-{number}\"\n\
             [redis]\nurl = \"unix://{folder}/redis.sock\"\n\
             [queues]\npermits_control = {permits}\npermits_batch = {permits}\n\
             [sources]\nspool_dir = \"{folder}/spool\"\n\
             [recurring]\nmin_interval = \"1s\"\n[http]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"warn\"\n\
             [channels.bench]\nkind = \"sandbox\"\nurl = \"{url}\"\nin_flight = {in_flight}\n\
             rate_per_second = {rate_per_second}\n{slots}\
             [channels.nowhere]\nkind = \"sandbox\"\nurl = \"http://127.0.0.1:1\"\nslots = 64\n\
             retry_base = \"1h\"\nretry_cap = \"24h\"\n"
        );
        if let Some((_, url)) = &self.sick {
            let _ = write!(text, "[channels.sick]\nkind = \"sandbox\"\nurl = \"{url}\"\nin_flight = {in_flight}\n");
        }
        text
    }

    /// A file that jobs may name.
    pub(super) fn spool(&self, name: &str) -> PathBuf {
        self.folder.path().join("spool").join(name)
    }

    /// The provider's address.
    pub(super) fn provider_url(&self) -> &str {
        &self.provider_url
    }

    /// CPU time used so far: all daemons, Redis, the provider.
    pub(super) fn cpu(&self) -> anyhow::Result<Cpu> {
        let daemons = self.daemons.iter().map(Process::cpu).sum::<anyhow::Result<Duration>>()?;
        Ok(Cpu { daemons, redis: self.redis.cpu()?, provider: self.provider.cpu()? })
    }

    /// The most memory one of the daemons has had.
    pub(super) fn daemon_peak_bytes(&self) -> anyhow::Result<u64> {
        let peaks: Vec<u64> = self.daemons.iter().map(Process::peak_bytes).collect::<anyhow::Result<_>>()?;
        peaks.into_iter().max().context("no daemon runs")
    }

    /// An error when a daemon has ended by itself.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        if self.daemons.iter_mut().all(Process::is_running) {
            return Ok(());
        }
        bail!("a daemon ended while it was measured")
    }

    /// Ends everything in order.
    pub(super) async fn strike(mut self) -> anyhow::Result<()> {
        self.stop_daemons().await
    }
}

/// CPU time by process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu {
    /// All daemons.
    pub(super) daemons: Duration,
    /// Redis.
    pub(super) redis: Duration,
    /// The provider.
    pub(super) provider: Duration,
}

impl Cpu {
    /// What was used since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            daemons: self.daemons.saturating_sub(before.daemons),
            redis: self.redis.saturating_sub(before.redis),
            provider: self.provider.saturating_sub(before.provider),
        }
    }
}

/// A provider simulator, and its address.
fn simulator(arguments: &[&str]) -> anyhow::Result<(Process, String)> {
    let mut command = Command::new(own_program()?);
    command.args(["sandbox", "--port", "0"]).args(arguments).stdout(Stdio::piped());
    let mut simulator = Process::start("the provider simulator", &mut command)?;
    let url = simulator.announced("http://127.0.0.1:")?;
    Ok((simulator, url))
}

/// A client for the simulator and the daemons: no redirects, no proxies, whatever the environment says.
pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    // Someone else may have installed it already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}

fn own_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("where this program is")
}

fn redis_command(folder: &Path, socket: &Path, durable: bool) -> Command {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", "0", "--daemonize", "no", "--save", "", "--databases", "1"])
        .args(["--appendonly", if durable { "yes" } else { "no" }, "--appendfsync", "everysec"])
        .args(["--proto-max-bulk-len", "2mb", "--maxmemory-policy", "noeviction"])
        .arg("--unixsocket")
        .arg(socket)
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
