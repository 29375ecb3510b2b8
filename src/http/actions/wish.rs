//! What may be wished over HTTP: a closed list of actions, and the fields that belong to them.
//!
//! What other systems report (receipts, replies, order events) has ways of its own, and what concerns a person by name
//! (opt-outs, `forget`) or writes files (`export`) stays with the commands and the queue.

use serde_json::{Map, Value};

use super::super::{answer::Fault, incoming::Fields};
use crate::store::letters::Letters;

/// Actions over HTTP.
const ACTIONS: [&str; 10] = [
    "pause",
    "resume",
    "cancel",
    "retry",
    "run_now",
    "reroute",
    "resolve_orders",
    "close_case",
    "reopen_case",
    "replay",
];

/// Fields of those that are jobs.
const FIELDS: [&str; 14] = [
    "action",
    "campaign",
    "run",
    "recurring",
    "channel",
    "states",
    "cancel_orders",
    "order",
    "key",
    "short_code",
    "payment_point",
    "case",
    "case_id",
    "outcome",
];

/// Fields of a replay.
const REPLAY_FIELDS: [&str; 3] = ["action", "letters", "entry"];

/// Fields that are numbers in a job, and texts in a form.
const NUMBERS: [&str; 2] = ["order", "case"];

/// What is wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// A control job without its id.
    Control { action: String, job: Map<String, Value> },
    /// A refused or dead job once more.
    Replay { letters: Letters, entry: String },
}

impl Wish {
    /// Reads the fields of a body.
    pub(super) fn parse(fields: Fields) -> Result<Self, Fault> {
        let mut fields = match fields {
            Fields::Json(fields) => fields,
            Fields::Form(fields) => {
                fields.into_iter().filter_map(|(name, text)| meant(&name, text).map(|v| (name, v))).collect()
            }
        };
        let known = |list: &[&str]| format!("there are {}", list.join(", "));
        let Some(action) = fields.get("action").and_then(Value::as_str).map(str::to_owned) else {
            return Err(Fault::bad("missing_field", format!("\"action\" is missing: {}", known(&ACTIONS))));
        };
        if !ACTIONS.contains(&action.as_str()) {
            return Err(Fault::bad("unknown_action", format!("that is no action over HTTP: {}", known(&ACTIONS))));
        }
        let is_replay = action == "replay";
        let belong: &[&str] = if is_replay { &REPLAY_FIELDS } else { &FIELDS };
        if fields.keys().any(|name| !belong.contains(&name.as_str())) {
            return Err(Fault::bad("unknown_field", format!("a field does not belong to {action}: {}", known(belong))));
        }
        if !is_replay {
            return Ok(Self::Control { action, job: fields });
        }
        let letters = match fields.get("letters").and_then(Value::as_str) {
            Some("rejected") => Letters::Rejected,
            Some("dead") => Letters::Dead,
            Some(_) | None => return Err(Fault::bad("invalid_value", "\"letters\" must be \"rejected\" or \"dead\"")),
        };
        match fields.remove("entry") {
            Some(Value::String(entry)) if !entry.is_empty() => Ok(Self::Replay { letters, entry }),
            _ => Err(Fault::bad("missing_field", "\"entry\" is missing: the letter's entry id, or the job's id")),
        }
    }
}

/// What a field of a form means in a job; one that was left empty nothing.
fn meant(name: &str, text: String) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    if NUMBERS.contains(&name)
        && let Ok(number) = text.parse::<u64>()
    {
        return Some(number.into());
    }
    match (name, text.as_str()) {
        ("cancel_orders", "true" | "on" | "1") => Some(true.into()),
        ("cancel_orders", "false" | "off" | "0") => Some(false.into()),
        _ => Some(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form(pairs: &[(&str, &str)]) -> Result<Wish, String> {
        let fields = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Wish::parse(Fields::Form(fields)).map_err(|fault| fault.code().to_owned())
    }

    #[test]
    fn a_form_is_the_job_that_it_means() {
        let wish = form(&[("action", "cancel"), ("campaign", "nov"), ("run", ""), ("cancel_orders", "on")]).unwrap();
        let Wish::Control { action, job } = wish else { panic!("{wish:?}") };
        assert_eq!(
            (action.as_str(), Value::Object(job)),
            ("cancel", json!({"action": "cancel", "campaign": "nov", "cancel_orders": true}))
        );
        let Ok(Wish::Control { job, .. }) = form(&[("action", "close_case"), ("campaign", "nov"), ("case", "7")])
        else {
            panic!()
        };
        assert_eq!(job["case"], 7);
    }

    #[test]
    fn a_replay_names_its_letter() {
        let replay = Wish::Replay { letters: Letters::Dead, entry: "1-0".to_owned() };
        assert_eq!(form(&[("action", "replay"), ("letters", "dead"), ("entry", "1-0")]), Ok(replay));
        assert_eq!(
            form(&[("action", "replay"), ("letters", "lost"), ("entry", "1-0")]),
            Err("invalid_value".to_owned())
        );
        assert_eq!(form(&[("action", "replay"), ("letters", "dead")]), Err("missing_field".to_owned()));
        assert_eq!(
            form(&[("action", "replay"), ("letters", "dead"), ("campaign", "x")]),
            Err("unknown_field".to_owned())
        );
    }

    #[test]
    fn nothing_else_can_be_wished() {
        for action in ["order_event", "forget", "export", "opt_out", "receipt", "reply", "preview", "Pause", "<script>"]
        {
            assert_eq!(form(&[("action", action)]), Err("unknown_action".to_owned()), "{action}");
        }
        assert_eq!(form(&[]), Err("missing_field".to_owned()));
        for field in ["id", "at", "after", "contact", "file"] {
            assert_eq!(
                form(&[("action", "pause"), ("campaign", "c"), (field, "x")]),
                Err("unknown_field".to_owned()),
                "{field}"
            );
        }
    }
}
