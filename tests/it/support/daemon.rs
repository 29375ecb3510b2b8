//! The real binary: `remesa run` with a generated configuration, to be killed, frozen, thawed and drained.
//!
//! Ready is the log event `ready`, read from standard error as it is written. Its field `http` is the address of the
//! listener. A daemon is killed by its process id when dropped; if the test is failing then, its log is printed.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use super::redis::Redis;
use super::wait;

/// What a daemon is told. One value may start several daemons in a row (the same instance) or, with
/// [`Settings::instance`] changed, side by side.
pub(crate) struct Settings {
    folder: Arc<TempDir>,
    instance: String,
    toml: String,
    environment: Vec<(String, String)>,
}

impl Settings {
    /// A daemon on this Redis, with short leases and a free port.
    pub(crate) fn new(redis: &Redis) -> Self {
        Self::with_redis_url(&redis.url())
    }

    /// The same for any `redis.url`, such as `embedded`.
    pub(crate) fn with_redis_url(url: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("remesa-daemon-").tempdir().unwrap();
        let toml = format!(
            "[redis]\nurl = \"{url}\"\n[http]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\nlevel = \"info\"\n\
             [leases]\nrenew = \"500ms\"\nlease = \"3s\"\nsweep = \"200ms\"\n"
        );
        Self { folder: Arc::new(folder), instance: "it".to_owned(), toml, environment: Vec::new() }
    }

    /// Adds a table: `.toml("[orders]\nmax_amount = 5\n")`. A table may stand only once; use [`Settings::set`] for
    /// keys of those above.
    pub(crate) fn toml(mut self, tables: &str) -> Self {
        self.toml.push_str(tables);
        self.toml.push('\n');
        self
    }

    /// A channel that speaks to the simulator at `url`, with further keys: `"rate_per_second = 50\n"`.
    pub(crate) fn sandbox_channel(self, name: &str, url: &str, keys: &str) -> Self {
        self.toml(&format!("[channels.{name}]\nkind = \"sandbox\"\nurl = \"{url}\"\n{keys}"))
    }

    /// Sets one key through the environment: `.set("leases.lease", "6s")`.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        let name = format!("REMESA_{}", key.to_uppercase().replace('.', "__").replace('-', "_"));
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Sets an environment variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same settings under another instance name, with a state folder of its own and the same spool.
    pub(crate) fn instance(&self, name: &str) -> Self {
        Self {
            folder: Arc::clone(&self.folder),
            instance: name.to_owned(),
            toml: self.toml.clone(),
            environment: self.environment.clone(),
        }
    }

    /// The folder that jobs may read files from.
    pub(crate) fn spool_dir(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// The same instance with another text in the place of one of its configuration.
    pub(crate) fn replaced(&self, before: &str, after: &str) -> Self {
        assert!(self.toml.contains(before), "{before} in {}", self.toml);
        let mut same = self.instance(&self.instance);
        same.toml = self.toml.replace(before, after);
        same
    }

    /// Writes the configuration file, which a daemon that runs reads again when it is told to.
    pub(crate) fn write(&self) -> PathBuf {
        let path = self.folder.path().join(format!("{}.toml", self.instance));
        std::fs::write(&path, &self.toml).unwrap();
        path
    }

    /// Puts a file into the spool folder.
    pub(crate) fn spool(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.spool_dir()).unwrap();
        std::fs::write(self.spool_dir().join(name), content).unwrap();
    }

    /// The state folder of this instance.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join(&self.instance)
    }

    /// `remesa <arguments>` with this configuration and nothing else of our environment but PATH.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let path = self.write();
        std::fs::create_dir_all(self.spool_dir()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_remesa"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("RUST_BACKTRACE", "1");
        command.env("HOME", self.folder.path()).env("REMESA_CONFIG", &path).env("REMESA_INSTANCE", &self.instance);
        command.env("REMESA_STATE_DIR", self.state_dir()).env("REMESA_SOURCES__SPOOL_DIR", self.spool_dir());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(arguments).stdin(Stdio::null());
        command
    }
}

