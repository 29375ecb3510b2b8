//! A phone number that is looked for in texts of any kind, to erase it (rule DA-9; `forget`).
//!
//! The number is there where its national digits follow each other in one written number, whatever stands between
//! them (`600 12 34 56`, `(600) 123-456`) and before them (`+34`, `0034`, nothing). Whoever erases prefers one text
//! too many: a longer number that happens to hold these digits counts too. Texts are read as bytes, so that a file
//! may have any encoding and come in pieces.

use serde_json::Value;

use super::{Phone, country_code_digits};
use crate::domain::keyed;

/// National digits that stand for a person by themselves; shorter ones are looked for with their country code.
const NATIONAL_DIGITS_MIN: usize = 7;

/// Characters of the keyed digest that stands for a number: 62^16 is 2^95.
const PERSON_CHARS: usize = 16;

/// What stands in place of a digit.
const HIDDEN: char = '*';

/// A number being looked for.
#[derive(Debug, Clone)]
pub struct Sought {
    phone: Phone,
    digits: Vec<u8>,
    /// Of each beginning of the digits, the longest one that also ends it (Knuth, Morris, Pratt).
    borders: Vec<usize>,
}

/// What stands for the person with this address ([`Address::identity`](super::Address::identity)) where the address itself
/// may not: nobody without `secret` finds it by trying addresses.
pub fn person(secret: &[u8], identity: &str) -> String {
    keyed::digest(secret, "person", &[identity.as_bytes()], PERSON_CHARS)
}

impl Sought {
    /// Looks for `phone`.
    pub fn new(phone: Phone) -> Self {
        let e164 = phone.as_e164();
        let national = e164.get(1 + country_code_digits(e164)..).unwrap_or_default();
        let digits = if national.len() >= NATIONAL_DIGITS_MIN { national } else { e164.trim_start_matches('+') };
        let digits = digits.as_bytes().to_vec();
        let borders = borders(&digits);
        Self { phone, digits, borders }
    }

    /// The number.
    pub fn phone(&self) -> &Phone {
        &self.phone
    }

    /// What stands for the person where the number itself may not: nobody without `secret` finds it by trying numbers.
    pub fn person(&self, secret: &[u8]) -> String {
        person(secret, self.phone.as_e164())
    }

    /// Whether the number stands in a text.
    pub fn is_in(&self, text: &[u8]) -> bool {
        Finder::new(self).feed(text)
    }

    /// The same of a JSON text, whose escapes may stand between the digits, and whose times and amounts are no phones.
    pub fn is_in_json(&self, text: &str) -> bool {
        let is_in = self.is_in(text.as_bytes());
        if !is_in && !text.contains('\\') {
            return false;
        }
        serde_json::from_str::<Value>(text).map_or(is_in, |value| self.is_in_value(&value))
    }

    /// Whether a number of JSON is it: as a whole, for a part of a time or an amount says nothing.
    fn is_number(&self, number: &serde_json::Number) -> bool {
        let text = number.to_string();
        let whole = text.strip_suffix(".0").unwrap_or(&text);
        whole.as_bytes() == self.digits || self.phone.as_e164().strip_prefix('+') == Some(whole)
    }

    /// Whether it stands in a value, or in anything within.
    pub fn is_in_value(&self, value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(_) => false,
            Value::Number(number) => self.is_number(number),
            Value::String(text) => self.is_in(text.as_bytes()),
            Value::Array(values) => values.iter().any(|value| self.is_in_value(value)),
            Value::Object(object) => {
                object.iter().any(|(name, value)| self.is_in(name.as_bytes()) || self.is_in_value(value))
            }
        }
    }

    /// The text with the number's digits hidden.
    pub fn hide(&self, text: &str) -> String {
        let mut finder = Finder::new(self);
        let mut hidden = text.as_bytes().to_vec();
        let mut recent = std::collections::VecDeque::with_capacity(self.digits.len());
        for (at, byte) in text.bytes().enumerate() {
            if byte.is_ascii_digit() {
                recent.push_back(at);
                if recent.len() > self.digits.len() {
                    recent.pop_front();
                }
            }
            if finder.step(byte) {
                for at in &recent {
                    if let Some(digit) = hidden.get_mut(*at) {
                        *digit = HIDDEN as u8;
                    }
                }
            }
        }
        // Digits became stars, one byte for one byte: what was text is text.
        String::from_utf8(hidden).unwrap_or_default()
    }

    /// Hides it in a value and in everything within; a number that is it becomes null.
    pub fn hide_in_value(&self, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                if self.is_number(number) {
                    *value = Value::Null;
                }
            }
            Value::String(text) => *text = self.hide(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.hide_in_value(value)),
            Value::Object(object) => {
                for (name, mut inner) in std::mem::take(object) {
                    self.hide_in_value(&mut inner);
                    object.insert(self.hide(&name), inner);
                }
            }
        }
    }

    /// A JSON text with the number hidden in its values; of a text that is not JSON, in the text.
    pub fn hide_in_json(&self, text: &str) -> String {
        match serde_json::from_str::<Value>(text) {
            Ok(mut value) => {
                self.hide_in_value(&mut value);
                value.to_string()
            }
            Err(_) => self.hide(text),
        }
    }
}

