//! How many messages an address gets in a period, over all campaigns (the frequency cap).
//!
//! A cap is so many messages in a time that passes (`24h`), or in days on the calendar of a zone (`1d`: a day ends at
//! midnight). It counts what was handed over, and what is about to be; [`Cap::since`] says which of those still count, and
//! [`Cap::frees`] when one of them no longer does. What is over the cap waits or is skipped.

use std::time::Duration;

use chrono::{Days, NaiveTime};
use serde_json::{Map, Value, json};

use super::clock::EpochMs;
use super::excerpt::Excerpt;
use super::frequency::interval::Interval;
use super::hours::Otherwise;
use super::hours::spec::Preset;
use super::keyed;
use super::zone::Zone;

/// Messages of a cap at most: the notes of an address are bounded by it.
pub const MESSAGES_MAX: u32 = 100;
/// The longest period.
pub const PERIOD_MAX: Duration = Duration::from_hours(31 * 24);

/// Every field of an object of a cap.
pub const FIELDS: [&str; 5] = ["preset", "messages", "per", "timezone", "otherwise"];

/// Why a cap is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct CapError {
    /// The field inside the cap; empty for the whole.
    pub field: &'static str,
    /// The stable code of this refusal.
    pub code: &'static str,
    /// Value and rule.
    pub rule: String,
}

fn refused(field: &'static str, rule: impl Into<String>) -> CapError {
    CapError { field, code: "invalid_cap", rule: rule.into() }
}

/// So many messages an address and period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// How many.
    pub messages: u32,
    per: Interval,
    zone: Zone,
    /// What becomes of what is over it.
    pub otherwise: Otherwise,
}

impl Cap {
    /// Reads a preset's name or an object.
    pub fn parse(value: &Value) -> Result<Self, CapError> {
        let object = match value {
            Value::String(preset) => &Map::from_iter([("preset".to_owned(), Value::from(preset.as_str()))]),
            Value::Object(object) => object,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                return Err(refused("", format!("{value} is neither the name of a preset nor an object of a cap")));
            }
        };
        if let Some(unknown) = object.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            let rule = format!("{} is not a field of a cap: known are {}", Excerpt::of(unknown), FIELDS.join(", "));
            return Err(refused("", rule));
        }
        let given = |name: &str| object.get(name).filter(|value| !value.is_null());
        let text = |name: &'static str| {
            let value = given(name);
            value.map(|value| value.as_str().ok_or_else(|| refused(name, format!("{value} is not a text")))).transpose()
        };
        // Ley 2300 de 2023: once a day.
        let preset = match text("preset")? {
            None => None,
            Some("colombia") => Some((1, Interval::Days(1), Preset::Colombia)),
            Some(other) => {
                return Err(refused("preset", format!("{} is not known: known is colombia", Excerpt::of(other))));
            }
        };
        let messages = match given("messages") {
            Some(value) => {
                let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
                count.filter(|count| (1..=MESSAGES_MAX).contains(count)).ok_or_else(|| {
                    refused("messages", format!("{value} is not a whole number from 1 to {MESSAGES_MAX}"))
                })?
            }
            None => preset.map(|(messages, ..)| messages).ok_or_else(|| missing("messages"))?,
        };
        let per = match text("per")? {
            Some(text) => {
                let per = Interval::parse(text).ok().filter(|per| per.about() <= PERIOD_MAX);
                let rule = || {
                    format!(
                        "{} is not a period: time that passes, as in 24h, or days on the calendar, as in 1d or 1w; at most 31d",
                        Excerpt::of(text)
                    )
                };
                per.ok_or_else(|| refused("per", rule()))?
            }
            None => preset.map(|(_, per, _)| per).ok_or_else(|| missing("per"))?,
        };
        let zone = match text("timezone")?.or_else(|| preset.and_then(|(.., preset)| preset.zone_name())) {
            None => Zone::UTC,
            Some(name) => Zone::parse(name).map_err(|error| CapError {
                field: "timezone",
                code: error.code(),
                rule: error.to_string(),
            })?,
        };
        let otherwise = match text("otherwise")? {
            None => Otherwise::Hold,
            Some(word) => Otherwise::parse(word).ok_or_else(|| {
                refused("otherwise", format!("{} is not known: known are hold, skip", Excerpt::of(word)))
            })?,
        };
        Ok(Self { messages, per, zone, otherwise })
    }

    /// All of it as an object without a preset, as [`Cap::parse`] reads it.
    pub fn to_json(&self) -> Value {
        json!({
            "messages": self.messages, "per": self.per.to_string(), "timezone": self.zone.name(),
            "otherwise": self.otherwise,
        })
    }

    /// Messages from this instant on count at `now`.
    pub fn since(&self, now: EpochMs) -> EpochMs {
        match self.per {
            // One of exactly a period ago no longer counts.
            Interval::Elapsed(elapsed) => EpochMs(now.minus(elapsed).0.saturating_add(1)),
            Interval::Days(days) => self.midnight(now, -i64::from(days - 1)).unwrap_or(now),
        }
    }

    /// When a message of that instant no longer counts.
    pub fn frees(&self, sent: EpochMs) -> EpochMs {
        match self.per {
            Interval::Elapsed(elapsed) => sent.plus(elapsed),
            Interval::Days(days) => self.midnight(sent, days.into()).unwrap_or_else(|| sent.plus(self.per.about())),
        }
    }

    /// How long notes of messages are of use: the period, and the hour that a day may have more.
    pub fn keep(&self) -> Duration {
        self.per.about() + Duration::from_hours(2)
    }

    /// The beginning of the day that lies so many days from that of `at`.
    fn midnight(&self, at: EpochMs, days: i64) -> Option<EpochMs> {
        let date = self.zone.local(at).date();
        let by = Days::new(days.unsigned_abs());
        let date = if days < 0 { date.checked_sub_days(by) } else { date.checked_add_days(by) };
        self.zone.instant(date?.and_time(NaiveTime::MIN))
    }
}

