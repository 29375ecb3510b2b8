//! Look-alikes: characters outside GSM-7 written with those inside (PO-14, on request only).
//!
//! One `á` turns a whole text to UCS-2 and more than halves what a part holds. A text is composed
//! (NFC), and then each letter with an accent, curly quote, dash, odd blank or ligature that GSM-7
//! lacks becomes what people would type without it: `a`, `"`, `-`. What GSM-7 has stays (`é ñ Ñ ü ¿
//! ¡ €`), and so does what resembles nothing in it: emoji and other scripts are not spelled out,
//! they go on forcing UCS-2 and are named. Letters come from the tables of the crate `deunicode`.

use unicode_normalization::UnicodeNormalization as _;

use super::is_gsm7;

/// Replaces the look-alikes behind byte `from`, and tells `changed` of each: what stood there, and
/// what stands there now. A text that is all GSM-7 is left as it is, at the price of one look.
pub fn transliterate(text: &mut String, from: usize, mut changed: impl FnMut(char, &str)) {
    let Some(tail) = text.get(from..) else { return };
    if tail.chars().all(is_gsm7) {
        return;
    }
    let mut replaced = String::with_capacity(tail.len());
    for c in tail.nfc() {
        match lookalike(c) {
            Some(like) => {
                changed(c, like);
                replaced.push_str(like);
            }
            None => replaced.push(c),
        }
    }
    text.truncate(from);
    text.push_str(&replaced);
}

/// What stands for a character that GSM-7 lacks; `None` where it has it, or where nothing in it
/// looks like it.
fn lookalike(c: char) -> Option<&'static str> {
    if is_gsm7(c) {
        return None;
    }
    if let Some(like) = typed(c) {
        return Some(like);
    }
    let like = has_lookalike(c).then(|| deunicode::deunicode_char(c)).flatten()?;
    // The tables set some between blanks: " 1/3 ".
    let like = if like.trim().is_empty() { like } else { like.trim() };
    like.chars().all(is_gsm7).then_some(like)
}

/// Signs whose spelling in the tables is not what a person would type.
const fn typed(c: char) -> Option<&'static str> {
    Some(match c {
        '\t' => " ",
        '`' | '´' | '\u{2019}' | '\u{2018}' | '\u{201B}' | '\u{2032}' => "'",
        '«' | '»' | '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{201F}' | '\u{2033}' => "\"",
        '‹' => "<",
        '›' => ">",
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "-",
        '…' => "...",
        'º' | '°' => "o",
        'ª' => "a",
        '·' => ".",
        '•' => "*",
        '×' => "x",
        // Marks of direction, joints without width, soft hyphens: nothing is seen of them.
        '\u{AD}'
        | '\u{200B}'
        | '\u{200C}'
        | '\u{200E}'
        | '\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'
        | '\u{FEFF}' => "",
        _ => return None,
    })
}

/// Where the tables are asked: letters of the Latin script, marks that combine with them, blanks,
/// punctuation and small forms. Not the joiner of emoji, not other scripts, not currencies.
const fn has_lookalike(c: char) -> bool {
    matches!(c,
        '\u{A0}'..='\u{24F}'
        | '\u{2B0}'..='\u{36F}'
        | '\u{1E00}'..='\u{1EFF}'
        | '\u{2000}'..='\u{200A}'
        | '\u{2020}'..='\u{205F}'
        | '\u{2070}'..='\u{209F}'
        | '\u{2100}'..='\u{218F}'
        | '\u{3000}'
        | '\u{FB00}'..='\u{FB06}'
        | '\u{FF01}'..='\u{FF5E}')
}

#[cfg(test)]
mod tests {
    use super::super::{Encoding, measure};
    use super::*;
    use proptest::prelude::*;

    fn replaced(text: &str) -> String {
        let mut text = text.to_owned();
        transliterate(&mut text, 0, |_, _| ());
        text
    }

    #[test]
    fn po_14_accents_quotes_and_dashes_become_what_gsm7_has() {
        let cases = [
            ("Última página: número ó así, façade", "Ultima pagina: numero o asi, façade".replace('ç', "c").as_str()),
            ("“Hola” ‘tú’ «sí» – — … `x´", "\"Hola\" 'tu' \"si\" - - ... 'x'"),
            ("ÁÍÓÚÀÈÌÒÙ ÂÊÎÔÛ ëïÿ ãõ łŁ œŒ", "AIOUAEIOU AEIOU eiy ao lL oeOE"),
            ("1ª 2º 20° a·b\u{A0}c\u{2009}d\te", "1a 2o 20o a.b c d e"),
            ("½ ⅓ x² ﬁn ＡＢ №", "1/2 1/3 x2 fin AB No"),
            ("so\u{AD}ft\u{200B}\u{FEFF}", "soft"),
            ("ş ğ ı ż ő ű č ř", "s g i z o u c r"),
        ]
        .map(|(text, expected)| (text.to_owned(), expected.to_owned()));
        for (text, expected) in cases {
            assert_eq!(replaced(&text), expected, "{text}");
            assert_eq!(measure(&expected).encoding, Encoding::Gsm7, "{expected}");
        }
    }

    #[test]
    fn po_14_what_gsm7_has_stays_as_it_is() {
        let text =
            "¿Él pagó? ¡Mañana, señor Ñandú!".replace(['ó', 'ú'], "ü") + " ÄÖÜ äöü ß Æ æ Ø å É è à ù ì ò Ç € [~] ΔΩ @";
        assert_eq!(replaced(&text), text);
        assert_eq!(measure(&text).encoding, Encoding::Gsm7);
    }

    #[test]
    fn po_14_letters_written_in_two_characters_are_one_letter() {
        assert_eq!(replaced("an\u{303}o e\u{301}l pa\u{301}gina x\u{302}"), "año él pagina x");
    }

    #[test]
    fn po_14_emoji_and_other_scripts_are_not_spelled_out() {
        for text in ["😀", "李明", "Привет", "α", "👨\u{200D}👩\u{200D}👧", "₡", "→"] {
            assert_eq!(replaced(text), text);
            assert_eq!(measure(text).encoding, Encoding::Ucs2);
        }
        assert_eq!(replaced("á 😀"), "a 😀");
    }

    #[test]
    fn po_14_each_change_is_told_and_what_stands_before_is_not_looked_at() {
        let mut text = "https://pág.example Última página".to_owned();
        let mut told = Vec::new();
        transliterate(&mut text, 20, |c, like| told.push(format!("{c}{like}")));
        assert_eq!(text, "https://pág.example Ultima pagina");
        assert_eq!(told, ["ÚU", "áa"]);
    }

    proptest! {
        #[test]
        fn po_14_a_replacement_never_needs_more_parts(text in "[a-zÁáÉéÍíÓóÚúñçàê«»“” ]{0,400}") {
            prop_assert!(super::super::parts(&replaced(&text)) <= super::super::parts(&text));
        }

        #[test]
        fn po_14_replacing_twice_changes_nothing_more(text in "\\PC{0,60}") {
            let once = replaced(&text);
            prop_assert_eq!(replaced(&once), once);
        }
    }
}
