//! Numbers that are compared exactly: up to 18 digits before the point and 9 behind it.

use std::fmt;

use serde_json::Number;

const BEFORE: usize = 18;
const BEHIND: usize = 9;

/// A number, in thousand-millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Decimal(i128);

impl Decimal {
    /// Reads digits with an optional sign and point; a comma, an exponent or a thousands separator is none of ours.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number =
            |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole, BEFORE) || !is_number(fraction, BEHIND) {
            return None;
        }
        let billionths: i128 = format!("{whole}{fraction:0<BEHIND$}").parse().ok()?;
        Some(Self(if negative { -billionths } else { billionths }))
    }

    /// A number of JSON.
    pub(super) fn of_json(number: &Number) -> Option<Self> {
        number.as_i64().map_or_else(|| Self::parse(&number.to_string()), |whole| Some(Self::of_whole(whole)))
    }

    /// A whole number.
    pub(super) const fn of_whole(whole: i64) -> Self {
        // The largest i64 times 10^9 has 97 bits.
        Self(whole as i128 * 1_000_000_000)
    }

    /// The whole number that it is.
    pub(super) fn whole(self) -> Option<i64> {
        (self.0 % 1_000_000_000 == 0).then(|| i64::try_from(self.0 / 1_000_000_000).ok()).flatten()
    }
}

/// As people write it: no zeros behind the last digit that counts.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, billionths) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}", billionths / 1_000_000_000)?;
        match billionths % 1_000_000_000 {
            0 => Ok(()),
            fraction => f.write_str(format!(".{fraction:09}").trim_end_matches('0')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_as_numbers_and_exactly() {
        let of = |text: &str| Decimal::parse(text);
        assert!(of("9") < of("10") && of("-10") < of("-9") && of("0.1") < of("0.11"));
        assert_eq!(of("12.50"), of("+12.5"));
        assert_eq!(of("1250"), Some(Decimal::of_whole(1250)));
        assert_eq!(Decimal::of_json(&Number::from_f64(12.5).unwrap()), of("12.50"));
        assert_eq!(Decimal::of_json(&i64::MIN.into()).unwrap().whole(), Some(i64::MIN));
        for text in ["0", "12.5", "-0.000000001", "-3", "1250"] {
            assert_eq!(of(text).unwrap().to_string(), text);
        }
        assert_eq!((of("12.5").unwrap().whole(), of("-3").unwrap().whole()), (None, Some(-3)));
    }

    #[test]
    fn what_might_mean_two_numbers_is_none() {
        for text in ["", "-", ".5", "5.", "12,50", "1e3", "1 000", "0x1", "--1", "1.2.3", "1234567890123456789"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }
}
