//! A clock that the test sets: libfaketime in front of a process, whose wall clock runs as far off as a file says.
//!
//! The file is read at each look at the clock, so a step is seen at once. The monotonic clock is left alone. Redis' own
//! allocator looks at the clock before libfaketime is ready for it, so the C library's takes its place.

use std::path::PathBuf;

use tempfile::TempDir;

/// Where Debian and Ubuntu put libfaketime, by architecture.
const LIBRARIES: &str = "/usr/lib";

/// A clock, set or not.
pub(crate) struct Clock {
    folder: TempDir,
}

impl Clock {
    /// One that goes right.
    pub(crate) fn new() -> Self {
        let clock = Self { folder: tempfile::Builder::new().prefix("remesa-clock-").tempdir().unwrap() };
        clock.set(0);
        clock
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// Sets it so many seconds off, at once.
    pub(crate) fn set(&self, off_seconds: i64) {
        // Never half-written: who looks at the clock reads the old file or the new one.
        let next = self.folder.path().join("next");
        std::fs::write(&next, format!("{off_seconds:+}\n")).unwrap();
        std::fs::rename(next, self.file()).unwrap();
    }

    /// The environment of a process that goes by this clock.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", format!("{} libc.so.6", library().display())),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

fn library() -> PathBuf {
    let folders = std::fs::read_dir(LIBRARIES).unwrap().filter_map(Result::ok);
    let libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    libraries.into_iter().find(|library| library.exists()).expect("libfaketime is installed (make test installs it)")
}
