//! How many parts an SMS takes (PO-13, PO-14).
//!
//! GSM 03.38: a text whose characters are all in the default alphabet or its extension table is
//! counted in 7-bit units, an extension character as two; one other character turns the whole
//! text into UCS-2, counted in UTF-16 units. A single part holds 160 or 70 units, one of several
//! 153 or 67 (the header takes six octets). An extension pair and a surrogate pair are never split
//! over two parts, so parts are packed one by one; division would be wrong at those borders.

mod lookalike;

pub use lookalike::transliterate;

/// Units of a lone GSM-7 part: 140 octets of 7 bits.
const GSM7_SINGLE: usize = 160;
/// Units of one of several GSM-7 parts: 134 octets of 7 bits.
const GSM7_PART: usize = 153;
/// Units of a lone UCS-2 part: 140 octets of 16 bits.
const UCS2_SINGLE: usize = 70;
/// Units of one of several UCS-2 parts: 134 octets of 16 bits.
const UCS2_PART: usize = 67;

/// How a text goes over the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
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
        let (parts, units_left) = fit(units, pairs, GSM7_SINGLE, GSM7_PART, || text.chars().map(gsm7_width));
        return Measure { encoding: Encoding::Gsm7, units, parts, units_left, forcing: Vec::new() };
    }
    let mut forcing = Vec::new();
    for c in text.chars() {
        if gsm7_width(c) == 0 && !forcing.contains(&c) {
            forcing.push(c);
        }
    }
    let (units, parts, units_left) = ucs2(text);
    Measure { encoding: Encoding::Ucs2, units, parts, units_left, forcing }
}

