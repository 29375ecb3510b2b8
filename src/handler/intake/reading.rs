//! Reading ahead: a source in stretches of judged rows, while Redis takes the stretch before.
//!
//! A thread reads and judges: memory is two stretches, whatever the size of the file. A stretch ends at its number of rows
//! or at 2 MiB of their text. A row that is refused keeps its line, code, sentence and text.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::{
    job::RowRefusal,
    source::{
        Checkpoint, Encoding, ReadError, SourceError, SourceLimits, SourceSpec,
        error_file::{Layout, RefusedRow},
        open,
    },
};

/// Text of rows in one stretch.
const STRETCH_BYTES: usize = 2 << 20;

/// How much of a refused row Redis keeps; the error file has all of it.
const KEPT_INPUT_BYTES: usize = 1024;

/// A row as the reading thread judged it.
#[derive(Debug)]
pub enum Judged<T> {
    /// Taken.
    Good(GoodRow<T>),
    /// Refused.
    Bad(RefusedRow),
}

/// A row that was taken.
#[derive(Debug)]
pub struct GoodRow<T> {
    /// Its number in the source.
    pub row: u64,
    /// The line it begins on.
    pub line: u64,
    /// What it says.
    pub value: T,
    /// Its text.
    pub input: Vec<u8>,
}

impl<T> GoodRow<T> {
    /// The refusal of a row that was good as such.
    pub fn refuse(self, refusal: RowRefusal) -> RefusedRow {
        refused(self.row, self.line, refusal, self.input)
    }
}

/// A stretch of judged rows.
#[derive(Debug)]
pub struct Stretch<T> {
    /// In the order of the source.
    pub rows: Vec<Judged<T>>,
    /// Where the source goes on.
    pub next: Checkpoint,
    /// What refused rows look like.
    pub layout: Arc<Layout>,
}

/// A refused row, as the campaign's list of errors shows it.
#[derive(Debug, Serialize)]
struct ListedRow<'a> {
    row: u64,
    line: u64,
    code: &'a str,
    error: &'a str,
    input: &'a str,
}

/// Judges the columns of a row.
pub type Judge<T> = dyn Fn(Map<String, Value>) -> Result<T, RowRefusal> + Send;

/// What to read, and by which rules.
pub struct Reading<T> {
    /// The source.
    pub spec: SourceSpec,
    /// Its bounds.
    pub limits: SourceLimits,
    /// In which encoding it is.
    pub encoding: Encoding,
    /// Where it goes on.
    pub from: Option<Checkpoint>,
    /// Rows of a stretch.
    pub size: usize,
    /// Judges the columns of a row.
    pub judge: Box<Judge<T>>,
}

/// Stretches on their way to the writer.
type Stretches<T> = mpsc::Sender<Result<Stretch<T>, SourceError>>;

impl<T> Reading<T> {
    /// Reads and judges the source in stretches. Blocking; ends early when nobody listens any more.
    pub fn read(self, stretches: &Stretches<T>) {
        if let Err(error) = self.run(stretches) {
            let _ = stretches.blocking_send(Err(error));
        }
    }

    fn run(self, stretches: &Stretches<T>) -> Result<(), SourceError> {
        let mut reader = open(&self.spec, &self.limits, Some(self.encoding))?;
        if let Some(from) = self.from {
            reader = reader.resume(from)?;
        }
        let layout = Arc::new(match reader.header() {
            Some((header, delimiter)) => Layout::Csv { header: header.to_owned(), delimiter },
            None => Layout::Ndjson,
        });
        let (mut rows, mut bytes) = (Vec::with_capacity(self.size), 0);
        let mut last = None;
        for row in reader {
            let (judged, length, next) = match row {
                Ok(row) => {
                    let length = row.input.len();
                    let judged = match (self.judge)(row.columns) {
                        Ok(value) => Judged::Good(GoodRow { row: row.row, line: row.line, value, input: row.input }),
                        Err(refusal) => Judged::Bad(refused(row.row, row.line, refusal, row.input)),
                    };
                    (judged, length, row.next)
                }
                Err(ReadError::Row(bad)) => {
                    let refusal = RowRefusal::of_code(bad.fault.as_str(), bad.sentence);
                    let length = bad.input.len();
                    (Judged::Bad(refused(bad.row, bad.line, refusal, bad.input)), length, bad.next)
                }
                Err(ReadError::Source(error)) => return Err(error),
            };
            rows.push(judged);
            bytes += length;
            last = Some(next);
            if rows.len() >= self.size || bytes >= STRETCH_BYTES {
                let rows = std::mem::replace(&mut rows, Vec::with_capacity(self.size));
                bytes = 0;
                if stretches.blocking_send(Ok(Stretch { rows, next, layout: Arc::clone(&layout) })).is_err() {
                    return Ok(());
                }
            }
        }
        if let Some(next) = last
            && !rows.is_empty()
        {
            let _ = stretches.blocking_send(Ok(Stretch { rows, next, layout }));
        }
        Ok(())
    }
}

/// A refused row.
pub fn refused(row: u64, line: u64, refusal: RowRefusal, input: Vec<u8>) -> RefusedRow {
    RefusedRow { row, line, code: refusal.code.as_str(), sentence: refusal.sentence, input }
}

/// Code and JSON of a refused row, as Redis keeps it.
pub fn listed(row: &RefusedRow) -> (&'static str, String) {
    let kept = row.input.get(..KEPT_INPUT_BYTES).unwrap_or(&row.input);
    let listed = ListedRow {
        row: row.row,
        line: row.line,
        code: row.code,
        error: &row.sentence,
        input: &String::from_utf8_lossy(kept),
    };
    (row.code, serde_json::to_string(&listed).unwrap_or_default())
}
