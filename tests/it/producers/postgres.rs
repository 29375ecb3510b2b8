//! A private, real PostgreSQL: on a Unix socket in a folder of its own, asked with `psql`.
//!
//! PostgreSQL refuses to run as root; then it runs as `nobody`, to whom the folder is given. It is stopped by its
//! process id when the value is dropped, also when the test panics.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;

use crate::support::wait;

/// A running server with one database, `postgres`, and one role, `remesa`, who may do everything.
pub(crate) struct Postgres {
    folder: TempDir,
    child: Child,
}

impl Postgres {
    /// Makes a database and starts its server.
    pub(crate) async fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("remesa-postgres-").tempdir().unwrap();
        let data = folder.path().join("data");
        if let Some(nobody) = unprivileged() {
            chown(folder.path(), Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
        }
        let made = server(&programs.join("initdb"))
            .args(["--username", "remesa", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"])
            .args(["--pgdata", data.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let log = std::fs::File::create(folder.path().join("postgres.log")).unwrap();
        let child = server(&programs.join("postgres"))
            .args(["-D", data.to_str().unwrap(), "-k", folder.path().to_str().unwrap()])
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { folder, child };
        wait::until("PostgreSQL answers", async || {
            assert!(server.child.try_wait().unwrap().is_none(), "PostgreSQL ended:\n{}", server.log());
            server.psql().args(["-c", "SELECT 1"]).output().unwrap().status.success().then_some(())
        })
        .await;
        server
    }

    /// Where it is, as libpq writes it.
    pub(crate) fn address(&self) -> String {
        format!("host={} user=remesa dbname=postgres", self.folder.path().display())
    }

    /// The rows of a query, columns separated by `|`.
    pub(crate) fn rows(&self, query: &str) -> Vec<String> {
        let output = self.psql().args(["-c", query]).output().unwrap();
        assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// The single number that a query gives; 0 while its table is not there.
    pub(crate) fn count(&self, query: &str) -> u64 {
        let output = self.psql().args(["-c", query]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap_or(0)
    }

    /// Locks a table until the value is dropped: who writes it waits, who reads it does not.
    pub(crate) fn lock(&self, table: &str) -> Lock {
        let mut psql = self.psql().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = psql.stdin.take().unwrap();
        writeln!(input, "BEGIN; LOCK TABLE {table} IN SHARE MODE; SELECT 'locked';").unwrap();
        let mut line = String::new();
        BufReader::new(psql.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "locked");
        Lock { psql, input: Some(input) }
    }

    fn psql(&self) -> Command {
        let mut psql = Command::new(programs().join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-d", &self.address()]).stdin(Stdio::null());
        psql
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("postgres.log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT: at once, with all its processes.
        let _ = kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGQUIT);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of PostgreSQL ---\n{}\n---", self.log());
        }
    }
}

/// A locked table.
pub(crate) struct Lock {
    psql: Child,
    input: Option<ChildStdin>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The end of its input ends psql, and the transaction with it.
        drop(self.input.take());
        let _ = self.psql.wait();
    }
}

/// The folder of the newest PostgreSQL, as Debian lays it.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let folders = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("postgres").exists());
    folders.max().unwrap_or_else(|| panic!("there is no PostgreSQL: run `scripts/setup postgres`"))
}

/// Who runs the server when we are root.
fn unprivileged() -> Option<User> {
    geteuid().is_root().then(|| User::from_name("nobody").unwrap().expect("the user nobody"))
}

/// A program of the server, to be run by somebody who is not root.
fn server(program: &Path) -> Command {
    let Some(nobody) = unprivileged() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &nobody.uid.to_string(), "--regid", &nobody.gid.to_string(), "--clear-groups"]);
    // It must not begin in a folder that nobody cannot read.
    command.arg("--").arg(program).current_dir("/");
    command
}
