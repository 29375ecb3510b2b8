//! Due times across changes of clocks, and whatever a property can say about all of them.

use super::*;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000;

fn at(text: &str) -> EpochMs {
    EpochMs::parse(text).unwrap()
}

fn every(interval: &str, zone: &str, first: &str) -> Schedule {
    let frequency = Frequency::Every(Interval::parse(interval).unwrap());
    Schedule { frequency, zone: Zone::parse(zone).unwrap(), first: at(first), until: None }
}

fn cron(line: &str, zone: &str, first: &str) -> Schedule {
    let frequency = Frequency::Cron(Box::new(Crontab::parse(line).unwrap()));
    Schedule { frequency, zone: Zone::parse(zone).unwrap(), first: at(first), until: None }
}

fn coming(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    schedule.coming(at(after)).take(count).map(|due| schedule.zone.to_rfc3339(due)).collect()
}

#[test]
fn bm_7_a_day_keeps_the_wall_clock_and_24_hours_do_not() {
    let daily = every("1d", "Europe/Madrid", "2026-03-27T09:00:00+01:00");
    assert_eq!(
        coming(&daily, "2026-03-27T08:00:00Z", 3),
        ["2026-03-28T09:00:00+01:00", "2026-03-29T09:00:00+02:00", "2026-03-30T09:00:00+02:00"]
    );
    let elapsed = every("24h", "Europe/Madrid", "2026-03-27T09:00:00+01:00");
    assert_eq!(
        coming(&elapsed, "2026-03-27T08:00:00Z", 3),
        ["2026-03-28T09:00:00+01:00", "2026-03-29T10:00:00+02:00", "2026-03-30T10:00:00+02:00"]
    );
    let autumn = every("1d", "Europe/Madrid", "2026-10-24T09:00:00+02:00");
    assert_eq!(coming(&autumn, "2026-10-24T07:00:00Z", 2), ["2026-10-25T09:00:00+01:00", "2026-10-26T09:00:00+01:00"]);
}

#[test]
fn bm_7_a_time_that_does_not_exist_runs_once_at_the_next_valid_instant() {
    for schedule in [
        cron("30 2 * * *", "Europe/Madrid", "2026-03-01T00:00:00Z"),
        every("1d", "Europe/Madrid", "2026-03-01T02:30:00+01:00"),
    ] {
        assert_eq!(
            coming(&schedule, "2026-03-27T12:00:00Z", 3),
            ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
        );
    }
    // Two that fall on the same instant are one.
    let both = cron("0,30 2,3 * * *", "Europe/Madrid", "2026-03-01T00:00:00Z");
    assert_eq!(
        coming(&both, "2026-03-28T23:00:00Z", 3),
        ["2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:00:00+02:00"]
    );
}

