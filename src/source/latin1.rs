//! In which encoding the text of a source is: UTF-8, or Windows-1252, which everybody calls Latin-1.
//!
//! A CSV file without a byte order mark does not say it. The first pass looks at every line: where no line is UTF-8 with
//! letters outside ASCII and some are not UTF-8, the file is read as Windows-1252; where both stand in one file it is
//! mixed, read as UTF-8, and the lines that are not are refused one by one, never guessed. NDJSON is UTF-8 (RFC 8259).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// How the bytes of a source become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// Windows-1252: Latin-1 with quotes, dashes and the euro sign.
    Latin1,
}

/// What the lines of a source were so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Lines in UTF-8 with something outside ASCII.
    pub utf8: u64,
    /// Lines that are not UTF-8.
    pub other: u64,
}

impl Seen {
    /// The encoding of the whole.
    pub fn encoding(self) -> Encoding {
        if self.other > 0 && self.utf8 == 0 { Encoding::Latin1 } else { Encoding::Utf8 }
    }

    /// Whether lines of both kinds stand in it.
    pub fn is_mixed(self) -> bool {
        self.other > 0 && self.utf8 > 0
    }
}

/// The 27 characters of Windows-1252 that Latin-1 does not have, for the bytes 0x80 to 0x9F. The five bytes without a
/// character stay control characters, as the WHATWG Encoding Standard says.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Windows-1252 as text; ASCII is taken as it is.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(ascii) if bytes.is_ascii() => Cow::Borrowed(ascii),
        _ => Cow::Owned(bytes.iter().map(|&byte| character(byte)).collect()),
    }
}

fn character(byte: u8) -> char {
    let high = byte.checked_sub(0x80).and_then(|at| HIGH.get(usize::from(at)));
    high.copied().unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_1252_has_letters_quotes_and_the_euro() {
        assert_eq!(decode(b"A\xf1o \x80 \x93x\x94 \xe1\xfa"), "Año € “x” áú");
        assert!(matches!(decode(b"plain"), Cow::Borrowed("plain")));
        assert_eq!(decode(b"\xc3\xb1").chars().count(), 2);
    }

    #[test]
    fn a_file_with_lines_of_both_kinds_is_mixed_and_not_guessed() {
        assert_eq!(Seen { utf8: 0, other: 3 }.encoding(), Encoding::Latin1);
        assert_eq!(Seen { utf8: 1, other: 3 }.encoding(), Encoding::Utf8);
        assert!(Seen { utf8: 1, other: 3 }.is_mixed() && !Seen { utf8: 9, other: 0 }.is_mixed());
    }
}
