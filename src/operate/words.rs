//! Numbers, durations and sizes as people read them, on the terminal and on a page.

use std::time::Duration;

/// `1234567` as `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its word in the plural where it must be: `1 order`, `2 orders`.
pub fn counted(number: u64, word: &str) -> String {
    format!("{} {word}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A duration with its two largest units: `350ms`, `12s`, `3m 20s`, `5h 2m`, `4d 1h`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.is_zero() {
        return "0s".to_owned();
    }
    if seconds == 0 {
        return format!("{}ms", duration.as_millis().max(1));
    }
    let units = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let first = units.iter().position(|(number, _)| *number > 0).unwrap_or(3);
    let shown = units.iter().skip(first).take(2).filter(|(number, _)| *number > 0);
    shown.map(|(number, unit)| format!("{number}{unit}")).collect::<Vec<_>>().join(" ")
}

/// Bytes with a unit: `512 B`, `4 KiB`, `1.5 MiB`.
pub fn bytes(bytes: u64) -> String {
    let (unit, size) = match bytes {
        0..1024 => return format!("{bytes} B"),
        1024..1_048_576 => ("KiB", 1024),
        1_048_576..1_073_741_824 => ("MiB", 1_048_576),
        _ => ("GiB", 1_073_741_824),
    };
    let (whole, tenth) = (bytes / size, bytes % size * 10 / size);
    if tenth == 0 { format!("{whole} {unit}") } else { format!("{whole}.{tenth} {unit}") }
}

/// So many in so long, as a rate: `997/s`, `12.5/s`, `0`.
pub fn rate(number: u64, in_time: Duration) -> String {
    let millis = u64::try_from(in_time.as_millis()).unwrap_or(u64::MAX).max(1);
    let tenths = number.saturating_mul(10_000) / millis;
    match (tenths / 10, tenths % 10) {
        (0, 0) => "0".to_owned(),
        (whole, tenth) if whole >= 100 || tenth == 0 => format!("{}/s", count(whole)),
        (whole, tenth) => format!("{whole}.{tenth}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        let texts: Vec<_> = [0, 7, 999, 1000, 1_234_567].into_iter().map(count).collect();
        assert_eq!(texts, ["0", "7", "999", "1,000", "1,234,567"]);
        assert_eq!((counted(1, "order"), counted(0, "order")), ("1 order".to_owned(), "0 orders".to_owned()));
    }

    #[test]
    fn a_duration_shows_its_two_largest_units() {
        let texts: Vec<_> = [0, 350, 12_000, 200_000, 3_600_000, 18_120_000, 349_200_000]
            .into_iter()
            .map(|ms| duration(Duration::from_millis(ms)))
            .collect();
        assert_eq!(texts, ["0s", "350ms", "12s", "3m 20s", "1h", "5h 2m", "4d 1h"]);
    }

    #[test]
    fn sizes_have_one_decimal_at_most() {
        let texts: Vec<_> = [512, 4096, 1_572_864, 2_147_483_648].into_iter().map(bytes).collect();
        assert_eq!(texts, ["512 B", "4 KiB", "1.5 MiB", "2 GiB"]);
    }

    #[test]
    fn a_rate_below_a_hundred_has_a_decimal() {
        let second = Duration::from_secs(1);
        assert_eq!([rate(0, second), rate(997, second), rate(25, 2 * second)], ["0", "997/s", "12.5/s"]);
        assert_eq!(rate(1_234_567, second), "1,234,567/s");
    }
}