#[test]
fn bm_7_a_time_that_occurs_twice_runs_once() {
    for schedule in [
        cron("30 2 * * *", "Europe/Madrid", "2026-10-01T00:00:00Z"),
        every("1d", "Europe/Madrid", "2026-10-01T02:30:00+02:00"),
    ] {
        assert_eq!(
            coming(&schedule, "2026-10-23T12:00:00Z", 3),
            ["2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
        );
    }
    // Asked within the hour that comes again.
    let often = cron("*/20 * * * *", "Europe/Madrid", "2026-10-01T00:00:00Z");
    assert_eq!(coming(&often, "2026-10-25T01:05:00Z", 2), ["2026-10-25T03:00:00+01:00", "2026-10-25T03:20:00+01:00"]);
    // New York: 1:30 on 1 November 2026 occurs twice.
    let west = cron("30 1 1 11 *", "America/New_York", "2026-10-01T00:00:00Z");
    assert_eq!(coming(&west, "2026-10-31T00:00:00Z", 2), ["2026-11-01T01:30:00-04:00", "2027-11-01T01:30:00-04:00"]);
}

#[test]
fn nothing_is_due_before_the_first_time_nor_after_the_last() {
    let mut schedule = every("1h", "UTC", "2026-11-25T10:00:00Z");
    schedule.until = Some(at("2026-11-25T12:00:00Z"));
    assert_eq!(
        coming(&schedule, "2020-01-01T00:00:00Z", 9),
        ["2026-11-25T10:00:00+00:00", "2026-11-25T11:00:00+00:00", "2026-11-25T12:00:00+00:00"]
    );
    let crontab = cron("0 * * * *", "UTC", "2026-11-25T10:00:00Z");
    assert_eq!(coming(&crontab, "2020-01-01T00:00:00Z", 1), ["2026-11-25T10:00:00+00:00"]);
    let later = cron("0 * * * *", "UTC", "2026-11-25T10:00:01Z");
    assert_eq!(coming(&later, "2020-01-01T00:00:00Z", 1), ["2026-11-25T11:00:00+00:00"]);
}

#[test]
fn what_came_due_is_counted_and_the_latest_is_found_in_a_long_absence() {
    let hourly = every("1h", "UTC", "2026-01-01T00:00:00Z");
    let first = hourly.first;
    assert_eq!(hourly.due(first, EpochMs(first.0 - 1)), None);
    let due = hourly.due(first, EpochMs(first.0 + 3 * HOUR + 1)).unwrap();
    assert_eq!(due, Due { first, last: EpochMs(first.0 + 3 * HOUR), count: 4 });
    for schedule in [hourly, cron("0 * * * *", "Europe/Madrid", "2026-01-01T00:00:00Z")] {
        let long = EpochMs(first.0 + 50_000 * HOUR + 7);
        let due = schedule.due(first, long).unwrap();
        assert_eq!((due.last, due.count), (EpochMs(first.0 + 50_000 * HOUR), COUNTED_MAX));
    }
}

#[test]
fn a_frequency_above_the_minimum_is_refused_with_both() {
    let error = cron("*/15 * * * *", "UTC", "2026-01-01T00:00:00Z").frequency.check(Duration::from_hours(1));
    let error = error.unwrap_err();
    assert_eq!(error.code(), "interval_too_short");
    let says =
        "\"*/15 * * * *\" comes every 15m, and the shortest interval allowed here is 1h (recurring.min_interval)";
    assert_eq!(error.to_string(), says);
    assert_eq!(every("1d", "UTC", "2026-01-01T00:00:00Z").frequency.check(Duration::from_hours(24)), Ok(()));
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let zones = prop::sample::select(vec!["UTC", "Europe/Madrid", "America/New_York", "Australia/Lord_Howe"]);
    let written =
        prop::sample::select(vec!["7m", "24h", "1d", "2w", "*/20 * * * *", "30 2 * * *", "0 1-3 * 3,10,11 0"]);
    (zones, written, 1_767_225_600_000_i64..1_830_297_600_000).prop_map(|(zone, written, first)| {
        let frequency = match Crontab::parse(written) {
            Ok(crontab) => Frequency::Cron(Box::new(crontab)),
            Err(_) => Frequency::Every(Interval::parse(written).unwrap()),
        };
        Schedule { frequency, zone: Zone::parse(zone).unwrap(), first: EpochMs(first), until: None }
    })
}

proptest! {
    #[test]
    fn due_times_only_grow_and_none_is_left_out(schedule in schedules(), from in -90_000_000_i64..40_000_000_000) {
        let from = EpochMs(schedule.first.0 + from);
        let due: Vec<_> = schedule.coming(from).take(30).collect();
        prop_assert_eq!(due.len(), 30);
        for pair in due.windows(2) {
            prop_assert!(from < pair[0] && pair[0] < pair[1]);
            // Asked from anywhere between two due times, the answer is the later one.
            for middle in [pair[0].0, pair[0].0 + (pair[1].0 - pair[0].0) / 2, pair[1].0 - 1] {
                prop_assert_eq!(schedule.after(EpochMs(middle)), Some(pair[1]));
            }
        }
        prop_assert_eq!(schedule.latest(due[0], due[29]), due[29]);
    }
}
