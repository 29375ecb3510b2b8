//! The stream of rows: one iterator over inline rows, CSV and NDJSON.
//!
//! [`open`] judges the source before the first row; the reader numbers rows and lines, and turns a bad record into a
//! [`BadRow`] and goes on behind it. A quoted field that never closes would swallow the rest of the file: only its
//! first line is refused, and reading goes on at the next one. After a [`ReadError::Source`] nothing follows.

use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::columns::canonical_map;
use super::csv::{BAD_QUOTING, Header, Quoting, line_of};
use super::input::Input;
use super::latin1::{Encoding, Seen, decode};
use super::scanner::{Line, Scanner};
use super::{
    BadRow, Checkpoint, Format, ReadError, Row, RowFault, SourceError, SourceLimits, SourceSpec, ndjson, spool,
};

/// How much is kept of a line that is too long.
const BEGINNING_BYTES: usize = 1024;

/// The rows of a source, in order.
#[derive(Debug)]
pub struct Reader {
    name: String,
    limits: SourceLimits,
    /// Of a CSV file; `None` while it is being found out.
    encoding: Option<Encoding>,
    seen: Seen,
    keeps_input: bool,
    row: u64,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Inline(std::vec::IntoIter<Map<String, Value>>),
    Csv(Scanner<Input>, Header),
    Ndjson(Scanner<Input>),
    Ended,
}

/// A record found by the scanner: its length and lines, or what is wrong with it.
type Found = Option<Result<(usize, u64), (RowFault, String)>>;

/// Opens a source and judges what can be judged before the first row: the path, the kind of file, the header, and
/// that there is a row at all. Without an encoding it is found out on the way, for [`Reader::seen`].
pub fn open(spec: &SourceSpec, limits: &SourceLimits, encoding: Option<Encoding>) -> Result<Reader, SourceError> {
    let name = spec.name();
    let (body, encoding) = match spec {
        SourceSpec::Inline(rows) if rows.is_empty() => return Err(SourceError::Empty { name }),
        SourceSpec::Inline(rows) => (Body::Inline(rows.clone().into_iter()), encoding),
        SourceSpec::File { path, format } => {
            let format = format.or_else(|| Format::of_path(Path::new(path)));
            let input = Input::new(&name, spool::open_file(path, &limits.spool_dir)?, limits)?;
            open_input(&name, input, format, limits, encoding)?
        }
        SourceSpec::Staged { path, format, .. } => {
            let file = spool::open_staged(path).map_err(|error| SourceError::unreadable(&name, &error))?;
            open_input(&name, Input::new(&name, file, limits)?, *format, limits, encoding)?
        }
    };
    let seen = match &body {
        Body::Csv(_, header) if !header.is_utf8 => Seen { utf8: 0, other: 1 },
        Body::Csv(_, header) if !header.text().is_ascii() => Seen { utf8: 1, other: 0 },
        Body::Csv(..) | Body::Inline(_) | Body::Ndjson(_) | Body::Ended => Seen::default(),
    };
    Ok(Reader { name, limits: limits.clone(), encoding, seen, keeps_input: true, row: 0, body })
}

fn open_input(
    name: &str,
    mut input: Input,
    format: Option<Format>,
    limits: &SourceLimits,
    encoding: Option<Encoding>,
) -> Result<(Body, Option<Encoding>), SourceError> {
    let trouble = |error: io::Error| SourceError::of_io(name, limits, &error);
    let unsupported = |reason| SourceError::Unsupported { name: name.to_owned(), reason };
    let mut beginning = Vec::with_capacity(64);
    input.by_ref().take(64).read_to_end(&mut beginning).map_err(trouble)?;
    if let Some(reason) = foreign(&beginning) {
        return Err(unsupported(reason));
    }
    let format = format.ok_or_else(|| {
        unsupported(
            "its name ends in none of .csv, .ndjson, .jsonl (with .gz or without), and rows_from.format does not say \
             what it is",
        )
    })?;
    let bom = if beginning.starts_with(BOM) { 3 } else { 0 };
    // A byte order mark says it.
    let encoding = if bom > 0 { Some(Encoding::Utf8) } else { encoding };
    input.go_to(bom).map_err(trouble)?;
    let mut scanner = Scanner::new(input, limits.max_line_bytes, bom, 1);
    let empty = || SourceError::Empty { name: name.to_owned() };
    if !scanner.skip_blank().map_err(trouble)? {
        return Err(empty());
    }
    match scanner.line_end(0).map_err(trouble)? {
        Line::TooLong if format == Format::Csv => {
            Err(SourceError::LineTooLong { name: name.to_owned(), max_line_bytes: limits.max_line_bytes })
        }
        Line::Upto(upto) if memchr::memchr(0, scanner.held(upto)).is_some() => Err(unsupported("it is not text")),
        Line::Upto(upto) if format == Format::Csv => {
            let header = Header::parse(name, scanner.held(upto), encoding, limits.table)?;
            scanner.advance(upto, 1);
            if scanner.skip_blank().map_err(trouble)? {
                Ok((Body::Csv(scanner, header), encoding))
            } else {
                Err(empty())
            }
        }
        Line::TooLong | Line::Upto(_) | Line::End => Ok((Body::Ndjson(scanner), encoding)),
    }
}

