//! The event of a permanent message.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::one_of;

/// Something about a permanent message: it was written, paused, stopped, or a due time of it got no run.
#[derive(JsonSchema)]
#[schemars(rename = "recurring")]
#[expect(dead_code, reason = "the type exists for its schema; scripts write the event")]
pub(super) struct RecurringEvent {
    /// `<campaign>/<permanent message>/<what>/<number>`.
    event: String,
    /// `recurring`.
    #[schemars(extend("const" = "recurring"))]
    r#type: String,
    /// The campaign.
    campaign: String,
    /// The permanent message.
    recurring: String,
    /// What happened.
    #[schemars(schema_with = "recurring_what")]
    what: String,
    /// Its state now.
    #[schemars(schema_with = "recurring_state")]
    state: String,
    /// With `defined`: its version, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// With `defined` and `resumed`: its next due time, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
    /// With `missed` and `overlapped`: the due time, of several the first, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    /// With `missed` and `overlapped`: how many due times; 10,000 stands for as many or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// `late`, `campaign_paused`, `under_way`, `replaced`, `absorbed`, or the code of what prevented the run; with `stopped`, `max_runs`, `until` or the job that stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When, epoch milliseconds.
    at: i64,
}

fn recurring_what(_: &mut SchemaGenerator) -> Schema {
    one_of(["defined", "paused", "resumed", "stopped", "missed", "overlapped"])
}

fn recurring_state(_: &mut SchemaGenerator) -> Schema {
    one_of(["active", "paused", "stopped"])
}
