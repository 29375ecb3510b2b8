//! A run: its deliveries by state and by reason, its pace, what holds it.

use serde_json::{Value, json};

use super::{
    Desk,
    campaigns::parsed,
    page::{Page, Shown, Title},
    show,
};
use crate::{http::answer::Fault, operate::why::Subject, store::view::RunView};

/// Where a run is shown.
pub(super) fn address(campaign: &str, run: &str) -> String {
    format!("/dashboard/campaigns/{}/runs/{}", show::in_address(campaign), show::in_address(run))
}

/// A run in a list.
pub(super) fn row(run: &RunView) -> Value {
    let mut row = serde_json::to_value(run).unwrap_or_default();
    if let Some(fields) = row.as_object_mut() {
        let by_itself = run.reason.as_deref().is_some_and(|reason| reason.starts_with("paused"));
        fields.insert("is_paused_itself".to_owned(), by_itself.into());
        fields.insert("ended".to_owned(), run.ended().into());
        fields.insert("to".to_owned(), address(&run.campaign, &run.run).into());
    }
    row
}

/// The page.
pub(super) async fn one(desk: &Desk, campaign: &str, run: &str) -> Shown {
    let (store, campaign) = (&desk.state.store, parsed(campaign)?);
    let campaign = campaign.as_str();
    let now = store.now_ms().await?;
    let view = RunView::load(store, campaign, run, now).await?;
    let view = view.ok_or_else(|| Fault::unknown_run(campaign, run))?;
    let reasons = desk.tallies.of(store, &view).await?;
    let definition = run.rsplit_once('@').filter(|(name, _)| *name != "delivery").map(|(name, _)| name);
    let took = u64::try_from(view.took(now).as_millis()).unwrap_or(0);
    let why = super::why::of(desk, &Subject::Run { campaign: campaign.to_owned(), run: run.to_owned() }).await?;
    let context = json!({ "why": why,
        "now": now,
        "run": row(&view),
        "took_ms": took,
        "definition": definition,
        "reasons": reasons,
        "times": super::campaigns::times(&view.times),
    });
    Ok(Page::live("run.html", "campaigns", Title::Name(format!("{campaign} · {run}")), context))
}