/// The number of parts alone; never allocates.
pub fn parts(text: &str) -> usize {
    match gsm7_units(text) {
        Some((units, pairs)) => fit(units, pairs, GSM7_SINGLE, GSM7_PART, || text.chars().map(gsm7_width)).0,
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
    let (parts, left) = fit(units, pairs, UCS2_SINGLE, UCS2_PART, || text.chars().map(char::len_utf16));
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

/// Whether GSM-7 has the character.
pub const fn is_gsm7(c: char) -> bool {
    gsm7_width(c) > 0
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
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which checks it")]
        #[expect(clippy::cast_possible_truncation, reason = "a width is 0, 1 or 2")]
        {
            table[byte as usize] = gsm7_width(byte as char) as u8;
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The default alphabet of GSM 03.38 in the order of its codes 0x00 to 0x7F, without the
    /// escape at 0x1B.
    const DEFAULT_ALPHABET: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
        ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
    /// Its extension table in the order of the codes 0x0A to 0x65.
    const EXTENSION_TABLE: &str = "\u{C}^{}\\[~]|€";

    fn shape(text: &str) -> (Encoding, usize, usize, usize) {
        let measure = measure(text);
        assert_eq!(parts(text), measure.parts, "{text}");
        (measure.encoding, measure.units, measure.parts, measure.units_left)
    }

    #[test]
    fn po_13_each_character_of_the_default_alphabet_takes_one_unit() {
        assert_eq!(DEFAULT_ALPHABET.chars().count(), 127);
        for c in DEFAULT_ALPHABET.chars() {
            assert_eq!(shape(&c.to_string()), (Encoding::Gsm7, 1, 1, 159), "{c:?}");
        }
    }

    #[test]
    fn po_13_each_character_of_the_extension_table_takes_two_units() {
        assert_eq!(EXTENSION_TABLE.chars().count(), 10);
        for c in EXTENSION_TABLE.chars() {
            assert_eq!(shape(&c.to_string()), (Encoding::Gsm7, 2, 1, 158), "{c:?}");
        }
    }

    #[test]
    fn po_14_every_other_character_turns_the_text_to_ucs2_and_is_named() {
        for c in (0..=0x1_FFFF).filter_map(char::from_u32) {
            let inside = DEFAULT_ALPHABET.contains(c) || EXTENSION_TABLE.contains(c);
            let measure = measure(c.encode_utf8(&mut [0; 4]));
            assert_eq!(measure.encoding == Encoding::Gsm7, inside, "{c:?}");
            assert_eq!(measure.forcing, if inside { vec![] } else { vec![c] });
        }
    }

    #[test]
    fn po_14_the_forcing_characters_are_named_once_in_their_order() {
        let measured = measure("Última página: número ñ é «Ú»");
        assert_eq!(measured.encoding, Encoding::Ucs2);
        assert_eq!(measured.forcing, ['Ú', 'á', 'ú', '«', '»']);
        assert!(measure("año, también no: él y ñandú").forcing.contains(&'ú'));
        assert!(measure("Espana: ñ Ñ ü ¿ ¡ é").forcing.is_empty());
    }

    #[test]
    fn po_13_a_lone_gsm7_part_holds_160_units_and_one_of_several_153() {
        assert_eq!(shape(""), (Encoding::Gsm7, 0, 1, 160));
        assert_eq!(shape(&"a".repeat(160)), (Encoding::Gsm7, 160, 1, 0));
        assert_eq!(shape(&"a".repeat(161)), (Encoding::Gsm7, 161, 2, 145));
        assert_eq!(shape(&"a".repeat(306)), (Encoding::Gsm7, 306, 2, 0));
        assert_eq!(shape(&"a".repeat(307)), (Encoding::Gsm7, 307, 3, 152));
        assert_eq!(shape(&"€".repeat(80)), (Encoding::Gsm7, 160, 1, 0));
        assert_eq!(shape(&format!("{}a", "€".repeat(80))), (Encoding::Gsm7, 161, 2, 144));
    }

    #[test]
    fn po_13_an_extension_pair_is_not_split_over_two_parts() {
        // 152 + 2 units: the pair does not fit into the last unit of the first part.
        let text = format!("{}€{}", "a".repeat(152), "a".repeat(152));
        assert_eq!(shape(&text), (Encoding::Gsm7, 306, 3, 152));
        let text = format!("{}€{}", "a".repeat(151), "a".repeat(153));
        assert_eq!(shape(&text), (Encoding::Gsm7, 306, 2, 0));
        // 76 pairs a part, one unit lost in each but the last.
        assert_eq!(shape(&"€".repeat(153)), (Encoding::Gsm7, 306, 3, 151));
    }

    #[test]
    fn po_13_a_lone_ucs2_part_holds_70_units_and_one_of_several_67() {
        assert_eq!(shape(&"á".repeat(70)), (Encoding::Ucs2, 70, 1, 0));
        assert_eq!(shape(&"á".repeat(71)), (Encoding::Ucs2, 71, 2, 63));
        assert_eq!(shape(&"á".repeat(134)), (Encoding::Ucs2, 134, 2, 0));
        assert_eq!(shape(&"á".repeat(135)), (Encoding::Ucs2, 135, 3, 66));
        // The euro sign takes one unit here, not two.
        assert_eq!(shape("á€"), (Encoding::Ucs2, 2, 1, 68));
    }

    #[test]
    fn po_13_a_surrogate_pair_is_not_split_over_two_parts() {
        assert_eq!(shape(&"😀".repeat(35)), (Encoding::Ucs2, 70, 1, 0));
        let text = format!("{}😀{}", "á".repeat(66), "á".repeat(66));
        assert_eq!(shape(&text), (Encoding::Ucs2, 134, 3, 66));
        let text = format!("{}😀{}", "á".repeat(65), "á".repeat(67));
        assert_eq!(shape(&text), (Encoding::Ucs2, 134, 2, 0));
        assert_eq!(shape(&"😀".repeat(67)), (Encoding::Ucs2, 134, 3, 65));
    }

    /// Parts filled one character after the other, the slow and obvious way.
    fn packed(widths: &[usize], single: usize, part: usize) -> (usize, usize) {
        let units: usize = widths.iter().sum();
        if units <= single {
            return (1, single - units);
        }
        let mut filled = vec![0];
        for width in widths {
            match filled.last_mut() {
                Some(used) if *used + width <= part => *used += width,
                _ => filled.push(*width),
            }
        }
        (filled.len(), part - filled.last().unwrap())
    }

    proptest! {
        #[test]
        fn po_13_parts_are_what_packing_one_by_one_gives(text in "[a-zñ€{á😀 ]{0,400}|[a-z€]{100,400}|[á😀]{50,200}") {
            let gsm7 = text.chars().all(|c| DEFAULT_ALPHABET.contains(c) || EXTENSION_TABLE.contains(c));
            let widths: Vec<usize> = text
                .chars()
                .map(|c| if gsm7 { 1 + usize::from(EXTENSION_TABLE.contains(c)) } else { c.len_utf16() })
                .collect();
            let (expected, left) = if gsm7 { packed(&widths, 160, 153) } else { packed(&widths, 70, 67) };
            let measured = measure(&text);
            prop_assert_eq!(measured.units, widths.iter().sum::<usize>());
            prop_assert_eq!((measured.parts, measured.units_left), (expected, left));
            prop_assert_eq!(parts(&text), expected);
        }

        #[test]
        fn a_longer_text_never_takes_fewer_parts(text in "\\PC{0,200}", more in "\\PC{0,40}") {
            let longer = format!("{text}{more}");
            prop_assert!(parts(&longer) >= parts(&text));
        }
    }
}
