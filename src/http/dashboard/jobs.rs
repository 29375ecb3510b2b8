//! A job: what became of it.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    Desk,
    campaigns::address,
    page::{Page, Shown, Title},
};
use crate::{domain::name::JobId, http::answer::Fault, operate::why::Subject};

/// What is ours, or may name people.
const UNSHOWN: [&str; 7] = ["digest", "entry", "begun", "payload", "result", "state", "campaign"];

/// The page.
pub(super) async fn one(desk: &Desk, id: &str) -> Shown {
    let id = JobId::of_wire(id).map_err(|error| Fault::bad(error.code(), error.to_string()))?;
    let store = &desk.state.store;
    let hash = store.job(id.as_str()).await?;
    if hash.is_empty() {
        return Err(Fault::unknown_job(id.as_str()));
    }
    let result: Option<Value> = hash.get("result").and_then(|text| serde_json::from_str(text).ok());
    let campaign = hash.get("campaign").filter(|name| !name.is_empty());
    let why = super::why::of(desk, &Subject::Job { job: id.clone() }).await?;
    let context = json!({ "why": why,
        "now": store.now_ms().await?,
        "id": id.as_str(),
        "state": hash.get("state"),
        "campaign": campaign,
        "campaign_to": campaign.map(|name| address(name)),
        "fields": fields(&hash),
        "result": result.as_ref().map(shown),
        "warnings": result.as_ref().and_then(|result| result.get("warnings")),
    });
    Ok(Page::live("job.html", "", Title::Name(id.as_str().to_owned()), context))
}

fn fields(hash: &HashMap<String, String>) -> Vec<Value> {
    let mut known: Vec<_> = hash.iter().filter(|(name, _)| !UNSHOWN.contains(&name.as_str())).collect();
    known.sort_unstable();
    let is_time = |name: &str| name == "at" || name.ends_with("_at");
    let each = known.into_iter().map(|(name, value)| {
        let at = value.parse::<i64>().ok().filter(|_| is_time(name));
        json!({ "name": name, "value": value, "at": at })
    });
    each.collect()
}

/// A result as pairs, without what is empty; counts by name as a phrase.
fn shown(result: &Value) -> Vec<Value> {
    let each = result.as_object().into_iter().flatten().filter(|(name, _)| *name != "warnings");
    let is_time = |name: &str| name.ends_with("_at") || name.starts_with("estimated_");
    let pairs = each.filter_map(|(name, value)| {
        let at = value.as_i64().filter(|_| is_time(name));
        Some(json!({ "name": name, "value": phrase(value)?, "at": at }))
    });
    pairs.collect()
}

fn phrase(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) if fields.is_empty() => None,
        Value::Object(fields) if fields.values().all(Value::is_u64) => {
            let counts = fields.iter().map(|(name, count)| format!("{name} {count}"));
            Some(counts.collect::<Vec<_>>().join(", "))
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}
