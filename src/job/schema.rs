//! The published JSON Schemas of the queues, generated from the types below.
//!
//! These types are the contract as a producer's tools see it; decoding asks the same fields in `envelope.rs`,
//! `generate.rs` and `control.rs`, and tests hold the two together (same names, examples valid in both). A schema
//! promises less than decoding checks: what it accepts may still be refused with a code.

#![expect(dead_code, reason = "the types exist for their schema; decoding reads fields one by one for its sentences")]

mod contact_rules;
mod import;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, schema_for};
use serde_json::{Value, json};

use self::contact_rules::{CapText, HoursText};
use super::queue_name::QueueName;

mod bulk;

/// The schema of a queue's jobs.
pub fn schema(queue: QueueName) -> Value {
    let own = match queue {
        QueueName::Generate => schema_for!(Generate),
        QueueName::Control => schema_for!(Control),
        QueueName::Import => schema_for!(import::Import),
        QueueName::Send => bulk::with_message(schema_for!(bulk::Send)),
        QueueName::Recurring => bulk::with_times(schema_for!(bulk::Recurring)),
    };
    with_envelope(queue, own)
}

/// Puts the envelope's fields beside the queue's own, and a name over both.
fn with_envelope(queue: QueueName, own: Schema) -> Value {
    let mut schema = own.to_value();
    let envelope = schema_for!(EnvelopeFields).to_value();
    merge(&mut schema, &envelope, "properties");
    if let Some(object) = schema.as_object_mut() {
        object.entry("$defs").or_insert_with(|| json!({}));
        object.insert("title".to_owned(), format!("Remesa job: {queue}").into());
        object.insert("$id".to_owned(), format!("https://remesa.example/jobs/{queue}/schema.json").into());
    }
    merge(&mut schema, &envelope, "$defs");
    schema.sort_all_objects();
    schema
}

/// Puts a part of one schema (`properties`, `$defs`) beside that of another.
fn merge(schema: &mut Value, from: &Value, part: &str) {
    if let (Some(into), Some(from)) =
        (schema.get_mut(part).and_then(Value::as_object_mut), from.get(part).and_then(Value::as_object))
    {
        into.extend(from.clone());
    }
}

/// The fields of every job.
#[derive(JsonSchema)]
struct EnvelopeFields {
    /// The producer's idempotency key: the same id with the same job is answered by the first job's outcome.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"))]
    id: Option<String>,
    /// Not before this time.
    at: Option<Instant>,
    /// Too late after this time: the job is rejected as `expired`.
    not_after: Option<Instant>,
    /// Ids of jobs that must be done first.
    #[schemars(length(max = 100), inner(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$")))]
    after: Option<Vec<String>>,
    /// Version of the contract.
    #[schemars(range(min = 1, max = 1))]
    v: Option<u32>,
}

/// An instant: RFC 3339 with an offset, or epoch milliseconds.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Instant {
    /// `2026-11-21T10:00:00+01:00`, or the digits of epoch milliseconds.
    Written(String),
    /// Epoch milliseconds, from the year 2000 on.
    Number(#[schemars(range(min = 946_684_800_000_i64))] i64),
}

/// A name of a campaign, channel or payment point.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct NameText(#[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))] String);

/// The name of a run: a name, or one with `@` and digits.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct RunText(#[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(@[0-9]{1,20})?$"))] String);

/// Generate the payment orders of a campaign, and send each with a message if asked.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Generate {
    /// The campaign; one generate job each, unless `append`.
    campaign: NameText,
    /// Its name for people.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// ISO 3166 alpha-2: the country whose phone numbers need no prefix.
    #[schemars(regex(pattern = "^ *[A-Za-z]{2} *$"))]
    country: Option<String>,
    /// ISO 4217: the currency of rows that name none.
    #[schemars(regex(pattern = "^ *[A-Za-z]{3} *$"))]
    currency: Option<String>,
    /// Who collects; the configured default when absent.
    payment_point: Option<NameText>,
    /// How long after its generation an order expires: `10m` to `15d`, default `48h`. Not with `expires_at`.
    expires_in: Option<String>,
    /// When all orders expire: 10 minutes to 15 days after generation. Not with `expires_in`.
    expires_at: Option<Instant>,
    /// What kind of messages the campaign sends; the campaign's own, else `transactional`, when absent.
    category: Option<Category>,
    /// Whether and when something is sent; default `none`.
    delivery: Option<Delivery>,
    /// The configured channel; required unless delivery is `none`.
    channel: Option<NameText>,
    /// What is sent; required unless delivery is `none`.
    message: Option<MessageText>,
    /// When its messages may leave, beside what the channel says.
    hours: Option<HoursText>,
    /// How many messages an address gets in a period, beside what the channel says.
    cap: Option<CapText>,
    /// The rows themselves, at most 1,000. Exactly one of `rows` and `rows_from`.
    #[schemars(length(min = 1, max = 1000))]
    rows: Option<Vec<RowColumns>>,
    /// A file, a Redis list or an address with the rows.
    rows_from: Option<RowsFrom>,
    /// Adds orders to a campaign that has its generate job already.
    append: Option<bool>,
    /// With `delivery: at`: rows without a valid number are generated all the same.
    allow_partial: Option<bool>,
}

