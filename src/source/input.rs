//! The bytes under the readers: a file as it is, or unpacked from gzip on the way.
//!
//! Every read looks whether reading is still wanted, so that a drain never waits for a file, however long its lines are;
//! and counts, so that neither a huge file nor a small one that unpacks to a huge one is read beyond
//! `sources.max_bytes`. Offsets are those of the unpacked bytes; going to one in gzip means unpacking up to it again.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::read::MultiGzDecoder;
use tokio_util::sync::CancellationToken;

use super::{SourceError, SourceLimits};

/// What is read from the file at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The first two bytes of gzip (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// Why reading was ended by ourselves; travels inside an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Halt {
    /// Nobody wants the rest any more.
    #[error("reading was stopped")]
    Stopped,
    /// More than `sources.max_bytes`.
    #[error("the source is too big")]
    TooBig,
}

impl Halt {
    /// The halt inside an error, if it is one.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).copied()
    }
}

/// A file that is read only as long as somebody wants it.
#[derive(Debug)]
pub(super) struct Raw {
    file: File,
    stop: CancellationToken,
}

impl Raw {
    pub(super) fn new(file: File, stop: &CancellationToken) -> Self {
        Self { file, stop: stop.clone() }
    }
}

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other(Halt::Stopped));
        }
        self.file.read(into)
    }
}

/// The unpacked bytes of a file.
#[derive(Debug)]
pub(super) struct Input {
    bytes: Bytes,
    /// Unpacked bytes read since the beginning.
    read: u64,
    max_bytes: u64,
}

#[derive(Debug)]
enum Bytes {
    Plain(Raw),
    Gzip(Box<MultiGzDecoder<BufReader<Raw>>>),
    /// Between two states of itself.
    Gone,
}

impl Input {
    /// Looks at the first bytes of the file and unpacks it if they are those of gzip.
    pub(super) fn new(name: &str, mut file: File, limits: &SourceLimits) -> Result<Self, SourceError> {
        let trouble = |error: io::Error| SourceError::of_io(name, limits, &error);
        if file.metadata().map_err(trouble)?.len() > limits.max_bytes {
            return Err(SourceError::TooBig { name: name.to_owned(), max_bytes: limits.max_bytes });
        }
        let mut magic = Vec::with_capacity(GZIP_MAGIC.len());
        file.by_ref().take(2).read_to_end(&mut magic).map_err(trouble)?;
        file.rewind().map_err(trouble)?;
        let raw = Raw::new(file, &limits.stop);
        let bytes = if magic == GZIP_MAGIC { unpacking(raw) } else { Bytes::Plain(raw) };
        Ok(Self { bytes, read: 0, max_bytes: limits.max_bytes })
    }

    /// Goes to an offset of the unpacked bytes. False when they end before it.
    pub(super) fn go_to(&mut self, offset: u64) -> io::Result<bool> {
        match std::mem::replace(&mut self.bytes, Bytes::Gone) {
            Bytes::Plain(mut raw) => {
                let there = raw.file.metadata()?.len() >= offset;
                raw.file.seek(SeekFrom::Start(offset))?;
                self.bytes = Bytes::Plain(raw);
                self.read = offset;
                Ok(there)
            }
            Bytes::Gzip(decoder) => {
                let mut raw = decoder.into_inner().into_inner();
                raw.file.rewind()?;
                self.bytes = unpacking(raw);
                self.read = 0;
                Ok(io::copy(&mut self.by_ref().take(offset), &mut io::sink())? == offset)
            }
            Bytes::Gone => Ok(false),
        }
    }
}

fn unpacking(raw: Raw) -> Bytes {
    Bytes::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(CHUNK_BYTES, raw))))
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = match &mut self.bytes {
            Bytes::Plain(raw) => raw.read(into)?,
            Bytes::Gzip(decoder) => decoder.read(into)?,
            Bytes::Gone => 0,
        };
        self.read = self.read.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if self.read > self.max_bytes {
            return Err(io::Error::other(Halt::TooBig));
        }
        Ok(length)
    }
}
