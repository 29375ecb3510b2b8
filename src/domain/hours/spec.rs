//! Hours as they are written: a preset's name, or an object. One reading for the configuration, jobs and runs.
//!
//! ```json
//! {"preset": "colombia", "saturday": ["09:00-12:00"], "dates": [{"date": "2026-12-24", "reason": "Nochebuena"}]}
//! ```

use chrono::NaiveDate;
use serde_json::{Map, Value, json};

use super::holidays::Calendar;
use super::{Block, ClosedDates, Day, Hours, Otherwise, SECONDS_A_DAY};
use crate::domain::Excerpt;
use crate::domain::word::words;
use crate::domain::zone::{Zone, ZoneError};

/// Dates at most; a longer list is a calendar, which belongs into a preset.
const DATES_MAX: usize = 400;
/// Characters of a reason.
const REASON_MAX_CHARS: usize = 100;
/// The reason of a date that has none.
const NO_REASON: &str = "closed";

const WEEK: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Every field of an object of hours.
pub const FIELDS: [&str; 12] = [
    "preset",
    "timezone",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "holidays",
    "dates",
    "otherwise",
];

words! {
    /// Hours that have a name.
    pub enum Preset {
        /// Ley 2300 de 2023: Monday to Friday 7 to 19, Saturday 8 to 15, never on Sundays and holidays.
        Colombia = "colombia",
        /// Regulation F and the TCPA: 8 to 21 local time; the zone must be said.
        UnitedStates = "united_states",
    }
}

/// Why hours are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct HoursError {
    /// The field inside the hours, such as `monday[0]`; empty for the whole.
    pub field: String,
    /// The stable code of this refusal.
    pub code: &'static str,
    /// Value and rule.
    pub rule: String,
}

fn refused(field: impl Into<String>, rule: impl Into<String>) -> HoursError {
    HoursError { field: field.into(), code: "invalid_hours", rule: rule.into() }
}

fn shown(value: &Value) -> String {
    Excerpt::of(value.as_str().unwrap_or(&value.to_string())).to_string()
}

impl Preset {
    fn week(self) -> [Day; 7] {
        let hours = |from: u32, to: u32| Day::Blocks(vec![Block { from: from * 3600, to: to * 3600 }]);
        match self {
            Self::Colombia => {
                let weekday = || hours(7, 19);
                [weekday(), weekday(), weekday(), weekday(), weekday(), hours(8, 15), Day::Closed]
            }
            Self::UnitedStates => std::array::from_fn(|_| hours(8, 21)),
        }
    }

    fn holidays(self) -> Option<Calendar> {
        (self == Self::Colombia).then_some(Calendar::Colombia)
    }

    /// The zone of its country, where it has one.
    pub const fn zone_name(self) -> Option<&'static str> {
        match self {
            Self::Colombia => Some("America/Bogota"),
            Self::UnitedStates => None,
        }
    }
}