/// The byte order mark of UTF-8.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// What the first bytes, once unpacked, say it is, when that is nothing we read.
fn foreign(beginning: &[u8]) -> Option<&'static str> {
    let text = beginning.strip_prefix(BOM).unwrap_or(beginning).trim_ascii_start();
    if beginning.starts_with(b"\x1F\x8B") {
        Some("it is compressed with gzip twice")
    } else if beginning.starts_with(b"PK\x03\x04") {
        Some("it is a zip archive or a spreadsheet: export it as CSV in UTF-8")
    } else if beginning.starts_with(b"\xD0\xCF\x11\xE0") {
        Some("it is a spreadsheet: export it as CSV in UTF-8")
    } else if beginning.starts_with(b"%PDF-") {
        Some("it is a PDF document")
    } else if beginning.starts_with(b"\xFF\xFE") || beginning.starts_with(b"\xFE\xFF") {
        Some("it is UTF-16 text: save it as UTF-8")
    } else if text.starts_with(b"<") {
        Some("it is a web page or XML, not rows")
    } else {
        None
    }
}

impl Reader {
    /// Goes on where a checkpoint was taken, on a reader freshly opened over the same source.
    pub fn resume(mut self, from: Checkpoint) -> Result<Self, SourceError> {
        let changed = || SourceError::Changed { name: self.name.clone() };
        self.body = match self.body {
            Body::Inline(rows) => {
                let left = rows.as_slice().get(usize::try_from(from.offset).unwrap_or(usize::MAX)..);
                Body::Inline(left.ok_or_else(changed)?.to_vec().into_iter())
            }
            Body::Csv(scanner, header) => Body::Csv(moved(scanner, from, &self.name, &self.limits)?, header),
            Body::Ndjson(scanner) => Body::Ndjson(moved(scanner, from, &self.name, &self.limits)?),
            Body::Ended => Body::Ended,
        };
        self.row = from.row;
        Ok(self)
    }

    /// Does not keep the text of good rows: nobody will ask for it.
    #[must_use]
    pub fn without_input(mut self) -> Self {
        self.keeps_input = false;
        self
    }

    /// Whether the encoding was said beforehand, so that each line is judged for good as it is read.
    pub fn is_encoding_said(&self) -> bool {
        self.encoding.is_some()
    }

    /// What the lines of a CSV file were so far.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// The encoding: as it was said, by a byte order mark or when it was opened, else as the lines so far tell.
    pub fn encoding(&self) -> Encoding {
        self.encoding.unwrap_or_else(|| self.seen.encoding())
    }

    /// Whether the header of a CSV file is UTF-8; other sources have none.
    pub fn has_header_in_utf8(&self) -> bool {
        match &self.body {
            Body::Csv(_, header) => header.is_utf8,
            Body::Inline(_) | Body::Ndjson(_) | Body::Ended => true,
        }
    }

