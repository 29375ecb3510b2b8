//! Who this daemon is: its instance lock and its incarnation.
//!
//! An incarnation is `host:instance:<random>`, new at every start. The lock file of the instance holds
//! the incarnations that held it before: whoever gets the lock knows that they are dead and takes
//! over their entries and slots at once, without waiting for a lease to end. A second daemon of the
//! same instance does not get the lock and refuses to start.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

/// So many predecessors are remembered: each may have died before it adopted anything.
const REMEMBERED: usize = 16;

/// Why the instance could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Another daemon holds it.
    #[error(
        "another daemon of the instance \"{instance}\" runs already ({file} is locked): stop it, or set `instance`"
    )]
    Taken {
        /// The instance.
        instance: String,
        /// Its lock file.
        file: String,
    },
    /// The file cannot be used.
    #[error("cannot use the lock file {file}: {reason}")]
    File {
        /// Which.
        file: String,
        /// What the system says.
        reason: String,
    },
}

/// The lock of an instance, held as long as this value lives.
#[derive(Debug)]
pub struct Instance {
    /// This start's name.
    pub incarnation: String,
    /// Names of earlier starts, known to be dead.
    pub dead: Vec<String>,
    _lock: File,
}

impl Instance {
    /// Takes the lock of `instance` in `state_dir`. `random` makes the incarnation unique.
    pub fn take(state_dir: &Path, instance: &str, host: &str, random: u64) -> Result<Self, InstanceError> {
        let path = state_dir.join(format!("{instance}.lock"));
        let file_error =
            |e: std::io::Error| InstanceError::File { file: path.display().to_string(), reason: e.to_string() };
        std::fs::create_dir_all(state_dir).map_err(file_error)?;
        let mut lock =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(file_error)?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => {
                InstanceError::Taken { instance: instance.to_owned(), file: path.display().to_string() }
            }
            TryLockError::Error(e) => file_error(e),
        })?;
        let mut text = String::new();
        lock.read_to_string(&mut text).map_err(file_error)?;
        let earlier: Vec<String> = text.lines().map(str::to_owned).collect();
        let dead = earlier.iter().rev().take(REMEMBERED).cloned().collect::<Vec<_>>();
        let incarnation = format!("{host}:{instance}:{random:016x}");
        let mut lines: Vec<&str> = dead.iter().rev().map(String::as_str).collect();
        lines.push(&incarnation);
        let content = lines.join("\n") + "\n";
        lock.seek(SeekFrom::Start(0)).map_err(file_error)?;
        // Cut behind what is written, not before it: on a full disk the names of the dead are not lost.
        lock.write_all(content.as_bytes()).map_err(file_error)?;
        lock.set_len(u64::try_from(content.len()).unwrap_or(u64::MAX)).map_err(file_error)?;
        lock.sync_data().map_err(file_error)?;
        Ok(Self { incarnation, dead, _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_holder_of_the_lock_knows_who_is_dead() {
        let dir = tempfile::tempdir().unwrap();
        let first = Instance::take(dir.path(), "default", "host", 1).unwrap();
        assert!(first.dead.is_empty());
        let name = first.incarnation.clone();
        drop(first);
        let second = Instance::take(dir.path(), "default", "host", 2).unwrap();
        assert_eq!(second.dead, [name]);
    }

    #[test]
    fn a_second_daemon_of_the_instance_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Instance::take(dir.path(), "default", "host", 1).unwrap();
        let refused = Instance::take(dir.path(), "default", "host", 2).unwrap_err();
        assert!(refused.to_string().contains("runs already"));
        assert!(Instance::take(dir.path(), "other", "host", 3).is_ok());
    }
}
