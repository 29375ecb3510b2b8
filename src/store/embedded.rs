//! `redis.url = "embedded"`: a private `redis-server` child of the daemon.
//!
//! It listens only on a Unix socket in the state folder (mode 0660), keeps an append-only file there,
//! refuses values over 2 MB, is started again when it ends by itself, and is ended with the daemon. One left behind by a killed daemon is
//! adopted: its socket answers, so no second one is started. The instance lock, taken before, makes
//! sure that no other daemon uses the same folder.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use redis::cmd;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::{Connection, StoreError, Timeouts};

/// Why the embedded Redis does not run.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No `redis-server` on the PATH.
    #[error("redis-server is not installed: install the redis-server package, or set redis.url to a Redis of yours")]
    Missing,
    /// The state folder cannot be used.
    #[error("cannot use the folder {folder}: {reason}")]
    Folder {
        /// Which folder.
        folder: String,
        /// What the system says.
        reason: String,
    },
    /// It ended, or did not answer in time.
    #[error("the embedded redis-server does not answer: see {log}")]
    Silent {
        /// Its log file.
        log: String,
    },
}

/// How often an adopted server is looked at, and one that would not start is started again.
const LOOK: Duration = Duration::from_secs(1);

/// The child process, or the one that was adopted.
#[derive(Debug)]
pub struct Embedded {
    child: Option<Child>,
    connection: Connection,
    state_dir: PathBuf,
    program: String,
    fsync: String,
}

/// Longest path of a Unix socket on Linux (`sockaddr_un`, less its end).
const SOCKET_PATH_MAX: usize = 107;

/// The socket of the embedded Redis of a state folder.
pub fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("redis.sock")
}

/// Where it keeps its files.
fn data(state_dir: &Path) -> PathBuf {
    state_dir.join("redis")
}

fn log(state_dir: &Path) -> PathBuf {
    data(state_dir).join("redis.log")
}

/// The URL of the embedded Redis of a state folder.
pub fn url(state_dir: &Path) -> String {
    format!("unix://{}", socket(state_dir).display())
}

impl Embedded {
    /// Starts the child, or adopts the one that runs there.
    pub async fn start(
        state_dir: &Path,
        program: &str,
        fsync: &str,
        timeouts: Timeouts,
    ) -> Result<Self, EmbeddedError> {
        let length = socket(state_dir).as_os_str().len();
        if length > SOCKET_PATH_MAX {
            return Err(EmbeddedError::Folder {
                folder: state_dir.display().to_string(),
                reason: format!(
                    "its path is too long for a Unix socket ({length} of {SOCKET_PATH_MAX} bytes): set state_dir"
                ),
            });
        }
        let connection = Connection::new(&url(state_dir), timeouts)
            .map_err(|_| EmbeddedError::Silent { log: log(state_dir).display().to_string() })?;
        let mut server = Self {
            child: None,
            connection,
            state_dir: state_dir.to_owned(),
            program: program.to_owned(),
            fsync: fsync.to_owned(),
        };
        server.launch().await?;
        Ok(server)
    }

    /// Starts the child, unless a server answers already.
    async fn launch(&mut self) -> Result<(), EmbeddedError> {
        let folder = |e: std::io::Error| EmbeddedError::Folder {
            folder: self.state_dir.display().to_string(),
            reason: e.to_string(),
        };
        let (data, log) = (data(&self.state_dir), log(&self.state_dir));
        std::fs::create_dir_all(&data).map_err(folder)?;
        let silent = || EmbeddedError::Silent { log: log.display().to_string() };
        if is_there(&self.connection).await {
            self.child = None;
            return wait_until_loaded(&self.connection).await.map_err(|()| silent());
        }
        let child = Command::new(&self.program)
            .args(["--port", "0", "--daemonize", "no", "--save", "", "--databases", "1"])
            .args(["--appendonly", "yes", "--appendfsync", &self.fsync])
            .args(["--proto-max-bulk-len", "2mb", "--maxmemory-policy", "noeviction"])
            .args(["--unixsocketperm", "660", "--unixsocket"])
            .arg(socket(&self.state_dir))
            .arg("--dir")
            .arg(&data)
            .arg("--logfile")
            .arg(&log)
            .current_dir(&data)
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal to the daemon's terminal must not end its Redis before the drain.
            .process_group(0)
            .spawn()
            .map_err(|e| if e.kind() == std::io::ErrorKind::NotFound { EmbeddedError::Missing } else { folder(e) })?;
        self.child = Some(child);
        self.wait_until_ready().await.map_err(|()| silent())
    }

    /// Keeps it running until `stop`, and ends it then.
    pub async fn keep(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return self.stop().await,
                () = self.gone() => {}
            }
            tracing::error!("the embedded redis-server ended by itself: starting it again");
            tokio::select! {
                () = stop.cancelled() => return self.stop().await,
                restarted = self.launch() => match restarted {
                    Ok(()) => {
                        tracing::info!("the embedded redis-server is back");
                        continue;
                    }
                    Err(error) => tracing::error!(%error, "the embedded redis-server does not start"),
                }
            }
            tokio::select! {
                () = stop.cancelled() => return self.stop().await,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Waits until there is no server: until the child ends, or the adopted one does not answer.
    async fn gone(&mut self) {
        if let Some(child) = self.child.as_mut() {
            let _ = child.wait().await;
            return;
        }
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            // A busy one is slow to answer, but its socket accepts.
            if tokio::net::UnixStream::connect(socket(&self.state_dir)).await.is_err() {
                return;
            }
        }
    }

    async fn wait_until_ready(&mut self) -> Result<(), ()> {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        for _ in 0..2_000 {
            tick.tick().await;
            if self.child.as_mut().is_some_and(|c| !matches!(c.try_wait(), Ok(None))) {
                return Err(());
            }
            if is_there(&self.connection).await {
                return wait_until_loaded(&self.connection).await;
            }
        }
        Err(())
    }

    /// Ends it in order: the append-only file is flushed.
    async fn stop(mut self) {
        // SHUTDOWN answers only when it fails; the connection just ends.
        let _ = self.connection.query::<()>(cmd("SHUTDOWN").arg("NOSAVE")).await;
        if let Some(child) = self.child.as_mut() {
            let _ = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
        }
    }
}

/// Whether a server listens: one that still loads its file answers `LOADING`.
async fn is_there(connection: &Connection) -> bool {
    match connection.query::<String>(&cmd("PING")).await {
        Ok(_) => true,
        Err(StoreError::Unavailable(reason)) => reason.contains("LOADING") || reason.contains("BusyLoading"),
        Err(_) => false,
    }
}

/// Waits while a big append-only file is read.
async fn wait_until_loaded(connection: &Connection) -> Result<(), ()> {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..30_000 {
        tick.tick().await;
        if connection.query::<String>(&cmd("PING")).await.is_ok() {
            return Ok(());
        }
    }
    Err(())
}
