//! `redis.url = "embedded"`: a private `redis-server` child of the daemon.
//!
//! It listens only on a Unix socket in the state folder (mode 0660), keeps an append-only file there,
//! refuses values over 2 MB, and is ended with the daemon. One left behind by a killed daemon is
//! adopted: its socket answers, so no second one is started. The instance lock, taken before, makes
//! sure that no other daemon uses the same folder.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use redis::cmd;
use tokio::process::{Child, Command};

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

/// The child process, or the one that was adopted.
#[derive(Debug)]
pub struct Embedded {
    child: Option<Child>,
    connection: Connection,
}

/// Longest path of a Unix socket on Linux (`sockaddr_un`, less its end).
const SOCKET_PATH_MAX: usize = 107;

/// The socket of the embedded Redis of a state folder.
pub fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("redis.sock")
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
        let folder = |e: std::io::Error| EmbeddedError::Folder {
            folder: state_dir.display().to_string(),
            reason: e.to_string(),
        };
        let length = socket(state_dir).as_os_str().len();
        if length > SOCKET_PATH_MAX {
            return Err(EmbeddedError::Folder {
                folder: state_dir.display().to_string(),
                reason: format!(
                    "its path is too long for a Unix socket ({length} of {SOCKET_PATH_MAX} bytes): set state_dir"
                ),
            });
        }
        let data = state_dir.join("redis");
        std::fs::create_dir_all(&data).map_err(folder)?;
        let log = data.join("redis.log");
        let silent = || EmbeddedError::Silent { log: log.display().to_string() };
        let connection = Connection::new(&url(state_dir), timeouts).map_err(|_| silent())?;
        if is_there(&connection).await {
            wait_until_loaded(&connection).await.map_err(|()| silent())?;
            return Ok(Self { child: None, connection });
        }
        let child = Command::new(program)
            .args(["--port", "0", "--daemonize", "no", "--save", "", "--databases", "1"])
            .args(["--appendonly", "yes", "--appendfsync", fsync])
            .args(["--proto-max-bulk-len", "2mb", "--maxmemory-policy", "noeviction"])
            .args(["--unixsocketperm", "660", "--unixsocket"])
            .arg(socket(state_dir))
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
        let mut started = Self { child: Some(child), connection };
        started.wait_until_ready().await.map_err(|()| silent())?;
        Ok(started)
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
    pub async fn stop(mut self) {
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
