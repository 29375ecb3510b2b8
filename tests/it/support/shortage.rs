//! Shortages that a test brings about: a disk that is full, a process without file descriptors.
//!
//! The disk is a small tmpfs where this process may mount one, else a limit on the size of files (whose signal the
//! daemon is started to ignore, so that a write fails as it does on a full disk).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::daemon::Daemon;

/// Bytes of the tmpfs.
const SMALL: &str = "size=4m";

/// A folder on a disk that can be filled.
pub(crate) struct Disk {
    folder: PathBuf,
    mounted: bool,
}

impl Disk {
    /// The same where nothing can be mounted.
    pub(crate) fn without_mount(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        Self { folder: folder.to_owned(), mounted: false }
    }

    /// Puts a small disk in the place of a folder, which is made.
    pub(crate) fn at(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", SMALL, "remesa-test"]).arg(folder).output();
        let mounted = mount.is_ok_and(|done| done.status.success());
        Self { folder: folder.to_owned(), mounted }
    }

    /// Fills it up, for this daemon and the processes it has started.
    pub(crate) fn fill(&self, daemon: &Daemon) {
        if self.mounted {
            let mut filler = fs::File::create(self.folder.join("filler")).unwrap();
            while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
        } else {
            limit(daemon, "fsize", "0");
        }
    }

    /// Makes room again.
    pub(crate) fn free(&self, daemon: &Daemon) {
        if self.mounted {
            fs::remove_file(self.folder.join("filler")).unwrap();
        } else {
            limit(daemon, "fsize", "unlimited");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            // Lazily: a daemon or a Redis of the test may be about to end.
            let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
        }
    }
}

/// Takes from a daemon every file descriptor but those it has.
pub(crate) fn take_descriptors(daemon: &Daemon) {
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.id())).unwrap().count();
    limit(daemon, "nofile", &open.to_string());
}

/// Gives them back.
pub(crate) fn give_descriptors(daemon: &Daemon) {
    limit(daemon, "nofile", "1024");
}

/// Sets the soft limit of a resource for a running daemon and its children.
fn limit(daemon: &Daemon, resource: &str, soft: &str) {
    for id in family(daemon.id()) {
        let set =
            Command::new("prlimit").args(["--pid", &id.to_string()]).arg(format!("--{resource}={soft}:")).status();
        assert!(set.unwrap().success(), "prlimit --{resource}={soft}");
    }
}

/// A process and those it has started.
fn family(id: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let children = children.split_ascii_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(id).chain(children).collect()
}
