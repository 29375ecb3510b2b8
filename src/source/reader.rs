//! The stream of rows: one iterator over inline rows, CSV and NDJSON.
//!
//! [`open`] judges the source before the first row; the reader numbers rows and lines, and turns a bad record into a
//! [`BadRow`] and goes on behind it. A quoted field that never closes would swallow the rest of the file: only its
//! first line is refused, and reading goes on at the next one. After a [`ReadError::Source`] nothing follows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::{Map, Value};

use super::columns::canonical_map;
use super::csv::{BAD_QUOTING, Header, Quoting};
use super::scanner::{Line, Scanner};
use super::{
    BadRow, Checkpoint, Format, ReadError, Row, RowFault, SourceError, SourceLimits, SourceSpec, ndjson, spool,
};

/// How much of a bad row's text is kept for the error file.
const INPUT_BYTES: usize = 1024;

/// The rows of a source, in order.
#[derive(Debug)]
pub struct Reader {
    file: String,
    max_rows: u64,
    max_line_bytes: usize,
    row: u64,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Inline(std::vec::IntoIter<Map<String, Value>>),
    Csv(Scanner<File>, Header),
    Ndjson(Scanner<File>),
    Ended,
}

/// A record found by the scanner: its length and lines, or what is wrong with it.
type Found = Option<Result<(usize, u64), (RowFault, String)>>;

/// Opens a source and judges what can be judged before the first row: the path, the kind of file, the header, and
/// that there is a row at all.
pub fn open(spec: &SourceSpec, limits: &SourceLimits) -> Result<Reader, SourceError> {
    let (file, body) = match spec {
        SourceSpec::Inline(rows) if rows.is_empty() => return Err(SourceError::Empty { file: "rows".to_owned() }),
        SourceSpec::Inline(rows) => ("rows".to_owned(), Body::Inline(rows.clone().into_iter())),
        SourceSpec::File { path, format } => {
            let format = format.or_else(|| Format::of_path(Path::new(path)));
            (path.clone(), open_file(path, format, limits)?)
        }
    };
    Ok(Reader { file, max_rows: limits.max_rows, max_line_bytes: limits.max_line_bytes, row: 0, body })
}

fn open_file(path: &str, format: Option<Format>, limits: &SourceLimits) -> Result<Body, SourceError> {
    let trouble = |error: io::Error| SourceError::unreadable(path, &error);
    let unsupported = |reason| SourceError::Unsupported { file: path.to_owned(), reason };
    let mut input = spool::open_file(path, &limits.spool_dir)?;
    let mut magic = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut magic).map_err(trouble)?;
    if let Some(reason) = foreign(&magic) {
        return Err(unsupported(reason));
    }
    let format = format.ok_or_else(|| {
        unsupported("its name ends in none of .csv, .ndjson, .jsonl, and rows_from.format does not say what it is")
    })?;
    let bom = if magic.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    input.seek(SeekFrom::Start(bom)).map_err(trouble)?;
    let mut scanner = Scanner::new(input, limits.max_line_bytes, bom, 1);
    let empty = || SourceError::Empty { file: path.to_owned() };
    if !scanner.skip_blank().map_err(trouble)? {
        return Err(empty());
    }
    match scanner.line_end(0).map_err(trouble)? {
        Line::TooLong if format == Format::Csv => {
            Err(SourceError::LineTooLong { file: path.to_owned(), max_line_bytes: limits.max_line_bytes })
        }
        Line::Upto(upto) if memchr::memchr(0, scanner.held(upto)).is_some() => Err(unsupported("it is not text")),
        Line::Upto(upto) if format == Format::Csv => {
            let header = Header::parse(path, scanner.held(upto))?;
            scanner.advance(upto, 1);
            if scanner.skip_blank().map_err(trouble)? { Ok(Body::Csv(scanner, header)) } else { Err(empty()) }
        }
        Line::TooLong | Line::Upto(_) | Line::End => Ok(Body::Ndjson(scanner)),
    }
}

/// What a file's first bytes say it is, when that is nothing we read.
fn foreign(magic: &[u8]) -> Option<&'static str> {
    if magic.starts_with(b"\x1F\x8B") {
        Some("it is compressed with gzip, which is not available yet: unpack it first")
    } else if magic.starts_with(b"PK\x03\x04") {
        Some("it is a zip archive or a spreadsheet: export it as CSV in UTF-8")
    } else if magic.starts_with(b"\xFF\xFE") || magic.starts_with(b"\xFE\xFF") {
        Some("it is UTF-16 text: save it as UTF-8")
    } else {
        None
    }
}

impl Reader {
    /// Goes on where a checkpoint was taken, on a reader freshly opened over the same source.
    pub fn resume(mut self, from: Checkpoint) -> Result<Self, SourceError> {
        let changed = || SourceError::Changed { file: self.file.clone() };
        self.body = match self.body {
            Body::Inline(rows) => {
                let left = rows.as_slice().get(usize::try_from(from.offset).unwrap_or(usize::MAX)..);
                Body::Inline(left.ok_or_else(changed)?.to_vec().into_iter())
            }
            Body::Csv(scanner, header) => Body::Csv(moved(scanner, from, &self.file, self.max_line_bytes)?, header),
            Body::Ndjson(scanner) => Body::Ndjson(moved(scanner, from, &self.file, self.max_line_bytes)?),
            Body::Ended => Body::Ended,
        };
        self.row = from.row;
        Ok(self)
    }