fn missing(field: &'static str) -> CapError {
    CapError { field, code: "missing_field", rule: "the field is required".to_owned() }
}

impl serde::Serialize for Cap {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Cap {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::parse(&value).map_err(serde::de::Error::custom)
    }
}

/// What stands for an address among the notes of what was sent: nobody reads the address from it.
pub fn address_digest(secret: &[u8], address: &str) -> String {
    keyed::digest(secret, "cap", &[address.as_bytes()], keyed::MAX_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> EpochMs {
        EpochMs::parse(text).unwrap()
    }

    fn cap(value: &Value) -> Cap {
        let cap = Cap::parse(value).unwrap();
        assert_eq!(serde_json::from_value::<Cap>(serde_json::to_value(cap).unwrap()).unwrap(), cap);
        cap
    }

    #[test]
    fn a_cap_of_days_ends_at_midnight_of_its_zone() {
        let one_a_day = cap(&json!("colombia"));
        assert_eq!((one_a_day.messages, one_a_day.otherwise), (1, Otherwise::Hold));
        let evening = at("2026-11-25T18:30:00-05:00");
        assert_eq!(one_a_day.since(evening), at("2026-11-25T00:00:00-05:00"));
        assert_eq!(one_a_day.frees(evening), at("2026-11-26T00:00:00-05:00"));
        let week = cap(&json!({"messages": 2, "per": "1w", "timezone": "Europe/Madrid", "otherwise": "skip"}));
        assert_eq!(week.since(at("2026-10-28T12:00:00+01:00")), at("2026-10-22T00:00:00+02:00"));
        assert_eq!(week.frees(at("2026-10-22T12:00:00+02:00")), at("2026-10-29T00:00:00+01:00"));
    }

    #[test]
    fn a_cap_of_hours_counts_time_that_passes() {
        let cap = cap(&json!({"messages": 3, "per": "24h"}));
        let noon = at("2026-11-25T12:00:00Z");
        assert_eq!(cap.frees(noon), at("2026-11-26T12:00:00Z"));
        let next = at("2026-11-26T12:00:00Z");
        assert!(cap.since(next) > noon, "it does not count any more when it is said to");
        assert!(cap.since(EpochMs(next.0 - 1)) <= noon);
    }

    #[test]
    fn what_counts_is_what_is_not_yet_free() {
        for written in [json!("colombia"), json!({"messages": 1, "per": "90m"}), json!({"messages": 1, "per": "3d"})] {
            let cap = cap(&written);
            let sent = at("2026-11-25T18:30:00-05:00");
            let frees = cap.frees(sent);
            assert!(cap.since(EpochMs(frees.0 - 1)) <= sent && cap.since(frees) > sent);
            assert!(frees.since(sent) <= cap.keep());
        }
    }

    #[test]
    fn what_is_no_cap_is_refused_with_field_and_rule() {
        for (value, code, field) in [
            (json!(1), "invalid_cap", ""),
            (json!("spain"), "invalid_cap", "preset"),
            (json!({}), "missing_field", "messages"),
            (json!({"messages": 1}), "missing_field", "per"),
            (json!({"messages": 0, "per": "1d"}), "invalid_cap", "messages"),
            (json!({"messages": 101, "per": "1d"}), "invalid_cap", "messages"),
            (json!({"messages": "1", "per": "1d"}), "invalid_cap", "messages"),
            (json!({"messages": 1, "per": "32d"}), "invalid_cap", "per"),
            (json!({"messages": 1, "per": "daily"}), "invalid_cap", "per"),
            (json!({"messages": 1, "per": 1}), "invalid_cap", "per"),
            (json!({"messages": 1, "per": "1d", "timezone": "Bogota"}), "unknown_timezone", "timezone"),
            (json!({"messages": 1, "per": "1d", "otherwise": "drop"}), "invalid_cap", "otherwise"),
            (json!({"messages": 1, "every": "1d"}), "invalid_cap", ""),
        ] {
            let error = Cap::parse(&value).expect_err(&value.to_string());
            assert_eq!((error.code, error.field), (code, field), "{value}: {error}");
        }
    }
}
