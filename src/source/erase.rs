//! Erasing a person from the files that Remesa itself wrote into the spool folder, and finding them in the others.
//!
//! Files are read record by record, so memory does not grow with them. An export is replaced in one step: the row stays,
//! so that sums stay right, and keeps what counts. An error file may be growing, and its job remembers its length, so
//! what stood in a row is starred where it stands: line and code stay, and nothing moves. What producers put into the
//! spool folder is theirs: it is found and told, never changed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use nix::fcntl::OFlag;
use serde_json::{Map, Value};

use super::ERROR_COLUMNS;
use crate::domain::contact::sought::{Finder, Sought};

/// Where refused rows are written, below the spool folder.
const ERRORS: &str = "errors";
/// Where exports are written, below the spool folder.
pub(super) const EXPORTS: &str = "exports";
/// Ends of the names of files that are being written: exports, and exports that are written anew.
const DRAFTS: [&str; 2] = [".part", ".forget"];
/// Who has not written for so long was killed.
const DEAD_AFTER: Duration = Duration::from_hours(1);
/// A record without an end is taken apart after so many bytes.
const RECORD_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Of a packed file of a producer at most so much is unpacked.
const UNPACKED_MAX_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// Columns of an export that tell who somebody is; every other one counts.
const PERSONAL: [&str; 4] = ["contact", "reference", "concept", "provider_id"];
/// The first bytes of a packed file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The first file that Remesa wrote behind `after`, by name, relative to the spool folder.
pub fn next_own(spool: &Path, after: &str) -> Option<String> {
    next(spool, after, is_own)
}

/// The first file of a producer behind `after`.
pub fn next_source(spool: &Path, after: &str) -> Option<String> {
    next(spool, after, |name| !is_own(name))
}

fn is_own(name: &str) -> bool {
    [ERRORS, EXPORTS].iter().any(|folder| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}

/// The smallest name behind `after`. Names only are held, of one folder at a time.
fn next(spool: &Path, after: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let mut folders = vec![PathBuf::new()];
    let mut best: Option<String> = None;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(spool.join(&folder)) else { continue };
        for entry in entries.filter_map(Result::ok) {
            let relative = folder.join(entry.file_name());
            // Links lead elsewhere: what is there is not the spool folder's.
            let Ok(kind) = entry.file_type() else { continue };
            let Some(name) = relative.to_str() else { continue };
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if kind.is_dir() {
                folders.push(relative);
            } else if kind.is_file()
                && !hidden
                && wanted(name)
                && name > after
                && best.as_deref().is_none_or(|best| name < best)
            {
                best = Some(name.to_owned());
            }
        }
    }
    best
}

/// How many files are being written: what they have read already comes after this. What killed writers left is removed.
pub fn under_way(spool: &Path, now: SystemTime) -> u64 {
    let folders = [ERRORS, EXPORTS].map(|folder| spool.join(folder));
    let own = folders.iter().filter(|folder| fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()));
    let entries = own.filter_map(|folder| fs::read_dir(folder).ok()).flatten().filter_map(Result::ok);
    let is_draft = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with('.') && DRAFTS.iter().any(|end| name.ends_with(end))
    };
    let is_dead = |entry: &fs::DirEntry| {
        entry.metadata().is_ok_and(|found| {
            let written = found.modified();
            found.is_file() && written.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > DEAD_AFTER))
        })
    };
    let left = entries.filter(is_draft).filter(|entry| !is_dead(entry) || fs::remove_file(entry.path()).is_err());
    left.count() as u64
}

/// A file's content, unpacked, without following a link that took its place.
fn unpacked(path: &Path) -> io::Result<(Box<dyn BufRead>, bool)> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)?;
    let mut input = BufReader::with_capacity(256 * 1024, file);
    let packed = input.fill_buf()?.starts_with(&GZIP);
    if packed {
        return Ok((Box::new(BufReader::with_capacity(256 * 1024, MultiGzDecoder::new(input))), true));
    }
    Ok((Box::new(input), false))
}