impl Hours {
    /// Reads a preset's name or an object; unknown fields are refused.
    pub fn parse(value: &Value) -> Result<Self, HoursError> {
        let object = match value {
            Value::String(preset) => &Map::from_iter([("preset".to_owned(), Value::from(preset.as_str()))]),
            Value::Object(object) => object,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                return Err(refused(
                    "",
                    format!("{} is neither the name of a preset nor an object of hours", shown(value)),
                ));
            }
        };
        if let Some(unknown) = object.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            let rule = format!("{} is not a field of hours: known are {}", Excerpt::of(unknown), FIELDS.join(", "));
            return Err(refused("", rule));
        }
        let given = |name: &str| object.get(name).filter(|value| !value.is_null());
        let preset = given("preset")
            .map(|value| known_word("preset", value, Preset::parse, Preset::ALL.iter().map(|p| p.as_str())))
            .transpose()?;
        let zone = zone(given("timezone"), preset)?;
        let mut week = preset.map_or_else(|| std::array::from_fn(|_| Day::Unrestricted), Preset::week);
        for (day, name) in week.iter_mut().zip(WEEK) {
            if let Some(value) = given(name) {
                *day = weekday(name, value)?;
            }
        }
        if week.iter().all(|day| *day == Day::Closed) {
            return Err(refused("", "every weekday is closed: nothing would ever be sent"));
        }
        let holidays = match given("holidays") {
            None => preset.and_then(Preset::holidays),
            Some(Value::String(none)) if none == "none" => None,
            Some(value) => {
                let known = Calendar::ALL.iter().map(|c| c.as_str()).chain(["none"]);
                Some(known_word("holidays", value, Calendar::parse, known)?)
            }
        };
        let known = Otherwise::ALL.iter().map(|o| o.as_str());
        let otherwise =
            given("otherwise").map(|value| known_word("otherwise", value, Otherwise::parse, known)).transpose()?;
        Ok(Self { zone, week, dates: dates(given("dates"))?, holidays, otherwise })
    }

    /// All of it as an object without a preset, as [`Hours::parse`] reads it.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("timezone".to_owned(), self.zone.name().into());
        for (day, name) in self.week.iter().zip(WEEK) {
            let written = match day {
                Day::Unrestricted => continue,
                Day::Closed => "closed".into(),
                Day::Blocks(blocks) => blocks.iter().map(|block| Value::from(block.to_string())).collect(),
            };
            object.insert(name.to_owned(), written);
        }
        if let Some(calendar) = self.holidays {
            object.insert("holidays".to_owned(), calendar.as_str().into());
        }
        if !self.dates.is_empty() {
            let dates = self.dates.iter().map(
                |dates| json!({"from": dates.first.to_string(), "to": dates.last.to_string(), "reason": dates.reason}),
            );
            object.insert("dates".to_owned(), dates.collect());
        }
        if let Some(otherwise) = self.otherwise {
            object.insert("otherwise".to_owned(), otherwise.as_str().into());
        }
        object.into()
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = |second: u32| {
            let seconds = if second.is_multiple_of(60) { String::new() } else { format!(":{:02}", second % 60) };
            format!("{:02}:{:02}{seconds}", second / 3600, second / 60 % 60)
        };
        write!(f, "{}-{}", time(self.from), time(self.to))
    }
}

fn known_word<T>(
    field: &str,
    value: &Value,
    parse: impl Fn(&str) -> Option<T>,
    known: impl Iterator<Item = &'static str>,
) -> Result<T, HoursError> {
    value.as_str().and_then(parse).ok_or_else(|| {
        refused(field, format!("{} is not known: known are {}", shown(value), known.collect::<Vec<_>>().join(", ")))
    })
}

fn zone(value: Option<&Value>, preset: Option<Preset>) -> Result<Zone, HoursError> {
    let written =
        value.map(|value| value.as_str().ok_or_else(|| refused("timezone", format!("{} is not a text", shown(value)))));
    let name = match written.transpose()? {
        Some(name) => name,
        None => preset.and_then(Preset::zone_name).ok_or_else(|| {
            let rule = "the hours need a time zone of the IANA database, such as America/Bogota";
            HoursError { field: "timezone".to_owned(), code: "missing_field", rule: rule.to_owned() }
        })?,
    };
    Zone::parse(name).map_err(|error: ZoneError| HoursError {
        field: "timezone".to_owned(),
        code: error.code(),
        rule: error.to_string(),
    })
}

