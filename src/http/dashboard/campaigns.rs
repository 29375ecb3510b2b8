//! Campaigns: the list, newest first, and one with its totals, its runs, its permanent messages.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Desk,
    page::{Ask, Page, Shown, Title},
    recurring, runs, show,
};
use crate::{
    domain::{campaign::CampaignState, name::Name},
    http::answer::Fault,
    operate::why::Subject,
    store::view::{CampaignQuery, CampaignView, Listing, RunView},
};

/// Campaigns on a page.
const LIMIT: usize = 50;

/// Campaigns that one request looks at.
const LOOKED_AT: usize = 5_000;

/// Runs of a campaign that are shown, the newest.
const RUNS: usize = 50;

/// A name of the address, judged.
pub(super) fn parsed(name: &str) -> Result<Name, Fault> {
    Name::parse(name).map_err(|error| Fault::bad(error.code(), error.to_string()))
}

/// Where a campaign is shown.
pub(super) fn address(campaign: &str) -> String {
    format!("/dashboard/campaigns/{}", show::in_address(campaign))
}

/// A campaign in a list.
pub(super) fn row(campaign: &CampaignView) -> Value {
    let mut row = serde_json::to_value(campaign).unwrap_or_default();
    if let Some(fields) = row.as_object_mut() {
        fields.insert("ended".to_owned(), campaign.ended().into());
        fields.insert("to".to_owned(), address(&campaign.campaign).into());
        fields.insert("created_at".to_owned(), campaign.times.get("created_at").copied().into());
    }
    row
}

/// Instants by name, in the order in which they came about.
pub(super) fn times(times: &BTreeMap<String, i64>) -> Vec<Value> {
    let mut sorted: Vec<_> = times.iter().filter(|(_, at)| **at > 0).collect();
    sorted.sort_by_key(|(_, at)| **at);
    sorted.into_iter().map(|(name, at)| json!({ "name": name, "at": at })).collect()
}

/// Counts by name, the largest first.
fn ranked(counts: &BTreeMap<String, u64>) -> Vec<Value> {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    sorted.into_iter().map(|(name, n)| json!({ "name": name, "n": n })).collect()
}

/// The list.
pub(super) async fn list(desk: &Desk, ask: &mut Ask) -> Shown {
    let asked = ask.question()?;
    let (name, state) = (asked.text("name"), asked.text("state"));
    let mut asked = asked;
    let query = CampaignQuery { limit: LIMIT, look_at: LOOKED_AT, ..asked.campaigns()? };
    let store = &desk.state.store;
    let Some(listing) = Listing::load(store, &query).await? else {
        return Err(Fault::unknown_campaign(query.after.as_deref().unwrap_or_default()));
    };
    let context = json!({
        "now": store.now_ms().await?,
        "campaigns": listing.campaigns.iter().map(row).collect::<Vec<_>>(),
        "next": listing.next.map(|after| ask.here_with("after", &after)),
        "states": CampaignState::ALL.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "name": name,
        "state": state,
        "is_filtered": name.is_some() || state.is_some() || query.after.is_some(),
    });
    Ok(Page::live("campaigns.html", "campaigns", Title::Word("campaigns"), context))
}

/// One of them.
pub(super) async fn one(desk: &Desk, name: &str) -> Shown {
    let (store, name) = (&desk.state.store, parsed(name)?);
    let campaign = name.as_str();
    let view = CampaignView::load(store, campaign).await?.ok_or_else(|| Fault::unknown_campaign(campaign))?;
    let now = store.now_ms().await?;
    let names = store.run_names(campaign).await?;
    let count = names.len();
    let newest: Vec<_> = names.into_iter().take(RUNS).map(|run| (campaign.to_owned(), run)).collect();
    let runs = RunView::load_all(store, &newest, now).await?;
    let definitions = recurring::of_campaign(store, campaign).await?;
    let is_over = matches!(CampaignState::parse(&view.state), Some(CampaignState::Cancelled | CampaignState::Failed));
    let settings: Vec<Value> =
        view.settings.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let why = super::why::of(desk, &Subject::Campaign { campaign: campaign.to_owned() }).await?;
    let context = json!({ "why": why,
        "now": now,
        "campaign": row(&view),
        "is_over": is_over,
        "settings": settings,
        "times": times(&view.times),
        "refused_by_code": ranked(&view.refused_by_code),
        "warnings": view.warnings,
        "runs": runs.iter().map(runs::row).collect::<Vec<_>>(),
        "more_runs": count.saturating_sub(RUNS),
        "definitions": definitions,
    });
    Ok(Page::live("campaign.html", "campaigns", Title::Name(campaign.to_owned()), context))
}