/// What kind of messages a campaign sends.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Category {
    /// About an order or a matter the person has.
    Transactional,
    /// Advertising: each message has an unsubscribe link, and nobody who unsubscribed gets one.
    Commercial,
}

/// Whether and when something is sent.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Delivery {
    /// `none`: just generate. `now`: send as soon as the orders are there.
    Word(DeliveryWord),
    /// Generate and send at that time.
    Scheduled(Scheduled),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum DeliveryWord {
    /// Just generate.
    None,
    /// Send as soon as the orders are there; at least one row needs a valid number.
    Now,
}

/// Generation and sending happen then; every row needs a valid number, unless `allow_partial`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Scheduled {
    /// When. Not together with the job's own `at`.
    at: Instant,
}

/// A template and the place of the order's link.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct MessageText {
    /// The text with `{{ column }}` placeholders; `{{ url }}` only at its very start or end.
    #[schemars(length(max = 5000))]
    text: String,
    /// Where the link stands; default: where the text says, else the end.
    url: Option<UrlPlace>,
    /// Replaces letters with accents, curly quotes and dashes that GSM-7 lacks by look-alikes that it has; default
    /// false.
    transliterate: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum UrlPlace {
    /// Before the text, with one space.
    Start,
    /// After the text, with one space.
    End,
}

/// One order. The known columns match in any case and by their aliases; every other column is a variable of the message.
#[derive(JsonSchema)]
struct RowColumns {
    /// Identifies the row in its campaign; default `<job id>:<row>`.
    key: Option<Cell>,
    /// Shown to the payer; at most 150 characters.
    reference: Option<Cell>,
    /// Shown to the payer; at most 100 characters.
    concept: Option<Cell>,
    /// Whole minor units (cents): 1250 for 12.50. Required; a row without it is refused, the others go on.
    amount: Option<Cell>,
    /// ISO 4217, where it is not the job's.
    currency: Option<Cell>,
    /// ISO 3166 alpha-2, where it is not the job's.
    country: Option<Cell>,
    /// The phone number the message goes to.
    #[schemars(rename = "SMScontact")]
    sms_contact: Option<Cell>,
    /// Variables.
    #[schemars(flatten)]
    others: BTreeMap<String, Value>,
}

/// A cell of a known column.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Cell {
    /// As text.
    Text(String),
    /// As a number.
    Number(f64),
}

