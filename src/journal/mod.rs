//! The journal: what this daemon claimed and what became of it, on disk, for the minute that Redis may lose.
//!
//! Every claim is appended before its messages leave, every outcome before it is handed to Redis, and `recorded` when
//! Redis has it. Two things follow. Outcomes that Redis cannot take outlive a kill: the next daemon of the instance
//! writes them before anybody is judged as in doubt. And a server that took over from another, or came back with less
//! than it had, is told again what was claimed and what was sent in the last minute, before anybody claims there
//! ([`keeper`]). What is written again is compared in the ledger, and the later state stands. So are the receipts that
//! providers were told to be written: they do not come again.
//!
//! A file goes when its last line is older than a minute, everything in it is recorded, and the server that took it still
//! answers. Nothing is synced: the journal outlives the daemon, not a power failure. Where it cannot be written, sending
//! goes on as it would without it, and that is said.
//!
//! Keys, references and ids, which may name a person, are left out (`whom`).
//! `line` is what stands there, `segments` the files, [`keeper`] what is done with them.

pub mod keeper;
pub mod line;
pub mod segments;
mod whom;

use std::{
    borrow::Cow,
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    metrics::Metrics,
    store::{
        ServerIdentity,
        caps::{Note, Reserved},
        reassert::Origin,
        receipts::Arrived,
        runs::{Recipient, Record},
    },
};

use line::{Claims, Line};
use segments::{Past, Segments};

/// How long what was recorded is kept: more than a replica lags, or an append-only file is behind.
pub const KEEP: Duration = Duration::from_mins(1);

/// Outcomes on their way to Redis.
#[derive(Debug)]
#[must_use = "they wait until they are recorded"]
pub struct Batch(u64);

/// Outcomes that Redis does not have yet.
#[derive(Debug)]
struct Waiting {
    /// Where they stand; nowhere, if they could not be written.
    segment: Option<u64>,
    outcomes: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Book {
    server: Option<Arc<ServerIdentity>>,
    /// The first line of each file.
    head: Vec<u8>,
    segments: Segments,
    next_batch: u64,
    waiting: HashMap<u64, Waiting>,
    /// Whether the last append failed.
    failing: bool,
    buffer: Vec<u8>,
}

/// The journal of one daemon. Shared by all its turns.
#[derive(Debug)]
pub struct Journal {
    book: Mutex<Book>,
    metrics: Arc<Metrics>,
}

impl Journal {
    /// The journal of `incarnation` in the state folder, with what the `dead` ones of its instance left there.
    pub fn new(state_dir: &Path, incarnation: &str, dead: &[String], metrics: Arc<Metrics>) -> Self {
        Self::over(Segments::new(&state_dir.join("journal"), incarnation, dead), metrics)
    }

    /// The journal of an `incarnation` that relieves another one in the same process, which lives on for as long as its
    /// own may be needed.
    pub fn beside(state_dir: &Path, incarnation: &str, metrics: Arc<Metrics>) -> Self {
        Self::over(Segments::beside(&state_dir.join("journal"), incarnation), metrics)
    }

    fn over(segments: Segments, metrics: Arc<Metrics>) -> Self {
        let book = Book {
            server: None,
            head: Vec::new(),
            segments,
            next_batch: 0,
            waiting: HashMap::new(),
            failing: false,
            buffer: Vec::new(),
        };
        Self { book: Mutex::new(book), metrics }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a claim on `server` brought, before any of it leaves. False: the server is another one by now, whose
    /// ledger may know nothing of this claim. Then nothing of it may leave.
    #[must_use]
    pub fn claimed(&self, server: &ServerIdentity, origin: &Origin, recipients: &[Recipient]) -> bool {
        let mut book = self.book();
        let same = book.server.as_deref() == Some(server);
        if !recipients.is_empty() {
            book.append(|bytes| line::write(&Line::Claims(Claims::new(origin, recipients)), bytes));
        }
        same
    }

    /// Notes what counts towards caps by now.
    pub fn reserved(&self, reserved: Reserved) {
        if !reserved.notes.is_empty() {
            self.book().append(|bytes| line::write(&Line::Reserved(reserved), bytes));
        }
    }

    /// Notes what does not count any more.
    pub fn freed(&self, notes: &[Note]) {
        if !notes.is_empty() {
            self.book().append(|bytes| line::write(&Line::Freed(notes.to_vec()), bytes));
        }
    }

    /// Notes receipts, before they are handed to Redis.
    pub fn received(&self, arrived: &[Arrived]) {
        self.book().append(|bytes| line::write(&Line::Receipts(Cow::Borrowed(arrived)), bytes));
    }

    /// Notes outcomes, before they are handed to Redis.
    pub fn ended(&self, origin: &Origin, records: &[Record]) -> Batch {
        let mut book = self.book();
        let batch = book.next_batch;
        book.next_batch += 1;
        let (segment, bytes) = book.append(|bytes| line::write_outcomes(origin, batch, records, bytes));
        let outcomes = u64::try_from(records.len()).unwrap_or(0);
        book.waiting.insert(batch, Waiting { segment, outcomes, bytes });
        self.metrics.spooled(1, outcomes, bytes);
        Batch(batch)
    }

    /// Notes that Redis has them.
    pub fn recorded(&self, batches: Vec<Batch>) {
        let mut book = self.book();
        for Batch(batch) in batches {
            if let Some(Waiting { segment, outcomes, bytes }) = book.waiting.remove(&batch) {
                if segment.is_some() {
                    book.append(|bytes| line::write(&Line::Recorded(batch), bytes));
                }
                self.metrics.spooled(-1, outcomes, bytes);
            }
        }
    }

    /// From now on, what happens happens on `server`. Returns the files of before, oldest first.
    fn turn_over(&self, server: &Arc<ServerIdentity>) -> Vec<Past> {
        let mut book = self.book();
        book.segments.close();
        book.head.clear();
        line::write(&Line::Server(Cow::Borrowed(server)), &mut book.head);
        book.server = Some(Arc::clone(server));
        book.segments.past()
    }

    /// Measures the journal. Where the server has `answered`, what it has had for long enough is not needed any more.
    fn tidy(&self, answered: bool) {
        let mut book = self.book();
        let Book { segments, waiting, .. } = &mut *book;
        let needed = |number| waiting.values().any(|waiting| waiting.segment == Some(number));
        if answered {
            segments.drop_older(KEEP, needed);
        }
        self.metrics.journal(book.segments.bytes(), book.failing);
    }
}

impl Book {
    /// Appends what `write` writes. Returns where it stands, if anywhere, and how long it is.
    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> (Option<u64>, u64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        write(&mut buffer);
        let bytes = u64::try_from(buffer.len()).unwrap_or(0);
        let appended = self.segments.append(&self.head, &buffer);
        self.buffer = buffer;
        match appended {
            Ok(segment) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the journal can be written again");
                }
                (Some(segment), bytes)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(
                        %error,
                        "the journal cannot be written: what Redis loses now, or cannot take before this daemon dies, may be sent twice or end unknown"
                    );
                }
                (None, bytes)
            }
        }
    }
}
