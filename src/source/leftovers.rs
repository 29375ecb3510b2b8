//! What sources leave on this machine, removed by its age: copies whose job never came back, and error files.
//!
//! A copy goes after two days without a write, far beyond any retry. An error file goes with its campaign: after
//! `retention.campaigns` without a write.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::{error_file, staging};

/// How often is looked.
const INTERVAL: Duration = Duration::from_hours(1);

/// Copies older than this are nobody's.
const COPY_AGE: Duration = Duration::from_hours(48);

/// Where leftovers lie and how long error files are kept.
#[derive(Debug, Clone)]
pub struct Leftovers {
    /// The folder of copies is below it.
    pub state_dir: PathBuf,
    /// The folder of error files is below it.
    pub spool_dir: PathBuf,
    /// Error files are kept this long.
    pub error_files: Duration,
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
    }
}
