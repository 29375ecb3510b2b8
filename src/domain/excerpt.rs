//! A short, printable piece of a value that somebody else wrote.
//!
//! Error sentences name the value they refuse. A value can be a megabyte long or hold control
//! characters that move a terminal's cursor; an [`Excerpt`] is at most 40 characters and escaped.
//! It does not hide anything: whoever quotes an address masks it first (DA-9).

use std::fmt;

/// Characters kept of a quoted value; enough to recognise it in a file.
const MAX_CHARS: usize = 40;

/// At most 40 escaped characters of a value, shown in quotes.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Quotes the head of `value`; three dots say that it went on.
    pub fn of(value: &str) -> Self {
        let mut quoted = String::with_capacity(value.len().min(MAX_CHARS) + 2);
        quoted.push('"');
        let mut chars = value.chars();
        for c in chars.by_ref().take(MAX_CHARS) {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                _ if c.is_control() => quoted.extend(c.escape_default()),
                _ => quoted.push(c),
            }
        }
        if chars.next().is_some() {
            quoted.push_str("...");
        }
        quoted.push('"');
        Self(quoted)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_value_is_quoted_whole() {
        assert_eq!(Excerpt::of("12.50").to_string(), "\"12.50\"");
    }

    #[test]
    fn quotes_and_control_characters_are_escaped() {
        assert_eq!(Excerpt::of("a\"b\n\u{1b}[2J").to_string(), r#""a\"b\n\u{1b}[2J""#);
    }

    #[test]
    fn a_megabyte_is_cut_to_forty_characters() {
        let quoted = Excerpt::of(&"ñ".repeat(1 << 20)).to_string();
        assert_eq!(quoted, format!("\"{}...\"", "ñ".repeat(40)));
    }

    proptest! {
        #[test]
        fn nothing_that_moves_a_cursor_comes_out(value in "\\PC*|[\\x00-\\x1f]*") {
            prop_assert!(!Excerpt::of(&value).to_string().chars().any(char::is_control));
        }
    }
}
