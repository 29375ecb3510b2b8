//! The search field: a link or its end, a campaign, a job, a number of a campaign, or a part of a campaign's name.

use axum::response::Response;
use serde_json::json;

use super::{
    Desk, campaigns, on_to,
    page::{Ask, Page, Shown, Title, respond},
    show,
};
use crate::{
    domain::{
        lookup::NamePattern,
        name::{JobId, Name},
        short_code::ShortCode,
    },
    http::answer::Fault,
    store::view::{CampaignQuery, Listing},
};

/// Campaigns that are shown where a name is a part of theirs.
const LIMIT: usize = 50;

/// Campaigns looked at for them.
const LOOKED_AT: usize = 5_000;

/// Goes where the one thing is that was meant, or shows what it may be.
pub(super) async fn go(desk: &Desk, mut ask: Ask) -> Response {
    let asked = ask.question().and_then(|mut question| {
        let sought = question.take("q").unwrap_or_default();
        question.nothing_else("q").map(|()| sought.trim().to_owned())
    });
    let found = match &asked {
        Ok(sought) => place(desk, sought).await,
        Err(_) => Ok(None),
    };
    match (asked, found) {
        (_, Ok(Some(path))) => on_to(&path),
        (Ok(sought), Ok(None)) => {
            let shown = list(desk, &sought).await;
            respond(&ask, shown)
        }
        (Err(fault), _) | (_, Err(fault)) => respond(&ask, Err(fault)),
    }
}

/// The one page that is meant, if there is one.
async fn place(desk: &Desk, sought: &str) -> Result<Option<String>, Fault> {
    let store = &desk.state.store;
    let query = sought.split_once('?').map(|(_, query)| query);
    let of_link = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("p=")));
    if let Ok(code) = ShortCode::parse(of_link.unwrap_or(sought))
        && let Some((campaign, number)) = store.order_of_code(&code).await?
    {
        return Ok(Some(format!("{}/orders/{number}", campaigns::address(&campaign))));
    }
    let exists = async |name: &str| match Name::parse(name) {
        Ok(name) => Ok::<_, Fault>(!store.campaign(name.as_str()).await?.is_empty()),
        Err(_) => Ok(false),
    };
    if exists(sought).await? {
        return Ok(Some(campaigns::address(sought)));
    }
    // `nov-dues 17`, `nov-dues/17`: an order by number, or a case where there are no orders.
    if let Some((name, number)) = sought.rsplit_once([' ', '/', '#'])
        && let Ok(number) = number.parse::<u64>()
        && exists(name.trim()).await?
    {
        let counts = store.campaign_fields(name.trim(), &["orders"]).await?;
        let orders = counts.into_iter().next().flatten().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let what = if orders > 0 { "orders" } else { "cases" };
        return Ok(Some(format!("{}/{what}/{number}", campaigns::address(name.trim()))));
    }
    if let Ok(id) = JobId::of_wire(sought)
        && !store.job(id.as_str()).await?.is_empty()
    {
        return Ok(Some(format!("/dashboard/jobs/{}", show::in_address(id.as_str()))));
    }
    Ok(None)
}

/// Campaigns whose name has it.
async fn list(desk: &Desk, sought: &str) -> Shown {
    let store = &desk.state.store;
    let query = CampaignQuery {
        name: Some(NamePattern::new(sought)),
        limit: LIMIT,
        look_at: LOOKED_AT,
        ..CampaignQuery::default()
    };
    let found = if sought.is_empty() { None } else { Listing::load(store, &query).await? };
    let campaigns = found.unwrap_or_default().campaigns;
    let context = json!({
        "now": store.now_ms().await?,
        "sought": sought,
        "campaigns": campaigns.iter().map(campaigns::row).collect::<Vec<_>>(),
    });
    Ok(Page::still("find.html", "", Title::Word("find"), context))
}
