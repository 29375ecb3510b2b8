//! Why a campaign does not move, or how it does.

use serde_json::json;

use crate::{
    domain::{actor::actor, clock::EpochMs},
    operate::words::{count, counted},
    store::view::CampaignView,
};

use super::{
    Answer, Around, Effect, Reason, ReasonCode, Subject,
    recurring::{self, RecurringFacts},
    run::{self, Pause, RunFacts},
};

/// A campaign with what bears on it.
#[derive(Debug, Clone)]
pub struct CampaignFacts {
    /// Itself: state, totals, times.
    pub view: CampaignView,
    /// It is paused.
    pub pause: Option<Pause>,
    /// Who cancelled it.
    pub cancelled_by: Option<String>,
    /// The answer about the job that fills it, where that is not over.
    pub filled_by: Option<Answer>,
    /// Orders that a payment platform has not confirmed.
    pub unsettled: u64,
    /// Its runs that are not over, oldest first.
    pub runs: Vec<RunFacts>,
    /// Runs that are not over and are not among them.
    pub more_runs: u64,
    /// Its permanent messages that are not stopped.
    pub recurring: Vec<RecurringFacts>,
}

/// The answer about a campaign.
pub fn plan(campaign: &CampaignFacts, around: &Around) -> Answer {
    let (view, name) = (&campaign.view, campaign.view.campaign.as_str());
    let subject = Subject::Campaign { campaign: name.to_owned() };
    let at = |field: &str| view.times.get(field).copied().map(EpochMs);
    let mut reasons: Vec<Reason> = campaign.pause.iter().map(|pause| run::campaign_paused(name, pause)).collect();
    match view.state.as_str() {
        "cancelled" => {
            let by = campaign.cancelled_by.as_deref().map(|job| actor(job).to_owned());
            let sentence = "the campaign was cancelled for good";
            let cancelled = Reason::tells(ReasonCode::CampaignCancelled, sentence).by(by).since(at("cancelled_at"));
            return Answer::ended(subject, &view.state, vec![cancelled]);
        }
        "failed" => {
            let why = view.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            let failed = Reason::stops(ReasonCode::CampaignFailed, format!("its job could not go on{why}"));
            reasons.push(failed.step("remesa dead list", "shows the job, if it may be replayed"));
        }
        _ => {}
    }
    reasons.extend(making(campaign));
    let mut parts: Vec<Answer> = campaign.filled_by.iter().cloned().collect();
    parts.extend(campaign.runs.iter().map(|run| run::plan(run, around)));
    parts.extend(campaign.recurring.iter().map(|it| recurring::plan(it, around)));
    if campaign.more_runs > 0 {
        let sentence = format!("{} more are not over", counted(campaign.more_runs, "run"));
        reasons.push(
            Reason::tells(ReasonCode::Sending, sentence).step(format!("remesa campaign show {name}"), "shows all"),
        );
    }
    let is_over = parts.is_empty() && reasons.iter().all(|reason| reason.effect == Effect::Tells);
    if is_over {
        reasons.insert(0, over(view));
    }
    if view.refused > 0 {
        let sentence = format!("{} refused", counted(view.refused, "row"));
        let refused = Reason::tells(ReasonCode::RowsRefused, sentence);
        reasons.push(refused.step(format!("remesa campaign errors {name}"), "shows which, and why"));
    }
    if is_over {
        return Answer::ended(subject, &view.state, reasons);
    }
    Answer::open(subject, &view.state, reasons).with(parts)
}

/// What is still to be made of it.
fn making(campaign: &CampaignFacts) -> Vec<Reason> {
    let (view, name) = (&campaign.view, campaign.view.campaign.as_str());
    let mut reasons = Vec::new();
    if campaign.unsettled > 0 {
        let sentence = format!("{} wait for the payment platform", counted(campaign.unsettled, "order"));
        let job = json!({ "action": "resolve_orders", "campaign": name });
        let command = format!("echo '{job}' | remesa enqueue control -");
        let creating = Reason::waits(ReasonCode::OrdersCreating, sentence);
        reasons.push(creating.step("remesa check", "asks the platform").job(command, "asks again at once", job));
    }
    if view.state == "running" && campaign.filled_by.is_some() {
        let sentence = format!("its orders are being made: {} so far", count(view.orders));
        reasons.push(Reason::tells(ReasonCode::Generating, sentence));
    }
    reasons
}

/// That nothing is left to do.
fn over(view: &CampaignView) -> Reason {
    let at = |field: &str| view.times.get(field).copied().map(EpochMs);
    if view.deliveries > 0 {
        let by_state: Vec<_> = view.deliveries_by_state.iter().map(|(s, n)| format!("{} {s}", count(*n))).collect();
        let sentence = format!("every message has its outcome: {}", by_state.join(", "));
        return Reason::tells(ReasonCode::CampaignDelivered, sentence).since(at("delivered_at"));
    }
    let what = if view.orders > 0 { counted(view.orders, "order") } else { counted(view.cases, "case") };
    let sentence = format!("it has {what}, and nothing was to be sent to them");
    let command = "remesa enqueue send job.json";
    Reason::tells(ReasonCode::NothingToSend, sentence).step(command, "sends a message to them (jobs/README.md, send)")
}
