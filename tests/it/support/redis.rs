//! A private, real redis-server: on a Unix socket and a free loopback port, in a folder of its own.
//!
//! It can be killed, restarted with its append-only file, stopped (SIGSTOP) and continued. Address and port stay the
//! same over a restart. It is killed when the value is dropped, also when the test panics.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tempfile::TempDir;

use super::clock::Clock;
use super::wait;

/// Somebody else may take the free port before Redis does: tried again with another one.
const PORTS_TRIED: usize = 5;

/// A running server.
pub(crate) struct Redis {
    folder: TempDir,
    port: u16,
    append_only: bool,
    environment: Vec<(&'static str, String)>,
    /// Further arguments of the next start.
    arguments: Vec<String>,
    /// Arguments of every start.
    settings: Vec<String>,
    child: Option<Child>,
}

impl Redis {
    /// Starts one that keeps nothing on disk.
    pub(crate) async fn start() -> Self {
        Self::start_with(false, Vec::new(), &[]).await
    }

    /// Starts one whose append-only file is flushed before each reply, so that a kill loses nothing.
    pub(crate) async fn start_append_only() -> Self {
        Self::start_with(true, Vec::new(), &[]).await
    }

    /// Starts one that goes by a clock of ours, and keeps nothing on disk.
    pub(crate) async fn start_under(clock: &Clock) -> Self {
        Self::start_with(false, clock.environment(), &[]).await
    }

    /// Starts one with further settings: `&["--replicaof", "127.0.0.1", "7000"]`.
    pub(crate) async fn start_as(settings: &[&str]) -> Self {
        Self::start_with(false, Vec::new(), settings).await
    }

    async fn start_with(append_only: bool, environment: Vec<(&'static str, String)>, settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("remesa-redis-").tempdir().unwrap();
        let settings = settings.iter().map(|word| (*word).to_owned()).collect();
        let arguments = Vec::new();
        let mut server = Self { folder, port: 0, append_only, environment, arguments, settings, child: None };
        for _ in 0..PORTS_TRIED {
            server.port = free_port();
            if server.launch().await {
                return server;
            }
        }
        panic!("redis-server did not start:\n{}", server.log());
    }

    /// Starts the process and waits until it answers; false if it ended instead.
    async fn launch(&mut self) -> bool {
        self.spawn();
        wait::until("redis-server answers or ends", async || {
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                return Some(false);
            }
            let mut connection = self.try_connect().await?;
            let pong: Result<String, _> = redis::cmd("PING").query_async(&mut connection).await;
            pong.is_ok().then_some(true)
        })
        .await
    }

    fn spawn(&mut self) {
        let folder = self.folder.path();
        let log = File::options().create(true).append(true).open(folder.join("redis.log")).unwrap();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--unixsocket", self.socket().to_str().unwrap(), "--unixsocketperm", "700"])
            .args(["--dir", folder.to_str().unwrap(), "--save", ""])
            .args(["--appendonly", if self.append_only { "yes" } else { "no" }, "--appendfsync", "always"])
            .args(["--maxmemory-policy", "noeviction", "--enable-debug-command", "local"])
            .args(&self.settings)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("redis-server is on PATH (make test installs it)");
        self.child = Some(child);
    }

    /// Where it listens: the Unix socket, as an address for `redis.url`.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The same over TCP.
    pub(crate) fn tcp_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// The folder of its append-only file.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> MultiplexedConnection {
        wait::until("a connection to Redis", async || self.try_connect().await).await
    }

    async fn try_connect(&self) -> Option<MultiplexedConnection> {
        // redis-rs gives a reply half a second by default, less than a blocking read takes.
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(30)));
        let client = Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection_with_config(&config).await.ok()
    }

    /// Kills it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again on the same socket and port, with what its append-only file holds.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        assert!(self.launch().await, "redis-server did not come back:\n{}", self.log());
    }

    /// How much its append-only file holds by now: a mark to go back to.
    pub(crate) fn mark(&self) -> u64 {
        std::fs::metadata(self.append_only_file()).unwrap().len()
    }

    /// Kills it and starts it again without what it took behind the mark: what a failure of the power, or a failover to
    /// a replica that lags, loses.
    pub(crate) async fn restart_at(&mut self, mark: u64) {
        self.kill();
        let file = File::options().write(true).open(self.append_only_file()).unwrap();
        assert!(file.metadata().unwrap().len() > mark, "nothing is lost");
        file.set_len(mark).unwrap();
        self.restart().await;
    }

    fn append_only_file(&self) -> PathBuf {
        self.folder.path().join("appendonlydir/appendonly.aof.1.incr.aof")
    }

    /// Kills it, takes away its data, and starts it again.
    pub(crate) async fn restart_empty(&mut self) {
        self.kill();
        let data = self.folder.path().join("appendonlydir");
        if data.exists() {
            std::fs::remove_dir_all(data).unwrap();
        }
        self.restart().await;
    }

    /// Starts it again with further arguments, and does not wait until it has loaded its data.
    pub(crate) fn restart_loading(&mut self, arguments: &[&str]) {
        self.kill();
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self.spawn();
        self.arguments.clear();
    }

    /// Freezes it: connections stay open, nothing is answered.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen one go on.
    pub(crate) fn cont(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().expect("redis-server runs").id();
        kill(Pid::from_raw(id.try_into().unwrap()), signal).unwrap();
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("redis.log")).unwrap_or_default()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of 127.0.0.1 that nobody had a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
