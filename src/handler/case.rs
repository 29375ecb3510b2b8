//! `close_case` and `reopen_case`: a command changes one case.
//!
//! What is so already is done, and says that nothing changed: a case that a message closed keeps its reason (BM-14). What a
//! run closes or a reply writes meanwhile is read again.

use serde_json::{Value, json};

use crate::{
    domain::{
        case::{Case, CaseAction, ClosedReason},
        clock::EpochMs,
    },
    job::{
        CaseJob, CaseRef, Outcome, Rejection, RejectionCode,
        event::{CASE, CaseEvent},
    },
    store::{StoreError, cases::CaseChange},
};

use super::{Context, trouble};

/// A case that changes under our hands is read again so often.
const TRIES: u32 = 20;

/// A case as it was found.
#[derive(Debug)]
pub struct FoundCase {
    /// Its campaign.
    pub campaign: String,
    /// Its JSON.
    pub text: String,
    /// The same, read.
    pub case: Case,
}

/// Runs the job.
pub async fn run(ctx: &Context, job: &CaseJob) -> Outcome {
    match change(ctx, job).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(rejection)) => rejection.into(),
        Err(error) => trouble::outcome(&error),
    }
}

async fn change(ctx: &Context, job: &CaseJob) -> Result<Result<Outcome, Rejection>, StoreError> {
    for _ in 0..TRIES {
        let found = match find(ctx, &job.case).await? {
            Ok(found) => found,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let now = EpochMs(ctx.store.now_ms().await?);
        let mut case = found.case.clone();
        let allowed = match job.action {
            CaseAction::Close => case.close(ClosedReason::Operator, job.outcome.clone(), now),
            CaseAction::Reopen => case.reopen(now),
        };
        if allowed.is_err() {
            return Ok(Ok(Outcome::done(result(job, &found.case, false))));
        }
        let change = CaseChange {
            number: case.number,
            before: found.text,
            after: case.to_json(),
            states: (found.case.state.as_str(), case.state.as_str()),
            event: event(&found.campaign, &case, now),
        };
        if ctx.store.change_cases(&found.campaign, &[change]).await?.is_empty() {
            return Ok(Ok(Outcome::done(result(job, &case, true))));
        }
    }
    Err(StoreError::Unavailable("the case changes too fast".to_owned()))
}

fn result(job: &CaseJob, case: &Case, changed: bool) -> Value {
    json!({ "action": job.action, "case": case.number, "id": case.id, "state": case.state, "changed": changed })
}

fn event(campaign: &str, case: &Case, now: EpochMs) -> String {
    let (number, state) = (case.number, case.state.as_str());
    let id = format!("{campaign}/case/{number}/{state}/{}", now.0);
    let event = CaseEvent {
        event: &id,
        r#type: CASE,
        campaign,
        case: number,
        id: &case.id,
        state,
        reason: case.closed_reason.map(ClosedReason::as_str),
        run: None,
        outcome: case.outcome.as_deref(),
        forgotten: None,
        at: now.0,
    };
    // Plain strings and numbers: there is nothing to refuse.
    serde_json::to_string(&event).unwrap_or_default()
}

/// The case that is named, or why there is none.
pub async fn find(ctx: &Context, case: &CaseRef) -> Result<Result<FoundCase, Rejection>, StoreError> {
    let store = &ctx.store;
    let campaign = case.campaign().as_str();
    if store.campaign_fields(campaign, &["state"]).await?.into_iter().flatten().next().is_none() {
        let rule = format!("there is no campaign \"{campaign}\"");
        return Ok(Err(Rejection::of_field(RejectionCode::UnknownCampaign, "campaign", rule)));
    }
    let (number, field, which) = match case {
        CaseRef::Number { number, .. } => (Some(*number), "case", format!("case {number}")),
        CaseRef::Id { id, .. } => {
            (store.case_number(campaign, id).await?, "case_id", format!("case with the id \"{id}\""))
        }
    };
    let text = match number {
        Some(number) => store.cases(campaign, std::iter::once(number)).await?.into_iter().next().flatten(),
        None => None,
    };
    let found = text.and_then(|text| Case::from_json(&text).ok().map(|case| (text, case)));
    let Some((text, case)) = found else {
        let rule = format!("the campaign \"{campaign}\" has no {which}");
        return Ok(Err(Rejection::of_field(RejectionCode::UnknownCase, field, rule)));
    };
    Ok(Ok(FoundCase { campaign: campaign.to_owned(), text, case }))
}
