//! The schema of bulk messages: what `send` and `recurring` have in common, and when each is sent.

use schemars::{JsonSchema, Schema, schema_for};
use serde_json::{Value, json};

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
    let mut schema = own.to_value();
    let message = schema_for!(Message).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.entry("$defs").or_insert_with(|| json!({}));
    }
    merge(&mut schema, &message, "properties");
    merge(&mut schema, &message, "$defs");
    if let (Some(into), Some(from)) =
        (schema.get_mut("required").and_then(Value::as_array_mut), message.get("required").and_then(Value::as_array))
    {
        into.extend(from.iter().cloned());
    }
    Schema::try_from(schema).unwrap_or_default()
}
