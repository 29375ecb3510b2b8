//! Opening a file of the spool folder, and nothing outside it.
//!
//! The path of a job comes from another program, so it is judged twice: by its words (relative, no `..`) and by where
//! it leads once every link is followed. What is opened is the resolved path, without following a last link that
//! appeared since, and without waiting on a pipe; only a regular file is read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use nix::fcntl::OFlag;

use super::SourceError;

/// Opens `file` below `spool_dir` for reading.
pub(super) fn open_file(file: &str, spool_dir: &Path) -> Result<File, SourceError> {
    let outside = || SourceError::PathOutsideSpool { name: named(file) };
    let relative = Path::new(file);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if file.is_empty() || file.contains('\0') || !plain {
        return Err(outside());
    }
    let trouble = |error: io::Error| {
        if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
            SourceError::Missing { name: named(file) }
        } else {
            SourceError::unreadable(&named(file), &error)
        }
    };
    let spool = spool_dir.canonicalize().map_err(trouble)?;
    let resolved = spool.join(relative).canonicalize().map_err(trouble)?;
    if !resolved.starts_with(&spool) {
        return Err(outside());
    }
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits())
        .open(&resolved)
        .map_err(trouble)?;
    let kind = opened.metadata().map_err(trouble)?;
    if kind.is_file() {
        return Ok(opened);
    }
    let reason = if kind.is_dir() { "it is a folder" } else { "it is not a regular file" };
    Err(SourceError::Unsupported { name: named(file), reason })
}

/// Opens a file that we staged ourselves.
pub(super) fn open_staged(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)
}

/// A file of the spool folder, as a sentence names it.
pub(super) fn named(file: &str) -> String {
    format!("file {file:?}")
}
