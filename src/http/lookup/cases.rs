//! Cases of a campaign: pages of those that are like that, and one with what was sent to it.

use serde_json::json;

use super::{Answer, Fault, HttpState, Rights, parsed, question::Question};
use crate::{
    domain::case::Case,
    store::case_view::{case_json, case_with_deliveries},
};

/// Cases that one request looks at, at most.
const LOOKED_AT: u64 = 50_000;

/// A page of a campaign's cases.
pub(in crate::http) async fn page(state: &HttpState, rights: &Rights, name: String, mut question: Question) -> Answer {
    let campaign = parsed(&name)?;
    let (campaign, wanted) = (campaign.as_str(), question.cases()?);
    let (store, personal) = (&state.store, rights.personal_data);
    if let Some(id) = &wanted.id {
        let number = store.case_number(campaign, id).await?;
        let texts = store.cases(campaign, number.into_iter()).await?;
        let found = texts.into_iter().flatten().filter_map(|text| Case::from_json(&text).ok());
        let passing = found.filter(|case| wanted.filter.passes(case));
        let cases: Vec<_> = passing.map(|case| case_json(campaign, &case, personal)).collect();
        return Ok(json!({ "campaign": campaign, "cases": cases, "next": null }));
    }
    let page = store.case_page(campaign, &wanted.filter, wanted.after, wanted.limit, LOOKED_AT).await?;
    let page = page.ok_or_else(|| Fault::unknown_campaign(campaign))?;
    let cases: Vec<_> = page.cases.iter().map(|case| case_json(campaign, case, personal)).collect();
    Ok(json!({ "campaign": campaign, "cases": cases, "next": page.next }))
}

/// One case with its deliveries.
pub(in crate::http) async fn one(state: &HttpState, rights: &Rights, name: String, number: String) -> Answer {
    let campaign = parsed(&name)?;
    let campaign = campaign.as_str();
    let number: u64 = number.parse().map_err(|_| Fault::invalid("the number of a case is a whole number from 1"))?;
    let store = &state.store;
    let text = store.cases(campaign, std::iter::once(number)).await?.into_iter().next().flatten();
    let case = text.and_then(|text| Case::from_json(&text).ok());
    let case = case.ok_or_else(|| Fault::unknown_case(format!("{campaign} has no case {number}")))?;
    let deliveries = store.case_deliveries(campaign, &case).await?;
    Ok(case_with_deliveries(campaign, &case, &deliveries, rights.personal_data))
}
