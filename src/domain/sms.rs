//! How many parts an SMS takes (PO-13, PO-14).
//!
//! GSM 03.38: a text whose characters are all in the default alphabet or its extension table is
//! counted in 7-bit units, an extension character as two; one other character turns the whole
//! text into UCS-2, counted in UTF-16 units. A single part holds 160 or 70 units, one of several
//! 153 or 67 (the header takes six octets). An extension pair and a surrogate pair are never split
//! over two parts, so parts are packed one by one; division would be wrong at those borders.

/// Units of a lone GSM-7 part: 140 octets of 7 bits.
const GSM7_SINGLE: usize = 160;
/// Units of one of several GSM-7 parts: 134 octets of 7 bits.
const GSM7_PART: usize = 153;
/// Units of a lone UCS-2 part: 140 octets of 16 bits.
const UCS2_SINGLE: usize = 70;
/// Units of one of several UCS-2 parts: 134 octets of 16 bits.
const UCS2_PART: usize = 67;

/// How a text goes over the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// The 7-bit default alphabet of GSM 03.38 with its extension table.
    Gsm7,
    /// UTF-16 code units.
    Ucs2,
}

/// What a text costs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Measure {
    /// How it goes over the air.
    pub encoding: Encoding,
    /// Units of that encoding in the whole text.
    pub units: usize,
    /// Messages that the provider bills; an empty text is one.
    pub parts: usize,
    /// Units still free in the last part.
    pub units_left: usize,
    /// The characters that force UCS-2, each once, in order of appearance (PO-14).
    pub forcing: Vec<char>,
}

/// Measures a text. Allocates only to name the characters that force UCS-2.
pub fn measure(text: &str) -> Measure {
    if let Some((units, pairs)) = gsm7_units(text) {
        let (parts, units_left) = fit(units, pairs, GSM7_SINGLE, GSM7_PART, || {
            text.chars().map(gsm7_width)
        });
        return Measure {
            encoding: Encoding::Gsm7,
            units,
            parts,
            units_left,
            forcing: Vec::new(),
        };
    }
    let mut forcing = Vec::new();
    for c in text.chars() {
        if gsm7_width(c) == 0 && !forcing.contains(&c) {
            forcing.push(c);
        }
    }
    let (units, parts, units_left) = ucs2(text);
    Measure {
        encoding: Encoding::Ucs2,
        units,
        parts,
        units_left,
        forcing,
    }
}

/// The number of parts alone; never allocates.
pub fn parts(text: &str) -> usize {
    match gsm7_units(text) {
        Some((units, pairs)) => {
            fit(units, pairs, GSM7_SINGLE, GSM7_PART, || {
                text.chars().map(gsm7_width)
            })
            .0
        }
        None => ucs2(text).1,
    }
}

fn ucs2(text: &str) -> (usize, usize, usize) {
    let mut units = 0;
    let mut pairs = false;
    for c in text.chars() {
        units += c.len_utf16();
        pairs |= c.len_utf16() == 2;
    }
    let (parts, left) = fit(units, pairs, UCS2_SINGLE, UCS2_PART, || {
        text.chars().map(char::len_utf16)
    });
    (units, parts, left)
}

/// Parts and units left of a text of `units`; `widths` is asked only where a pair could be split.
fn fit<I: Iterator<Item = usize>>(
    units: usize,
    pairs: bool,
    single: usize,
    part: usize,
    widths: impl FnOnce() -> I,
) -> (usize, usize) {
    if units <= single {
        return (1, single - units);
    }
    if !pairs {
        let parts = units.div_ceil(part);
        return (parts, parts * part - units);
    }
    let (mut parts, mut used) = (1, 0);
    for width in widths() {
        if used + width > part {
            parts += 1;
            used = 0;
        }
        used += width;
    }
    (parts, part - used)
}

/// Units in GSM-7 and whether any character takes two; `None` when a character is outside.
fn gsm7_units(text: &str) -> Option<(usize, bool)> {
    let mut units = 0;
    let mut characters = 0;
    let mut rest = text.as_bytes();
    // Bytes below 128 are characters by themselves, and most texts hold little else.
    while let Some((&byte, tail)) = rest.split_first() {
        if byte < 128 {
            let width = usize::from(*ASCII_WIDTH.get(usize::from(byte))?);
            if width == 0 {
                return None;
            }
            units += width;
            characters += 1;
            rest = tail;
        } else {
            let c = text.get(text.len() - rest.len()..)?.chars().next()?;
            let width = gsm7_width(c);
            if width == 0 {
                return None;
            }
            units += width;
            characters += 1;
            rest = rest.get(c.len_utf8()..)?;
        }
    }
    Some((units, units != characters))
}

/// Units of a character in GSM-7: 1 in the default alphabet, 2 in the extension table, 0 outside.
const fn gsm7_width(c: char) -> usize {
    match c {
        // The default alphabet of GSM 03.38, 6.2.1: first what it has of ASCII, then the rest.
        '\n'
        | '\r'
        | ' '..='?'
        | '@'
        | 'A'..='Z'
        | '_'
        | 'a'..='z'
        | '£'
        | '¥'
        | '¤'
        | '§'
        | '¡'
        | '¿'
        | 'Ä'
        | 'Å'
        | 'Æ'
        | 'Ç'
        | 'É'
        | 'Ñ'
        | 'Ö'
        | 'Ø'
        | 'Ü'
        | 'à'
        | 'ä'
        | 'å'
        | 'æ'
        | 'è'
        | 'é'
        | 'ì'
        | 'ñ'
        | 'ò'
        | 'ö'
        | 'ø'
        | 'ù'
        | 'ü'
        | 'ß'
        | 'Γ'
        | 'Δ'
        | 'Θ'
        | 'Λ'
        | 'Ξ'
        | 'Π'
        | 'Σ'
        | 'Φ'
        | 'Ψ'
        | 'Ω' => 1,
        // The extension table, 6.2.1.1, each after an escape.
        '\u{C}' | '^' | '{' | '}' | '\\' | '[' | '~' | ']' | '|' | '€' => 2,
        _ => 0,
    }
}

/// [`gsm7_width`] of the characters below 128, as a table.
const ASCII_WIDTH: [u8; 128] = {
    let mut table = [0; 128];
    let mut byte: u8 = 0;
    while byte < 128 {
        #[expect(
            clippy::indexing_slicing,
            reason = "evaluated by the compiler, which checks it"
        )]
        #[expect(clippy::cast_possible_truncation, reason = "a width is 0, 1 or 2")]
        {
            table[byte as usize] = gsm7_width(byte as char) as u8;
        }
        byte += 1;
    }
    table
};
