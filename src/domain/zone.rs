//! A time zone of the IANA database, and the one rule for its two odd hours.
//!
//! When clocks go forward, some local times do not exist; when they go back, some occur twice. Everything that is
//! written in local time comes through here, so that it is decided once: what does not exist is the next valid
//! instant, what occurs twice is its first occurrence.

use chrono::{DateTime, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _};
use chrono_tz::Tz;

use super::{clock::EpochMs, excerpt::Excerpt};

/// Minutes looked ahead for a local time that exists. The longest gap known is a day: Samoa, December 2011.
const GAP_MINUTES: i64 = 26 * 60;

/// Not the name of a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not a time zone of the IANA database, such as Europe/Madrid or America/Bogota")]
pub struct ZoneError {
    value: Excerpt,
}

impl ZoneError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        "unknown_timezone"
    }
}

/// A zone of the IANA database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

impl Zone {
    /// Where a local time is the instant itself.
    pub const UTC: Self = Self(Tz::UTC);

    /// Takes the name of a zone, letter by letter as the database writes it.
    pub fn parse(name: &str) -> Result<Self, ZoneError> {
        name.parse().map(Self).map_err(|_| ZoneError { value: Excerpt::of(name) })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// What clocks show at an instant.
    pub fn local(self, at: EpochMs) -> NaiveDateTime {
        let utc = DateTime::from_timestamp_millis(at.0).unwrap_or_default();
        utc.with_timezone(&self.0).naive_local()
    }

    /// The instant of a local time; `None` at the ends of the calendar.
    pub fn instant(self, local: NaiveDateTime) -> Option<EpochMs> {
        let of = |local| self.0.from_local_datetime(&local).earliest().map(|t| EpochMs(t.timestamp_millis()));
        if let Some(at) = of(local) {
            return Some(at);
        }
        // In a gap. Its end is on a whole minute in every zone since clocks were set by law.
        let minute = local.checked_sub_signed(TimeDelta::milliseconds(local.and_utc().timestamp_millis() % 60_000))?;
        (1..=GAP_MINUTES).find_map(|minutes| of(minute.checked_add_signed(TimeDelta::minutes(minutes))?))
    }

    /// `2026-03-29T03:00:00+02:00`: the local time with its offset.
    pub fn to_rfc3339(self, at: EpochMs) -> String {
        let Some(utc) = DateTime::from_timestamp_millis(at.0) else { return at.to_rfc3339() };
        utc.with_timezone(&self.0).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false)
    }

    /// Seconds that local time is ahead of UTC at an instant.
    pub fn offset_seconds(self, at: EpochMs) -> i32 {
        let utc = DateTime::from_timestamp_millis(at.0).unwrap_or_default();
        utc.with_timezone(&self.0).offset().fix().local_minus_utc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn local(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap()
    }

    fn utc(zone: &str, text: &str) -> String {
        Zone::parse(zone).unwrap().instant(local(text)).unwrap().to_rfc3339()
    }

    #[test]
    fn a_local_time_that_does_not_exist_is_the_next_valid_instant() {
        for text in ["2026-03-29 02:00:00", "2026-03-29 02:30:00", "2026-03-29 02:59:59", "2026-03-29 03:00:00"] {
            assert_eq!(utc("Europe/Madrid", text), "2026-03-29T01:00:00.000Z", "{text}");
        }
        assert_eq!(utc("Australia/Lord_Howe", "2026-10-04 02:10:00"), "2026-10-03T15:30:00.000Z");
        assert_eq!(utc("Pacific/Apia", "2011-12-30 12:00:00"), "2011-12-30T10:00:00.000Z");
        assert_eq!(utc("America/Sao_Paulo", "2018-11-04 00:00:00"), "2018-11-04T03:00:00.000Z");
    }

    #[test]
    fn a_local_time_that_occurs_twice_is_its_first_occurrence() {
        assert_eq!(utc("Europe/Madrid", "2026-10-25 02:30:00"), "2026-10-25T00:30:00.000Z");
        assert_eq!(utc("Europe/Madrid", "2026-10-25 03:00:00"), "2026-10-25T02:00:00.000Z");
        assert_eq!(utc("America/New_York", "2026-11-01 01:15:00"), "2026-11-01T05:15:00.000Z");
    }

    #[test]
    fn what_is_no_zone_is_refused_by_name() {
        for bad in ["", "Madrid", "europe/madrid", "+01:00", "Mars/Olympus"] {
            let error = Zone::parse(bad).unwrap_err();
            assert_eq!(error.code(), "unknown_timezone");
            assert!(error.to_string().contains(bad), "{error}");
        }
        assert_eq!(Zone::parse("America/Bogota").unwrap().name(), "America/Bogota");
    }

    #[test]
    fn an_instant_is_shown_with_its_offset() {
        let zone = Zone::parse("Asia/Kathmandu").unwrap();
        let at = EpochMs::parse("2026-11-25T00:00:00Z").unwrap();
        assert_eq!(zone.to_rfc3339(at), "2026-11-25T05:45:00+05:45");
        assert_eq!(zone.offset_seconds(at), 20_700);
    }

    proptest! {
        #[test]
        fn a_local_time_comes_back_unless_it_is_one_of_the_odd_hours(
            at in 1_577_836_800_000_i64..2_208_988_800_000,
            zone in prop::sample::select(vec!["Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "UTC"]),
        ) {
            let zone = Zone::parse(zone).unwrap();
            let at = EpochMs(at);
            let back = zone.instant(zone.local(at)).unwrap();
            // Twice: the first occurrence, at most an hour earlier, with the same local time.
            prop_assert!(back <= at && at.since(back).as_secs() <= 3600);
            prop_assert_eq!(zone.local(back), zone.local(at));
        }
    }
}
