//! The error file: every refused row as it came, with its line, code and sentence before it.
//!
//! They stand in front (`error_line`, `error_code`, `error_sentence`), because a row that is refused for its quotes or
//! its number of fields would shift what stood behind. The file is UTF-8 with the delimiter of its source; only a line
//! that is no text stands as it came. A cell that a spreadsheet would run has a `'` before it (PO-25), which is passed over
//! when the file is read again. It grows with each slice before the slice's checkpoint is written, and the
//! checkpoint says how long it was: whoever goes on cuts it to that length, so that each row stands in it once. A mended
//! one can be a source again. It holds personal data: mode 0640, below the spool folder, removed by age.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::OFlag;
use serde_json::{Value, json};

use super::columns::ERROR_COLUMNS;
use super::staging::{file_stem, remove_older};
use crate::domain::cell::guard_line;

/// The folder below the spool folder.
const FOLDER: &str = "errors";

/// How a refused row is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Under the header of its source, with its delimiter.
    Csv {
        /// The header line of the source.
        header: String,
        /// Between two fields.
        delimiter: char,
    },
    /// One object a line: NDJSON, lists and the job's own rows.
    Ndjson,
}

/// A refused row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// Its number, from 1.
    pub row: u64,
    /// The line it begins on.
    pub line: u64,
    /// The stable code.
    pub code: &'static str,
    /// Column, value and rule.
    pub sentence: String,
    /// Its text as it came.
    pub input: Vec<u8>,
}

/// An error file under way.
#[derive(Debug)]
pub struct ErrorFile {
    file: File,
    layout: Layout,
    length: u64,
    max_bytes: u64,
}

/// What an append came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Length of the file now.
    pub length: u64,
    /// Rows written.
    pub written: u64,
    /// Rows for which there was no room any more.
    pub left_out: u64,
}

/// The name of a job's error file, relative to the spool folder; later parts are those of other machines.
pub fn name(job: &str, part: usize, layout: &Layout) -> String {
    let extension = match layout {
        Layout::Csv { .. } => "csv",
        Layout::Ndjson => "ndjson",
    };
    let stem = file_stem(job);
    if part == 0 { format!("{FOLDER}/{stem}.{extension}") } else { format!("{FOLDER}/{stem}.{}.{extension}", part + 1) }
}

impl ErrorFile {
    /// Opens an error file at the length it had at the last checkpoint. `None`: it is not here, or shorter than that:
    /// it was begun on another machine.
    pub fn open(spool_dir: &Path, name: &str, length: u64, layout: Layout, max_bytes: u64) -> io::Result<Option<Self>> {
        let path = folder(spool_dir)?.join(Path::new(name).file_name().unwrap_or_default());
        let opened = OpenOptions::new()
            .write(true)
            .create(length == 0)
            .truncate(false)
            .mode(0o640)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path);
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && length > 0 => return Ok(None),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < length {
            return Ok(None);
        }
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        Ok(Some(Self { file, layout, length, max_bytes }))
    }

    /// Adds rows, as many as there is room for.
    pub fn append(&mut self, rows: &[RefusedRow]) -> io::Result<Appended> {
        let mut text = Vec::new();
        if self.length == 0
            && let Layout::Csv { header, delimiter } = &self.layout
        {
            let [line, code, sentence] = ERROR_COLUMNS;
            text.extend(format!("{line}{delimiter}{code}{delimiter}{sentence}{delimiter}").into_bytes());
            guard_line(header.as_bytes(), *delimiter, &mut text);
            text.push(b'\n');
        }
        let mut appended = Appended::default();
        for row in rows {
            let before = text.len();
            self.layout.write(row, &mut text);
            if self.length.saturating_add(bytes(text.len())) > self.max_bytes {
                text.truncate(before);
                appended.left_out += 1;
            } else {
                appended.written += 1;
            }
        }
        self.file.write_all(&text)?;
        self.length = self.length.saturating_add(bytes(text.len()));
        appended.length = self.length;
        Ok(appended)
    }
}

impl Layout {
    fn write(&self, row: &RefusedRow, into: &mut Vec<u8>) {
        let RefusedRow { line, code, sentence, input, .. } = row;
        match self {
            Self::Csv { delimiter, .. } => {
                let sentence = sentence.replace('"', "\"\"");
                into.extend(format!("{line}{delimiter}{code}{delimiter}\"{sentence}\"{delimiter}").into_bytes());
                guard_line(input, *delimiter, into);
            }
            Self::Ndjson => into.extend(as_json(row)),
        }
        into.push(b'\n');
    }
}

