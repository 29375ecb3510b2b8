//! The events of the results stream as other systems read them (`jobs/results/schema.json`).
//!
//! One type a kind; each event is written by the script or the handler that makes it true, and a test holds every event
//! of a real daemon against the schema made from these types. The same event twice has the same `event` id, two
//! different ones never do.

mod recurring;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::{
    campaign::CampaignState,
    case::{CaseState, ClosedReason},
    delivery::DeliveryState,
    optout::{Bar, By},
    order::OrderState,
    run::ShownState,
};

/// The word `delivery` in `type`.
pub const DELIVERY: &str = "delivery";

/// The word `orders` in `type`.
pub const ORDERS: &str = "orders";

/// The word `reply` in `type`.
pub const REPLY: &str = "reply";

/// The word `opt_out` in `type`.
pub const OPT_OUT: &str = "opt_out";

/// The word `case` in `type`.
pub const CASE: &str = "case";

/// A message to one contact came to a state: sent, or why not; later what the network says of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "delivery")]
pub struct DeliveryEvent<'a> {
    /// `<campaign>/<run>/<order or case>.<contact>/<attempt>/<state>`.
    pub event: &'a str,
    /// `delivery`.
    #[schemars(extend("const" = "delivery"))]
    pub r#type: &'static str,
    /// The campaign.
    pub campaign: &'a str,
    /// The run, such as `delivery@1`.
    pub run: &'a str,
    /// The order's number in its campaign; of a message to a case, that of the case's order, if it is about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub order: Option<u64>,
    /// The case's number in its campaign, of a message to a case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub case: Option<u64>,
    /// The case's id, of a message to a case; empty where the case is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    /// Of a message to a further contact of its case: its index among the case's contacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub contact_number: Option<u32>,
    /// The row's key of the order; empty where it is gone or there is none.
    pub key: &'a str,
    /// The order's reference.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reference: &'a str,
    /// The address, masked.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub contact: &'a str,
    /// Where the delivery stands.
    #[schemars(schema_with = "outcome")]
    pub state: &'static str,
    /// Why, as a code.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'a str,
    /// Who says so, where it is not the daemon that sent it: `receipt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "by_receipt")]
    pub by: Option<&'static str>,
    /// The attempt that the ledger counts, from 1; 0 where none was made. It never falls, also where a receipt tells
    /// of an earlier one.
    pub attempt: u32,
    /// Parts of the message; 0 where none was made, absent in news by receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<usize>,
    /// The provider's id.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub provider_id: &'a str,
    /// When it came to this state, epoch milliseconds.
    pub at: i64,
}

/// What happened to one order.
#[derive(JsonSchema)]
#[schemars(rename = "order")]
#[expect(dead_code, reason = "the type exists for its schema; the handler writes the event with the change")]
struct OrderEvent {
    /// `<campaign>/<order>/<what>`, such as `nov-dues/42/paid`.
    event: String,
    /// `order`.
    #[schemars(extend("const" = "order"))]
    r#type: String,
    /// The campaign.
    campaign: String,
    /// Its number in the campaign.
    #[schemars(range(min = 1))]
    order: u64,
    /// The row's key.
    key: String,
    /// The order's reference.
    reference: String,
    /// Its state now.
    #[schemars(schema_with = "order_state")]
    state: String,
    /// A payment or a refund: its sum, minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<u64>,
    /// What was paid in all, minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    paid: Option<u64>,
    /// What was paid back in all, minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded: Option<u64>,
    /// When it happened, where the platform said so, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<i64>,
    /// Another payment point collects from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_point: Option<String>,
    /// The order's link from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    /// The end of the link that a payment platform gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    short_code: Option<String>,
    /// Why a payment platform did not take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// True where the person was forgotten: forget too. The state is what it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    forgotten: Option<bool>,
    /// When, epoch milliseconds.
    at: i64,
}

/// A stretch of orders was generated: read them by their numbers. One event a slice, never one an order.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "orders")]
pub struct OrdersEvent<'a> {
    /// `<campaign>/orders/<first>-<last>`.
    pub event: &'a str,
    /// `orders`.
    #[schemars(extend("const" = "orders"))]
    pub r#type: &'static str,
    /// The campaign.
    pub campaign: &'a str,
    /// The generate job.
    pub job: &'a str,
    /// Lowest number of the stretch.
    #[schemars(range(min = 1))]
    pub first: u64,
    /// Highest number of the stretch.
    #[schemars(range(min = 1))]
    pub last: u64,
    /// The state they were generated in.
    #[schemars(schema_with = "order_state")]
    pub state: &'static str,
    /// When, epoch milliseconds.
    pub at: i64,
}