/// A search over bytes that come in pieces.
#[derive(Debug)]
pub struct Finder<'a> {
    sought: &'a Sought,
    matched: usize,
}

impl<'a> Finder<'a> {
    /// Begins a search.
    pub fn new(sought: &'a Sought) -> Self {
        Self { sought, matched: 0 }
    }

    /// Reads on. Returns whether the number ended in these bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().any(|byte| self.step(*byte))
    }

    fn step(&mut self, byte: u8) -> bool {
        match byte {
            b'0'..=b'9' => self.digit(byte),
            // Signs that people write within a number; everything beyond ASCII may be such a blank or dash.
            b' ' | b'\t' | b'-' | b'.' | b'(' | b')' | b'/' | 0x80.. => false,
            _ => {
                self.matched = 0;
                false
            }
        }
    }

    fn digit(&mut self, digit: u8) -> bool {
        let Sought { digits, borders, .. } = self.sought;
        while self.matched > 0 && digits.get(self.matched) != Some(&digit) {
            self.matched = borders.get(self.matched - 1).copied().unwrap_or(0);
        }
        if digits.get(self.matched) == Some(&digit) {
            self.matched += 1;
        }
        self.matched == digits.len()
    }
}

fn borders(digits: &[u8]) -> Vec<usize> {
    let mut borders = Vec::with_capacity(digits.len());
    for (at, digit) in digits.iter().enumerate() {
        let mut border = borders.last().copied().unwrap_or(0);
        while border > 0 && digits.get(border) != Some(digit) {
            border = borders.get(border - 1).copied().unwrap_or(0);
        }
        let longer = at > 0 && digits.get(border) == Some(digit);
        borders.push(if longer { border + 1 } else { 0 });
    }
    borders
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn sought() -> Sought {
        Sought::new(Phone::parse("+34600123456", None).unwrap())
    }

    #[test]
    fn a_number_is_found_however_it_is_written() {
        for text in [
            "+34600123456",
            "0034 600 12 34 56",
            "600123456",
            "(600) 123-456",
            "600.123.456",
            "600\u{A0}123\u{2011}456",
            "tel:600/123456;",
            r#"{"SMScontact":34600123456}"#,
            "x60060012345660",
        ] {
            assert!(sought().is_in(text.as_bytes()), "{text}");
        }
        for text in ["+34600123457", "60012345", "600123,456", "600 123 45\n6", "600123x456", "3.46E+10", ""] {
            assert!(!sought().is_in(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_number_is_found_behind_the_escapes_of_json() {
        let text = r#"{"rows":[{"SMScontact":"600\u00a0123\u00a0456"}]}"#;
        assert!(!sought().is_in(text.as_bytes()));
        assert!(sought().is_in_json(text));
        assert!(!sought().is_in_json(r#"{"rows":"600\u00a0123\u00a0457"}"#));
        assert!(!sought().is_in_json("\\ not json"));
        assert!(sought().is_in_json("no json, 600123456") && sought().is_in_json(r#"{"tel":600123456}"#));
        assert!(!sought().is_in_json(r#"{"at":1600123456789}"#), "a time is no phone");
    }

    #[test]
    fn a_number_is_hidden_in_texts_values_and_names() {
        assert_eq!(sought().hide("the key \"600 123 456\" of +34600123456"), "the key \"*** *** ***\" of +34*********");
        let mut value = json!({"a": ["600123456", 34_600_123_456_u64, 7], "600123456": true});
        sought().hide_in_value(&mut value);
        assert_eq!(value, json!({"a": ["*********", null, 7], "*********": true}));
        assert_eq!(sought().hide_in_json("not json 600123456"), "not json *********");
    }

    #[test]
    fn a_short_national_number_is_looked_for_with_its_country() {
        let short = Sought { digits: b"50051234".to_vec(), ..sought() };
        let made = Sought::new(Phone(String::from("+50051234")));
        assert_eq!(made.digits, short.digits);
    }

    #[test]
    fn the_digest_of_a_person_is_the_same_for_ever_and_needs_the_secret() {
        assert_eq!(sought().person(b"secret"), sought().person(b"secret"));
        assert_ne!(sought().person(b"secret"), sought().person(b"Secret"));
        assert_eq!(sought().person(b"secret").len(), 16);
    }

    proptest! {
        #[test]
        fn the_search_finds_what_a_plain_search_of_the_digits_finds(text in "[60123 -]{0,60}", cut in 0..60_usize) {
            let sought = Sought::new(Phone(String::from("+3460060060")));
            let plain: String = text.chars().filter(char::is_ascii_digit).collect();
            prop_assert_eq!(sought.is_in(text.as_bytes()), plain.contains("60060060"));
            let (a, b) = text.as_bytes().split_at(cut.min(text.len()));
            let mut finder = Finder::new(&sought);
            let pieces = finder.feed(a) || finder.feed(b);
            prop_assert_eq!(pieces, sought.is_in(text.as_bytes()));
        }

        #[test]
        fn what_was_hidden_is_not_found_again(text in "[0-6 a-z+]{0,20}600123456[0-6 a-z+]{0,20}\\PC{0,9}") {
            prop_assert!(!sought().is_in(sought().hide(&text).as_bytes()));
            prop_assert_eq!(sought().hide(&text).chars().count(), text.chars().count());
        }
    }
}
