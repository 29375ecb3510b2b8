//! Money: whole minor units and ISO 4217 currencies (PO-9, PO-10).
//!
//! An [`Amount`] is a whole number of cents (or fils, or yen), from 1 to the configured maximum.
//! There is no way in from a float, and no guessing: `12.50` and `12,50` are refused with a
//! sentence that names the rule, because one of the two readers would be wrong by a factor of 100.

use super::excerpt::Excerpt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt};

/// Why an amount was refused (PO-9).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a whole number.
    #[error("amount {value} is not a whole number of minor units: write 1250 for 12.50")]
    NotAnInteger {
        /// What was written.
        value: Excerpt,
    },
    /// A whole number, but not from 1 to the maximum.
    #[error("amount {value} is not from 1 to {max} minor units")]
    OutOfRange {
        /// What was written.
        value: Excerpt,
        /// The largest amount allowed.
        max: u64,
    },
}

impl AmountError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAnInteger { .. } => "amount_not_an_integer",
            Self::OutOfRange { .. } => "amount_out_of_range",
        }
    }
}

/// A sum in minor units, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Amount(u64);

impl Amount {
    /// Takes 1 to `max` minor units.
    pub fn from_minor(minor: u64, max: u64) -> Result<Self, AmountError> {
        if minor == 0 || minor > max {
            return Err(AmountError::OutOfRange {
                value: Excerpt::of(&minor.to_string()),
                max,
            });
        }
        Ok(Self(minor))
    }

    /// Reads digits, with blanks around them allowed, as 1 to `max` minor units.
    pub fn parse(text: &str, max: u64) -> Result<Self, AmountError> {
        let trimmed = text.trim();
        let digits = trimmed.strip_prefix('-').unwrap_or(trimmed);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AmountError::NotAnInteger {
                value: Excerpt::of(text),
            });
        }
        // Below zero and beyond 64 bits are whole numbers all the same, only out of range.
        match trimmed.parse::<u64>() {
            Ok(minor) if (1..=max).contains(&minor) => Ok(Self(minor)),
            _ => Err(AmountError::OutOfRange {
                value: Excerpt::of(trimmed),
                max,
            }),
        }
    }

    /// The whole number of minor units.
    pub const fn minor(self) -> u64 {
        self.0
    }

    /// Writes the amount for a human, with the currency's decimals and a point: `12.50`.
    pub fn format(self, currency: Currency) -> String {
        let decimals = usize::from(currency.exponent());
        if decimals == 0 {
            return self.0.to_string();
        }
        let digits = format!("{:0>width$}", self.0, width = decimals + 1);
        match digits.split_at_checked(digits.len() - decimals) {
            Some((major, minor)) => format!("{major}.{minor}"),
            None => digits,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Amount {
    /// Reads back what was stored: any whole number from 1 (the maximum was checked on the way in).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_minor(u64::deserialize(deserializer)?, u64::MAX).map_err(de::Error::custom)
    }
}

/// Why a currency was refused (PO-10).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CurrencyError {
    /// Not a code of ISO 4217.
    #[error("currency {value} is not an ISO 4217 code, such as EUR")]
    Unknown {
        /// What was written.
        value: Excerpt,
    },
    /// A code of ISO 4217 without a minor unit: precious metals, testing, "no currency".
    #[error("currency {value} has no minor unit in ISO 4217, so no amount can be written in it")]
    NoMinorUnit {
        /// What was written.
        value: Excerpt,
    },
}

impl CurrencyError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } | Self::NoMinorUnit { .. } => "unknown_currency",
        }
    }
}

