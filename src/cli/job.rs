//! `remesa job <id>`: what became of a job.

use std::collections::HashMap;

use anyhow::anyhow;
use serde_json::{Map, Value, json};

use crate::domain::name::JobId;

use super::{
    context::{Context, Globals},
    error::Usage,
    format, output,
};

const EXAMPLES: &str = "\
Examples:
  remesa job gen-nov
  remesa job generate:1763719200000-0      a job without an id
  remesa job gen-nov --json

A status is kept 24 h after the job's end, 1 h for a job without an id.";

/// Arguments of `remesa job`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The job's id, or `<queue>:<entry id>`.
    id: String,
    #[command(flatten)]
    format: output::Format,
}

/// Fields in the order they are shown; what else there is follows.
const ORDER: [&str; 12] = [
    "state",
    "queue",
    "campaign",
    "run",
    "attempt",
    "error_code",
    "error",
    "at",
    "accepted_at",
    "started_at",
    "finished_at",
    "result",
];

/// Ours, not the reader's.
const INNER: [&str; 2] = ["digest", "entry"];

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    let id = JobId::of_wire(&args.id).map_err(|error| Usage(error.to_string()))?;
    let context = globals.open().await?;
    let hash = context.store.job(id.as_str()).await?;
    if hash.is_empty() {
        return absent(&context, &id, args.format).await;
    }
    if args.format.json {
        output::json(&as_json(&id, &hash))?;
        return Ok(());
    }
    output::line(id.as_str())?;
    output::pairs(fields(&hash).into_iter().map(|(name, value)| (name, shown(name, value))))?;
    let result: Option<Value> = hash.get("result").and_then(|text| serde_json::from_str(text).ok());
    for warning in format::warnings(result.as_ref().and_then(|result| result.get("warnings"))) {
        output::line(format_args!("warning: {warning}"))?;
    }
    Ok(())
}

/// No status: it waits unread, or it is over for long, or it never was.
async fn absent(context: &Context, id: &JobId, format: output::Format) -> anyhow::Result<()> {
    if id.is_of_entry()
        && let Some((queue, entry)) = id.as_str().rsplit_once(':')
        && context.store.entry_exists(queue, entry).await?
    {
        if format.json {
            output::json(&json!({ "id": id, "state": "queued", "queue": queue }))?;
        } else {
            output::line(format_args!("{id} waits in the queue {queue}"))?;
        }
        return Ok(());
    }
    Err(anyhow!(
        "no job \"{id}\" is known: a status is written when a job is accepted and kept 24 h after its end \
         (1 h without an id); what still waits is counted by `remesa status`"
    ))
}

fn fields(hash: &HashMap<String, String>) -> Vec<(&str, &str)> {
    let known = ORDER.iter().filter_map(|name| Some((*name, hash.get(*name)?.as_str())));
    let mut others: Vec<_> = hash
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !ORDER.contains(name) && !INNER.contains(name))
        .collect();
    others.sort_unstable();
    known.chain(others).collect()
}

fn shown(name: &str, value: &str) -> String {
    match name {
        "payload" => format::cut(value, 200),
        "result" => serde_json::from_str::<Value>(value).ok().as_ref().and_then(Value::as_object).map_or_else(
            || value.to_owned(),
            |fields| {
                let each = fields.iter().filter(|(name, _)| *name != "warnings");
                let each = each.map(|(name, value)| format!("{name}: {}", format::value(value)));
                each.collect::<Vec<_>>().join("; ")
            },
        ),
        _ if is_time(name) => format::time(value),
        _ => value.to_owned(),
    }
}

fn is_time(name: &str) -> bool {
    name == "at" || name.ends_with("_at")
}

fn as_json(id: &JobId, hash: &HashMap<String, String>) -> Value {
    let mut shown = Map::new();
    shown.insert("id".to_owned(), id.as_str().into());
    for (name, value) in fields(hash) {
        let number = || value.parse::<i64>().ok().map(Value::from);
        let value = match name {
            "result" | "payload" => serde_json::from_str(value).ok(),
            "attempt" => number(),
            _ if is_time(name) => number(),
            _ => None,
        }
        .unwrap_or_else(|| value.into());
        shown.insert(name.to_owned(), value);
    }
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_shown_in_order_with_times_and_json_apart() {
        let hash: HashMap<_, _> = [
            ("result", r#"{"orders":3}"#),
            ("state", "done"),
            ("attempt", "2"),
            ("finished_at", "1763719200000"),
            ("digest", "ab"),
            ("zone", "x"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let names: Vec<_> = fields(&hash).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["state", "attempt", "finished_at", "result", "zone"]);
        assert_eq!(shown("finished_at", "1763719200000"), "2025-11-21T10:00:00.000Z");
        let json = as_json(&JobId::parse("a").unwrap(), &hash);
        assert_eq!((&json["result"]["orders"], &json["attempt"]), (&json!(3), &json!(2)));
        assert_eq!(json["finished_at"], json!(1_763_719_200_000_i64));
    }
}
