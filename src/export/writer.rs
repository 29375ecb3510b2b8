//! The thread that writes: rows into CSV or JSON lines, packed or not, counted and digested on their way.

use std::io::{self, BufWriter, Write};

use flate2::{Compression, write::GzEncoder};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{
    Format,
    row::{COLUMNS, Row},
};
use crate::{
    domain::{
        cell::{GUARD, is_formula},
        export::ExportFormat,
        lookup::Filter,
    },
    store::records::{Shared, Stretch},
};

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Rows, the header not counted.
    pub rows: u64,
    /// Bytes, as they lie in the file.
    pub bytes: u64,
    /// SHA-256 of them as hex.
    pub digest: String,
}

/// Writes stretches until there are no more.
pub(super) fn write<W: Write>(
    shared: &Shared,
    filter: &Filter,
    format: Format,
    sink: W,
    stretches: mpsc::Receiver<Stretch>,
) -> io::Result<(Written, W)> {
    let counted = BufWriter::with_capacity(BUFFER_BYTES, Counted { sink, bytes: 0, digest: Sha256::new() });
    let (rows, counted) = if format.gzip {
        let (rows, packed) =
            write_rows(shared, filter, format.rows, GzEncoder::new(counted, Compression::fast()), stretches)?;
        (rows, packed.finish()?)
    } else {
        write_rows(shared, filter, format.rows, counted, stretches)?
    };
    let mut counted = counted.into_inner().map_err(io::IntoInnerError::into_error)?;
    counted.flush()?;
    let Counted { sink, bytes, digest } = counted;
    Ok((Written { rows, bytes, digest: hex(&digest.finalize()) }, sink))
}

fn write_rows<W: Write>(
    shared: &Shared,
    filter: &Filter,
    format: ExportFormat,
    mut out: W,
    mut stretches: mpsc::Receiver<Stretch>,
) -> io::Result<(u64, W)> {
    let mut rows = 0;
    match format {
        ExportFormat::Csv => {
            // Lines end with CRLF, as RFC 4180 says.
            let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
            table.write_record(COLUMNS)?;
            let mut cell = String::new();
            while let Some(stretch) = stretches.blocking_recv() {
                for record in stretch.records.iter().filter(|record| record.passes(filter)) {
                    write_row(&mut table, &Row::of(record, shared), &mut cell)?;
                    rows += 1;
                }
            }
            out = table.into_inner().map_err(csv::IntoInnerError::into_error)?;
        }
        ExportFormat::Ndjson => {
            while let Some(stretch) = stretches.blocking_recv() {
                for record in stretch.records.iter().filter(|record| record.passes(filter)) {
                    serde_json::to_writer(&mut out, &Row::of(record, shared))?;
                    out.write_all(b"\n")?;
                    rows += 1;
                }
            }
        }
    }
    Ok((rows, out))
}

/// One line of the table.
fn write_row<W: Write>(table: &mut csv::Writer<W>, row: &Row<'_>, cell: &mut String) -> io::Result<()> {
    for text in row.cells() {
        table.write_field(safe(&text, cell))?;
    }
    Ok(table.write_record(None::<&[u8]>)?)
}

/// The text of a cell, with `'` before what a spreadsheet would take for a formula (PO-25).
fn safe<'a>(text: &'a str, cell: &'a mut String) -> &'a str {
    if !is_formula(text) {
        return text;
    }
    cell.clear();
    cell.push(GUARD);
    cell.push_str(text);
    cell
}

/// Counts and digests what goes by.
#[derive(Debug)]
struct Counted<W> {
    sink: W,
    bytes: u64,
    digest: Sha256,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.bytes += written as u64;
        self.digest.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        use std::fmt::Write as _;
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn po_25_what_a_spreadsheet_would_run_gets_a_quote_before_it() {
        let mut cell = String::new();
        for text in ["=1+1", "+34600123456", "-5", "@SUM(A1)", "\tx", "\rx"] {
            assert_eq!(safe(text, &mut cell), format!("'{text}"));
        }
        for text in ["", "Cuota", "'+34", "1-2", "https://pay.example/?p=a"] {
            assert_eq!(safe(text, &mut cell), text);
        }
    }
}
