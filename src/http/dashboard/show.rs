//! How numbers, times and states look, in the reader's language. Pure: text in, text out.

use std::{fmt::Write as _, time::Duration};

use chrono::DateTime;

use super::{super::language::Language, words};
use crate::domain::{clock::EpochMs, html::escaped};

/// Thousands apart: `1,234,567`; in Spanish `1.234.567`.
pub(super) fn count(number: u64, language: Language) -> String {
    let separator = match language {
        Language::English => ',',
        Language::Spanish => '.',
    };
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

/// A number of tenths: `12.5`, `997`; no decimal from a hundred on.
pub(super) fn tenths(number: u64, language: Language) -> String {
    let point = match language {
        Language::English => '.',
        Language::Spanish => ',',
    };
    match (number / 10, number % 10) {
        (whole, _) if whole >= 100 => count((number + 5) / 10, language),
        (whole, 0) => count(whole, language),
        (whole, tenth) => format!("{whole}{point}{tenth}"),
    }
}

/// A share as a percentage: `99.9 %`; neither 0 nor 100 unless it is.
pub(super) fn percent(part: u64, whole: u64, language: Language) -> String {
    let per_mille = u128::from(part) * 1000;
    let shown = per_mille.checked_div(u128::from(whole)).and_then(|p| u64::try_from(p).ok()).unwrap_or(0);
    if shown == 0 && part > 0 {
        return format!("< {} %", tenths(1, language));
    }
    format!("{} %", tenths(shown, language))
}

/// The two largest units: `3m 20s`, `5h 2m`, `4d 1h`; below a second `350ms`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        let millis = duration.as_millis();
        return if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") };
    }
    let units = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let first = units.iter().position(|(number, _)| *number > 0).unwrap_or(3);
    let shown = units.iter().skip(first).take(2).filter(|(number, _)| *number > 0);
    shown.map(|(number, unit)| format!("{number}{unit}")).collect::<Vec<_>>().join(" ")
}

/// Bytes with a unit.
pub(super) fn bytes(bytes: u64, language: Language) -> String {
    let (unit, size) = match bytes {
        0..1024 => return format!("{bytes} B"),
        1024..1_048_576 => ("KiB", 1024),
        1_048_576..1_073_741_824 => ("MiB", 1_048_576),
        _ => ("GiB", 1_073_741_824),
    };
    format!("{} {unit}", tenths(bytes.saturating_mul(10) / size, language))
}

/// How far an instant lies from now, in one unit: `3 min ago`, `in 2 h`.
pub(super) fn relative(at: i64, now: i64, language: Language) -> String {
    let apart = at.abs_diff(now) / 1000;
    let amount = match apart {
        0 => return words::plain(language, "now").unwrap_or_default().to_owned(),
        1..60 => format!("{apart} s"),
        60..3_600 => format!("{} min", apart / 60),
        3_600..172_800 => format!("{} h", apart / 3_600),
        _ => format!("{} d", apart / 86_400),
    };
    let key = if at > now { "in_time" } else { "time_ago" };
    words::say(language, key, false, std::iter::once(("time", amount))).unwrap_or_default()
}