fn weekday(name: &str, value: &Value) -> Result<Day, HoursError> {
    let wanted = || {
        let rule = format!(
            "{} is neither \"closed\" nor a list of one or two blocks such as [\"08:00-12:00\", \"14:00-18:00\"]; \
             an empty list is any time",
            shown(value)
        );
        refused(name, rule)
    };
    if value.as_str() == Some("closed") {
        return Ok(Day::Closed);
    }
    let texts = match value {
        Value::String(_) => std::slice::from_ref(value),
        Value::Array(texts) if texts.len() <= 2 => texts.as_slice(),
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(wanted()),
    };
    let read = |(i, text): (usize, &Value)| {
        text.as_str().and_then(block).ok_or_else(|| {
            let rule = format!(
                "{} is not a block from one time to a later one of the same day, such as 08:00-19:00",
                shown(text)
            );
            refused(if value.is_array() { format!("{name}[{i}]") } else { name.to_owned() }, rule)
        })
    };
    let mut blocks = texts.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    blocks.sort_unstable();
    match blocks.as_slice() {
        [] => Ok(Day::Unrestricted),
        [first, second] if first.to > second.from => {
            Err(refused(name, format!("the blocks {first} and {second} overlap")))
        }
        _ => Ok(Day::Blocks(blocks)),
    }
}

/// Reads `08:00-19:00`, or with seconds; the end of a day is `24:00`.
fn block(text: &str) -> Option<Block> {
    let second = |text: &str| {
        let parts: Vec<&str> = text.trim().split(':').collect();
        let number = |text: &str, least: usize| {
            let fits = (least..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            fits.then(|| text.parse::<u32>().ok()).flatten()
        };
        let (hour, minute, second) = match parts.as_slice() {
            [hour, minute] => (number(hour, 1)?, number(minute, 2)?, 0),
            [hour, minute, second] => (number(hour, 1)?, number(minute, 2)?, number(second, 2)?),
            _ => return None,
        };
        let of_day = hour * 3600 + minute * 60 + second;
        (minute < 60 && second < 60 && of_day <= SECONDS_A_DAY).then_some(of_day)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (second(from)?, second(to)?);
    (from < to).then_some(Block { from, to })
}

fn dates(value: Option<&Value>) -> Result<Vec<ClosedDates>, HoursError> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let list = value.as_array().filter(|list| list.len() <= DATES_MAX);
    let list = list.ok_or_else(|| refused("dates", format!("a list of at most {DATES_MAX} dates is wanted")))?;
    list.iter().enumerate().map(|(i, value)| closed_dates(&format!("dates[{i}]"), value)).collect()
}

fn closed_dates(field: &str, value: &Value) -> Result<ClosedDates, HoursError> {
    let date = |value: &Value| {
        let read = value.as_str().and_then(|text| NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok());
        read.ok_or_else(|| refused(field, format!("{} is not a date such as 2026-12-24", shown(value))))
    };
    let Value::Object(object) = value else {
        let first = date(value)?;
        return Ok(ClosedDates { first, last: first, reason: NO_REASON.to_owned() });
    };
    if let Some(unknown) = object.keys().find(|name| !["date", "from", "to", "reason"].contains(&name.as_str())) {
        return Err(refused(
            field,
            format!("{} is not a field of a date: known are date, from, to, reason", Excerpt::of(unknown)),
        ));
    }
    let (first, last) = match (object.get("date"), object.get("from"), object.get("to")) {
        (Some(day), None, None) => (date(day)?, date(day)?),
        (None, Some(from), Some(to)) => (date(from)?, date(to)?),
        _ => return Err(refused(field, "either \"date\", or \"from\" and \"to\", are wanted")),
    };
    if first > last || last.signed_duration_since(first).num_days() > 366 {
        return Err(refused(field, format!("from {first} to {last} is not a range of at most a year")));
    }
    let reason = match object.get("reason").filter(|value| !value.is_null()) {
        None => NO_REASON.to_owned(),
        Some(Value::String(text))
            if (1..=REASON_MAX_CHARS).contains(&text.trim().chars().count()) && !text.chars().any(char::is_control) =>
        {
            text.trim().to_owned()
        }
        Some(other) => {
            return Err(refused(
                field,
                format!("{} is not a reason of 1 to {REASON_MAX_CHARS} characters", shown(other)),
            ));
        }
    };
    Ok(ClosedDates { first, last, reason })
}
