//! `hours` and `cap` of a message (a preset's name, or an object), and whether an address gets one of it.

use super::fields::Fields;
use super::rejection::Rejection;
use crate::domain::cap::Cap;
use crate::domain::contact_rules::ContactRules;
use crate::domain::hours::Hours;

/// What a message says of when and how often.
pub(super) fn contact_rules(fields: &mut Fields) -> Result<ContactRules, Rejection> {
    let place = |name: &str, field: &str| if field.is_empty() { name.to_owned() } else { format!("{name}.{field}") };
    let hours = fields.take("hours").map(|value| {
        Hours::parse(&value).map_err(|e| Rejection::of_code(e.code, Some(&place(&fields.at("hours"), &e.field)), &e))
    });
    let cap = fields.take("cap").map(|value| {
        Cap::parse(&value).map_err(|e| Rejection::of_code(e.code, Some(&place(&fields.at("cap"), e.field)), &e))
    });
    let (hours, cap) = (hours.transpose()?, cap.transpose()?);
    Ok(ContactRules { hours, cap, once_per_address: fields.flag("once_per_address")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn decode(job: &Value) -> Result<ContactRules, Rejection> {
        contact_rules(&mut Fields::of_job(job.as_object().unwrap().clone(), &["hours", "cap"]).unwrap())
    }

    #[test]
    fn hours_and_cap_are_presets_or_objects_and_may_be_absent() {
        assert_eq!(decode(&json!({"hours": null})).unwrap(), ContactRules::default());
        let both = decode(&json!({"hours": "colombia", "cap": {"messages": 2, "per": "1w"}})).unwrap();
        assert!(both.hours.is_some() && both.cap.is_some());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        for (job, code, field) in [
            (json!({"hours": "spain"}), "invalid_hours", "hours.preset"),
            (json!({"hours": {"timezone": "UTC", "monday": ["9-5"]}}), "invalid_hours", "hours.monday[0]"),
            (json!({"hours": 5}), "invalid_hours", "hours"),
            (json!({"hours": {"monday": []}}), "missing_field", "hours.timezone"),
            (json!({"cap": {"messages": 0, "per": "1d"}}), "invalid_cap", "cap.messages"),
            (json!({"cap": {"messages": 1}}), "missing_field", "cap.per"),
        ] {
            let refused = decode(&job).unwrap_err();
            assert_eq!((refused.code.as_str(), refused.field.as_deref()), (code, Some(field)), "{refused}");
        }
    }
}