/// `2026-11-21 10:00:00 UTC`.
pub(super) fn utc(at: i64) -> String {
    DateTime::from_timestamp_millis(at)
        .map_or_else(|| at.to_string(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// An instant for machines, with what people read.
pub(super) fn time(at: i64, text: &str, extra: &str) -> String {
    format!("<time datetime=\"{}\"{extra}>{}</time>", EpochMs(at).to_rfc3339(), escaped(text))
}

/// Phrases of the daemon about why something stands still, with their key in the tables.
const PHRASES: [(&str, &str); 9] = [
    ("campaign paused by ", "told.campaign_paused"),
    ("channel paused: ", "told.channel_paused"),
    ("paused by ", "told.paused"),
    ("paused itself: ", "told.paused_itself"),
    ("contact hours open at ", "told.hours"),
    ("blocked by the provider until ", "told.blocked"),
    ("breaker open until ", "told.breaker"),
    (" of the last ", "told.of_the_last"),
    (" attempts", "told.attempts"),
];

/// A reason as the daemon tells it, in the reader's language as far as it is words, its instants as such.
pub(super) fn told(reason: &str, now: i64, language: Language) -> String {
    let mut text = reason.to_owned();
    for (english, key) in PHRASES {
        if let (true, Some(said)) = (text.contains(english), words::plain(language, key)) {
            text = text.replacen(english, said, 1);
        }
    }
    let each = text.split(' ').map(|piece| {
        let (at, rest) = piece.split_at(piece.find('Z').map_or(0, |end| end + 1));
        match EpochMs::parse_rfc3339(at) {
            Ok(EpochMs(ms)) => time(ms, &relative(ms, now, language), &exactly(ms)) + &escaped(rest),
            Err(_) => escaped(piece),
        }
    });
    each.collect::<Vec<_>>().join(" ")
}

/// The attributes of an instant that is shown by how far it is.
pub(super) fn exactly(at: i64) -> String {
    format!(" title=\"{}\" data-exact", utc(at))
}

/// What a state means for who looks: its colour.
pub(super) fn tone(state: &str) -> &'static str {
    match state {
        "sent" | "delivered" | "paid" | "finished" | "done" | "open" | "case_open" | "active" | "generated"
        | "available" | "ready" => "good",
        "running" | "sending" | "case_new" | "creating" => "busy",
        "queued" | "held" | "retry" | "scheduled" | "paused" | "blocked" | "waiting" | "in_doubt"
        | "case_transferred" | "case_escalated" | "partially_refunded" | "parked" | "delayed" => "wait",
        "failed" | "undelivered" | "dead" | "rejected" | "breaker" | "unserved" => "bad",
        "unknown" => "odd",
        _ => "off",
    }
}

/// A state as a badge: colour, sign and word.
pub(super) fn badge(state: &str, language: Language) -> String {
    let word = words::plain(language, &format!("state.{state}")).unwrap_or(state);
    format!("<span class=\"badge {}\" data-state=\"{}\">{}</span>", tone(state), escaped(state), escaped(word))
}

/// States of deliveries in the order in which a bar shows them.
pub(super) const IN_BAR: [&str; 10] =
    ["delivered", "sent", "sending", "retry", "held", "unknown", "undelivered", "expired", "failed", "skipped"];

/// A bar of what became of a whole, by state; what is not there yet is its ground.
pub(super) fn bar(counts: &[(&str, u64)], total: u64, label: &str) -> String {
    const WIDTH: u64 = 10_000;
    let mut out = format!(
        "<svg class=\"bar\" viewBox=\"0 0 {WIDTH} 8\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        escaped(label)
    );
    let mut x = 0;
    for (state, number) in counts {
        let width = number.saturating_mul(WIDTH).checked_div(total).unwrap_or(0).max(u64::from(*number > 0) * 40);
        let width = width.min(WIDTH.saturating_sub(x));
        if width > 0 {
            // Writing to a text does not fail.
            let _ = write!(out, "<rect class=\"fill-{state}\" x=\"{x}\" width=\"{width}\" height=\"8\"/>");
        }
        x += width;
    }
    out.push_str("</svg>");
    out
}

/// A piece of an address: everything but what RFC 3986 calls unreserved in percent signs.
pub(super) fn in_address(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::{English, Spanish};

    #[test]
    fn numbers_are_grouped_as_the_language_does() {
        assert_eq!((count(1_234_567, English), count(1_234_567, Spanish)), ("1,234,567".into(), "1.234.567".into()));
        assert_eq!((count(0, English), count(999, Spanish)), ("0".into(), "999".into()));
        assert_eq!((tenths(125, English), tenths(125, Spanish)), ("12.5".into(), "12,5".into()));
        assert_eq!((tenths(9_974, English), tenths(50, English)), ("997".into(), "5".into()));
        assert_eq!(bytes(1_572_864, Spanish), "1,5 MiB");
    }

    #[test]
    fn a_share_is_neither_nothing_nor_all_unless_it_is() {
        let shares = [(0, 9), (1, 5_000), (4_999, 5_000), (5, 5), (0, 0)].map(|(part, of)| percent(part, of, English));
        assert_eq!(shares, ["0 %", "< 0.1 %", "99.9 %", "100 %", "0 %"]);
    }

    #[test]
    fn an_instant_is_shown_by_how_far_it_is() {
        let now = 1_763_719_200_000;
        let shown = [0, -5_000, -200_000, 7_300_000, -400_000_000].map(|apart| relative(now + apart, now, English));
        assert_eq!(shown, ["now", "5 s ago", "3 min ago", "in 2 h", "4 d ago"]);
        assert_eq!(relative(now - 200_000, now, Spanish), "hace 3 min");
        assert_eq!(utc(now), "2025-11-21 10:00:00 UTC");
    }

    #[test]
    fn a_bar_is_no_wider_than_the_whole_and_shows_the_least() {
        let shown = bar(&[("sent", 999_999), ("failed", 1)], 1_000_000, "<b>");
        assert!(shown.contains("aria-label=\"&lt;b&gt;\""), "{shown}");
        assert!(shown.contains("class=\"fill-sent\" x=\"0\" width=\"9999\""), "{shown}");
        assert!(shown.contains("class=\"fill-failed\" x=\"9999\" width=\"1\""), "{shown}");
        assert!(bar(&[("failed", 1)], 1_000_000, "").contains("width=\"40\""), "one of a million is seen");
        assert!(!bar(&[("sent", 0)], 0, "").contains("<rect"));
    }

    #[test]
    fn what_stands_in_an_address_ends_no_piece_of_it() {
        assert_eq!(in_address("a/b?c=d&e #%ñ"), "a%2Fb%3Fc%3Dd%26e%20%23%25%C3%B1");
        assert_eq!(in_address("delivery@1"), "delivery%401");
    }

    #[test]
    fn a_reason_is_told_in_the_language_with_its_instants_and_harmless() {
        let now = 1_763_719_200_000;
        let shown = told("breaker open until 2025-11-21T10:00:12.000Z (<b>)", now, Spanish);
        assert!(
            shown.starts_with("cortacircuitos abierto hasta <time datetime=\"2025-11-21T10:00:12.000Z\""),
            "{shown}"
        );
        assert!(shown.ends_with(">en 12 s</time> (&lt;b&gt;)"), "{shown}");
        assert_eq!(told("Zoë", now, English), "Zoë");
    }

    #[test]
    fn a_state_nobody_knows_is_shown_as_it_is_and_harmless() {
        assert_eq!(badge("<i>", English), "<span class=\"badge off\" data-state=\"&lt;i&gt;\">&lt;i&gt;</span>");
        assert!(badge("running", Spanish).contains("badge busy"));
    }
}