    fn checkpoint(&self) -> Checkpoint {
        let (line, offset) = match &self.body {
            Body::Inline(_) | Body::Ended => (self.row.saturating_add(1), self.row),
            Body::Csv(scanner, _) | Body::Ndjson(scanner) => (scanner.line(), scanner.offset()),
        };
        Checkpoint { row: self.row, line, offset }
    }

    /// The next record's line and columns, and its text where it is bad.
    fn record(&mut self) -> io::Result<Option<Record>> {
        match &mut self.body {
            Body::Ended => Ok(None),
            Body::Inline(rows) => Ok(rows.next().map(|columns| Record {
                line: self.row.saturating_add(1),
                columns: canonical_map(columns).map_err(|name| Unreadable {
                    fault: RowFault::DuplicateColumn,
                    sentence: format!("the row has the column {name:?} twice"),
                    input: String::new(),
                }),
            })),
            Body::Csv(scanner, header) => {
                let found = find_csv(scanner, header.delimiter())?;
                take(scanner, found, self.max_line_bytes, |record| header.columns(record))
            }
            Body::Ndjson(scanner) => {
                let found = find_line(scanner)?;
                take(scanner, found, self.max_line_bytes, ndjson::columns)
            }
        }
    }
}

struct Unreadable {
    fault: RowFault,
    sentence: String,
    input: String,
}

struct Record {
    line: u64,
    columns: Result<Map<String, Value>, Unreadable>,
}

impl Iterator for Reader {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = match self.record() {
            Ok(record) => record?,
            Err(error) => {
                self.body = Body::Ended;
                return Some(Err(ReadError::Source(SourceError::unreadable(&self.file, &error))));
            }
        };
        if self.row >= self.max_rows {
            self.body = Body::Ended;
            let (file, max_rows) = (self.file.clone(), self.max_rows);
            return Some(Err(ReadError::Source(SourceError::TooManyRows { file, max_rows })));
        }
        self.row = self.row.saturating_add(1);
        let (row, line, next) = (self.row, record.line, self.checkpoint());
        Some(match record.columns {
            Ok(columns) => Ok(Row { row, line, next, columns }),
            Err(Unreadable { fault, sentence, input }) => {
                Err(ReadError::Row(BadRow { row, line, next, fault, sentence, input }))
            }
        })
    }
}

/// A scanner over the same file at the checkpoint.
fn moved(
    scanner: Scanner<File>,
    from: Checkpoint,
    file: &str,
    max_line_bytes: usize,
) -> Result<Scanner<File>, SourceError> {
    let trouble = |error: io::Error| SourceError::unreadable(file, &error);
    let mut input = scanner.into_input();
    if input.metadata().map_err(trouble)?.len() < from.offset {
        return Err(SourceError::Changed { file: file.to_owned() });
    }
    input.seek(SeekFrom::Start(from.offset)).map_err(trouble)?;
    Ok(Scanner::new(input, max_line_bytes, from.offset, from.line))
}

/// The extent of the next line that is not blank.
fn find_line<R: Read>(scanner: &mut Scanner<R>) -> io::Result<Found> {
    if !scanner.skip_blank()? {
        return Ok(None);
    }
    Ok(match scanner.line_end(0)? {
        Line::End => None,
        Line::Upto(upto) => Some(Ok((upto, 1))),
        Line::TooLong => Some(Err((RowFault::LineTooLong, String::new()))),
    })
}

/// The extent of the next CSV record, which goes on over line ends inside quotes.
fn find_csv<R: Read>(scanner: &mut Scanner<R>, delimiter: char) -> io::Result<Found> {
    let Some(Ok((first, _))) = find_line(scanner)? else {
        return find_line(scanner);
    };
    if memchr::memchr(b'"', scanner.held(first)).is_none() {
        return Ok(Some(Ok((first, 1))));
    }
    let (mut upto, mut lines) = (first, 1_u64);
    let mut quoting = Quoting::default().after(scanner.held(first), delimiter);
    while quoting == Quoting::Open {
        match scanner.line_end(upto)? {
            Line::Upto(further) => {
                let line = scanner.held(further);
                quoting = quoting.after(line.get(upto..).unwrap_or_default(), delimiter);
                upto = further;
                lines = lines.saturating_add(1);
            }
            Line::End | Line::TooLong => {
                return Ok(Some(Err((RowFault::BadQuoting, BAD_QUOTING.to_owned()))));
            }
        }
    }
    Ok(Some(Ok((upto, lines))))
}

/// Decodes the record that was found and steps behind it.
fn take<R: Read>(
    scanner: &mut Scanner<R>,
    found: Found,
    max_line_bytes: usize,
    decode: impl FnOnce(&[u8]) -> Result<Map<String, Value>, (RowFault, String)>,
) -> io::Result<Option<Record>> {
    let Some(found) = found else { return Ok(None) };
    let line = scanner.line();
    let input_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let columns = match found {
        Ok((upto, lines)) => {
            let decoded = decode(scanner.held(upto)).map_err(|(fault, sentence)| Unreadable {
                fault,
                sentence,
                input: input_of(scanner.held(upto.min(INPUT_BYTES))),
            });
            scanner.advance(upto, lines);
            decoded
        }
        Err((fault, mut sentence)) => {
            let first =
                memchr::memchr(b'\n', scanner.held(usize::MAX)).map_or(INPUT_BYTES, |end| end.saturating_add(1));
            let input = input_of(scanner.held(first.min(INPUT_BYTES)));
            scanner.skip_line()?;
            if fault == RowFault::LineTooLong {
                sentence = format!("the line is longer than {max_line_bytes} bytes (sources.max_line_bytes)");
            }
            Err(Unreadable { fault, sentence, input })
        }
    };
    Ok(Some(Record { line, columns }))
}
