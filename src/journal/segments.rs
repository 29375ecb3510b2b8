//! The files of the journal: one folder an incarnation, a new file every ten seconds, old ones deleted.
//!
//! Appending is one write into the page cache, never synced: it outlives the process, not the machine. A file that could
//! not be written is left alone, and the next append begins another one.

use std::{
    collections::VecDeque,
    fs::{DirBuilder, File, OpenOptions},
    io::{BufReader, ErrorKind, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::line::Reader;

/// A file is written to for so long.
const SPAN: Duration = Duration::from_secs(10);

/// How files are called.
const EXTENSION: &str = "ndjson";

/// The file that is written to.
#[derive(Debug)]
struct Open {
    file: File,
    past: Past,
    begun: Instant,
}

/// A file that was written.
#[derive(Debug, Clone)]
pub struct Past {
    /// Its number, in the order of writing.
    pub number: u64,
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// When the last line was written, or when we found it.
    pub ended: Instant,
    /// The incarnation that wrote it.
    pub author: String,
}

/// All files, those of dead incarnations included.
#[derive(Debug)]
pub struct Segments {
    folder: PathBuf,
    author: String,
    next: u64,
    open: Option<Open>,
    past: VecDeque<Past>,
}

/// The folder of an incarnation below that of all journals.
fn folder(root: &Path, incarnation: &str) -> PathBuf {
    root.join(incarnation)
}

impl Segments {
    /// Of `author`, below `root`; what the incarnations before it left is found there. Nothing is written yet.
    pub fn new(root: &Path, author: &str, dead: &[String]) -> Self {
        let mut past = VecDeque::new();
        let mut next = 0;
        // The latest is remembered first: its predecessors come before it, and before them those nobody remembers.
        let forgotten = of_instance(root, author).into_iter().filter(|found| found != author && !dead.contains(found));
        for author in forgotten.chain(dead.iter().rev().cloned()) {
            for (path, bytes) in files(&folder(root, &author)) {
                past.push_back(Past { number: next, path, bytes, ended: Instant::now(), author: author.clone() });
                next += 1;
            }
        }
        Self { folder: folder(root, author), author: author.to_owned(), next, open: None, past }
    }

    /// Of `author`, which relieves another in the same process: what lies there is that one's matter.
    pub fn beside(root: &Path, author: &str) -> Self {
        Self { folder: folder(root, author), author: author.to_owned(), next: 0, open: None, past: VecDeque::new() }
    }

    /// Appends `bytes`; a new file begins with `head`. Returns the number of the file.
    pub fn append(&mut self, head: &[u8], bytes: &[u8]) -> std::io::Result<u64> {
        if self.open.as_ref().is_some_and(|open| open.begun.elapsed() >= SPAN) {
            self.close();
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(head)?,
        };
        open.file.write_all(bytes).inspect_err(|_| {
            // What was written of it ends in the middle of a line, and nothing may follow there.
            self.past.push_back(open.past.clone());
        })?;
        open.past.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        open.past.ended = Instant::now();
        let number = open.past.number;
        self.open = Some(open);
        Ok(number)
    }

    fn begin(&mut self, head: &[u8]) -> std::io::Result<Open> {
        // It says who was written to, if only by number: nobody else reads it.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let path = self.folder.join(format!("{:08}.{EXTENSION}", self.next));
        let mut file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        let (number, author) = (self.next, self.author.clone());
        self.next += 1;
        let bytes = u64::try_from(head.len()).unwrap_or(0);
        let past = Past { number, path, bytes, ended: Instant::now(), author };
        file.write_all(head).inspect_err(|_| self.past.push_back(past.clone()))?;
        Ok(Open { file, past, begun: Instant::now() })
    }

    /// The next append begins a new file.
    pub fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.past.push_back(open.past);
        }
    }

    /// The files that are not written to any more, oldest first.
    pub fn past(&self) -> Vec<Past> {
        self.past.iter().cloned().collect()
    }

    /// Deletes the files whose last line is `older` than that and which nobody `needs`.
    pub fn drop_older(&mut self, older: Duration, needs: impl Fn(u64) -> bool) {
        if self.open.as_ref().is_some_and(|open| open.begun.elapsed() >= SPAN) {
            self.close();
        }
        let own = self.folder.clone();
        self.past.retain(|past| {
            if past.ended.elapsed() < older || needs(past.number) {
                return true;
            }
            match std::fs::remove_file(&past.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => true,
                Ok(()) | Err(_) => {
                    // Only the last file of a dead incarnation leaves an empty folder.
                    if let Some(folder) = past.path.parent().filter(|folder| **folder != own) {
                        let _ = std::fs::remove_dir(folder);
                    }
                    false
                }
            }
        });
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.past.iter().chain(self.open.as_ref().map(|open| &open.past)).map(|past| past.bytes).sum()
    }
}

