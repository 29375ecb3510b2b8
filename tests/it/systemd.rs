//! Under systemd: the units are what systemd understands and keep what the configuration promises, and the daemon
//! speaks to it: ready, reloading, stopping, watchdog. Without a systemd that runs: by its tools and its protocol.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use remesa::config::Config;
use remesa::lifecycle::STOP_MARGIN;
use tempfile::TempDir;
use tokio::net::UnixDatagram;

use crate::support::daemon::Daemon;
use crate::support::redis::Redis;
use crate::support::scene::Scene;
use crate::support::wait;

const UNITS: [&str; 2] = ["remesa.service", "remesa@.service"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

fn unit(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

/// The value of a key, the last one.
fn setting<'a>(unit: &'a str, key: &str) -> &'a str {
    let found = unit.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("{key} is set"))
}

fn analyze(arguments: &[&str], unit: &Path) {
    let said = Command::new("systemd-analyze").args(arguments).arg(unit).output();
    let said = said.expect("systemd-analyze is there: scripts/setup systemd");
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && !err.contains(".service:"), "systemd-analyze {arguments:?}:\n{out}{err}");
}

#[test]
fn the_units_are_what_systemd_understands_and_hardly_exposed() {
    let there = tempfile::tempdir().unwrap();
    for name in UNITS {
        // The program is not installed where the tests run.
        let text = unit(name).replace("/usr/bin/remesa", env!("CARGO_BIN_EXE_remesa"));
        let path = there.path().join(name);
        std::fs::write(&path, text).unwrap();
        analyze(&["verify", "--man=no"], &path);
        analyze(&["security", "--offline=true", "--threshold=15"], &path);
    }
}

#[test]
fn the_template_is_the_unit_with_an_instance_in_it() {
    let known: Vec<String> = unit("remesa@.service")
        .lines()
        .filter(|line| *line != "Environment=REMESA_INSTANCE=%i")
        .map(|line| {
            line.replace(" (instance %i)", "")
                .replace("/etc/remesa/%i.toml", "/etc/remesa/remesa.toml")
                .replace("remesa/%i", "remesa")
                .replace("remesa/<instance>", "remesa")
                .replace("%i-sms-key", "sms-key")
                .replace("remesa-%i", "remesa")
        })
        .collect();
    assert_eq!(known.join("\n") + "\n", unit("remesa.service"));
}

#[test]
fn systemd_waits_longer_than_a_drain_takes_and_does_not_restart_what_cannot_start() {
    let defaults = Config::parse("", "test", std::iter::empty()).unwrap();
    for name in UNITS {
        let unit = unit(name);
        let stop: u64 = setting(&unit, "TimeoutStopSec").strip_suffix('s').unwrap().parse().unwrap();
        assert!(Duration::from_secs(stop) >= defaults.drain + STOP_MARGIN, "{name}: TimeoutStopSec={stop}s");
        assert_eq!(setting(&unit, "RestartPreventExitStatus"), "64 78");
        assert_eq!(setting(&unit, "ExecReload"), "/bin/kill -HUP $MAINPID");
    }
}

/// A place where the daemon's notifications arrive.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { socket: UnixDatagram::bind(folder.path().join("notify")).unwrap(), folder }
    }

    fn address(&self) -> String {
        self.folder.path().join("notify").display().to_string()
    }

    /// The next notification that says this.
    async fn told(&self, what: &str) -> Vec<String> {
        wait::within(&format!("the daemon tells {what}"), async {
            loop {
                let mut bytes = vec![0; 4096];
                let length = self.socket.recv(&mut bytes).await.unwrap();
                let lines: Vec<String> = String::from_utf8_lossy(&bytes[..length]).lines().map(str::to_owned).collect();
                if lines.iter().any(|line| line == what) {
                    return lines;
                }
            }
        })
        .await
    }
}

#[tokio::test]
async fn the_daemon_tells_that_it_is_ready_reloads_and_stops_and_feeds_the_watchdog_also_without_redis() {
    let manager = Manager::new();
    let mut scene = Scene::over(Redis::start_append_only().await, "", |_| {}).await;
    // Fed three times as often as it must be.
    let settings = scene.settings.instance("it").variable("NOTIFY_SOCKET", &manager.address());
    scene.settings = settings.variable("WATCHDOG_USEC", "300000");
    let mut daemon = Daemon::spawn(&scene.settings);
    let ready = manager.told("READY=1").await;
    assert!(ready.contains(&"STATUS=working".to_owned()), "{ready:?}");
    manager.told("WATCHDOG=1").await;

    daemon.reload(&scene.settings);
    let reloading = manager.told("RELOADING=1").await;
    let since = reloading.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(since.parse::<u64>().unwrap() > 0);
    manager.told("READY=1").await;
    manager.told("WATCHDOG=1").await;

    // An outage of Redis makes nobody kill the daemons.
    scene.redis.kill();
    daemon.event("reading failed, reconnecting", |_| true).await;
    for _ in 0..10 {
        manager.told("WATCHDOG=1").await;
    }
    scene.redis.restart().await;

    daemon.term();
    let stopping = manager.told("STOPPING=1").await;
    let budget = stopping.iter().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC=")).unwrap();
    assert_eq!(budget, "30000000", "the drain and the margin");
    assert_eq!(daemon.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_redis_that_evicts_stops_the_start_with_the_code_that_systemd_does_not_restart() {
    let mut scene = Scene::new().await;
    let evicting = redis::cmd("CONFIG").arg("SET").arg("maxmemory-policy").arg("allkeys-lru").to_owned();
    let () = evicting.query_async(&mut scene.db).await.unwrap();
    let mut daemon = Daemon::spawn(&scene.settings);
    assert_eq!(daemon.exit_code().await, Some(78));
    assert!(daemon.log().contains("maxmemory-policy"), "{}", daemon.log());
}
