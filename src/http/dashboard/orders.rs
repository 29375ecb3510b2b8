//! Payment orders: pages of a campaign's that are like that, and one with its link and what each run did with it.

use serde_json::{Value, json};

use super::{
    Desk,
    campaigns::{address, parsed},
    page::{Ask, Page, Shown, Title},
};
use crate::{
    domain::{
        delivery::DeliveryState,
        money::{Amount, Currency},
        order::OrderState,
    },
    http::lookup,
    operate::why::Subject,
};

/// The list: what the look-up answers, as a table.
pub(super) async fn list(desk: &Desk, name: &str, ask: &mut Ask) -> Shown {
    let asked = ask.question()?;
    let fields = ["state", "delivery", "reason", "reference", "key", "contact"];
    let filter: serde_json::Map<String, Value> =
        fields.iter().map(|field| ((*field).to_owned(), asked.text(field).into())).collect();
    let is_filtered = filter.values().any(|value| !value.is_null());
    let mut answer = lookup::orders(&desk.state, &ask.rights, name.to_owned(), asked).await?;
    for record in answer.get_mut("orders").and_then(Value::as_array_mut).into_iter().flatten() {
        finish(record);
    }
    let next = answer.get("next").and_then(Value::as_u64).map(|after| ask.here_with("after", &after.to_string()));
    let context = json!({ "now": desk.state.store.now_ms().await?,
        "campaign": name,
        "up": address(name),
        "orders": answer.get("orders"),
        "more": answer.get("more"),
        "next": next,
        "filter": filter,
        "is_filtered": is_filtered,
        "states": OrderState::ALL.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "deliveries": DeliveryState::ALL.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    Ok(Page::still("orders.html", "campaigns", Title::Name(name.to_owned()), context))
}

/// One of them.
pub(super) async fn one(desk: &Desk, name: &str, number: &str, ask: &Ask) -> Shown {
    let campaign = parsed(name)?;
    let mut record = lookup::order(&desk.state, &ask.rights, name.to_owned(), number.to_owned()).await?;
    finish(&mut record);
    let why =
        super::why::of(desk, &Subject::Order { campaign: name.to_owned(), order: number.parse().unwrap_or(0) }).await?;
    let context = json!({ "why": why, "now": desk.state.store.now_ms().await?, "record": record, "up": address(campaign.as_str()) });
    Ok(Page::live("order.html", "campaigns", Title::Name(format!("{name} · {number}")), context))
}

/// Adds what a page shows of an order beside what it says itself.
fn finish(record: &mut Value) {
    let text = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let minor = record.pointer("/order/amount").and_then(Value::as_u64).unwrap_or(0);
    let currency = Currency::parse(&text(record, "/order/currency")).ok();
    let amount = currency.and_then(|currency| {
        Some(format!("{} {}", Amount::from_minor(minor, u64::MAX).ok()?.format(currency), currency.code()))
    });
    let number = record.pointer("/order/number").and_then(Value::as_u64).unwrap_or(0);
    let to = format!("{}/orders/{number}", address(&text(record, "/campaign")));
    let vars = vars(record.pointer("/order/vars"));
    if let Some(fields) = record.as_object_mut() {
        fields.insert("amount".to_owned(), amount.unwrap_or_else(|| minor.to_string()).into());
        fields.insert("to".to_owned(), to.into());
        fields.insert("vars".to_owned(), vars);
    }
}

/// Variables as pairs of texts.
pub(super) fn vars(value: Option<&Value>) -> Value {
    let each = value.and_then(Value::as_object).into_iter().flatten();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    };
    each.map(|(name, value)| json!({ "name": name, "value": text(value) })).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