/// A daemon, running or ended.
pub(crate) struct Daemon {
    child: Child,
    state_dir: PathBuf,
    log: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(settings: &Settings) -> Self {
        let daemon = Self::spawn(settings);
        daemon.ready().await;
        daemon
    }

    /// Starts it and does not wait.
    pub(crate) fn spawn(settings: &Settings) -> Self {
        let mut child =
            settings.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (written, lines) = watch::channel(0);
        let writing = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                writing.lock().unwrap().push(line);
                written.send_modify(|count| *count += 1);
            }
        });
        Self { child, state_dir: settings.state_dir(), log, lines }
    }

    /// The event `ready`, once it was logged.
    pub(crate) async fn ready(&self) -> Value {
        self.event("ready", |_| true).await
    }

    /// Where `/readyz`, `/livez` and `/metrics` are.
    pub(crate) async fn http(&self) -> SocketAddr {
        let ready = self.ready().await;
        ready["http"].as_str().expect("the event ready has a field http").parse().unwrap()
    }

    /// The first log event with this message that `matches` says yes to, from the beginning of the log.
    pub(crate) async fn event(&self, message: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let mut lines = self.lines.clone();
        let mut from = 0;
        wait::within(&format!("the log event {message:?}"), async {
            loop {
                let seen = *lines.borrow_and_update();
                let new = self.log.lock().unwrap().get(from..seen).unwrap_or_default().to_vec();
                from = seen;
                let events = new.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                if let Some(event) = events.into_iter().find(|event| event["message"] == message && matches(event)) {
                    return event;
                }
                assert!(lines.changed().await.is_ok(), "the daemon ended without {message:?}:\n{}", self.log());
            }
        })
        .await
    }

    /// Ends it at any instruction: SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Freezes it: SIGSTOP.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Thaws a frozen one: SIGCONT.
    pub(crate) fn cont(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Asks it to drain: SIGTERM.
    pub(crate) fn term(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Lets it read this configuration: SIGHUP.
    pub(crate) fn reload(&self, settings: &Settings) {
        settings.write();
        self.signal(Signal::SIGHUP);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id().try_into().unwrap()), signal).unwrap();
    }

    /// Kills its embedded Redis, as a crash of the server would.
    pub(crate) fn kill_embedded_redis(&self) {
        kill_embedded_redis(&self.state_dir);
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; the exit code, or none when a signal ended it.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        self.exit_status().await.code()
    }

    /// Waits for its end.
    pub(crate) async fn exit_status(&mut self) -> ExitStatus {
        // Standard error is closed by the end, so waiting for the reader needs no timer.
        let mut lines = self.lines.clone();
        wait::within("the daemon ends", async { while lines.changed().await.is_ok() {} }).await;
        wait::until("the daemon is gone", async || self.child.try_wait().unwrap()).await
    }

    /// True until it has ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has written to standard error.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Best effort: it may have ended, and a panic here would hide the first one.
        let _ = self.child.kill();
        let _ = self.child.wait();
        kill_embedded_redis(&self.state_dir);
        if std::thread::panicking() {
            eprintln!("--- log of the daemon {} ---\n{}\n---", self.id(), self.log());
        }
    }
}

/// An embedded Redis outlives the daemon that was killed; the test's own must not outlive the test. It is found by
/// the folder it works in, which nothing else does.
fn kill_embedded_redis(state_dir: &Path) {
    let Ok(state_dir) = state_dir.canonicalize() else { return };
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    for process in processes.filter_map(Result::ok) {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let works_there = std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&state_dir));
        let is_redis = std::fs::read_to_string(process.path().join("comm")).is_ok_and(|comm| comm.starts_with("redis"));
        if works_there && is_redis {
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}