/// What a look into a file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It holds the number.
    Found,
    /// It does not, or it is gone.
    Absent,
    /// The look was stopped: nothing is known yet.
    Stopped,
    /// It cannot be read to its end: nothing is known.
    Unreadable,
}

/// Whether a file holds the number, in any form and encoding, packed or not. Ends early when `stop` says so.
pub fn holds(path: &Path, sought: &Sought, stop: impl Fn() -> bool) -> Look {
    match look_into(path, sought, stop) {
        Ok(look) => look,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Look::Absent,
        Err(_) => Look::Unreadable,
    }
}

fn look_into(path: &Path, sought: &Sought, stop: impl Fn() -> bool) -> io::Result<Look> {
    let mut input = unpacked(path)?.0.take(UNPACKED_MAX_BYTES);
    let mut finder = Finder::new(sought);
    let mut chunk = vec![0; 256 * 1024];
    while !stop() {
        let length = input.read(&mut chunk)?;
        match chunk.get(..length) {
            Some(bytes) if !bytes.is_empty() => {
                if finder.feed(bytes) {
                    return Ok(Look::Found);
                }
            }
            _ if input.limit() == 0 => return Ok(Look::Unreadable),
            _ => return Ok(Look::Absent),
        }
    }
    Ok(Look::Stopped)
}

/// How many records of a file of ours hold the number.
pub fn count(spool: &Path, name: &str, sought: &Sought) -> io::Result<u64> {
    let mut records = Records::open(&spool.join(name), Kind::of(name))?;
    let mut found = 0;
    while let Some(record) = records.next()? {
        found += u64::from(sought.is_in(record));
    }
    Ok(found)
}

/// Erases the person from a file of ours. Returns how many records held the number.
pub fn erase(spool: &Path, name: &str, sought: &Sought) -> io::Result<u64> {
    let kind = Kind::of(name);
    if kind.is_export { rewrite(&spool.join(name), kind, sought) } else { star(&spool.join(name), kind, sought) }
}

/// What a file of ours is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    is_export: bool,
    is_csv: bool,
}

impl Kind {
    fn of(name: &str) -> Self {
        let plain = name.strip_suffix(".gz").unwrap_or(name);
        let is_csv = Path::new(plain).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        Self { is_export: name.starts_with(EXPORTS), is_csv }
    }
}

/// An error file: each record that holds the number is starred in place.
fn star(path: &Path, kind: Kind, sought: &Sought) -> io::Result<u64> {
    let mut records = Records::open(path, kind)?;
    let file = OpenOptions::new().write(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)?;
    let (mut at, mut erased) = (0_u64, 0);
    while let Some(record) = records.next()? {
        let length = record.len() as u64;
        if sought.is_in(record) {
            let left = if kind.is_csv { starred(record) } else { emptied(record) };
            file.write_all_at(&left, at)?;
            erased += 1;
        }
        at += length;
    }
    file.sync_data()?;
    Ok(erased)
}

/// Line and code stay; behind them every letter and digit is a star, so that fields and quotes stay where they are.
fn starred(record: &[u8]) -> Vec<u8> {
    let is_sign = |byte: &u8| !(byte.is_ascii_alphanumeric() || *byte == b'_');
    let behind_code = record.iter().enumerate().filter(|(_, byte)| is_sign(byte)).map(|(at, _)| at).nth(1);
    let from = if is_start(record) { behind_code.unwrap_or(0) } else { 0 };
    let hide = |(at, byte): (usize, &u8)| {
        if at >= from && (byte.is_ascii_alphanumeric() || *byte >= 0x80) { b'*' } else { *byte }
    };
    record.iter().enumerate().map(hide).collect()
}

/// The object with line and code alone, filled up with blanks to the length it had.
fn emptied(record: &[u8]) -> Vec<u8> {
    let [line, code, _] = ERROR_COLUMNS;
    let object: Map<String, Value> = serde_json::from_slice(record).unwrap_or_default();
    let kept: Map<String, Value> = object.into_iter().filter(|(name, _)| name == line || name == code).collect();
    let mut left = Value::Object(kept).to_string().into_bytes();
    let ending = record.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    let content = record.len().saturating_sub(ending);
    if left.len() > content {
        left.clear();
    }
    left.resize(content, b' ');
    left.extend(record.iter().skip(content));
    left
}

