//! Telephone numbers in a finished line are masked on their way out, whoever wrote them.

use std::borrow::Cow;
use std::io::{self, Write};

/// Masks what goes through. The formatter hands over one whole line at a time.
pub(super) struct Masked<W>(pub(super) W);

impl<W: Write> Write for Masked<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(&mask(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A `+` and so many digits are a telephone number (E.164 has at most 15; shorter ones are offsets and counts).
const FEWEST_DIGITS: usize = 8;
/// Digits left to read at the beginning and at the end, enough to tell two test numbers apart.
const SHOWN: (usize, usize) = (2, 3);

fn mask(line: &[u8]) -> Cow<'_, [u8]> {
    let mut masked = Cow::Borrowed(line);
    let mut from = 0;
    while let Some(plus) = line.iter().skip(from).position(|byte| *byte == b'+').map(|at| from + at) {
        let first = plus + 1;
        let digits = line.iter().skip(first).take_while(|byte| byte.is_ascii_digit()).count();
        if digits >= FEWEST_DIGITS {
            let hidden = first + SHOWN.0..first + digits - SHOWN.1;
            if let Some(hidden) = masked.to_mut().get_mut(hidden) {
                hidden.fill(b'*');
            }
        }
        from = first + digits;
    }
    masked
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::{Masked, mask};

    #[test]
    fn a_number_in_a_line_is_masked_wherever_it_stands() {
        let mut out = Masked(Vec::new());
        out.write_all(b"to=+34600123456 (+525512345678) +5 2026-11-01T09:00:00+01:00 +12345678").unwrap();
        let line = String::from_utf8(out.0).unwrap();
        assert_eq!(line, "to=+34******456 (+52*******678) +5 2026-11-01T09:00:00+01:00 +12***678");
    }

    #[test]
    fn a_line_without_a_number_is_not_copied() {
        assert!(matches!(mask(b"run=delivery@1 n=12345678 ++ +"), std::borrow::Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn no_line_keeps_eight_digits_behind_a_plus(line in "[+0-9a-z ]{0,60}") {
            let masked = mask(line.as_bytes());
            prop_assert_eq!(masked.len(), line.len());
            for rest in masked.split(|byte| *byte == b'+').skip(1) {
                prop_assert!(rest.iter().take_while(|byte| byte.is_ascii_digit()).count() < 8);
            }
        }
    }
}