/// Incarnations of the same instance that left a journal: whoever holds its lock knows that they are dead.
fn of_instance(root: &Path, author: &str) -> Vec<String> {
    fn instance(incarnation: &str) -> Option<&str> {
        incarnation.rsplit(':').nth(1)
    }
    let entries = std::fs::read_dir(root).map(|entries| entries.filter_map(Result::ok).collect::<Vec<_>>());
    let names = entries.unwrap_or_default().into_iter().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| instance(name) == instance(author)).collect()
}

/// The files of a folder with their sizes, in the order of writing.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let entries = std::fs::read_dir(folder).map(|entries| entries.filter_map(Result::ok).collect::<Vec<_>>());
    let mut files: Vec<(PathBuf, u64)> = entries
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == EXTENSION))
        .map(|entry| (entry.path(), entry.metadata().map_or(0, |metadata| metadata.len())))
        .collect();
    files.sort();
    files
}

/// Reads a file from its beginning; nothing where it is gone.
pub fn read(past: &Past) -> std::io::Result<Option<Reader<BufReader<File>>>> {
    match File::open(&past.path) {
        Ok(file) => Ok(Some(Reader::new(BufReader::with_capacity(256 * 1024, file)))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::line::{Line, write};

    fn line(batch: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&Line::Recorded(batch), &mut bytes);
        bytes
    }

    fn lines(segments: &Segments) -> Vec<(String, Vec<Line<'static>>)> {
        let read = |past: Past| (past.author.clone(), read(&past).unwrap().unwrap().map(|entry| entry.line).collect());
        segments.past().into_iter().map(read).collect()
    }

    #[test]
    fn what_a_dead_incarnation_wrote_is_found_in_order_and_goes_when_nobody_needs_it() {
        let root = tempfile::tempdir().unwrap();
        let mut first = Segments::new(root.path(), "h:i:1", &[]);
        first.append(&line(0), &line(1)).unwrap();
        first.close();
        first.append(&line(0), &line(2)).unwrap();
        drop(first);
        // Another instance in the same folder is none of ours, and a forgotten one of ours comes first.
        for (other, batch) in [("h:other:1", 8), ("h:i:0", 9)] {
            Segments::new(root.path(), other, &[]).append(&line(0), &line(batch)).unwrap();
        }
        let mut second = Segments::new(root.path(), "h:i:2", &["h:i:1".to_owned()]);
        assert_eq!(second.append(&line(0), &line(3)).unwrap(), 3);
        second.close();
        let expected = [("h:i:0", 9), ("h:i:1", 1), ("h:i:1", 2), ("h:i:2", 3)]
            .map(|(author, batch)| (author.to_owned(), vec![Line::Recorded(0), Line::Recorded(batch)]));
        assert_eq!(lines(&second), expected);
        second.drop_older(Duration::ZERO, |number| number == 2);
        assert_eq!(lines(&second).len(), 1);
        assert!(root.path().join("h:i:1").exists());
        second.drop_older(Duration::ZERO, |_| false);
        assert_eq!(second.bytes(), 0);
        assert!(!root.path().join("h:i:1").exists() && root.path().join("h:other:1").exists());
    }

    #[test]
    fn a_line_that_was_cut_off_was_never_written() {
        let root = tempfile::tempdir().unwrap();
        let mut segments = Segments::new(root.path(), "a", &[]);
        segments.append(&line(0), &[line(1), b"{\"record".to_vec()].concat()).unwrap();
        segments.close();
        assert_eq!(lines(&segments), [("a".to_owned(), vec![Line::Recorded(0), Line::Recorded(1)])]);
    }
}
