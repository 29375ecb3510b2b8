//! `hours`, `cap` and `contact_rules_for` of a channel: when and how often it may write to people.

use serde_json::Value;

use super::ConfigError;
use super::rules::{one_of, show};
use crate::domain::campaign::Category;
use crate::domain::cap::Cap;
use crate::domain::contact_rules::{ChannelRules, ContactRules};
use crate::domain::hours::Hours;

/// Judges the three.
pub(super) fn contact_rules(
    table: &str,
    hours: &Value,
    cap: &Value,
    categories: &[String],
) -> Result<ChannelRules, ConfigError> {
    let refused = |name: &str, field: &str, rule: String| {
        let dot = if field.is_empty() { "" } else { "." };
        ConfigError::Unusable { key: format!("{table}.{name}{dot}{field}"), rule }
    };
    let hours = said(hours).map(|said| Hours::parse(said).map_err(|e| refused("hours", &e.field, e.rule)));
    let cap = said(cap).map(|said| Cap::parse(said).map_err(|e| refused("cap", e.field, e.rule)));
    let key = format!("{table}.contact_rules_for");
    if categories.is_empty() {
        let rule = "must name a category: \"transactional\", \"commercial\" or both; hours = \"none\" and cap = \"none\" lift the rules";
        return Err(ConfigError::value(key, show("[]"), rule));
    }
    let words: Vec<(&str, Category)> = Category::ALL.iter().map(|category| (category.as_str(), *category)).collect();
    let categories = categories.iter().map(|word| one_of(&key, word, &words)).collect::<Result<_, _>>()?;
    Ok(ChannelRules {
        rules: ContactRules { hours: hours.transpose()?, cap: cap.transpose()?, once_per_address: false },
        categories,
    })
}

/// What is said, if anything is.
fn said(value: &Value) -> Option<&Value> {
    let nothing = match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || text == "none",
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    };
    (!nothing).then_some(value)
}
