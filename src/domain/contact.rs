//! Countries and phone numbers (PO-3).
//!
//! A [`Phone`] is an E.164 number that is valid in its country's numbering plan (libphonenumber's
//! metadata). Any usual way of writing is read: blanks, dashes, dots, brackets, `00` before the
//! country code when the country is known. A number that a spreadsheet has destroyed (`3.46E+10`,
//! `34600123456.0`) is refused rather than repaired, because the lost digits cannot be known.
//! Letters and extensions are refused: nothing can be sent to them. What people wrote appears
//! in no sentence with more than its first three and last two digits (DA-9).

use super::excerpt::Excerpt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt};

/// Digits of an E.164 number at most, country code included (ITU-T E.164, 6.2.1).
const E164_MAX_DIGITS: usize = 15;
/// Shortest number of any numbering plan with its country code, for stored text.
const E164_MIN_DIGITS: usize = 5;
/// Longest written form worth reading.
const MAX_WRITTEN_CHARS: usize = 40;

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
    #[error(
        "phone {value} has other signs than digits, a leading + and blanks . - ( ) / between them"
    )]
    Signs {
        /// What was written, its middle digits hidden.
        value: Excerpt,
    },
    /// A national number, and no country to read it in.
    #[error(
        "phone {value} has no country code: write +34..., or give the campaign or row a country"
    )]
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
            Self::Empty | Self::Signs { .. } | Self::NoCountry { .. } | Self::Invalid { .. } => {
                "invalid_phone"
            }
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
        let id = (code.len() == 2)
            .then(|| code.to_ascii_uppercase().parse().ok())
            .flatten();
        id.filter(|id: &phonenumber::country::Id| {
            phonenumber::metadata::DATABASE.by_id(id.as_ref()).is_some()
        })
        .map(Self)
        .ok_or_else(|| ContactError::UnknownCountry {
            value: Excerpt::of(text),
        })
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
        let invalid = || ContactError::Invalid { value: hidden(raw) };
        // With a plus the country stands in the number; a default would only strip foreign prefixes.
        let country = default.filter(|_| !international).map(|c| c.0);
        let number = phonenumber::parse(country, &dialled).map_err(|_| invalid())?;
        if !phonenumber::is_valid(&number) {
            return Err(invalid());
        }
        let e164 = format!("+{}{}", number.code().value(), number.national());
        if e164.len() > E164_MAX_DIGITS + 1 {
            return Err(invalid());
        }
        Ok(Self(e164))
    }

    /// The number as it is sent to a provider.
    pub fn as_e164(&self) -> &str {
        &self.0
    }

    /// The number for events and screens: country code and the last three digits.
    pub fn masked(&self) -> String {
        let shown = 1 + country_code_digits(&self.0);
        let hidden = self.0.len().saturating_sub(3);
        self.0
            .char_indices()
            .map(|(i, c)| if (shown..hidden).contains(&i) { '*' } else { c })
            .collect()
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
            Err(de::Error::custom(
                "a stored phone is not of the form +<digits>",
            ))
        }
    }
}

/// Reduces a written number to `+` and digits, and says whether the plus was there.
///
/// The library would also read vanity letters and extensions, and panics on some signs; it only
/// ever gets what this function lets through.
fn dialled_digits(raw: &str) -> Result<(String, bool), ContactError> {
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
        .is_some_and(|(whole, fraction)| {
            is_number(whole) && whole.len() > 5 && fraction.bytes().all(|b| b == b'0')
        })
}

/// What was written with its middle digits as stars, for a sentence that may be logged.
fn hidden(raw: &str) -> Excerpt {
    let digits = raw.chars().filter(char::is_ascii_digit).count();
    let mut seen = 0;
    let masked: String = raw
        .chars()
        .map(|c| {
            if !c.is_ascii_digit() {
                return c;
            }
            seen += 1;
            if digits > 6 && seen > 3 && seen + 2 <= digits {
                '*'
            } else {
                c
            }
        })
        .collect();
    Excerpt::of(&masked)
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