/// Whether a line of an error file begins a record: number, code, sentence.
fn is_start(line: &[u8]) -> bool {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let Some((delimiter, rest)) = line.get(digits..).and_then(<[u8]>::split_first) else { return false };
    let code =
        rest.iter().take_while(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || **byte == b'_').count();
    digits > 0 && code > 0 && rest.get(code) == Some(delimiter) && rest.get(code + 1) == Some(&b'"')
}

/// An export: written anew beside itself, and put in its place.
fn rewrite(path: &Path, kind: Kind, sought: &Sought) -> io::Result<u64> {
    let (input, packed) = unpacked(path)?;
    let mut records = Records { input, record: Vec::new(), next: Vec::new(), kind };
    let permissions = fs::metadata(path)?.permissions();
    let folder = path.parent().unwrap_or(path);
    let shadow = folder.join(format!(".{}.forget", path.file_name().unwrap_or_default().to_string_lossy()));
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&shadow)?;
    let out = BufWriter::new(file);
    let (erased, file) = if packed {
        let mut out = GzEncoder::new(out, Compression::fast());
        let erased = copy(&mut records, &mut out, sought)?;
        (erased, out.finish()?.into_inner())
    } else {
        let mut out = out;
        let erased = copy(&mut records, &mut out, sought)?;
        (erased, out.into_inner())
    };
    let file = file.map_err(io::IntoInnerError::into_error)?;
    file.set_permissions(permissions)?;
    file.sync_all()?;
    fs::rename(&shadow, path)?;
    File::open(folder)?.sync_all()?;
    Ok(erased)
}

fn copy(records: &mut Records, out: &mut impl Write, sought: &Sought) -> io::Result<u64> {
    let is_csv = records.kind.is_csv;
    let mut header = None;
    let mut erased = 0;
    while let Some(record) = records.next()? {
        if header.is_none() {
            header = Some(Header::of(record));
        }
        if sought.is_in(record) {
            erased += 1;
            let left = if is_csv {
                header.as_ref().and_then(|header| header.blank(record, sought))
            } else {
                blank_object(record, sought)
            };
            out.write_all(&left.unwrap_or_default())?;
        } else {
            out.write_all(record)?;
        }
    }
    Ok(erased)
}

/// The header of an export: which columns tell who somebody is.
struct Header(Vec<bool>);

impl Header {
    fn of(record: &[u8]) -> Self {
        Self(cells(record).unwrap_or_default().iter().map(|name| PERSONAL.contains(&name.as_str())).collect())
    }

    /// A record with its personal cells empty; nothing, where it cannot be read.
    fn blank(&self, record: &[u8], sought: &Sought) -> Option<Vec<u8>> {
        let mut cells = cells(record)?;
        for (at, cell) in cells.iter_mut().enumerate() {
            if self.0.get(at).copied().unwrap_or(true) {
                cell.clear();
            } else {
                *cell = sought.hide(cell);
            }
        }
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        writer.write_record(&cells).ok()?;
        writer.into_inner().ok()
    }
}

fn cells(record: &[u8]) -> Option<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(record);
    let read = reader.byte_records().next()?.ok()?;
    Some(read.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect())
}

/// An object keeps its fields; the personal ones are null, as where nothing is known.
fn blank_object(record: &[u8], sought: &Sought) -> Option<Vec<u8>> {
    let mut object: Map<String, Value> = serde_json::from_slice(record).ok()?;
    for (name, value) in &mut object {
        if PERSONAL.contains(&name.as_str()) {
            *value = Value::Null;
        }
    }
    let mut left = Value::Object(object);
    sought.hide_in_value(&mut left);
    Some(format!("{left}\n").into_bytes())
}

/// Records of a file with their line ends. In an export a quoted field may hold line ends; in an error file a record
/// goes on to the next line that begins as one, whatever its quotes are.
struct Records {
    input: Box<dyn BufRead>,
    record: Vec<u8>,
    next: Vec<u8>,
    kind: Kind,
}

