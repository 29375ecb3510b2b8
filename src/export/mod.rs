//! Exports: the orders of a campaign with their deliveries, as a table or as lines of JSON (PO-25).
//!
//! A reader asks Redis for one stretch ahead, a thread writes the one before: memory is a few stretches, whatever the
//! size of the campaign. An export may be made while its campaign runs: each row is consistent in itself, what is
//! generated after its beginning is not in it. `row` says what a row holds, `writer` how it is written, `folder` where
//! the exports of control jobs lie.

pub mod folder;
pub mod row;
mod writer;

use std::io::{self, Write};

use tokio::sync::mpsc;

use crate::{
    domain::{export::ExportFormat, lookup::Filter},
    store::{
        StoreError,
        records::{Reader, Stretch},
    },
};

pub use writer::Written;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Table or lines of JSON.
    pub rows: ExportFormat,
    /// Whether it is packed with gzip.
    pub gzip: bool,
}

/// Stretches read ahead of the writing thread.
const AHEAD: usize = 2;

/// Why an export ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Redis failed it.
    #[error("the orders cannot be read")]
    Store(#[from] StoreError),
    /// The file, or whatever it is written to.
    #[error("it cannot be written")]
    Write(#[from] io::Error),
    /// Whoever asked wants no more of it.
    #[error("it was stopped")]
    Stopped,
}

/// Writes all records of `reader` that pass `filter` to `sink`. `go_on` is told after each stretch how many orders were
/// looked at, and says whether to go on. Returns what was written, and the sink, flushed.
pub async fn run<W: Write + Send + 'static>(
    reader: &Reader,
    filter: Filter,
    format: Format,
    sink: W,
    mut go_on: impl FnMut(u64) -> bool,
) -> Result<(Written, W), ExportError> {
    let (sender, stretches) = mpsc::channel::<Stretch>(AHEAD);
    let shared = std::sync::Arc::clone(&reader.shared);
    let writing = tokio::task::spawn_blocking(move || writer::write(&shared, &filter, format, sink, stretches));
    let mut after = 0;
    let read = async {
        while let Some(numbers) = reader.stretch_after(after) {
            let stretch = reader.read(&numbers).await?;
            after = numbers.last().copied().unwrap_or(reader.last);
            if sender.send(stretch).await.is_err() {
                // The writer has failed and says why.
                return Ok(());
            }
            if !go_on(after) {
                return Err(ExportError::Stopped);
            }
        }
        Ok(())
    };
    let read: Result<(), ExportError> = read.await;
    drop(sender);
    let written = match writing.await {
        Ok(written) => written,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    read?;
    Ok(written?)
}
