//! Who this daemon is: its instance lock and its incarnation.
//!
//! An incarnation is `host:instance:<random>`, new at every start. The lock file of the instance holds
//! the incarnations that held it before: whoever gets the lock knows that they are dead and takes
//! over their entries and slots at once, without waiting for a lease to end. A second daemon of the
//! same instance does not get the lock and refuses to start. A reload is a new start under the same lock.

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
    /// Whether it relieves another start of the same process, which took over what the dead had left.
    pub relieves: bool,
    /// Beginning of every name: `host:instance`.
    name: String,
    /// What the lock file says, the oldest first.
    held_by: Vec<String>,
    lock: File,
    file: String,
}

impl Instance {
    /// Takes the lock of `instance` in `state_dir`. `random` makes the incarnation unique.
    pub fn take(state_dir: &Path, instance: &str, host: &str, random: u64) -> Result<Self, InstanceError> {
        let path = state_dir.join(format!("{instance}.lock"));
        let file = path.display().to_string();
        let file_error = |e| InstanceError::file(&file, &e);
        std::fs::create_dir_all(state_dir).map_err(file_error)?;
        let mut lock =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(file_error)?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => InstanceError::Taken { instance: instance.to_owned(), file: file.clone() },
            TryLockError::Error(e) => file_error(e),
        })?;
        let mut text = String::new();
        lock.read_to_string(&mut text).map_err(file_error)?;
        let earlier: Vec<String> = text.lines().map(str::to_owned).collect();
        let dead = earlier.iter().rev().take(REMEMBERED).cloned().collect::<Vec<_>>();
        let name = format!("{host}:{instance}");
        let mut taken = Self { incarnation: String::new(), dead, relieves: false, name, held_by: earlier, lock, file };
        taken.begin(random)?;
        Ok(taken)
    }

    /// Begins another start under the same lock. Whoever gets the lock next knows of all of them.
    pub fn renew(&mut self, random: u64) -> Result<(), InstanceError> {
        self.begin(random)?;
        self.relieves = true;
        self.dead.clear();
        Ok(())
    }

    fn begin(&mut self, random: u64) -> Result<(), InstanceError> {
        self.incarnation = format!("{}:{random:016x}", self.name);
        self.held_by.push(self.incarnation.clone());
        let surplus = self.held_by.len().saturating_sub(REMEMBERED + 1);
        self.held_by.drain(..surplus);
        self.write().map_err(|error| InstanceError::file(&self.file, &error))
    }

    fn write(&mut self) -> std::io::Result<()> {
        let content = self.held_by.join("\n") + "\n";
        self.lock.seek(SeekFrom::Start(0))?;
        // Cut behind what is written, not before it: on a full disk the names of the dead are not lost.
        self.lock.write_all(content.as_bytes())?;
        self.lock.set_len(u64::try_from(content.len()).unwrap_or(u64::MAX))?;
        self.lock.sync_data()
    }
}

impl InstanceError {
    fn file(file: &str, error: &std::io::Error) -> Self {
        Self::File { file: file.to_owned(), reason: error.to_string() }
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
    fn a_reload_is_another_start_and_both_are_dead_for_the_next_holder() {
        let dir = tempfile::tempdir().unwrap();
        let mut held = Instance::take(dir.path(), "default", "host", 1).unwrap();
        let first = held.incarnation.clone();
        held.renew(2).unwrap();
        let second = held.incarnation.clone();
        assert!(first != second && held.dead.is_empty() && held.relieves, "the first lives on until it has drained");
        for n in 0..40 {
            held.renew(100 + n).unwrap();
        }
        let last = held.incarnation.clone();
        drop(held);
        let next = Instance::take(dir.path(), "default", "host", 3).unwrap();
        assert_eq!((next.dead.first(), next.dead.len()), (Some(&last), REMEMBERED));
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
