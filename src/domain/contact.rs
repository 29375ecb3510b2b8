//! Countries, phone numbers (PO-3) and e-mail addresses: what a message is sent to.
//!
//! A [`Phone`] is an E.164 number that is valid in its country's numbering plan (libphonenumber's
//! metadata). Any usual way of writing is read: blanks, dashes, dots, brackets, `00` before the
//! country code when the country is known. A number that a spreadsheet has destroyed (`3.46E+10`,
//! `34600123456.0`) is refused rather than repaired, because the lost digits cannot be known.
//! Letters and extensions are refused: nothing can be sent to them. What people wrote appears
//! in no sentence with more than its first three and last two digits (DA-9).

mod address;
mod mail;
mod plan;
pub mod sought;
mod written;

pub use address::{Address, AddressError, AddressKind};
pub use mail::{Mail, MailError};

use super::excerpt::Excerpt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt};
use written::{dialled_digits, hidden};

/// Digits of an E.164 number at most, country code included (ITU-T E.164, 6.2.1).
const E164_MAX_DIGITS: usize = 15;
/// Shortest number of any numbering plan with its country code, for stored text.
const E164_MIN_DIGITS: usize = 5;

/// Why a country or phone was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContactError {
    /// Not an ISO 3166 code of a country with a numbering plan.
    #[error("country {value} is not an ISO 3166 two-letter code with a numbering plan, such as ES")]
    UnknownCountry {
        /// What was written.
        value: Excerpt,
    },
    /// Nothing was written.
    #[error("phone is empty")]
    Empty,
    /// A spreadsheet turned the number into a measurement.
    #[error("phone {value} was turned into a number by a spreadsheet: format the column as text")]
    Spreadsheet {
        /// What was written, its middle digits hidden.
        value: Excerpt,
    },
    /// Something other than digits and the usual signs between them.
    #[error("phone {value} has other signs than digits, a leading + and blanks . - ( ) / between them")]
    Signs {
        /// What was written, its middle digits hidden.
        value: Excerpt,
    },
    /// A national number, and no country to read it in.
    #[error("phone {value} has no country code: write +34..., or give the campaign or row a country")]
    NoCountry {
        /// What was written, its middle digits hidden.
        value: Excerpt,
    },
    /// No number of the numbering plan.
    #[error("phone {value} is not a valid number of its country")]
    Invalid {
        /// What was written, its middle digits hidden.
        value: Excerpt,
    },
}

impl ContactError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownCountry { .. } => "unknown_country",
            Self::Spreadsheet { .. } => "phone_in_scientific_notation",
            Self::Empty | Self::Signs { .. } | Self::NoCountry { .. } | Self::Invalid { .. } => "invalid_phone",
        }
    }
}

/// A country of ISO 3166 (alpha-2) that has a numbering plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Country(phonenumber::country::Id);

impl Country {
    /// Reads a two-letter code in either case.
    pub fn parse(text: &str) -> Result<Self, ContactError> {
        let code = text.trim();
        let id = (code.len() == 2).then(|| code.to_ascii_uppercase().parse().ok()).flatten();
        id.filter(|id| plan::exists(*id))
            .map(Self)
            .ok_or_else(|| ContactError::UnknownCountry { value: Excerpt::of(text) })
    }

    /// The two-letter code.
    pub fn code(&self) -> &str {
        self.0.as_ref()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// A phone number in E.164: `+34600123456`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phone(String);

impl Phone {
    /// Reads a number as people and exports write it; without `+` it is one of `default`.
    pub fn parse(raw: &str, default: Option<Country>) -> Result<Self, ContactError> {
        let (dialled, international) = dialled_digits(raw)?;
        if !international && default.is_none() {
            return Err(ContactError::NoCountry { value: hidden(raw) });
        }
        // With a plus the country stands in the number; a default would only strip foreign prefixes.
        let country = default.filter(|_| !international).map(|c| c.0);
        plan::parse(&dialled, country)
            .filter(|e164| e164.len() <= E164_MAX_DIGITS + 1)
            .map(Self)
            .ok_or_else(|| ContactError::Invalid { value: hidden(raw) })
    }

    /// The number as it is sent to a provider.
    pub fn as_e164(&self) -> &str {
        &self.0
    }

    /// The number for events and screens: country code and the last three digits.
    pub fn masked(&self) -> String {
        let shown = 1 + country_code_digits(&self.0);
        let hidden = self.0.len().saturating_sub(3);
        self.0.char_indices().map(|(i, c)| if (shown..hidden).contains(&i) { '*' } else { c }).collect()
    }
}

/// Debug output reaches logs, so it is masked too (DA-9).
impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone({})", self.masked())
    }
}

impl Serialize for Phone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Phone {
    /// Reads back what was stored. The numbering plan was asked on the way in; asking again for
    /// each message would make an update of the metadata lose recipients.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix('+').unwrap_or_default();
        let fits = (E164_MIN_DIGITS..=E164_MAX_DIGITS).contains(&digits.len());
        if fits && digits.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text))
        } else {
            Err(de::Error::custom("a stored phone is not of the form +<digits>"))
        }
    }
}

