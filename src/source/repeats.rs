//! Which texts were seen before, in flat memory: the references of a source (PO-22).
//!
//! The first 100,000 are kept as 64-bit hashes: what is called a repeat is one. Beyond that they move into a Bloom
//! filter of 16 MiB, whatever the number: no repeat is missed, and a text is taken for one by mistake about once in a
//! hundred million at a million references, once in thirty thousand at ten million. It is for a warning, not a refusal.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Hashes kept one by one.
const EXACT: usize = 100_000;

/// Bits of the filter, a power of two: 16 MiB.
const BITS: u64 = 1 << 27;

/// Bits set for each text.
const PROBES: u64 = 6;

/// Texts seen so far.
#[derive(Debug, Default)]
pub struct Repeats {
    exact: HashSet<u64>,
    filter: Vec<u64>,
}

impl Repeats {
    /// Whether a text was seen before; from now on it was.
    pub fn seen(&mut self, text: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        if self.filter.is_empty() {
            if self.exact.len() < EXACT {
                return !self.exact.insert(hash);
            }
            self.filter = vec![0; usize::try_from(BITS / 64).unwrap_or(usize::MAX)];
            for known in std::mem::take(&mut self.exact) {
                self.mark(known);
            }
        }
        self.mark(hash)
    }

    /// Sets the bits of a hash. Returns whether all of them were set.
    fn mark(&mut self, hash: u64) -> bool {
        let (start, step) = (hash & (BITS - 1), (hash >> 32) | 1);
        let mut known = true;
        for probe in 0..PROBES {
            let bit = start.wrapping_add(step.wrapping_mul(probe)) & (BITS - 1);
            if let Some(word) = self.filter.get_mut(usize::try_from(bit / 64).unwrap_or(usize::MAX)) {
                known &= *word >> (bit % 64) & 1 == 1;
                *word |= 1 << (bit % 64);
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_found_before_and_behind_the_bound_and_nothing_else_is_one() {
        let mut repeats = Repeats::default();
        let count = EXACT + 50_000;
        let mistaken = (0..count).filter(|n| repeats.seen(&format!("A-{n}"))).count();
        assert_eq!(mistaken, 0);
        assert!((0..count).step_by(997).all(|n| repeats.seen(&format!("A-{n}"))));
        assert_eq!(repeats.filter.len() * 8, 16 << 20);
    }
}
