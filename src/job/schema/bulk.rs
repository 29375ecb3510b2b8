//! The schema of bulk messages: what `send` and `recurring` have in common, and when each is sent.

use schemars::{JsonSchema, Schema, schema_for};
use serde_json::{Value, json};

use super::contact_rules::{CapText, HoursText};
use super::{Instant, NameText, import::ProviderTemplate, merge};

/// Send one bulk message over the cases or the orders of a campaign.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Send {
    /// The message's name; a campaign has one of each name.
    message: NameText,
    /// When it is sent; default `none`, at once.
    frequency: Option<Frequency>,
}

/// When a message is sent.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Frequency {
    /// `none`: at once.
    Word(FrequencyWord),
    /// At a time.
    At(At),
    /// Again and again: the same as a job of the queue `recurring` of this name.
    Repeated(Times),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum FrequencyWord {
    /// At once.
    None,
}

/// Sent then. What the job says is checked at once, and again at the time.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct At {
    /// When. Not together with the job's own `at`.
    at: Instant,
}

/// Send one bulk message again and again: a permanent message.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Recurring {
    /// Its name in the campaign. Given again, it is changed, from its next due time on.
    recurring: NameText,
}

/// When a permanent message is due. Exactly one of `every` and `cron`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Times {
    /// `24h`, `90m`: time that passes. `1d`, `2w`: days on the calendar, by the wall clock of the zone.
    #[schemars(length(min = 2, max = 40))]
    every: Option<String>,
    /// A crontab line of five fields, as POSIX reads it: `0 9 * * 1-5`.
    #[schemars(length(min = 9, max = 200))]
    cron: Option<String>,
    /// IANA zone of the wall clock: `Europe/Madrid`; default `UTC`.
    timezone: Option<String>,
    /// Nothing is due before it; an interval is counted from it. Default now.
    starts_at: Option<Instant>,
    /// Nothing is due after it.
    until: Option<Instant>,
    /// Stopped after so many runs.
    #[schemars(range(min = 1))]
    max_runs: Option<u64>,
    /// What becomes of due times that nobody saw, because no daemon ran; default `run_once`.
    misfire: Option<Misfire>,
    /// What becomes of a due time while the run before is under way; default `skip`.
    overlap: Option<Overlap>,
    /// How late a run may be; default the smaller of half the interval and 24 h.
    grace: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Misfire {
    /// They become one run, inside the grace.
    RunOnce,
    /// They are passed over.
    Skip,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Overlap {
    /// It is passed over.
    Skip,
    /// It begins when the run before has ended; of several, the latest.
    Queue,
}

/// What is sent to whom. Exactly one of `template` and the words themselves (`text`, `subject`, `html`,
/// `provider_template`).
#[derive(JsonSchema)]
struct Message {
    /// Its name for people.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// The campaign.
    campaign: NameText,
    /// The configured channel.
    channel: NameText,
    /// The name of a stored template; its words are copied when the job is accepted.
    template: Option<NameText>,
    /// The text with `{{ variable }}` placeholders; `{{ url }}`, the order's link, may stand once, anywhere.
    #[schemars(length(max = 5000))]
    text: Option<String>,
    /// The subject of an e-mail.
    subject: Option<String>,
    /// The HTML of an e-mail; values are escaped in it.
    html: Option<String>,
    /// A template that the provider keeps, such as an approved one of WhatsApp.
    provider_template: Option<ProviderTemplate>,
    /// Replaces letters with accents, curly quotes and dashes that GSM-7 lacks by look-alikes that it has; default
    /// false.
    transliterate: Option<bool>,
    /// Whom it is for; default `cases`.
    audience: Option<Audience>,
    /// Which contacts of a case get it; default `latest`.
    contacts: Option<Contacts>,
    /// Leaves closed cases out; default false.
    only_active: Option<bool>,
    /// Closes a case once a message of it was accepted; default false. A reply then opens another case.
    close_cases: Option<bool>,
    /// Only cases that meet all conditions of `all` and, where there are any, one of `any`.
    filter: Option<Filter>,
    /// When messages may leave, beside what the channel says.
    hours: Option<HoursText>,
    /// How many messages an address gets in a period, beside what the channel says.
    cap: Option<CapText>,
    /// One message an address and run: the other cases of the address are skipped; default false.
    once_per_address: Option<bool>,
}

/// Conditions on the columns of a case.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Filter {
    /// Each of these holds.
    #[schemars(length(max = 50))]
    all: Option<Vec<Condition>>,
    /// At least one of these holds, where there are any.
    #[schemars(length(max = 50))]
    any: Option<Vec<Condition>>,
}

/// One condition.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Condition {
    /// A column of the case.
    column: String,
    /// How it is compared.
    operator: Operator,
    /// What it is compared with; two values for `between`, several for `in`, none for `is_empty` and `is_not_empty`.
    value: Option<Value>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Operator {
    Equals,
    NotEquals,
    Contains,
    StartsWith,
    EndsWith,
    Greater,
    Less,
    Between,
    In,
    IsEmpty,
    IsNotEmpty,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Audience {
    /// The cases of the campaign.
    Cases,
    /// Its payment orders that are still available.
    Orders,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Contacts {
    /// The newest one that the channel can use.
    Latest,
    /// Each one that the channel can use, no address twice.
    All,
}

/// Puts the fields of a bulk message beside those that say when it is sent.
pub(super) fn with_message(own: Schema) -> Schema {
    beside(own, schema_for!(Message))
}

/// The same for a permanent message.
pub(super) fn with_times(own: Schema) -> Schema {
    beside(with_message(own), schema_for!(Times))
}

/// Puts the fields of `more` beside those of `own`.
fn beside(own: Schema, more: Schema) -> Schema {
    let (mut schema, more) = (own.to_value(), more.to_value());
    if let Some(object) = schema.as_object_mut() {
        object.entry("$defs").or_insert_with(|| json!({}));
    }
    merge(&mut schema, &more, "properties");
    merge(&mut schema, &more, "$defs");
    if let (Some(into), Some(from)) =
        (schema.get_mut("required").and_then(Value::as_array_mut), more.get("required").and_then(Value::as_array))
    {
        into.extend(from.iter().cloned());
    }
    Schema::try_from(schema).unwrap_or_default()
}
