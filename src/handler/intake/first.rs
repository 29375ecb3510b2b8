//! The first pass: a source is read through once before anything is written of it.
//!
//! It finds what makes the whole job wrong (a source that cannot be read, too many rows), takes the digest by which a later
//! run knows that the source is still the same, and finds out the encoding. What else is looked at is the job's: an
//! [`Observer`] sees every row.

use crate::source::{BadRow, Encoding, ReadError, Reader, Row, SourceError, SourceLimits, SourceSpec, digest, open};

/// Rows between two words to whoever waits.
const TOLD_EVERY: u64 = 1024;

/// Sees the rows of a first pass.
pub trait Observer {
    /// Whether what it sees depends on each row being read right. Where only the end of the source tells its encoding,
    /// it is then read once more, with a fresh observer.
    const JUDGES: bool;

    /// A row that could be read; `is_clear` is false from the first row on whose text may be another.
    fn row(&mut self, row: Row, is_clear: bool);

    /// A row that could not.
    fn bad(&mut self, row: BadRow);
}

/// What is known of a source that was read through.
#[derive(Debug, Clone, Default)]
pub struct Through {
    /// SHA-256 of the source.
    pub digest: String,
    /// In which encoding it is read.
    pub encoding: Encoding,
    /// Rows, good and bad.
    pub rows: u64,
}

/// Reads the source once, or twice where only the end tells its encoding. Blocking; `told` hears the rows read so far
/// from time to time.
pub fn read_through<O: Observer>(
    spec: &SourceSpec,
    limits: &SourceLimits,
    fresh: impl Fn() -> O,
    mut told: impl FnMut(u64),
) -> Result<(Through, O), SourceError> {
    // Opened first: what its header gives away is not worth the digest of a huge file.
    let rows = open(spec, limits, None)?.without_input();
    let digest = digest(spec, limits)?;
    let mut observer = fresh();
    let (mut through, is_clear) = pass(rows, &spec.name(), &mut observer, &mut told)?;
    if !is_clear {
        let rows = open(spec, limits, Some(through.encoding))?.without_input();
        observer = fresh();
        (through, _) = pass(rows, &spec.name(), &mut observer, &mut told)?;
    }
    Ok((Through { digest, ..through }, observer))
}

/// One reading. The second value is false when there were lines of which only the end told whether they are read at
/// all: then nothing but the encoding is right.
fn pass<O: Observer>(
    mut rows: Reader,
    name: &str,
    observer: &mut O,
    told: &mut impl FnMut(u64),
) -> Result<(Through, bool), SourceError> {
    let is_said = rows.is_encoding_said();
    let mut through = Through::default();
    let mut is_clear = true;
    for row in rows.by_ref() {
        through.rows += 1;
        if through.rows.is_multiple_of(TOLD_EVERY) {
            told(through.rows);
        }
        match row {
            Ok(row) => {
                is_clear &= !O::JUDGES || is_said || row.is_utf8;
                observer.row(row, is_clear);
            }
            Err(ReadError::Row(bad)) => observer.bad(bad),
            Err(ReadError::Source(error)) => return Err(error),
        }
    }
    if rows.seen().is_mixed() && !rows.has_header_in_utf8() {
        return Err(SourceError::NotUtf8 { name: name.to_owned() });
    }
    through.encoding = rows.encoding();
    Ok((through, is_clear))
}