/// A case came to a state: a message or a command closed it, a command opened it again.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "case")]
pub struct CaseEvent<'a> {
    /// `<campaign>/case/<case>/<state>/<at>`.
    pub event: &'a str,
    /// `case`.
    #[schemars(extend("const" = "case"))]
    pub r#type: &'static str,
    /// The campaign.
    pub campaign: &'a str,
    /// Its number in the campaign; orders are numbered apart.
    #[schemars(range(min = 1))]
    pub case: u64,
    /// Its id.
    pub id: &'a str,
    /// Its state now.
    #[schemars(schema_with = "case_state")]
    pub state: &'static str,
    /// Why it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "closed_reason")]
    pub reason: Option<&'static str>,
    /// The run whose message closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<&'a str>,
    /// How it ended, in the words of whoever closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'a str>,
    /// True where the person was forgotten: forget too. The state is what it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<bool>,
    /// When, epoch milliseconds.
    pub at: i64,
}

/// A person unsubscribed or subscribed again, or was blocked or not any more: for the whole company.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "opt_out")]
pub struct OptOutEvent<'a> {
    /// `<list>/<on or off>/<whose>/<at>`.
    pub event: &'a str,
    /// `opt_out`.
    #[schemars(extend("const" = "opt_out"))]
    pub r#type: &'static str,
    /// `opted_out`: no commercial messages; `blocked`: none at all.
    #[schemars(schema_with = "opt_out_list")]
    pub list: &'static str,
    /// Whether they are on that list from now on, or not any more.
    pub listed: bool,
    /// Who wished it.
    #[schemars(schema_with = "opt_out_by")]
    pub by: &'static str,
    /// The campaign whose message led to it, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<&'a str>,
    /// The order in it, by its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub order: Option<u64>,
    /// The case in it, by its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub case: Option<u64>,
    /// The addresses, masked.
    pub contacts: Vec<String>,
    /// When, epoch milliseconds.
    pub at: i64,
}

/// Somebody answered.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "reply")]
pub struct ReplyEvent<'a> {
    /// `<campaign>/reply/<digest>`; `reply/<digest>` where it answers no message of ours.
    pub event: &'a str,
    /// `reply`.
    #[schemars(extend("const" = "reply"))]
    pub r#type: &'static str,
    /// The channel it came by.
    pub channel: &'a str,
    /// The campaign whose message it answers, where one was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<&'a str>,
    /// The run of that message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<&'a str>,
    /// The order that the message was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub order: Option<u64>,
    /// The case that keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub case: Option<u64>,
    /// The id of that case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    /// True where that case was opened for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened: Option<bool>,
    /// Then: the case of the message, which its run had closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub answers: Option<u64>,
    /// Who, masked.
    pub contact: String,
    /// The same for every reply of one address, and in the note of a `forget`: a keyed digest.
    pub person: &'a str,
    /// What, at most 1,000 characters; nothing once the person was forgotten.
    pub text: &'a str,
    /// A word such as STOP (true: on the list of opt-outs now) or START (false: not any more).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed: Option<bool>,
    /// The provider's id of it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub provider_id: &'a str,
    /// When it was said, epoch milliseconds.
    pub at: i64,
}

/// A run came to a state.
#[derive(JsonSchema)]
#[schemars(rename = "run")]
#[expect(dead_code, reason = "the type exists for its schema; scripts write the event")]
struct RunEvent {
    /// `<campaign>/<run>/<state>/<number>`.
    event: String,
    /// `run`.
    #[schemars(extend("const" = "run"))]
    r#type: String,
    /// The campaign.
    campaign: String,
    /// The run.
    run: String,
    /// Its state; `running` when it began or goes on.
    #[schemars(schema_with = "run_state")]
    state: String,
    /// Its deliveries, at its beginning and end.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// Held: when the contact hours open, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    /// Paused by itself: why, as a code, with that of a failure behind it: `too_many_errors:server_error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// At the end of one for cases: how many cases it was for, without those that were left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    matched: Option<u64>,
    /// When, epoch milliseconds.
    at: i64,
}

/// A campaign came to a state.
#[derive(JsonSchema)]
#[schemars(rename = "campaign")]
#[expect(dead_code, reason = "the type exists for its schema; scripts write the event")]
struct CampaignEvent {
    /// `<campaign>/<state>/<number>`.
    event: String,
    /// `campaign`.
    #[schemars(extend("const" = "campaign"))]
    r#type: String,
    /// The campaign.
    campaign: String,
    /// Its state.
    #[schemars(schema_with = "campaign_state")]
    state: String,
    /// When, epoch milliseconds.
    at: i64,
}

