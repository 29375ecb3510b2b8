//! Cells of tables that people open in a spreadsheet (PO-25).
//!
//! A spreadsheet runs a cell that begins as a formula does. A `'` before it makes it a text, in all of them; a phone
//! number in E.164 begins so, too, and stays readable.

/// A cell that begins so would be a formula to a spreadsheet (OWASP, CSV injection).
pub const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Makes a text of a formula.
pub const GUARD: char = '\'';

/// Whether a spreadsheet would run it.
pub fn is_formula(text: &str) -> bool {
    text.starts_with(FORMULA)
}

/// A cell without the guard before its formula.
pub fn unguarded(text: &str) -> &str {
    text.strip_prefix(GUARD).filter(|rest| is_formula(rest)).unwrap_or(text)
}

/// Writes a line of a table with a guard before each cell that is a formula, whatever its quotes are like.
pub fn guard_line(line: &[u8], delimiter: char, into: &mut Vec<u8>) {
    let (mut quoted, mut at_start, mut opened) = (false, true, false);
    // The end of a line is no cell.
    for &byte in line.strip_suffix(b"\r").unwrap_or(line) {
        let delimits = u32::from(byte) == u32::from(delimiter);
        if at_start && !delimits && FORMULA.iter().any(|begins| u32::from(byte) == u32::from(*begins)) {
            into.push(b'\'');
        }
        into.push(byte);
        // Behind an opening quote the cell begins.
        (at_start, opened) = (at_start && byte == b'"' && !opened, byte == b'"');
        quoted ^= byte == b'"';
        if delimits && !quoted {
            (at_start, opened) = (true, false);
        }
    }
    into.extend(line.ends_with(b"\r").then_some(b'\r'));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(line: &str, delimiter: char) -> String {
        let mut into = Vec::new();
        guard_line(line.as_bytes(), delimiter, &mut into);
        String::from_utf8(into).unwrap()
    }

    #[test]
    fn po_25_every_cell_of_a_line_that_a_spreadsheet_would_run_is_a_text() {
        for (line, shown) in [
            ("=1+1,Ana,+34600123456,-5,@x", "'=1+1,Ana,'+34600123456,'-5,'@x"),
            ("\"=HYPERLINK(\"\"x\"\")\",\"a,=b\",\"\",c", "\"'=HYPERLINK(\"\"x\"\")\",\"a,=b\",\"\",c"),
            ("a,,=b", "a,,'=b"),
            ("'=a,a=b,a-b", "'=a,a=b,a-b"),
            ("\"a\"b,=c", "\"a\"b,'=c"),
            ("\"\"=a\"", "\"\"=a\""),
            ("a,\r", "a,\r"),
            ("", ""),
        ] {
            assert_eq!(guarded(line, ','), shown);
        }
        assert_eq!(guarded("=a\t\t+b", '\t'), "'=a\t\t'+b");
        assert_eq!(guarded("=a;b,=c", ';'), "'=a;b,=c");
    }

    #[test]
    fn a_guard_is_taken_away_only_from_a_formula() {
        for (text, plain) in [("'=a", "=a"), ("'+34600123456", "+34600123456"), ("'a", "'a"), ("=a", "=a"), ("", "")] {
            assert_eq!(unguarded(text), plain);
        }
    }
}
