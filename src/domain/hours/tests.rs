//! The hours of weekdays, dates, zones and presets, case by case.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

use super::*;

fn hours(value: &Value) -> Hours {
    let hours = Hours::parse(value).unwrap();
    assert_eq!(Hours::parse(&hours.to_json()).unwrap(), hours, "hours are read back from a run");
    hours
}

fn at(text: &str) -> EpochMs {
    EpochMs::parse(text).unwrap()
}

fn madrid(day: &str, blocks: &Value) -> Hours {
    hours(&json!({"timezone": "Europe/Madrid", day: blocks}))
}

#[test]
fn bm_3_blocks_are_half_open_on_local_time() {
    // 2026-11-25 is a Wednesday; Madrid is at UTC+1.
    let hours = madrid("wednesday", &json!(["16:00-20:00", "09:00-14:00"]));
    for (time, open) in [
        ("08:59:59.999", false),
        ("09:00:00", true),
        ("13:59:59.999", true),
        ("14:00:00", false),
        ("15:59:59", false),
        ("16:00:00", true),
        ("20:00:00", false),
    ] {
        let instant = at(&format!("2026-11-25T{time}+01:00"));
        assert_eq!(hours.closed(instant).is_none(), open, "{time}");
    }
    assert_eq!(hours.opens(at("2026-11-25T07:00:00+01:00")), at("2026-11-25T09:00:00+01:00"));
    assert_eq!(hours.opens(at("2026-11-25T14:00:00+01:00")), at("2026-11-25T16:00:00+01:00"));
    assert_eq!(hours.opens(at("2026-11-25T10:00:00+01:00")), at("2026-11-25T10:00:00+01:00"));
    assert_eq!(hours.closes(at("2026-11-25T10:00:00+01:00")), Some(at("2026-11-25T14:00:00+01:00")));
    assert_eq!(hours.closes(at("2026-11-25T16:00:00+01:00")), Some(at("2026-11-25T20:00:00+01:00")));
}

#[test]
fn bm_2_a_weekday_without_blocks_is_unrestricted_and_a_closed_one_says_so() {
    let hours =
        hours(&json!({"timezone": "Europe/Madrid", "monday": ["08:00-20:00"], "saturday": [], "sunday": "closed"}));
    assert_eq!(hours.closed(at("2026-11-24T03:00:00+01:00")), None, "a Tuesday says nothing");
    assert_eq!(hours.closed(at("2026-11-28T03:00:00+01:00")), None, "Saturday's list is empty");
    assert_eq!(hours.closed(at("2026-11-29T12:00:00+01:00")).as_deref(), Some("closed"));
    // The night before Monday's block, and midnight after it, where Tuesday begins.
    assert_eq!(hours.opens(at("2026-11-29T00:00:00+01:00")), at("2026-11-30T08:00:00+01:00"));
    assert_eq!(hours.opens(at("2026-11-30T21:00:00+01:00")), at("2026-12-01T00:00:00+01:00"));
    assert_eq!(hours.closes(at("2026-11-28T12:00:00+01:00")), Some(at("2026-11-29T00:00:00+01:00")));
    let always = Hours::parse(&json!({"timezone": "UTC"})).unwrap();
    assert_eq!((always.closed(EpochMs(0)), always.closes(EpochMs(0))), (None, None));
}

#[test]
fn bm_3_clocks_that_go_forward_leave_out_what_does_not_exist() {
    // 2026-03-29 in Madrid: 02:00 +01:00 becomes 03:00 +02:00.
    let inside = madrid("sunday", &json!(["02:15-02:45"]));
    assert_eq!(
        inside.opens(at("2026-03-29T01:00:00+01:00")),
        at("2026-03-30T00:00:00+02:00"),
        "that block does not exist"
    );
    let across = madrid("sunday", &json!(["02:30-04:00"]));
    assert_eq!(across.opens(at("2026-03-29T01:00:00+01:00")), at("2026-03-29T03:00:00+02:00"));
    assert_eq!(across.closes(at("2026-03-29T03:00:00+02:00")), Some(at("2026-03-29T04:00:00+02:00")));
    let ends = madrid("sunday", &json!(["01:00-02:30"]));
    assert_eq!(ends.closes(at("2026-03-29T01:30:00+01:00")), Some(at("2026-03-29T03:00:00+02:00")));
    // Midnight itself does not exist in Santiago on 2026-09-06.
    let santiago = hours(&json!({"timezone": "America/Santiago", "saturday": "closed", "sunday": []}));
    assert_eq!(santiago.opens(at("2026-09-05T12:00:00-04:00")), at("2026-09-06T01:00:00-03:00"));
}

