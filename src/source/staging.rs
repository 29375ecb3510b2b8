//! Staging: a copy of a list or of a server's answer in a file of the state folder, so that it is read like any other.
//!
//! The copy grows chunk by chunk under a name of its own, with its digest taken on the way, and gets its name when it is
//! whole: what has the name can be trusted. It is removed when its job has ended; what a crash left behind goes by its
//! age ([`sweep`]).

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::{SourceError, hex};

/// The folder below the state folder.
const FOLDER: &str = "staging";

/// A copy under way.
#[derive(Debug)]
pub struct Staging {
    name: String,
    whole: PathBuf,
    part: PathBuf,
    file: tokio::fs::File,
    hash: Sha256,
    length: u64,
    max_bytes: u64,
}

impl Staging {
    /// Begins a copy for a job. `name` is the source as a sentence names it; `nonce` keeps two writers apart.
    pub async fn begin(
        state_dir: &Path,
        job: &str,
        name: &str,
        nonce: u64,
        max_bytes: u64,
    ) -> Result<Self, SourceError> {
        let whole = path(state_dir, job);
        let part = whole.with_extension(format!("{nonce:016x}.part"));
        let opened = async {
            if let Some(folder) = whole.parent() {
                tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await?;
            }
            tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).await
        };
        let file = opened.await.map_err(|error| not_staged(name, &error))?;
        Ok(Self { name: name.to_owned(), whole, part, file, hash: Sha256::new(), length: 0, max_bytes })
    }

    /// Adds bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.length > self.max_bytes {
            return Err(SourceError::TooBig { name: self.name.clone(), max_bytes: self.max_bytes });
        }
        self.hash.update(bytes);
        self.file.write_all(bytes).await.map_err(|error| not_staged(&self.name, &error))
    }

    /// The copy is whole. Returns where it is and its digest.
    pub async fn finish(mut self) -> Result<(PathBuf, String), SourceError> {
        let done = async {
            self.file.flush().await?;
            tokio::fs::rename(&self.part, &self.whole).await
        };
        done.await.map_err(|error| not_staged(&self.name, &error))?;
        let hash = std::mem::take(&mut self.hash);
        Ok((self.whole.clone(), hex(hash)))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Half a copy is nobody's; a whole one has another name by now.
        let _ = fs::remove_file(&self.part);
    }
}

/// Where the copy for a job is, once it is whole.
pub fn path(state_dir: &Path, job: &str) -> PathBuf {
    state_dir.join(FOLDER).join(format!("{}.rows", file_stem(job)))
}

/// The copies that are whole.
pub fn copies(state_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state_dir.join(FOLDER)).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "rows")).collect()
}

/// Removes what is older than `age`: its job has ended elsewhere, or its daemon never came back.
pub fn sweep(state_dir: &Path, age: Duration, now: SystemTime) {
    remove_older(&state_dir.join(FOLDER), age, now);
}

/// Removes the files of a folder that were not written for `age`. What cannot be removed stays.
pub(super) fn remove_older(folder: &Path, age: Duration, now: SystemTime) {
    remove_older_of(folder, age, now, |_| true);
}

/// The same, only of files with such a name.
pub(super) fn remove_older_of(folder: &Path, age: Duration, now: SystemTime, such: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let is_old = entry.metadata().is_ok_and(|found| {
            found.is_file() && found.modified().is_ok_and(|at| now.duration_since(at).is_ok_and(|past| past > age))
        });
        if is_old && such(&entry.file_name().to_string_lossy()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A job's id as the name of a file: letters, digits, `.`, `_` and `-`, and a few signs of its digest where others stood.
pub fn file_stem(job: &str) -> String {
    let plain: String =
        job.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    if plain == job && !plain.starts_with('.') {
        return plain;
    }
    let mut digest = hex(Sha256::new_with_prefix(job));
    digest.truncate(8);
    format!("{}-{digest}", plain.trim_start_matches('.'))
}

fn not_staged(name: &str, error: &io::Error) -> SourceError {
    SourceError::NotStaged { name: name.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_is_a_file_name_and_two_ids_are_two_names() {
        assert_eq!(file_stem("gen-nov.1"), "gen-nov.1");
        let (one, other) = (file_stem("generate:1763719200000-0"), file_stem("generate@1763719200000-0"));
        assert!(one.starts_with("generate_1763719200000-0-") && one != other, "{one} {other}");
        assert!(!file_stem("../../etc/passwd").contains('/'));
    }

    #[tokio::test]
    async fn a_copy_has_its_name_only_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut copy = Staging::begin(dir.path(), "j", "list \"k\"", 7, 10).await.unwrap();
        copy.write(b"abc").await.unwrap();
        assert!(!path(dir.path(), "j").exists());
        let (path, digest) = copy.finish().await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"abc");
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let mut big = Staging::begin(dir.path(), "k", "list \"k\"", 7, 10).await.unwrap();
        assert_eq!(big.write(&[b'x'; 11]).await.unwrap_err().code(), "source_too_big");
        drop(big);
        assert_eq!(fs::read_dir(dir.path().join(FOLDER)).unwrap().count(), 1);
        sweep(dir.path(), Duration::from_mins(1), SystemTime::now());
        assert!(path.exists());
        sweep(dir.path(), Duration::from_mins(1), SystemTime::now() + Duration::from_mins(2));
        assert!(!path.exists());
    }
}
