//! This machine: folders, who may read what is secret, how many files may be open, the watchdog.

use std::{path::Path, time::Duration};

use nix::sys::resource::{Resource, getrlimit};

use crate::{cli::format, config::Config, lifecycle};

use super::{Finding, bad, good, warning};

/// Files that a daemon has open beside its connections to providers: Redis, logs, journal, sources, the listener.
const FILES_BESIDE: u64 = 256;

/// A daemon beats, renews and reads within a few seconds; a watchdog that is shorter would kill it at a slow disk.
const WATCHDOG_LEAST: Duration = Duration::from_secs(10);

/// Looks at this machine.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let journal = config.state_dir.join("journal");
    let mut findings = vec![state_dir("state folder", &config.state_dir), state_dir("journal folder", &journal)];
    findings.push(spool(&config.sources.spool_dir));
    let connections: u64 = config.channels.values().map(|settings| u64::from(settings.in_flight)).sum();
    if let Ok((most, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        findings.push(open_files(most, connections));
    }
    findings.extend(lifecycle::watchdog_limit().map(watchdog));
    findings
}

fn open_files(most: u64, connections: u64) -> Finding {
    let (what, needed) = ("open files", connections.saturating_add(FILES_BESIDE));
    let found = format!("{} may be open here, {} are needed at most", format::count(most), format::count(needed));
    if most >= needed {
        return good(what, found);
    }
    let helps = "lower `in_flight` of the channels, or raise LimitNOFILE of the unit (ulimit -n in a shell)";
    warning(what, format!("{found}: {helps}"))
}

fn watchdog(limit: Duration) -> Finding {
    let found = format!("systemd ends a daemon without progress after {}", format::duration(limit));
    if limit >= WATCHDOG_LEAST {
        return good("watchdog", found);
    }
    warning("watchdog", format!("{found}: set WatchdogSec to {} or more", format::duration(WATCHDOG_LEAST)))
}

fn state_dir(what: &str, folder: &Path) -> Finding {
    match writable(folder) {
        Ok(true) => good(what, folder.display().to_string()),
        Ok(false) => good(what, format!("{}: made at the first start", folder.display())),
        Err(error) => bad(what, format!("{}: {error}", folder.display())),
    }
}

fn spool(folder: &Path) -> Finding {
    let what = "spool folder";
    match writable(folder) {
        Ok(true) => good(what, folder.display().to_string()),
        Ok(false) => {
            let folder = folder.display();
            warning(what, format!("{folder} is not there: jobs with \"rows_from\" find no file (mkdir -p {folder})"))
        }
        // The daemon only reads it; who puts files there may be another user.
        Err(error) => warning(what, format!("{} is not writable for this user: {error}", folder.display())),
    }
}

/// Whether a file can be made in it; `false` when the folder is not there.
fn writable(folder: &Path) -> std::io::Result<bool> {
    match std::fs::metadata(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(_) => tempfile::tempfile_in(folder).map(|_| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::Grade;

    #[test]
    fn a_folder_that_is_not_there_is_told_from_one_that_cannot_be_used() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(spool(folder.path()).grade, Grade::Good);
        assert_eq!(spool(&folder.path().join("none")).grade, Grade::Warning);
        assert_eq!(state_dir("state folder", &folder.path().join("none")).grade, Grade::Good);
    }

    #[test]
    fn a_limit_of_open_files_below_what_the_channels_may_have_open_is_worth_knowing() {
        assert_eq!(open_files(1024, 64).grade, Grade::Good);
        let few = open_files(1024, 2000);
        assert_eq!(few.grade, Grade::Warning);
        assert!(few.found.starts_with("1,024 may be open here, 2,256 are needed at most"), "{}", few.found);
    }

    #[test]
    fn a_watchdog_that_would_bite_a_slow_daemon_is_worth_knowing() {
        assert_eq!(watchdog(Duration::from_secs(30)).grade, Grade::Good);
        assert_eq!(watchdog(Duration::from_secs(2)).grade, Grade::Warning);
    }
}