impl Records {
    fn open(path: &Path, kind: Kind) -> io::Result<Self> {
        Ok(Self { input: unpacked(path)?.0, record: Vec::new(), next: Vec::new(), kind })
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.record.clear();
        self.record.append(&mut self.next);
        loop {
            let before = self.record.len();
            let room = RECORD_MAX_BYTES.saturating_sub(before) as u64;
            let read = (&mut self.input).take(room).read_until(b'\n', &mut self.record)?;
            if read == 0 || !self.kind.is_csv {
                break;
            }
            if self.kind.is_export {
                if memchr::memchr_iter(b'"', &self.record).count().is_multiple_of(2) {
                    break;
                }
            } else if before > 0 && self.record.get(before..).is_some_and(is_start) {
                self.next = self.record.split_off(before);
                break;
            }
        }
        Ok(Some(self.record.as_slice()).filter(|record| !record.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::contact::Phone;

    fn sought() -> Sought {
        Sought::new(Phone::parse("+34600123456", None).unwrap())
    }

    fn written(name: &str, text: &str) -> tempfile::TempDir {
        let spool = tempfile::tempdir().unwrap();
        let path = spool.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        spool
    }

    fn read(spool: &tempfile::TempDir, name: &str) -> String {
        fs::read_to_string(spool.path().join(name)).unwrap()
    }

    const EXPORT: &str = "campaign_id,row,reference,amount,contact,reason\r\n\
        c,1,\"A \"\"1\"\"\n600\",1250,'+34600123456,\r\nc,2,A-2,900,'+34600123457,\r\n";
    const EXPORT_LEFT: &str = "campaign_id,row,reference,amount,contact,reason\r\nc,1,,1250,,\r\n\
        c,2,A-2,900,'+34600123457,\r\n";

    #[test]
    fn in_an_export_the_row_stays_and_keeps_what_counts() {
        let spool = written("exports/a.csv", EXPORT);
        assert_eq!(count(spool.path(), "exports/a.csv", &sought()).unwrap(), 1);
        assert_eq!(erase(spool.path(), "exports/a.csv", &sought()).unwrap(), 1);
        assert_eq!(read(&spool, "exports/a.csv"), EXPORT_LEFT);
        assert_eq!(erase(spool.path(), "exports/a.csv", &sought()).unwrap(), 0);
        assert_eq!(fs::read_dir(spool.path().join("exports")).unwrap().count(), 1);
    }

    #[test]
    fn in_a_packed_export_too() {
        let spool = written("exports/a.csv.gz", "");
        let path = spool.path().join("exports/a.csv.gz");
        let mut packer = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
        packer.write_all(EXPORT.as_bytes()).unwrap();
        packer.finish().unwrap();
        assert_eq!(holds(&path, &sought(), || false), Look::Found);
        assert_eq!(erase(spool.path(), "exports/a.csv.gz", &sought()).unwrap(), 1);
        let mut left = String::new();
        unpacked(&path).unwrap().0.read_to_string(&mut left).unwrap();
        assert_eq!(left, EXPORT_LEFT);
    }

    #[test]
    fn in_an_export_of_objects_too() {
        let text = "{\"row\":1,\"contact\":\"+34600123456\",\"amount\":5,\"reason\":\"of 600123456\"}\n{\"row\":2}\n";
        let spool = written("exports/a.ndjson", text);
        assert_eq!(erase(spool.path(), "exports/a.ndjson", &sought()).unwrap(), 1);
        let left = "{\"amount\":5,\"contact\":null,\"reason\":\"of *********\",\"row\":1}\n{\"row\":2}\n";
        assert_eq!(read(&spool, "exports/a.ndjson"), left);
    }

    #[test]
    fn in_an_error_file_the_row_is_starred_where_it_stands_and_the_others_do_not_move() {
        let text = "error_line;error_code;error_sentence;SMScontact;amount;name\n\
            2;amount_not_an_integer;\"amount \"\"1,5\"\" is no\";600123456;1,5;\"Ana\nPérez\"\n\
            3;bad_quoting;\"a quote is open\";600123457;1;\"Eva\n4;bad_quoting;\"x\";+34 600 123 456;1;\"Eva\n";
        let spool = written("errors/a.csv", text);
        let path = spool.path().join("errors/a.csv");
        let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
        assert_eq!(count(spool.path(), "errors/a.csv", &sought()).unwrap(), 2);
        assert_eq!(erase(spool.path(), "errors/a.csv", &sought()).unwrap(), 2);
        writer.write_all(b"5;missing_amount;\"y\";1;;\n").unwrap();
        let left = "error_line;error_code;error_sentence;SMScontact;amount;name\n\
            2;amount_not_an_integer;\"****** \"\"*,*\"\" ** **\";*********;*,*;\"***\n******\"\n\
            3;bad_quoting;\"a quote is open\";600123457;1;\"Eva\n4;bad_quoting;\"*\";+** *** *** ***;*;\"***\n\
            5;missing_amount;\"y\";1;;\n";
        assert_eq!(read(&spool, "errors/a.csv"), left);
    }

    #[test]
    fn in_an_error_file_of_objects_line_and_code_stay() {
        let text = "{\"error_line\":2,\"error_code\":\"x\",\"error_sentence\":\"y\",\"tel\":\"600123456\"}\n{\"error_line\":3}\n";
        let spool = written("errors/a.ndjson", text);
        assert_eq!(erase(spool.path(), "errors/a.ndjson", &sought()).unwrap(), 1);
        let left = read(&spool, "errors/a.ndjson");
        assert_eq!(left.len(), text.len());
        let first: Value = serde_json::from_str(left.lines().next().unwrap()).unwrap();
        assert_eq!(first, serde_json::json!({"error_line": 2, "error_code": "x"}));
    }

    #[test]
    fn files_of_producers_are_found_and_not_changed() {
        let spool = written("in/nov.csv", "a;600123456\n");
        fs::create_dir_all(spool.path().join("errors")).unwrap();
        fs::write(spool.path().join("errors/x.csv"), "").unwrap();
        fs::write(spool.path().join(".hidden.csv"), "").unwrap();
        assert_eq!(next_own(spool.path(), "").as_deref(), Some("errors/x.csv"));
        assert_eq!(next_own(spool.path(), "errors/x.csv"), None);
        assert_eq!(next_source(spool.path(), "").as_deref(), Some("in/nov.csv"));
        assert_eq!(next_source(spool.path(), "in/nov.csv"), None);
        let nov = spool.path().join("in/nov.csv");
        assert_eq!(holds(&nov, &sought(), || false), Look::Found);
        assert_eq!(holds(&nov, &sought(), || true), Look::Stopped);
        assert_eq!(holds(&spool.path().join("gone.csv"), &sought(), || false), Look::Absent);
        fs::write(&nov, [0x1f, 0x8b, 8, 0]).unwrap();
        assert_eq!(holds(&nov, &sought(), || false), Look::Unreadable);
        assert_eq!(next_own(Path::new("/nowhere"), ""), None);
    }

    #[test]
    fn what_killed_writers_left_is_removed_and_what_is_being_written_is_told() {
        let spool = written("exports/.a.csv.0badcafe-0123456789abcdef.part", "600123456");
        fs::write(spool.path().join("exports/.a.csv.forget"), "600123456").unwrap();
        fs::write(spool.path().join("exports/a.csv"), "").unwrap();
        let now = SystemTime::now();
        assert_eq!(under_way(spool.path(), now), 2);
        assert_eq!(under_way(spool.path(), now + DEAD_AFTER * 2), 0);
        assert_eq!(fs::read_dir(spool.path().join("exports")).unwrap().count(), 1);
        assert_eq!(under_way(Path::new("/nowhere"), now), 0);
    }

    #[test]
    fn a_record_without_an_end_is_taken_apart() {
        let spool = written("errors/a.csv", &format!("h\n\"{}", "x".repeat(RECORD_MAX_BYTES + 10)));
        assert_eq!(count(spool.path(), "errors/a.csv", &sought()).unwrap(), 0);
    }
}
