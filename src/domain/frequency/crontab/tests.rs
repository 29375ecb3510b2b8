//! Crontab lines and the local times at which cron runs them.

use super::*;

fn local(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
}

/// Line, after when, the next matches.
const POSIX: &[(&str, &str, &[&str])] = &[
    ("0 9 * * *", "2026-11-25 08:59", &["2026-11-25 09:00", "2026-11-26 09:00"]),
    ("0 9 * * *", "2026-11-25 09:00", &["2026-11-26 09:00"]),
    ("*/15 * * * *", "2026-11-25 23:40", &["2026-11-25 23:45", "2026-11-26 00:00"]),
    ("5,35 8-10 * * *", "2026-11-25 08:05", &["2026-11-25 08:35", "2026-11-25 09:05"]),
    ("10-50/20 12 * * *", "2026-11-25 00:00", &["2026-11-25 12:10", "2026-11-25 12:30", "2026-11-25 12:50"]),
    // 25 November 2026 is a Wednesday.
    ("0 9 * * 0", "2026-11-25 00:00", &["2026-11-29 09:00", "2026-12-06 09:00"]),
    ("0 9 * * 7", "2026-11-25 00:00", &["2026-11-29 09:00", "2026-12-06 09:00"]),
    ("0 9 * * 1", "2026-11-25 00:00", &["2026-11-30 09:00"]),
    ("0 9 * * 6", "2026-11-25 00:00", &["2026-11-28 09:00"]),
    ("0 9 * * 1-5", "2026-11-27 09:00", &["2026-11-30 09:00", "2026-12-01 09:00"]),
    (
        "0 9 * * 5-7",
        "2026-11-25 00:00",
        &["2026-11-27 09:00", "2026-11-28 09:00", "2026-11-29 09:00", "2026-12-04 09:00"],
    ),
    ("0 9 * * MON,fri", "2026-11-25 00:00", &["2026-11-27 09:00", "2026-11-30 09:00"]),
    ("0 9 * * fri-sun", "2026-11-25 00:00", &["2026-11-27 09:00", "2026-11-28 09:00", "2026-11-29 09:00"]),
    ("0 0 1 jan *", "2026-11-25 00:00", &["2027-01-01 00:00", "2028-01-01 00:00"]),
    (
        "0 0 31 * *",
        "2026-08-31 00:00",
        &["2026-10-31 00:00", "2026-12-31 00:00", "2027-01-31 00:00", "2027-03-31 00:00"],
    ),
    ("0 0 29 2 *", "2026-11-25 00:00", &["2028-02-29 00:00", "2032-02-29 00:00"]),
    // The example of POSIX: the 1st and the 15th of each month, and every Monday.
    (
        "0 0 1,15 * 1",
        "2026-11-25 00:00",
        &["2026-11-30 00:00", "2026-12-01 00:00", "2026-12-07 00:00", "2026-12-14 00:00", "2026-12-15 00:00"],
    ),
    ("0 0 30 2 1", "2027-01-31 00:00", &["2027-02-01 00:00", "2027-02-08 00:00"]),
    ("0 0 13 * 5", "2026-11-12 00:00", &["2026-11-13 00:00", "2026-11-20 00:00"]),
    // One day field open: both have to match, which restricts by the other alone.
    ("0 0 * * 1", "2026-11-25 00:00", &["2026-11-30 00:00", "2026-12-07 00:00"]),
    ("0 0 15 * *", "2026-11-25 00:00", &["2026-12-15 00:00", "2027-01-15 00:00"]),
    // A step on * keeps the field open: odd days that are Mondays.
    ("0 0 */2 * 1", "2026-11-30 00:00", &["2026-12-07 00:00", "2026-12-21 00:00"]),
];

#[test]
fn bm_7_a_crontab_means_what_posix_says() {
    for (line, after, matches) in POSIX {
        let crontab = Crontab::parse(line).unwrap();
        let mut at = local(after);
        for wanted in *matches {
            at = crontab.after(at).unwrap();
            assert_eq!(at, local(wanted), "{line} after {after}");
        }
    }
}

#[test]
fn the_translation_agrees_with_the_days_and_times_themselves() {
    for line in ["*/20 6,18 1-7 * 1", "7 3 * 2,11 *", "0 0 */10 * 3", "59 23 28-31 * *"] {
        let crontab = Crontab::parse(line).unwrap();
        let mut at = local("2027-01-01 00:00");
        let mut next = crontab.after(at).unwrap();
        for _ in 0..60 * 24 * 70 {
            at += chrono::TimeDelta::minutes(1);
            let [hour, minute] = [chrono::Timelike::hour(&at), chrono::Timelike::minute(&at)];
            let matches =
                crontab.matches(at.date()) && crontab.hours.contains(&hour) && crontab.minutes.contains(&minute);
            assert_eq!(matches, at == next, "{line} at {at}");
            if matches {
                next = crontab.after(at).unwrap();
            }
        }
    }
}

#[test]
fn a_crontab_that_never_fires_is_refused() {
    for line in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30-31 feb *"] {
        assert_eq!(Crontab::parse(line).unwrap_err().code(), "crontab_never_fires", "{line}");
    }
}

#[test]
fn what_is_no_crontab_is_refused_with_the_field() {
    for (line, says) in [
        ("", "0 fields"),
        ("0 9 * *", "4 fields"),
        ("0 0 9 * * *", "6 fields"),
        ("@daily", "1 fields"),
        ("60 * * * *", "60 is no minute"),
        ("* 24 * * *", "24 is no hour"),
        ("* * 0 * *", "0 is no day of the month"),
        ("* * * 13 *", "13 is no month"),
        ("* * * * 8", "8 is no day of the week"),
        ("*/0 * * * *", "0 is no step"),
        ("*/60 * * * *", "60 is no step"),
        ("5/15 * * * *", "a step follows"),
        ("30-10 * * * *", "ends before it begins"),
        ("* * * * 5-0", "ends before it begins"),
        ("* * L * *", "\"L\" is not understood"),
        ("* * ? * *", "\"?\" is not understood"),
        ("* * * * 1#2", "is not understood"),
        ("1,,2 * * * *", "\"\" is not understood"),
        ("-1 * * * *", "is not understood"),
        ("* * * foo *", "\"foo\" is not understood"),
    ] {
        let error = Crontab::parse(line).unwrap_err();
        assert_eq!(error.code(), "invalid_crontab", "{line}");
        assert!(error.to_string().contains(says), "{line}: {error}");
    }
    assert_eq!(Crontab::parse(&"*".repeat(300)).unwrap_err().code(), "invalid_crontab");
}

#[test]
fn the_shortest_time_between_two_matches_is_seen() {
    for (line, minutes) in [
        ("* * * * *", 1),
        ("*/15 * * * *", 15),
        ("0,50 * * * *", 10),
        ("0 9 * * *", 1440),
        ("0 0,23 * * *", 60),
        ("0 0,23 * * 1", 23 * 60),
        ("30 23 * * 1,2", 1440),
        ("0 0 1 1 *", 365 * 1440),
        ("0 0 29 2 *", 1461 * 1440),
    ] {
        assert_eq!(Crontab::parse(line).unwrap().shortest(), Duration::from_mins(minutes), "{line}");
    }
}

#[test]
fn blanks_do_not_make_another_crontab() {
    assert_eq!(Crontab::parse("  0\t9 *  * * ").unwrap(), Crontab::parse("0 9 * * *").unwrap());
}