    /// The header line of a CSV file and the character between its fields.
    pub fn header(&self) -> Option<(&str, char)> {
        match &self.body {
            Body::Csv(_, header) => Some((header.text(), header.delimiter())),
            Body::Inline(_) | Body::Ndjson(_) | Body::Ended => None,
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        let (line, offset) = match &self.body {
            Body::Inline(_) | Body::Ended => (self.row.saturating_add(1), self.row),
            Body::Csv(scanner, _) | Body::Ndjson(scanner) => (scanner.line(), scanner.offset()),
        };
        Checkpoint { row: self.row, line, offset }
    }

    /// The next record's line, text and columns.
    fn record(&mut self) -> io::Result<Option<Record>> {
        let (keeps, encoding, table) = (self.keeps_input, self.encoding, self.limits.table);
        match &mut self.body {
            Body::Ended => Ok(None),
            Body::Inline(rows) => Ok(rows.next().map(|columns| Record {
                line: self.row.saturating_add(1),
                input: if keeps { serde_json::to_vec(&columns).unwrap_or_default() } else { Vec::new() },
                is_utf8: true,
                is_ascii: true,
                columns: canonical_map(table, columns).map_err(|name| {
                    (RowFault::DuplicateColumn, format!("the row has the column {name:?} twice, perhaps by two names"))
                }),
            })),
            Body::Csv(scanner, header) => {
                let found = find_csv(scanner, header.delimiter())?;
                let record =
                    take(scanner, found, &self.limits, keeps, encoding, |record| header.columns(record, encoding))?;
                if let Some(record) = &record {
                    self.seen.utf8 += u64::from(record.is_utf8 && !record.is_ascii);
                    self.seen.other += u64::from(!record.is_utf8);
                }
                Ok(record)
            }
            Body::Ndjson(scanner) => {
                let found = find_line(scanner)?;
                take(scanner, found, &self.limits, keeps, Some(Encoding::Utf8), |line| ndjson::columns(table, line))
            }
        }
    }
}

struct Record {
    line: u64,
    input: Vec<u8>,
    is_utf8: bool,
    is_ascii: bool,
    columns: Result<Map<String, Value>, (RowFault, String)>,
}

impl Iterator for Reader {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = match self.record() {
            Ok(record) => record?,
            Err(error) => {
                self.body = Body::Ended;
                return Some(Err(ReadError::Source(SourceError::of_io(&self.name, &self.limits, &error))));
            }
        };
        if self.row >= self.limits.max_rows {
            self.body = Body::Ended;
            let (name, max_rows) = (self.name.clone(), self.limits.max_rows);
            return Some(Err(ReadError::Source(SourceError::TooManyRows { name, max_rows })));
        }
        self.row = self.row.saturating_add(1);
        let (row, next) = (self.row, self.checkpoint());
        let Record { line, input, is_utf8, columns, .. } = record;
        Some(match columns {
            Ok(columns) => Ok(Row { row, line, next, columns, input, is_utf8 }),
            Err((fault, sentence)) => Err(ReadError::Row(BadRow { row, line, next, fault, sentence, input })),
        })
    }
}

/// A scanner over the same file at the checkpoint.
fn moved(
    scanner: Scanner<Input>,
    from: Checkpoint,
    name: &str,
    limits: &SourceLimits,
) -> Result<Scanner<Input>, SourceError> {
    let mut input = scanner.into_input();
    if !input.go_to(from.offset).map_err(|error| SourceError::of_io(name, limits, &error))? {
        return Err(SourceError::Changed { name: name.to_owned() });
    }
    Ok(Scanner::new(input, limits.max_line_bytes, from.offset, from.line))
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
    limits: &SourceLimits,
    keeps_input: bool,
    encoding: Option<Encoding>,
    columns: impl FnOnce(&[u8]) -> Result<Map<String, Value>, (RowFault, String)>,
) -> io::Result<Option<Record>> {
    let Some(found) = found else { return Ok(None) };
    let line = scanner.line();
    match found {
        Ok((upto, lines)) => {
            let bytes = scanner.held(upto);
            let is_utf8 = std::str::from_utf8(bytes).is_ok();
            let columns = columns(bytes);
            let input = if keeps_input || columns.is_err() { input_of(bytes, encoding) } else { Vec::new() };
            let record = Record { line, input, is_utf8, is_ascii: bytes.is_ascii(), columns };
            scanner.advance(upto, lines);
            Ok(Some(record))
        }
        Err((fault, mut sentence)) => {
            let first = memchr::memchr(b'\n', scanner.held(usize::MAX)).map_or(usize::MAX, |end| end.saturating_add(1));
            let kept = if fault == RowFault::LineTooLong { BEGINNING_BYTES } else { first };
            let input = input_of(scanner.held(first.min(kept)), encoding);
            scanner.skip_line()?;
            if fault == RowFault::LineTooLong {
                sentence = format!("the line is longer than {} bytes (sources.max_line_bytes)", limits.max_line_bytes);
            }
            // Half a line may end in half a character: nothing is concluded from it.
            Ok(Some(Record { line, input, is_utf8: true, is_ascii: true, columns: Err((fault, sentence)) }))
        }
    }
}

/// A record as it came, without its line end; in UTF-8 where the source is known to be Windows-1252.
fn input_of(record: &[u8], encoding: Option<Encoding>) -> Vec<u8> {
    let line = line_of(record);
    match encoding {
        Some(Encoding::Latin1) => decode(line).into_owned().into_bytes(),
        Some(Encoding::Utf8) | None => line.to_vec(),
    }
}