#[test]
fn bm_3_clocks_that_go_back_make_an_hour_count_twice() {
    // 2026-10-25 in Madrid: 03:00 +02:00 becomes 02:00 +01:00.
    let hours = madrid("sunday", &json!(["02:15-02:45"]));
    let first = at("2026-10-25T02:15:00+02:00");
    assert_eq!(hours.opens(at("2026-10-25T01:00:00+02:00")), first);
    assert_eq!(hours.closes(first), Some(at("2026-10-25T02:45:00+02:00")));
    let second = at("2026-10-25T02:15:00+01:00");
    assert_eq!(hours.opens(at("2026-10-25T02:50:00+02:00")), second);
    assert_eq!(hours.closes(second), Some(at("2026-10-25T02:45:00+01:00")));
    // What was over is not over any more when the clock goes back into it.
    let morning = madrid("sunday", &json!(["00:00-02:30"]));
    assert_eq!(morning.opens(at("2026-10-25T02:40:00+02:00")), at("2026-10-25T02:00:00+01:00"));
}

#[test]
fn dates_and_holidays_are_closed_with_their_reason() {
    let hours = hours(&json!({
        "preset": "colombia",
        "dates": ["2026-12-31", {"from": "2026-11-26", "to": "2026-11-27", "reason": "Inventario"}],
    }));
    let bogota = |text: &str| at(&format!("{text}:00-05:00"));
    assert_eq!(hours.closed(bogota("2026-11-25T18:59")), None);
    assert_eq!(hours.closed(bogota("2026-11-26T12:00")).as_deref(), Some("Inventario"));
    assert_eq!(hours.closed(bogota("2026-12-31T12:00")).as_deref(), Some("closed"));
    assert_eq!(hours.closed(bogota("2026-12-08T12:00")).as_deref(), Some("Inmaculada Concepción"));
    // From Wednesday evening over two days of inventory to Saturday at eight.
    assert_eq!(hours.opens(bogota("2026-11-25T19:00")), bogota("2026-11-28T08:00"));
    // Saturday at three over Sunday and the holiday of 16 November to Tuesday.
    assert_eq!(hours.opens(bogota("2026-11-14T15:00")), bogota("2026-11-17T07:00"));
    let open_on_holidays = Hours::parse(&json!({"preset": "colombia", "holidays": "none"})).unwrap();
    assert_eq!(open_on_holidays.closed(bogota("2026-12-08T12:00")), None);
}

#[test]
fn a_preset_is_what_the_law_says_and_may_be_narrowed() {
    let colombia = hours(&json!("colombia"));
    let open = |hours: &Hours, text: &str| hours.closed(at(&format!("{text}:00-05:00"))).is_none();
    assert!(open(&colombia, "2026-11-25T07:00") && !open(&colombia, "2026-11-25T06:59"));
    assert!(open(&colombia, "2026-11-28T14:59") && !open(&colombia, "2026-11-28T15:00"), "Saturday");
    assert!(!open(&colombia, "2026-11-29T12:00"), "Sunday");
    let narrowed = hours(&json!({"preset": "colombia", "saturday": "closed", "otherwise": "skip"}));
    assert!(!open(&narrowed, "2026-11-28T12:00") && open(&narrowed, "2026-11-27T12:00"));
    assert_eq!((colombia.otherwise(), narrowed.otherwise()), (None, Some(Otherwise::Skip)));
    let chicago = hours(&json!({"preset": "united_states", "timezone": "America/Chicago"}));
    assert_eq!(chicago.opens(at("2026-11-29T05:00:00-06:00")), at("2026-11-29T08:00:00-06:00"));
    assert_eq!(chicago.closes(at("2026-11-29T12:00:00-06:00")), Some(at("2026-11-29T21:00:00-06:00")));
}

