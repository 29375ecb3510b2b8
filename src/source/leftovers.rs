//! What jobs leave on this machine, removed by its age: copies whose job never came back, error files, exports.
//!
//! A copy goes after two days without a write, far beyond any retry. An error file goes with its campaign: after
//! `retention.campaigns` without a write. An export goes after `retention.exports`; what a killed daemon left half-written
//! beside it (`.<name>...part`, `.<name>.forget`) after a day.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::{erase::EXPORTS, error_file, staging};

/// How often is looked.
const INTERVAL: Duration = Duration::from_hours(1);

/// Copies older than this are nobody's.
const COPY_AGE: Duration = Duration::from_hours(48);

/// A half-written export that is older than this is nobody's.
const DRAFT_AGE: Duration = Duration::from_hours(24);

/// Where leftovers lie and how long error files are kept.
#[derive(Debug, Clone)]
pub struct Leftovers {
    /// The folder of copies is below it.
    pub state_dir: PathBuf,
    /// The folders of error files and exports are below it.
    pub spool_dir: PathBuf,
    /// Error files are kept this long.
    pub error_files: Duration,
    /// Exports are kept this long.
    pub exports: Duration,
}

impl Leftovers {
    /// Removes them until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let found = self.clone();
            // Folders are read where waiting blocks nobody.
            let _ = tokio::task::spawn_blocking(move || found.remove(SystemTime::now())).await;
        }
    }

    fn remove(&self, now: SystemTime) {
        staging::sweep(&self.state_dir, COPY_AGE, now);
        error_file::sweep(&self.spool_dir, self.error_files, now);
        self.remove_exports(now);
    }

    /// Not where the folder leads out of the spool folder: nothing of ours was written there.
    fn remove_exports(&self, now: SystemTime) {
        let Ok(spool) = self.spool_dir.canonicalize() else { return };
        let Ok(folder) = spool.join(EXPORTS).canonicalize() else { return };
        if !folder.starts_with(&spool) {
            return;
        }
        staging::remove_older(&folder, self.exports, now);
        let is_draft = |name: &str| name.starts_with('.') && matches!(name.rsplit('.').next(), Some("part" | "forget"));
        staging::remove_older_of(&folder, DRAFT_AGE, now, is_draft);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn left(exports: &str, hours: u64) -> Vec<String> {
        let (spool, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = if exports == "linked" { outside.path().to_owned() } else { spool.path().join(EXPORTS) };
        if exports == "linked" {
            std::os::unix::fs::symlink(&folder, spool.path().join(EXPORTS)).unwrap();
        } else {
            fs::create_dir(&folder).unwrap();
        }
        for name in ["nov.csv", ".nov.csv.1a-2b.part", ".nov.csv.forget"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        let (state_dir, spool_dir) = (outside.path().join("state"), spool.path().to_owned());
        let [error_files, exports] = [90, 30].map(|days| Duration::from_hours(24 * days));
        let found = Leftovers { state_dir, spool_dir, error_files, exports };
        found.remove(SystemTime::now() + Duration::from_hours(hours));
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn exports_go_after_their_retention_and_what_is_half_written_after_a_day() {
        assert_eq!(left("ours", 23).len(), 3);
        assert_eq!(left("ours", 25), ["nov.csv"]);
        assert_eq!(left("ours", 24 * 29), ["nov.csv"]);
        assert_eq!(left("ours", 24 * 30 + 1), Vec::<String>::new());
        assert_eq!(left("linked", 24 * 365).len(), 3);
    }
}