/// A job ended.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "job")]
pub struct JobEvent<'a> {
    /// `<queue>:<entry id>/<state>`.
    pub event: &'a str,
    /// `job`.
    #[schemars(extend("const" = "job"))]
    pub r#type: &'static str,
    /// Its id; `<queue>:<entry id>` where its producer gave none.
    pub job: &'a str,
    /// Its queue.
    pub queue: &'a str,
    /// The campaign it is about, where it names one.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub campaign: &'a str,
    /// How it ended.
    #[schemars(schema_with = "job_state")]
    pub state: &'a str,
    /// Why it is rejected or dead: a code of `jobs/README.md`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub code: &'a str,
    /// When, epoch milliseconds.
    pub at: i64,
}

fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Schema {
    let words: Vec<Value> = words.into_iter().map(Value::from).collect();
    let mut schema = Schema::default();
    schema.insert("type".to_owned(), "string".into());
    schema.insert("enum".to_owned(), words.into());
    schema
}

fn outcome(_: &mut SchemaGenerator) -> Schema {
    one_of(DeliveryState::ALL.iter().filter(|state| !state.is_open()).map(|state| state.as_str()))
}

fn by_receipt(_: &mut SchemaGenerator) -> Schema {
    one_of(["receipt"])
}

fn order_state(_: &mut SchemaGenerator) -> Schema {
    one_of(OrderState::ALL.iter().map(|state| state.as_str()))
}

fn case_state(_: &mut SchemaGenerator) -> Schema {
    one_of(CaseState::ALL.iter().map(|state| state.as_str()))
}

fn opt_out_list(_: &mut SchemaGenerator) -> Schema {
    one_of(Bar::ALL.iter().map(|list| list.as_str()))
}

fn opt_out_by(_: &mut SchemaGenerator) -> Schema {
    one_of(By::ALL.iter().map(|by| by.as_str()))
}

fn closed_reason(_: &mut SchemaGenerator) -> Schema {
    one_of(ClosedReason::ALL.iter().map(|reason| reason.as_str()))
}

fn run_state(_: &mut SchemaGenerator) -> Schema {
    one_of(ShownState::ALL.iter().map(|state| state.as_str()))
}

fn campaign_state(_: &mut SchemaGenerator) -> Schema {
    one_of(CampaignState::ALL.iter().map(|state| state.as_str()))
}

fn job_state(_: &mut SchemaGenerator) -> Schema {
    one_of(["done", "dead", "rejected"])
}

/// The kinds of events, in the order of the documentation.
pub const EVENT_KINDS: [&str; 10] =
    ["delivery", "order", "orders", "case", "opt_out", "reply", "run", "campaign", "recurring", "job"];

/// The schema of the results stream: of the field `data` of an entry.
pub fn event_schema() -> Value {
    let kinds = [
        schema_of::<DeliveryEvent<'static>>(),
        schema_of::<OrderEvent>(),
        schema_of::<OrdersEvent<'static>>(),
        schema_of::<CaseEvent<'static>>(),
        schema_of::<OptOutEvent<'static>>(),
        schema_of::<ReplyEvent<'static>>(),
        schema_of::<RunEvent>(),
        schema_of::<CampaignEvent>(),
        schema_of::<recurring::RecurringEvent>(),
        schema_of::<JobEvent<'static>>(),
    ];
    let kinds = kinds.map(|mut kind: Schema| {
        kind.remove("$schema");
        // A field that may be left out is never null.
        let mut kind = kind.to_value();
        never_null(&mut kind);
        kind
    });
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://remesa.example/jobs/results/schema.json",
        "title": "Remesa: an event of the results stream",
        "description": "The field `data` of an entry. Fields may be added; a reader passes over what it does not know.",
        "oneOf": kinds,
    });
    schema.sort_all_objects();
    schema
}

/// The schema of what is written, so that a field which may be left out is not required.
fn schema_of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

fn never_null(kind: &mut Value) {
    let Some(properties) = kind.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for property in properties.values_mut() {
        if let Some(types) = property.get("type").and_then(Value::as_array).cloned()
            && let Some(only) = types.into_iter().find(|name| name != "null")
            && let Some(property) = property.as_object_mut()
        {
            property.insert("type".to_owned(), only);
        }
    }
}
