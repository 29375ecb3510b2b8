//! The buffer under the readers: finds line ends, holds one record at a time.
//!
//! A record may grow over several lines as long as it stays below the bound; the buffer is as large as that bound plus
//! one chunk, and never grows. A line beyond the bound is skipped by reading and dropping chunks, so that a line
//! of two gigabytes costs time but no memory.

use std::io::{self, Read};

use memchr::memchr;

const CHUNK_BYTES: usize = 64 * 1024;

/// Where the scanner stands, and what it holds.
#[derive(Debug)]
pub(super) struct Scanner<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    drained: bool,
    max_line_bytes: usize,
    offset: u64,
    line: u64,
}

/// The end of a line, counted from the start of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// The record with this line ends before that byte; the next line begins there.
    Upto(usize),
    /// The input ends here without another line.
    End,
    /// No line end within the bound.
    TooLong,
}

impl<R: Read> Scanner<R> {
    /// A scanner whose next byte has that offset and that line number in the file.
    pub(super) fn new(input: R, max_line_bytes: usize, offset: u64, line: u64) -> Self {
        let buffer = vec![0; max_line_bytes.saturating_add(CHUNK_BYTES)];
        Self { input, buffer, start: 0, end: 0, drained: false, max_line_bytes, offset, line }
    }

    /// The input itself, for another position.
    pub(super) fn into_input(self) -> R {
        self.input
    }

    /// Byte offset of the next record.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Line number of the next record.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The bytes held from the start of the record; at most `length`.
    pub(super) fn held(&self, length: usize) -> &[u8] {
        let upto = self.start.saturating_add(length).min(self.end);
        self.buffer.get(self.start..upto).unwrap_or_default()
    }

    /// Finds the end of the line that begins `from` bytes into the record.
    pub(super) fn line_end(&mut self, from: usize) -> io::Result<Line> {
        let mut searched = from;
        loop {
            let held = self.held(usize::MAX);
            if let Some(found) = memchr(b'\n', held.get(searched..).unwrap_or_default()) {
                let upto = searched.saturating_add(found).saturating_add(1);
                // the line end itself (LF, CRLF) is not counted against the bound
                return Ok(if upto > self.max_line_bytes.saturating_add(2) { Line::TooLong } else { Line::Upto(upto) });
            }
            let length = held.len();
            if length > self.max_line_bytes.saturating_add(2) {
                return Ok(Line::TooLong);
            }
            searched = length;
            if !self.fill()? {
                return Ok(if length > from { Line::Upto(length) } else { Line::End });
            }
        }
    }

    /// Gives up the first `length` bytes, which were `lines` lines.
    pub(super) fn advance(&mut self, length: usize, lines: u64) {
        let length = length.min(self.end.saturating_sub(self.start));
        self.start = self.start.saturating_add(length);
        self.offset = self.offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        self.line = self.line.saturating_add(lines);
    }

    /// Drops bytes until behind the next line end.
    pub(super) fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let held = self.held(usize::MAX);
            if let Some(found) = memchr(b'\n', held) {
                self.advance(found.saturating_add(1), 1);
                return Ok(());
            }
            let length = held.len();
            self.advance(length, 0);
            if !self.fill()? {
                self.line = self.line.saturating_add(1);
                return Ok(());
            }
        }
    }

    /// Steps over blank lines; false when nothing follows.
    pub(super) fn skip_blank(&mut self) -> io::Result<bool> {
        loop {
            match self.line_end(0)? {
                Line::End => return Ok(false),
                Line::TooLong => return Ok(true),
                Line::Upto(upto) => {
                    if !self.held(upto).iter().all(u8::is_ascii_whitespace) {
                        return Ok(true);
                    }
                    self.advance(upto, 1);
                }
            }
        }
    }

    /// Reads one more chunk; false at the end of the input.
    fn fill(&mut self) -> io::Result<bool> {
        if self.drained {
            return Ok(false);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        let length = loop {
            match self.input.read(free) {
                Ok(length) => break length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.end = self.end.saturating_add(length);
        self.drained = length == 0;
        Ok(length > 0)
    }
}