/// A currency of ISO 4217 that has a minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// Reads a three-letter code in either case.
    pub fn parse(text: &str) -> Result<Self, CurrencyError> {
        let code = text.trim();
        let found = iso_currency::Currency::from_code(code)
            .or_else(|| {
                iso_currency::Currency::from_code(&code.get(..3)?.to_ascii_uppercase())
                    .filter(|_| code.len() == 3)
            })
            .ok_or_else(|| CurrencyError::Unknown {
                value: Excerpt::of(text),
            })?;
        match found.exponent() {
            Some(_) => Ok(Self(found)),
            None => Err(CurrencyError::NoMinorUnit {
                value: Excerpt::of(text),
            }),
        }
    }

    /// The three-letter code.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Decimals of the currency: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn exponent(self) -> u16 {
        self.0.exponent().unwrap_or(0)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: u64 = 9_999_999;

    #[test]
    fn po_9_whole_minor_units_from_one_to_the_maximum_are_taken() {
        for (text, minor) in [
            ("1", 1),
            ("1250", 1250),
            (" 1250 ", 1250),
            ("9999999", MAX),
            ("0100", 100),
        ] {
            assert_eq!(Amount::parse(text, MAX).unwrap().minor(), minor);
        }
        assert_eq!(Amount::from_minor(MAX, MAX).unwrap().minor(), MAX);
    }

    #[test]
    fn po_9_decimals_are_an_error_that_names_the_rule_and_are_never_guessed() {
        for bad in [
            "12.50", "12,50", "1.250", "1 250", "1e3", "12€", "", " ", "+5", "0x10", "١٢", "--5",
            "-",
        ] {
            let error = Amount::parse(bad, MAX).unwrap_err();
            assert_eq!(error.code(), "amount_not_an_integer", "{bad}");
            assert!(
                error.to_string().contains("whole number of minor units"),
                "{error}"
            );
        }
        assert!(
            Amount::parse("12.50", MAX)
                .unwrap_err()
                .to_string()
                .contains("\"12.50\"")
        );
    }

    #[test]
    fn po_9_zero_negative_and_too_large_amounts_are_out_of_range() {
        for bad in ["0", "-5", "10000000", "99999999999999999999999999"] {
            let error = Amount::parse(bad, MAX).unwrap_err();
            assert_eq!(error.code(), "amount_out_of_range", "{bad}");
            assert!(error.to_string().contains("9999999"), "{error}");
        }
        assert_eq!(
            Amount::from_minor(0, MAX).unwrap_err().code(),
            "amount_out_of_range"
        );
        assert_eq!(
            Amount::from_minor(MAX + 1, MAX).unwrap_err().code(),
            "amount_out_of_range"
        );
    }

    #[test]
    fn an_amount_is_written_with_the_decimals_of_its_currency() {
        let amount = |minor| Amount::from_minor(minor, MAX).unwrap();
        let currency = |code| Currency::parse(code).unwrap();
        assert_eq!(amount(1250).format(currency("EUR")), "12.50");
        assert_eq!(amount(5).format(currency("EUR")), "0.05");
        assert_eq!(amount(1250).format(currency("JPY")), "1250");
        assert_eq!(amount(1250).format(currency("KWD")), "1.250");
        assert_eq!(amount(1).format(currency("CLF")), "0.0001");
    }

    #[test]
    fn po_10_any_currency_of_iso_4217_with_a_minor_unit_is_known() {
        for code in [
            "EUR", "MXN", "PLN", "ARS", "COP", "USD", "JPY", "eur", " EUR ",
        ] {
            assert_eq!(
                Currency::parse(code).unwrap().code(),
                code.trim().to_uppercase()
            );
        }
        for bad in [
            "EURO", "EU", "", "€", "XYZ", "978", "éa", "XAU", "XXX", "XTS",
        ] {
            let error = Currency::parse(bad).unwrap_err();
            assert_eq!(error.code(), "unknown_currency", "{bad}");
            assert!(error.to_string().contains("ISO 4217"), "{error}");
        }
    }

    #[test]
    fn money_in_json_is_a_number_and_a_code() {
        let amount = Amount::from_minor(1250, MAX).unwrap();
        assert_eq!(serde_json::to_string(&amount).unwrap(), "1250");
        assert_eq!(serde_json::from_str::<Amount>("1250").unwrap(), amount);
        assert!(serde_json::from_str::<Amount>("12.5").is_err());
        assert!(serde_json::from_str::<Amount>("0").is_err());
        let euro = Currency::parse("EUR").unwrap();
        assert_eq!(serde_json::to_string(&euro).unwrap(), "\"EUR\"");
        assert_eq!(serde_json::from_str::<Currency>("\"EUR\"").unwrap(), euro);
        assert!(serde_json::from_str::<Currency>("\"EURO\"").is_err());
    }

    proptest! {
        #[test]
        fn po_9_what_parses_is_exactly_what_was_written(minor in 1..=MAX) {
            prop_assert_eq!(Amount::parse(&minor.to_string(), MAX).unwrap().minor(), minor);
        }

        #[test]
        fn po_9_nothing_but_digits_is_an_amount(text in "[0-9 .,eE+-]{0,12}") {
            let digits = text.trim();
            let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if Amount::parse(&text, u64::MAX).is_ok() {
                prop_assert!(whole, "{}", text);
            }
        }

        #[test]
        fn a_formatted_amount_has_the_digits_it_came_from(minor in 1..=MAX) {
            let text = Amount::from_minor(minor, MAX).unwrap().format(Currency::parse("EUR").unwrap());
            prop_assert_eq!(text.replace('.', "").parse::<u64>().unwrap(), minor);
        }
    }
}