/// A file of the spool folder, a Redis list, or an address: exactly one.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RowsFrom {
    /// A file's path below the spool folder.
    file: Option<String>,
    /// The key of a Redis list of JSON objects. It is read, never consumed.
    #[schemars(length(min = 1))]
    list: Option<String>,
    /// An address whose host the configuration allows.
    #[schemars(length(max = 4096), regex(pattern = "^[Hh][Tt][Tt][Pp][Ss]?://"))]
    url: Option<String>,
    /// Format of file or address, where the extension (`.csv`, `.ndjson`, `.jsonl`, with `.gz` or without) does not tell it.
    format: Option<FileFormat>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum FileFormat {
    /// Comma, semicolon or tab separated, with a header.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// A command. Target of pause and resume: a campaign, with it a run or a permanent message, or a channel; of cancel: a
/// campaign, or with it a run or a permanent message; of `run_now`: a campaign and a permanent message; of retry: a campaign and a run; of export: a campaign, with a run if asked.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Control {
    /// What to do.
    action: Action,
    /// The campaign.
    campaign: Option<NameText>,
    /// The run of the campaign.
    run: Option<RunText>,
    /// The permanent message of the campaign.
    recurring: Option<NameText>,
    /// The channel, alone, with pause and resume. With `reply`: the one it came by.
    channel: Option<NameText>,
    /// With cancel of a campaign: also cancel its orders that are still available.
    cancel_orders: Option<bool>,
    /// With retry: which deliveries. `all` = failed and unknown.
    states: Option<States>,
    /// With `order_event`, `reroute`, `forget`, `opt_out` and `opt_in`: the order's number in its campaign.
    #[schemars(range(min = 1))]
    order: Option<u64>,
    /// With `order_event`, `reroute` and `forget`: the order's row key.
    key: Option<String>,
    /// With `order_event`, `reroute` and `forget`: the code of the order's link, without campaign.
    #[schemars(regex(pattern = "^[A-Za-z0-9]{6,16}$"))]
    short_code: Option<String>,
    /// With `order_event`: what happened.
    event: Option<Event>,
    /// With a payment or a refund: minor units. A partial refund must say it.
    #[schemars(range(min = 1))]
    amount: Option<u64>,
    /// With `order_event`, `receipt` and `reply`: when it happened.
    occurred_at: Option<Instant>,
    /// With `reroute`: who collects from now on.
    payment_point: Option<NameText>,
    /// With `receipt` and `reply`: our reference, as the provider got it with the message. With `export`: only orders with this
    /// reference of the producer's.
    reference: Option<String>,
    /// With `receipt`: what the provider says.
    state: Option<ReceiptState>,
    /// With `receipt`: the provider's code; what is not a code is made one. With `export`: only orders with a delivery
    /// of this reason.
    reason: Option<String>,
    /// With `receipt`: the provider's id of the message. With `reply`: of the reply, which is kept once.
    provider_id: Option<String>,
    /// With `export`: the file in the folder `exports` of the spool folder; default `<campaign>.csv`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*\.(csv|ndjson)(\.gz)?$"), length(max = 128))]
    file: Option<String>,
    /// With `export`: how the rows are written, where `file` does not tell it.
    format: Option<ExportFormat>,
    /// With `export`: only orders in this state, by the clock.
    order_state: Option<OrderState>,
    /// With `export`: only orders with a delivery in this state.
    delivery_state: Option<DeliveryState>,
    /// With `export`: only orders with this phone number, in E.164. With `forget`: the person's phone number. With
    /// `opt_out` and `opt_in`: a phone number or an e-mail address. With `reply`: who answers.
    contact: Option<String>,
    /// With `opt_out` and `opt_in`: phone numbers and e-mail addresses.
    #[schemars(length(min = 1, max = 1000))]
    contacts: Option<Vec<String>>,
    /// With `opt_out` and `opt_in`: which list; default `opted_out`.
    list: Option<OptOutList>,
    /// With `reply`: what was answered; 1,000 characters of it are kept.
    text: Option<String>,
    /// With `forget`, `opt_out`, `opt_in` and `reply`: ISO 3166 alpha-2, the country of a number without its code.
    #[schemars(regex(pattern = "^ *[A-Za-z]{2} *$"))]
    country: Option<String>,
    /// With `preview`: the queue that the job is for; default `generate`.
    queue: Option<PreviewedQueue>,
    /// With `preview`: the job as it would be enqueued.
    job: Option<BTreeMap<String, Value>>,
    /// With `close_case`, `reopen_case` and `forget`: the case's number in its campaign.
    #[schemars(range(min = 1))]
    case: Option<u64>,
    /// With `close_case`, `reopen_case` and `forget`: the id the case was imported with.
    case_id: Option<String>,
    /// With `close_case`: how it ended (typification).
    #[schemars(length(min = 1, max = 200))]
    outcome: Option<String>,
    /// With `preview`: how many messages are shown, beside the longest; default 3.
    #[schemars(range(max = 20))]
    samples: Option<u64>,
}

/// A list of addresses that are not written to.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum OptOutList {
    /// No commercial messages.
    OptedOut,
    /// No messages at all.
    Blocked,
}

/// The queues whose jobs have a preview.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum PreviewedQueue {
    Import,
    Generate,
    Send,
    Recurring,
}

/// How the rows of an export are written.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum ExportFormat {
    /// A table with a header.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// A state of an order.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum OrderState {
    Creating,
    InDoubt,
    Available,
    Expired,
    Cancelled,
    Paid,
    PartiallyRefunded,
    Refunded,
}

/// A state of a delivery.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum DeliveryState {
    Queued,
    Sending,
    Sent,
    Delivered,
    Undelivered,
    Expired,
    Failed,
    Skipped,
    Held,
    Retry,
    Unknown,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Action {
    /// Nothing further is claimed; what is under way ends.
    Pause,
    /// Takes a pause back.
    Resume,
    /// Ends a campaign, a run or a permanent message.
    Cancel,
    /// Begins a run of a permanent message now.
    RunNow,
    /// Sends again what failed or is unknown.
    Retry,
    /// The payment platform says what happened to an order.
    OrderEvent,
    /// Erases a person's data, found by a contact or by an order.
    Forget,
    /// Gives an order that can still be paid another payment point and another link.
    Reroute,
    /// Writes the orders of a campaign with their deliveries into a file.
    Export,
    /// Looks again, at once, for orders that a payment platform has not confirmed.
    ResolveOrders,
    /// A provider says what became of a message.
    Receipt,
    /// What would become of a generate job; nothing is written.
    Preview,
    /// Puts addresses on a list that is not written to, for the whole company.
    OptOut,
    /// Takes them off it.
    OptIn,
    /// What somebody answered.
    Reply,
    /// Closes a case.
    CloseCase,
    /// Opens a closed case again.
    ReopenCase,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum ReceiptState {
    /// The handset has it.
    Delivered,
    /// The network could not deliver it.
    Undelivered,
    /// Its validity ended in the network.
    Expired,
    /// The provider refused it after all.
    Failed,
    /// The provider has it.
    Sent,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum States {
    /// The failed ones.
    Failed,
    /// The unknown ones; some may be sent twice.
    Unknown,
    /// Both.
    All,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Event {
    /// The payment is confirmed.
    Paid,
    /// The order may no longer be paid.
    Cancelled,
    /// A part of the payment was given back.
    PartiallyRefunded,
    /// All that was left of the payment was given back.
    Refunded,
}