/// How many digits of an E.164 number are the country code (ITU-T E.164 zones).
fn country_code_digits(e164: &str) -> usize {
    match e164.as_bytes() {
        [_, b'1' | b'7', ..] => 1,
        [_, b'2', b'0' | b'7', ..]
        | [_, b'3', b'0'..=b'4' | b'6' | b'9', ..]
        | [_, b'4', b'0' | b'1' | b'3'..=b'9', ..]
        | [_, b'5', b'1'..=b'8', ..]
        | [_, b'6', b'0'..=b'6', ..]
        | [_, b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [_, b'9', b'0'..=b'5' | b'8', ..] => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spain() -> Option<Country> {
        Country::parse("ES").ok()
    }

    #[test]
    fn po_3_a_number_becomes_e164_with_the_countrys_code() {
        let cases = [
            ("+34600123456", "ES", "+34600123456"),
            ("600123456", "ES", "+34600123456"),
            ("600 12 34 56", "ES", "+34600123456"),
            ("600.123.456", "ES", "+34600123456"),
            ("(600) 123-456", "ES", "+34600123456"),
            ("0034 600 123 456", "ES", "+34600123456"),
            ("34600123456", "ES", "+34600123456"),
            ("'+34600123456", "ES", "+34600123456"),
            ("\u{202A}+34\u{A0}600\u{A0}123\u{A0}456\u{202C}", "ES", "+34600123456"),
            ("+52 55 1234 5678", "ES", "+525512345678"),
            ("55 1234 5678", "MX", "+525512345678"),
            ("300 123 4567", "CO", "+573001234567"),
            ("+57 300 1234567", "MX", "+573001234567"),
            ("011 15 2345-6789", "AR", "+5491123456789"),
            ("512 345 678", "PL", "+48512345678"),
            ("0151 23456789", "DE", "+4915123456789"),
            ("+39 02 3661 8300", "ES", "+390236618300"),
            ("(415) 555-2671", "US", "+14155552671"),
            ("07912 345678", "GB", "+447912345678"),
        ];
        for (raw, country, e164) in cases {
            let phone = Phone::parse(raw, Some(Country::parse(country).unwrap()));
            assert_eq!(phone.as_ref().map(Phone::as_e164), Ok(e164), "{raw} in {country}");
        }
    }

    #[test]
    fn po_3_without_a_country_only_an_international_number_is_read() {
        assert_eq!(Phone::parse("+34600123456", None).unwrap().as_e164(), "+34600123456");
        let error = Phone::parse("600123456", None).unwrap_err();
        assert_eq!(error.code(), "invalid_phone");
        assert!(error.to_string().contains("has no country code"), "{error}");
    }

    #[test]
    fn po_3_what_is_no_number_of_its_country_is_refused() {
        for bad in ["+34123", "+3460012345", "+346001234567", "+999123456789", "12", "+", "000", "+34+600123456"] {
            assert_eq!(Phone::parse(bad, spain()).unwrap_err().code(), "invalid_phone", "{bad}");
        }
        assert_eq!(Phone::parse("  ", spain()).unwrap_err(), ContactError::Empty);
    }

    #[test]
    fn da_9_neither_sentences_nor_debug_output_show_a_whole_number() {
        let error = Phone::parse("+3460012345", spain()).unwrap_err().to_string();
        assert!(error.contains("+346*****45"), "{error}");
        let phone = Phone::parse("+34600123456", None).unwrap();
        assert_eq!(format!("{phone:?}"), "Phone(+34******456)");
    }

    #[test]
    fn a_masked_number_keeps_country_code_and_three_digits() {
        for (e164, masked) in [
            ("+34600123456", "+34******456"),
            ("+14155552671", "+1*******671"),
            ("+351912345678", "+351******678"),
            ("+573001234567", "+57*******567"),
        ] {
            assert_eq!(Phone::parse(e164, None).unwrap().masked(), masked);
        }
    }

    #[test]
    fn a_country_is_a_two_letter_code_in_either_case() {
        assert_eq!(Country::parse("es").unwrap().code(), "ES");
        for bad in ["", "E", "ESP", "ZZ", "34", "España", "ñ"] {
            let error = Country::parse(bad).unwrap_err();
            assert_eq!(error.code(), "unknown_country", "{bad}");
        }
        assert_eq!(serde_json::to_string(&spain()).unwrap(), "\"ES\"");
        assert_eq!(serde_json::from_str::<Country>("\"MX\"").unwrap().code(), "MX");
    }

    #[test]
    fn a_stored_phone_is_read_back_by_its_shape() {
        let phone = Phone::parse("+34600123456", None).unwrap();
        let json = serde_json::to_string(&phone).unwrap();
        assert_eq!(serde_json::from_str::<Phone>(&json).unwrap(), phone);
        for bad in ["\"600123456\"", "\"+\"", "\"+34 600\"", "\"+1234567890123456\""] {
            assert!(serde_json::from_str::<Phone>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_country_code_of_the_metadata_has_the_digits_that_masking_assumes() {
        for code in 1..1000_u16 {
            if phonenumber::metadata::DATABASE.by_code(&code).is_some() {
                assert_eq!(country_code_digits(&format!("+{code}000000")), code.to_string().len(), "{code}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn every_spanish_mobile_is_taken_however_it_is_spaced(n in 600_000_000_u32..700_000_000, gap in "[ .-]?") {
            let digits = n.to_string();
            let (a, rest) = digits.split_at(3);
            let (b, c) = rest.split_at(3);
            for raw in [format!("{a}{gap}{b}{gap}{c}"), format!("+34{gap}{a}{gap}{b}{gap}{c}")] {
                let phone = Phone::parse(&raw, spain()).unwrap();
                prop_assert_eq!(phone.as_e164(), format!("+34{n}"));
                // What was normalised once stays as it is.
                prop_assert_eq!(Phone::parse(phone.as_e164(), None).unwrap(), phone);
            }
        }

        #[test]
        fn no_text_panics_and_what_is_taken_is_e164(raw in "[+0-9 ().eE/-]{0,24}|\\PC{0,24}", known: bool) {
            let country = if known { spain() } else { None };
            if let Ok(phone) = Phone::parse(&raw, country) {
                let digits = phone.as_e164().strip_prefix('+').unwrap();
                prop_assert!(digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_digit()));
            }
        }
    }
}
