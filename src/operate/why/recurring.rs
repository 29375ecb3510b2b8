//! Why a permanent message has no run, or when it has the next.

use serde_json::json;

use crate::{domain::actor::actor, operate::words::counted, store::recurring::Definition};

use super::{
    Answer, Around, Reason, ReasonCode, Subject,
    run::{self, Pause},
};

/// A permanent message with what bears on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecurringFacts {
    /// Its campaign.
    pub campaign: String,
    /// Its name.
    pub name: String,
    /// Itself.
    pub definition: Definition,
    /// Its campaign is paused.
    pub campaign_pause: Option<Pause>,
    /// The run before, where it is under way.
    pub under_way: Option<String>,
}

/// The answer about a permanent message.
pub fn plan(it: &RecurringFacts, around: &Around) -> Answer {
    let (campaign, name, definition) = (&it.campaign, &it.name, &it.definition);
    let subject = Subject::Recurring { campaign: campaign.clone(), recurring: name.clone() };
    if definition.state == "stopped" {
        let why = definition.reason.as_deref().unwrap_or_default();
        let (sentence, by) = match why {
            "max_runs" => ("it has had as many runs as `max_runs` says".to_owned(), None),
            "until" => ("its `until` has passed".to_owned(), None),
            job => ("it was stopped for good".to_owned(), Some(actor(job).to_owned())),
        };
        return Answer::ended(subject, "stopped", vec![Reason::tells(ReasonCode::RecurringStopped, sentence).by(by)]);
    }
    let mut reasons: Vec<Reason> =
        it.campaign_pause.iter().map(|pause| run::campaign_paused(campaign, pause)).collect();
    reasons.extend(around.nobody());
    if definition.state == "paused" {
        let job = json!({ "action": "resume", "campaign": campaign, "recurring": name });
        let by = definition.paused_by.as_deref().map(|job| actor(job).to_owned());
        let paused = Reason::stops(ReasonCode::RecurringPaused, format!("the permanent message {name} is paused"));
        let paused = paused.by(by).since(definition.paused_at);
        reasons.push(paused.job(format!("remesa recurring resume {campaign} {name}"), "goes on", job));
    }
    if let (Some(due), Some(run)) = (definition.queued, &it.under_way) {
        let sentence = format!("its due time stands behind the run {run}, which is under way (`overlap`: queue)");
        let overlap = Reason::waits(ReasonCode::Overlap, sentence).since(Some(due));
        reasons.push(overlap.step(format!("remesa why run {campaign} {run}"), "says why that run is not over"));
    } else if let Some(run) = &it.under_way {
        let passed = counted(definition.overlapped, "due time");
        let sentence = format!("the run {run} is under way; {passed} passed over for such a run so far");
        let overlap = Reason::tells(ReasonCode::Overlap, sentence);
        reasons.push(overlap.step(format!("remesa why run {campaign} {run}"), "says how far it is"));
    }
    if let Some(next) = definition.next_at.filter(|_| definition.state == "active") {
        let sentence = "it waits for its next due time";
        let due = Reason::waits(ReasonCode::DueAt, sentence).until(Some(next));
        let job = json!({ "action": "run_now", "campaign": campaign, "recurring": name });
        reasons.push(due.job(format!("remesa recurring run-now {campaign} {name}"), "makes a run now", job));
    }
    if definition.missed > 0 {
        let sentence = format!("{} passed without a run (`misfire`, `grace`)", counted(definition.missed, "due time"));
        reasons.push(Reason::tells(ReasonCode::DueMissed, sentence));
    }
    Answer::open(subject, &definition.state, reasons)
}
