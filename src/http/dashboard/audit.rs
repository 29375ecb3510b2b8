//! The audit: who did what, when, with what was before and after.

use serde_json::json;

use super::{
    Desk, letters,
    page::{Ask, Page, Shown, Title},
};
use crate::operate::audit::{self, Wanted};

/// Entries on a page.
const LIMIT: usize = 50;

/// The page, newest first.
pub(super) async fn page(desk: &Desk, ask: &mut Ask) -> Shown {
    let mut asked = ask.question()?;
    let (campaign, actor, before) =
        (asked.take("campaign"), asked.take("actor"), letters::entry(asked.take("before"))?);
    asked.nothing_else("campaign, actor, before")?;
    let is_filtered = campaign.is_some() || actor.is_some() || before.is_some();
    let wanted = Wanted { campaign: campaign.clone(), actor: actor.clone(), before, limit: LIMIT };
    let store = &desk.state.store;
    let found = audit::page(store, &wanted).await?;
    let context = json!({
        "now": store.now_ms().await?,
        "entries": found.entries,
        "next": found.next.map(|before| ask.here_with("before", &before)),
        "campaign": campaign,
        "actor": actor,
        "is_filtered": is_filtered,
    });
    Ok(Page::live("audit.html", "audit", Title::Word("audit"), context))
}