/// The object with the three columns in front; what is no object stands in `error_input`.
fn as_json(row: &RefusedRow) -> Vec<u8> {
    let [line, code, sentence] = ERROR_COLUMNS;
    let added = json!({ line: row.line, code: row.code, sentence: row.sentence }).to_string();
    let object = row.input.trim_ascii();
    let is_object =
        object.starts_with(b"{") && serde_json::from_slice::<serde_json::Map<String, Value>>(object).is_ok();
    let mut text = added.into_bytes();
    text.pop();
    match object.get(1..).map(<[u8]>::trim_ascii_start).filter(|_| is_object) {
        Some(b"}") => text.push(b'}'),
        Some(fields) => {
            text.push(b',');
            // A line end inside would be two rows; between fields a blank means the same.
            text.extend(fields.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        }
        None => {
            let input = Value::from(String::from_utf8_lossy(&row.input).into_owned());
            text.extend(format!(",\"error_input\":{input}}}").into_bytes());
        }
    }
    text
}

/// The folder of error files, made if it is not there; never one that a link leads to.
fn folder(spool_dir: &Path) -> io::Result<PathBuf> {
    // Whoever only ever used lists and addresses has no spool folder yet.
    DirBuilder::new().recursive(true).mode(0o750).create(spool_dir)?;
    let spool = spool_dir.canonicalize()?;
    let folder = spool.join(FOLDER);
    if !folder.is_dir() {
        DirBuilder::new().recursive(true).mode(0o750).create(&folder)?;
    }
    if fs::symlink_metadata(&folder)?.is_dir() {
        return Ok(folder);
    }
    Err(io::Error::new(io::ErrorKind::NotADirectory, "the folder \"errors\" of the spool is a link"))
}

/// Removes error files that were not written for `age`.
pub fn sweep(spool_dir: &Path, age: Duration, now: SystemTime) {
    remove_older(&spool_dir.join(FOLDER), age, now);
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: u64, input: &str) -> RefusedRow {
        let sentence = "amount \"x\" is not whole".to_owned();
        RefusedRow { row: line, line, code: "amount_not_an_integer", sentence, input: input.as_bytes().to_vec() }
    }

    fn csv() -> Layout {
        Layout::Csv { header: "amount;name".to_owned(), delimiter: ';' }
    }

    #[test]
    fn rows_stand_as_they_came_behind_line_code_and_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let (name, spool) = (name("gen:1", 0, &csv()), dir.path().join("not/there/yet"));
        let mut file = ErrorFile::open(&spool, &name, 0, csv(), 1000).unwrap().unwrap();
        file.append(&[row(2, "x;\"a;b\""), row(3, "1;\"half")]).unwrap();
        let text = fs::read_to_string(spool.join(&name)).unwrap();
        let expected = "error_line;error_code;error_sentence;amount;name\n\
            2;amount_not_an_integer;\"amount \"\"x\"\" is not whole\";x;\"a;b\"\n\
            3;amount_not_an_integer;\"amount \"\"x\"\" is not whole\";1;\"half\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn whoever_goes_on_cuts_it_to_the_length_of_the_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let name = name("gen", 0, &csv());
        let open = |length| ErrorFile::open(dir.path(), &name, length, csv(), 1000).unwrap();
        let mut first = open(0).unwrap();
        let kept = first.append(&[row(2, "x;a")]).unwrap();
        first.append(&[row(3, "y;b")]).unwrap();
        open(kept.length).unwrap().append(&[row(3, "z;b")]).unwrap();
        let text = fs::read_to_string(dir.path().join(&name)).unwrap();
        assert!(text.ends_with(";z;b\n") && !text.contains("y;b") && text.lines().count() == 3, "{text}");
        assert!(open(100_000).is_none());
        fs::remove_file(dir.path().join(&name)).unwrap();
        assert!(open(kept.length).is_none());
    }

    #[test]
    fn it_ends_at_its_bound_with_whole_rows() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = ErrorFile::open(dir.path(), "errors/a.csv", 0, csv(), 150).unwrap().unwrap();
        let appended = file.append(&[row(2, "x;a"), row(3, "y;b"), row(4, "z;c")]).unwrap();
        assert_eq!((appended.written, appended.left_out), (1, 2));
        assert!(fs::read_to_string(dir.path().join("errors/a.csv")).unwrap().ends_with("x;a\n"));
    }

    #[test]
    fn an_object_keeps_its_text_and_anything_else_is_kept_as_a_text() {
        let texts = ["{\"amount\": 12.50}", "{}", "[1]", "{\"a\":"].map(|input| {
            let text = String::from_utf8(as_json(&row(4, input))).unwrap();
            assert!(serde_json::from_str::<Value>(&text).unwrap()["error_line"] == 4, "{text}");
            text
        });
        assert!(texts[0].ends_with(",\"amount\": 12.50}"), "{}", texts[0]);
        assert!(texts[3].ends_with(r#","error_input":"{\"a\":"}"#), "{}", texts[3]);
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join(FOLDER)).unwrap();
        assert!(ErrorFile::open(dir.path(), "errors/a.csv", 0, csv(), 150).is_err());
    }
}
