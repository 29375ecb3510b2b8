//! `hours` and `cap` of a message.

use schemars::JsonSchema;

/// The name of a preset, or hours as written.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum HoursText {
    /// `colombia`: Ley 2300 de 2023. `united_states` needs a timezone, so it stands in an object.
    Preset(HoursPreset),
    /// Weekday by weekday.
    Written(Box<Hours>),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum HoursPreset {
    /// Monday to Friday 07:00-19:00, Saturday 08:00-15:00, never on Sundays and holidays.
    Colombia,
    /// Every day 08:00-21:00.
    UnitedStates,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Hours {
    /// What the other fields come over.
    preset: Option<HoursPreset>,
    /// A name of the IANA database, such as `America/Bogota`; required unless the preset has one.
    timezone: Option<String>,
    /// One or two blocks, `closed`, or an empty list: any time. A day that is not named is not restricted.
    monday: Option<Weekday>,
    /// As Monday.
    tuesday: Option<Weekday>,
    /// As Monday.
    wednesday: Option<Weekday>,
    /// As Monday.
    thursday: Option<Weekday>,
    /// As Monday.
    friday: Option<Weekday>,
    /// As Monday.
    saturday: Option<Weekday>,
    /// As Monday.
    sunday: Option<Weekday>,
    /// Whose holidays are closed.
    holidays: Option<Holidays>,
    /// Dates that are closed.
    #[schemars(length(max = 400))]
    dates: Option<Vec<ClosedDates>>,
    /// What becomes of messages outside the hours; default: as the channel says, else `hold`.
    otherwise: Option<Otherwise>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Weekday {
    /// `closed`, or one block.
    Text(
        #[schemars(regex(
            pattern = r"^(closed|[0-9]{1,2}:[0-9]{2}(:[0-9]{2})? *- *[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?)$"
        ))]
        String,
    ),
    /// Blocks of local time, half open: `["08:00-12:00", "14:00-18:00"]`.
    Blocks(#[schemars(length(max = 2))] Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Holidays {
    /// Those of Colombia.
    Colombia,
    /// Nobody's.
    None,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum ClosedDates {
    /// One date: `2026-12-24`.
    Date(String),
    /// One date or several, with a reason.
    Named(Box<NamedDates>),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct NamedDates {
    /// One date; not with `from` and `to`.
    date: Option<String>,
    /// The first of several.
    from: Option<String>,
    /// The last of several, at most a year later.
    to: Option<String>,
    /// Why, as people are told.
    #[schemars(length(min = 1, max = 100))]
    reason: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Otherwise {
    /// The message waits.
    Hold,
    /// It is not sent.
    Skip,
}

/// The name of a preset, or a cap as written.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum CapText {
    /// `colombia`: one message a day.
    Preset(CapPreset),
    /// So many messages a period.
    Written(Cap),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum CapPreset {
    /// One message a day on the calendar of Bogotá.
    Colombia,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Cap {
    /// What the other fields come over.
    preset: Option<CapPreset>,
    /// How many messages an address gets.
    #[schemars(range(min = 1, max = 100))]
    messages: Option<u32>,
    /// In which time: `24h` passes, `1d` is a day on the calendar; at most 31 days.
    per: Option<String>,
    /// A name of the IANA database, where days begin; default UTC.
    timezone: Option<String>,
    /// What becomes of a message over the cap; default `hold`.
    otherwise: Option<Otherwise>,
}
