//! The folder `exports` below the spool folder, where the exports of control jobs lie.
//!
//! A file appears whole or not at all: it is written under another name (mode 0640), flushed to the disk and renamed;
//! one of the same name is replaced. The folder is judged as the sources are: it must lie in the spool folder once every
//! link is followed, and a link in the place of a file is replaced, never followed. What a killed daemon left half-done
//! is removed by whoever does the same job again.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::domain::export::ExportName;

/// The folder's name; a file is called `exports/<name>` in results, as a source would name it.
pub const EXPORTS: &str = "exports";

/// End of a name that is not finished.
const PART: &str = ".part";

/// A file that is being written. Dropped before [`Draft::finish`], nothing is left of it.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    target: PathBuf,
    finished: bool,
}

/// The folder leads out of the spool folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Outside.
    #[error("the folder \"{EXPORTS}\" leads out of the spool folder")]
    Outside,
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Draft {
    /// Begins the file `name`. `job` names who writes it: drafts that it left before are removed.
    pub fn begin(spool_dir: &Path, name: &ExportName, job: &str, random: u64) -> Result<(Self, File), FolderError> {
        let folder = folder(spool_dir)?;
        let begin = format!(".{}.{:08x}-", name.as_str(), crc32fast::hash(job.as_bytes()));
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let is_ours = entry.file_name().to_str().is_some_and(|n| n.starts_with(&begin) && n.ends_with(PART));
            if is_ours {
                // Gone already is as good.
                let _ = fs::remove_file(entry.path());
            }
        }
        let path = folder.join(format!("{begin}{random:016x}{PART}"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&path)?;
        Ok((Self { path, target: folder.join(name.as_str()), finished: false }, file))
    }

    /// Gives it its name, once it is on the disk.
    pub fn finish(mut self, file: &File) -> io::Result<()> {
        file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            // Gone already is as good.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The folder, made where it is missing.
fn folder(spool_dir: &Path) -> Result<PathBuf, FolderError> {
    let spool = spool_dir.canonicalize()?;
    let folder = spool.join(EXPORTS);
    match fs::DirBuilder::new().mode(0o750).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let resolved = folder.canonicalize()?;
    if resolved.starts_with(&spool) { Ok(resolved) } else { Err(FolderError::Outside) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    fn name(text: &str) -> ExportName {
        ExportName::parse(text).unwrap()
    }

    fn files(spool: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(spool.join(EXPORTS))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all_and_replaces_its_namesake() {
        let spool = tempfile::tempdir().unwrap();
        for content in ["one", "two"] {
            let (draft, mut file) = Draft::begin(spool.path(), &name("nov.csv"), "job-1", 7).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            draft.finish(&file).unwrap();
            assert_eq!(files(spool.path()), ["nov.csv"]);
            assert_eq!(fs::read_to_string(spool.path().join("exports/nov.csv")).unwrap(), content);
        }
        let mode = fs::metadata(spool.path().join("exports/nov.csv")).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
        drop(Draft::begin(spool.path(), &name("dec.csv"), "job-2", 8).unwrap());
        assert_eq!(files(spool.path()), ["nov.csv"]);
    }

    #[test]
    fn the_same_job_again_removes_what_a_killed_one_left() {
        let spool = tempfile::tempdir().unwrap();
        let (left, _) = Draft::begin(spool.path(), &name("nov.csv"), "job-1", 1).unwrap();
        std::mem::forget(left);
        let (other, _) = Draft::begin(spool.path(), &name("nov.csv"), "job-2", 2).unwrap();
        assert_eq!(files(spool.path()).len(), 2);
        let (again, _) = Draft::begin(spool.path(), &name("nov.csv"), "job-1", 3).unwrap();
        assert_eq!(files(spool.path()).len(), 2);
        drop((other, again));
        assert!(files(spool.path()).is_empty());
    }

    #[test]
    fn a_folder_that_leads_out_of_the_spool_is_refused_and_a_link_is_replaced() {
        let (spool, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(outside.path(), spool.path().join(EXPORTS)).unwrap();
        let refused = Draft::begin(spool.path(), &name("nov.csv"), "job-1", 1);
        assert!(matches!(refused, Err(FolderError::Outside)), "{refused:?}");
        let spool = tempfile::tempdir().unwrap();
        fs::create_dir(spool.path().join(EXPORTS)).unwrap();
        let secret = outside.path().join("secret");
        fs::write(&secret, "kept").unwrap();
        std::os::unix::fs::symlink(&secret, spool.path().join("exports/nov.csv")).unwrap();
        let (draft, file) = Draft::begin(spool.path(), &name("nov.csv"), "job-1", 1).unwrap();
        draft.finish(&file).unwrap();
        assert_eq!(fs::read_to_string(&secret).unwrap(), "kept");
        assert!(!fs::symlink_metadata(spool.path().join("exports/nov.csv")).unwrap().is_symlink());
    }
}
