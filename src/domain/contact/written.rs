//! Phone numbers as people and programs write them.
//!
//! Reduces a written number to the digits that would be dialled, or says why it cannot be one: a
//! spreadsheet's measurement, letters, an extension, a second number. Also writes a refused number
//! for a sentence that may be logged.

use super::ContactError;
use crate::domain::Excerpt;

/// Longest written form worth reading.
const MAX_WRITTEN_CHARS: usize = 40;

/// Reduces a written number to `+` and digits, and says whether the plus was there.
///
/// The library would also read vanity letters and extensions, and panics on some signs; it only
/// ever gets what this function lets through.
pub(super) fn dialled_digits(raw: &str) -> Result<(String, bool), ContactError> {
    // Our own exports write `'+34...`, so that a spreadsheet does not take it for a formula.
    let text = raw.trim();
    let text = text.strip_prefix('\'').unwrap_or(text);
    if text.is_empty() {
        return Err(ContactError::Empty);
    }
    if is_spreadsheet_number(text) {
        return Err(ContactError::Spreadsheet { value: hidden(raw) });
    }
    let signs = || ContactError::Signs { value: hidden(raw) };
    if text.chars().nth(MAX_WRITTEN_CHARS).is_some() {
        return Err(signs());
    }
    let mut dialled = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' => dialled.push(c),
            '+' | '\u{FF0B}' if dialled.is_empty() => dialled.push('+'),
            // Blanks and dashes as word processors write them, and the invisible marks that copying
            // from a phone's address book adds.
            ' '
            | '\t'
            | '\u{A0}'
            | '\u{202F}'
            | '\u{200B}'
            | '\u{2060}'
            | '\u{202A}'..='\u{202E}'
            | '-'
            | '\u{2010}'..='\u{2015}'
            | '\u{2212}'
            | '.'
            | '('
            | ')'
            | '/' => {}
            _ => return Err(signs()),
        }
    }
    let international = dialled.starts_with('+');
    Ok((dialled, international))
}

/// Recognises `3.46E+10`, `3,46e10`, and the `.0` that data frames add to whole numbers.
fn is_spreadsheet_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if let Some((mantissa, exponent)) = unsigned.split_once(['e', 'E']) {
        let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        return is_number(whole) && is_number(fraction) && is_number(exponent);
    }
    unsigned
        .split_once(['.', ','])
        .is_some_and(|(whole, fraction)| is_number(whole) && whole.len() > 5 && fraction.bytes().all(|b| b == b'0'))
}

/// What was written with its middle digits as stars, for a sentence that may be logged.
pub(super) fn hidden(raw: &str) -> Excerpt {
    let digits = raw.chars().filter(char::is_ascii_digit).count();
    let mut seen = 0;
    let masked: String = raw
        .chars()
        .map(|c| {
            if !c.is_ascii_digit() {
                return c;
            }
            seen += 1;
            if digits > 6 && seen > 3 && seen + 2 <= digits { '*' } else { c }
        })
        .collect();
    Excerpt::of(&masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(raw: &str) -> &'static str {
        dialled_digits(raw).unwrap_err().code()
    }

    #[test]
    fn the_usual_signs_between_digits_are_dropped() {
        for raw in ["600123456", " 600 12.34-56 ", "(600)\u{A0}123/456", "600\u{2013}123\u{2013}456"] {
            assert_eq!(dialled_digits(raw), Ok(("600123456".to_owned(), false)), "{raw}");
        }
        for raw in ["+34 600", "'+34600", "(+34) 600", "\u{FF0B}34600", "\u{202A}+34600\u{202C}"] {
            assert_eq!(dialled_digits(raw), Ok(("+34600".to_owned(), true)), "{raw}");
        }
    }

    #[test]
    fn an_endless_text_is_refused() {
        assert_eq!(code(&"1".repeat(1 << 20)), "invalid_phone");
    }

    #[test]
    fn letters_extensions_and_second_numbers_are_refused() {
        let bad = [
            "600123456 x22",
            "600123456;ext=2",
            "tel:+34600123456",
            "1-800-FLOWERS",
            "600123456, 600123457",
            "n/a",
            "*100#",
            "+34*",
        ];
        for raw in bad {
            assert_eq!(dialled_digits(raw).unwrap_err().code(), "invalid_phone", "{raw}");
        }
    }

    #[test]
    fn a_number_destroyed_by_a_spreadsheet_is_refused_with_its_own_code() {
        for raw in ["3.46E+10", "3,46E+10", "3.46001E10", "3e10", "34600123456.0", "34600123456.00", "600123456,0"] {
            let error = dialled_digits(raw).unwrap_err();
            assert_eq!(error.code(), "phone_in_scientific_notation", "{raw}");
            assert!(error.to_string().contains("spreadsheet"), "{error}");
        }
        assert!(dialled_digits("3.46E+10").unwrap_err().to_string().contains("3.46E+10"));
    }
}
