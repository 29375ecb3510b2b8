//! Which code was reached, where the program was built to tell (`make fuzz`): a counter for each edge, kept by the
//! compiler's sanitizer pass, which stable Rust has.
//!
//! Built without it there are no counters, and [`Coverage::is_new`] never says yes.

#![expect(unsafe_code, reason = "the compiler's counters are memory that it hands over by address")]

use std::slice;
use std::sync::{Mutex, PoisonError};

/// Counters of each part of the program, as addresses: begin and end.
static PARTS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Called by what the compiler put in, once for each part of the program, before `main`.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(begin: *mut u8, end: *mut u8) {
    let mut parts = PARTS.lock().unwrap_or_else(PoisonError::into_inner);
    let part = (begin.addr(), end.addr());
    if part.0 < part.1 && !parts.contains(&part) {
        parts.push(part);
        begin.expose_provenance();
    }
}

/// What was reached so far.
#[derive(Debug, Default)]
pub struct Coverage {
    parts: Vec<(usize, usize)>,
    /// How often each edge was passed at most, in steps: 1, 2, 3, 4-7, 8-15 ... each step a bit.
    seen: Vec<u8>,
}

impl Coverage {
    /// Nothing reached yet.
    pub fn new() -> Self {
        let parts = PARTS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let edges = parts.iter().map(|(begin, end)| end - begin).sum();
        Self { parts, seen: vec![0; edges] }
    }

    /// Forgets the counts of what ran before.
    pub fn start(&self) {
        for counters in self.counters() {
            counters.fill(0);
        }
    }

    /// Whether something was reached since [`Coverage::start`] that was not reached before.
    pub fn is_new(&mut self) -> bool {
        let mut seen = std::mem::take(&mut self.seen);
        let mut new = false;
        let counts = self.counters().flat_map(|counters| counters.iter());
        for (seen, count) in seen.iter_mut().zip(counts).filter(|(_, count)| **count > 0) {
            let step = 1_u8 << count.ilog2().min(7);
            new |= *seen & step == 0;
            *seen |= step;
        }
        self.seen = seen;
        new
    }

    /// Edges reached, and edges there are.
    pub fn edges(&self) -> (usize, usize) {
        (self.seen.iter().filter(|seen| **seen > 0).count(), self.seen.len())
    }

    fn counters(&self) -> impl Iterator<Item = &mut [u8]> {
        self.parts.iter().map(|(begin, end)| {
            // SAFETY: the compiler handed over this range of bytes, which lives as long as the program. Other threads
            // count in it too: a count lost to a race costs nothing.
            unsafe { slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(*begin), end - begin) }
        })
    }
}
