//! The process and those who run it: signals, systemd's readiness protocol, the watchdog.
//!
//! The first SIGTERM or SIGINT cancels a token, and whoever holds it begins to drain; the second ends the process at
//! once with exit code 1, leaving its leases to run out. SIGHUP asks a daemon to read its configuration again; where
//! a terminal is hung up, it is a wish to end. The watchdog is fed only while a closure says
//! that there is progress: a process whose event loop stands still, or which claims nothing although work waits, is
//! restarted by systemd. Outside systemd (no `NOTIFY_SOCKET`) the notifications go nowhere and cost nothing. A child
//! process should be started without `NOTIFY_SOCKET`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// What systemd gets beyond the drain budget before it kills: closing connections, the embedded Redis.
pub const STOP_MARGIN: Duration = Duration::from_secs(10);

/// What a terminal sends when it goes away, and systemd's `ExecReload` on purpose.
const HANG_UP: &str = "SIGHUP";

/// The signals that a daemon hears. Caught from [`Signals::install`] on.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Takes the signals over. Needs a tokio runtime.
    pub fn install() -> io::Result<Self> {
        // A file over a size limit is a write that fails, as on a full disk, and not the end of the process. Once taken
        // over it stays so.
        drop(signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGXFSZ as i32))?);
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal and returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hang_up.recv() => HANG_UP,
        }
    }

    /// Cancels `stop` at the first signal to end, and ends the process at the second; SIGHUP asks for a `reload`, if
    /// there is somebody to ask. Returns never; drop it when drained.
    pub async fn run(mut self, stop: CancellationToken, reload: Option<Arc<Notify>>) {
        loop {
            let signal = self.next().await;
            match &reload {
                Some(reload) if signal == HANG_UP => reload.notify_one(),
                _ if stop.is_cancelled() => {
                    warn!(signal, "ended before the drain was over");
                    std::process::exit(1);
                }
                _ => {
                    info!(signal, "draining; a second signal ends at once");
                    stop.cancel();
                }
            }
        }
    }
}

/// Tells systemd that everything is up. `status` is the line that `systemctl status` shows.
pub fn notify_ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells systemd that the configuration is read again; [`notify_ready`] ends it.
pub fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]),
        Err(error) => warn!(%error, "systemd could not be told"),
    }
}

/// Changes the line that `systemctl status` shows.
pub fn notify_status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// Tells systemd that the drain has begun and how long it may take.
pub fn notify_stopping(drain: Duration) {
    let budget_micros = u32::try_from((drain + STOP_MARGIN).as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::Stopping, NotifyState::Status("draining"), NotifyState::ExtendTimeoutUsec(budget_micros)]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd could not be told");
    }
}

/// After how long without progress systemd ends this process; none where there is no watchdog.
pub fn watchdog_limit() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Feeds systemd's watchdog until `end`, as often as the unit's `WatchdogSec` asks for, while `progress` is true.
/// Returns at once where there is no watchdog.
pub async fn watchdog(progress: impl Fn() -> bool + Send, end: CancellationToken) {
    if let Some(limit) = watchdog_limit() {
        feed(limit, progress, || notify(&[NotifyState::Watchdog]), end).await;
    }
}

async fn feed(limit: Duration, progress: impl Fn() -> bool, pat: impl Fn(), end: CancellationToken) {
    // Three chances within the limit: one late tick is not a restart.
    let mut ticks = interval((limit / 3).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut fed = true;
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let moves = progress();
        if moves {
            pat();
        } else if fed {
            warn!("no progress; the watchdog is not fed");
        }
        fed = moves;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use nix::sys::signal::{Signal, raise};
    use tokio::sync::Notify;
    use tokio_util::sync::CancellationToken;

    use super::{Signals, feed};

    // One test, because a signal reaches every listener of the process.
    #[tokio::test]
    async fn each_of_the_three_signals_begins_the_drain_and_a_hang_up_asks_for_a_reload_where_there_is_one() {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            let stop = CancellationToken::new();
            let signals = Signals::install().unwrap();
            raise(signal).unwrap();
            tokio::select! {
                () = signals.run(stop.clone(), None) => unreachable!("the second signal was never sent"),
                () = stop.cancelled() => {}
            }
        }
        let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
        let signals = Signals::install().unwrap();
        raise(Signal::SIGHUP).unwrap();
        tokio::select! {
            () = signals.run(stop.clone(), Some(Arc::clone(&reload))) => unreachable!("it never ends"),
            () = reload.notified() => {}
        }
        assert!(!stop.is_cancelled());
    }

    #[tokio::test]
    async fn the_watchdog_is_fed_only_while_there_is_progress() {
        let (asked, fed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let moves = AtomicBool::new(true);
        let end = CancellationToken::new();
        let progress = || {
            match asked.fetch_add(1, Ordering::Relaxed) {
                2 => moves.store(false, Ordering::Relaxed),
                5 => end.cancel(),
                _ => {}
            }
            moves.load(Ordering::Relaxed)
        };
        let pat = || {
            fed.fetch_add(1, Ordering::Relaxed);
        };
        feed(Duration::from_millis(3), progress, pat, end.clone()).await;
        assert_eq!(fed.load(Ordering::Relaxed), 2);
        assert!(asked.load(Ordering::Relaxed) >= 6);
    }
}