#[test]
fn what_is_not_hours_is_refused_with_field_and_rule() {
    let with = |field: &str, value: Value| json!({"timezone": "UTC", field: value});
    let range = json!([{"from": "2026-12-02", "to": "2026-12-01"}]);
    for (value, code, field, words) in [
        (json!(7), "invalid_hours", "", "neither the name of a preset"),
        (json!("spain"), "invalid_hours", "preset", "known are colombia, united_states"),
        (json!("united_states"), "missing_field", "timezone", "need a time zone"),
        (json!({"monday": ["08:00-19:00"]}), "missing_field", "timezone", "need a time zone"),
        (json!({"timezone": "Bogota"}), "unknown_timezone", "timezone", "America/Bogota"),
        (with("mondays", json!([])), "invalid_hours", "", "\"mondays\" is not a field of hours"),
        (with("monday", json!("shut")), "invalid_hours", "monday", "not a block"),
        (with("monday", json!(["19:00-08:00"])), "invalid_hours", "monday[0]", "from one time to a later one"),
        (with("monday", json!(["08:00-24:01"])), "invalid_hours", "monday[0]", "not a block"),
        (with("monday", json!(["8-12"])), "invalid_hours", "monday[0]", "not a block"),
        (with("monday", json!(["08:00:60-12:00"])), "invalid_hours", "monday[0]", "not a block"),
        (with("monday", json!(["08:00-12:00", "11:59-13:00"])), "invalid_hours", "monday", "overlap"),
        (
            with("monday", json!(["1:00-2:00", "3:00-4:00", "5:00-6:00"])),
            "invalid_hours",
            "monday",
            "one or two blocks",
        ),
        (with("dates", json!(["2026-02-30"])), "invalid_hours", "dates[0]", "is not a date"),
        (with("dates", range), "invalid_hours", "dates[0]", "is not a range"),
        (with("dates", json!([{"date": "2026-12-01", "to": "2026-12-02"}])), "invalid_hours", "dates[0]", "either"),
        (with("dates", json!([{"date": "2026-12-01", "reason": ""}])), "invalid_hours", "dates[0]", "is not a reason"),
        (with("dates", json!("2026-12-01")), "invalid_hours", "dates", "a list"),
        (with("holidays", json!("spain")), "invalid_hours", "holidays", "known are colombia, none"),
        (with("otherwise", json!("drop")), "invalid_hours", "otherwise", "known are hold, skip"),
        (
            json!({"timezone": "UTC", "monday": "closed", "tuesday": "closed", "wednesday": "closed", "thursday": "closed",
                   "friday": "closed", "saturday": "closed", "sunday": "closed"}),
            "invalid_hours",
            "",
            "nothing would ever be sent",
        ),
    ] {
        let error = Hours::parse(&value).expect_err(&value.to_string());
        assert_eq!((error.code, error.field.as_str()), (code, field), "{value}: {error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(Hours::parse(&with("monday", json!(["08:00-12:00", "12:00-24:00"]))).is_ok(), "blocks may touch");
}

#[test]
fn the_hours_of_a_channel_and_of_its_message_both_bind() {
    let channel = hours(&json!({"timezone": "America/Bogota", "wednesday": ["07:00-19:00"], "otherwise": "skip"}));
    let message = hours(&json!({"timezone": "Europe/Madrid", "wednesday": ["09:00-18:00"]}));
    let both = ContactHours::of(Some(&channel), Some(&message));
    // 7 in Bogota is 13 in Madrid, where 18 is the end.
    let opens = at("2026-11-25T13:00:00+01:00");
    let Moment::Closed { opens: said, reason } = both.at(at("2026-11-25T10:00:00+01:00")) else { panic!("open") };
    assert_eq!((said, reason.as_str()), (opens, "outside_hours"));
    assert_eq!(both.at(opens), Moment::Open { until: Some(at("2026-11-25T18:00:00+01:00")) });
    assert_eq!(both.otherwise(), Otherwise::Skip, "the message says nothing, so its channel does");
    let stored: ContactHours = serde_json::from_str(&both.to_json()).unwrap();
    assert_eq!(stored, both);
    let none = ContactHours::default();
    assert_eq!(
        (none.at(opens), none.to_json(), none.otherwise()),
        (Moment::Open { until: None }, String::new(), Otherwise::Hold)
    );
}

#[test]
fn work_rests_outside_the_hours() {
    let hours = ContactHours::of(Some(&madrid("wednesday", &json!(["09:00-14:00", "16:00-20:00"]))), None);
    let done = |work| hours.done(at("2026-11-25T12:00:00+01:00"), Duration::from_mins(work));
    assert_eq!(done(120), at("2026-11-25T14:00:00+01:00"));
    assert_eq!(done(121), at("2026-11-25T16:01:00+01:00"));
    assert_eq!(done(120 + 240 + 5), at("2026-11-26T00:05:00+01:00"));
    assert_eq!(hours.done(at("2026-11-25T05:00:00+01:00"), Duration::ZERO), at("2026-11-25T09:00:00+01:00"));
    assert_eq!(ContactHours::default().done(EpochMs(5), Duration::from_millis(7)), EpochMs(12));
}

#[test]
fn hours_that_never_open_are_asked_again_after_a_year() {
    let open_monday =
        hours(&json!({"timezone": "UTC", "monday": ["08:00-09:00"], "tuesday": "closed", "wednesday": "closed",
        "thursday": "closed", "friday": "closed", "saturday": "closed", "sunday": "closed"}));
    let open_tuesday =
        hours(&json!({"timezone": "UTC", "tuesday": ["08:00-09:00"], "monday": "closed", "wednesday": "closed",
        "thursday": "closed", "friday": "closed", "saturday": "closed", "sunday": "closed"}));
    let now = at("2026-11-25T12:00:00Z");
    let never = ContactHours::of(Some(&open_monday), Some(&open_tuesday));
    assert!(never.opens(now).since(now) > Duration::from_hours(24 * 365));
}

fn any_hours() -> impl Strategy<Value = Hours> {
    let block = (0_u32..24 * 60, 1_u32..600).prop_map(|(from, long)| {
        let to = (from + long).min(24 * 60);
        format!("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    });
    let day = prop_oneof![Just(json!([])), Just(json!("closed")), block.prop_map(|block| json!([block]))];
    let zone = prop::sample::select(vec![
        "Europe/Madrid",
        "America/New_York",
        "America/Bogota",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "America/Santiago",
    ]);
    (prop::collection::vec(day, 7), zone).prop_filter_map("never open", |(days, zone)| {
        let mut object = json!({ "timezone": zone });
        for (day, name) in
            days.into_iter().zip(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"])
        {
            object[name] = day;
        }
        Hours::parse(&object).ok()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_opening_is_the_first_instant_that_is_inside(hours in any_hours(), now in 1_767_225_600_000_i64..1_798_761_600_000) {
        let now = EpochMs(now);
        let opens = hours.opens(now);
        prop_assert!(opens >= now && hours.closed(opens).is_none());
        // Nothing before it is inside: blocks are at least a minute long, and a block's ends are whole minutes.
        let mut t = now;
        let mut steps = 0;
        while t < opens && steps < 3000 {
            prop_assert!(hours.closed(t).is_some(), "{t} is inside, {opens} was said");
            t = EpochMs((t.0 / 60_000 + 1) * 60_000);
            steps += 1;
        }
    }

    #[test]
    fn up_to_the_closing_every_minute_is_inside(hours in any_hours(), now in 1_767_225_600_000_i64..1_798_761_600_000) {
        let open = hours.opens(EpochMs(now));
        if let Some(closes) = hours.closes(open) {
            prop_assert!(closes > open && hours.closed(closes).is_some());
            let mut t = open;
            let mut steps = 0;
            while t < closes && steps < 3000 {
                prop_assert!(hours.closed(t).is_none(), "{t} is outside, {closes} was said");
                t = EpochMs((t.0 / 60_000 + 1) * 60_000);
                steps += 1;
            }
        }
    }
}
