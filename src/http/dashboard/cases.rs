//! Cases: pages of a campaign's that are like that, and one with its contacts, its replies, what each run sent to it.

use serde_json::{Value, json};

use super::{
    Desk,
    campaigns::{address, parsed},
    orders::vars,
    page::{Ask, Page, Shown, Title},
};
use crate::{domain::case::CaseState, http::lookup, operate::why::Subject};

/// The list: what the look-up answers, as a table.
pub(super) async fn list(desk: &Desk, name: &str, ask: &mut Ask) -> Shown {
    let asked = ask.question()?;
    let fields = ["state", "active", "label", "contact", "id", "order"];
    let filter: serde_json::Map<String, Value> =
        fields.iter().map(|field| ((*field).to_owned(), asked.text(field).into())).collect();
    let is_filtered = filter.values().any(|value| !value.is_null());
    let answer = lookup::cases::page(&desk.state, &ask.rights, name.to_owned(), asked).await?;
    let next = answer.get("next").and_then(Value::as_u64).map(|after| ask.here_with("after", &after.to_string()));
    let context = json!({
        "now": desk.state.store.now_ms().await?,
        "campaign": name,
        "up": address(name),
        "cases": answer.get("cases"),
        "next": next,
        "filter": filter,
        "is_filtered": is_filtered,
        "states": CaseState::ALL.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    Ok(Page::still("cases.html", "campaigns", Title::Name(name.to_owned()), context))
}

/// One of them.
pub(super) async fn one(desk: &Desk, name: &str, number: &str, ask: &Ask) -> Shown {
    let campaign = parsed(name)?;
    let record = lookup::cases::one(&desk.state, &ask.rights, name.to_owned(), number.to_owned()).await?;
    let shown = |path: &str| vars(record.pointer(path));
    let why =
        super::why::of(desk, &Subject::Case { campaign: name.to_owned(), case: number.parse().unwrap_or(0) }).await?;
    let context = json!({ "why": why,
        "now": desk.state.store.now_ms().await?,
        "client": shown("/case/client"),
        "vars": shown("/case/vars"),
        "record": record,
        "up": address(campaign.as_str()),
    });
    Ok(Page::live("case.html", "campaigns", Title::Name(format!("{name} · {number}")), context))
}
