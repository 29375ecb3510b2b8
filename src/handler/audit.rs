//! What an operator does, written down: who, what, the state before and after, and how it ended.
//!
//! [`Looked::before`] looks at what a job of the queue `control` is about to change, [`Looked::after`] again and writes.
//! A job that is tried again is written at its end. The states are those that people are shown; of addresses and texts
//! only how many. Traffic (receipts, replies, order events, previews) is nobody's act.

use serde_json::Value;

use crate::{
    domain::name::JobId,
    job::{CaseJob, CaseRef, ControlJob, OptOutJob, OrderRef, Outcome, Person, Target, Whom},
    store::{
        StoreError,
        audit::{AuditEntry, Thing},
        view::{ChannelState, RunView},
    },
};

use super::{Context, case};

/// What a job is about to change.
#[derive(Debug)]
pub(super) struct Looked {
    entry: AuditEntry,
}

impl Looked {
    /// Looks; nothing where the job is traffic.
    pub(super) async fn before(ctx: &Context, id: &JobId, job: &ControlJob) -> Result<Option<Self>, StoreError> {
        let Some(action) = action(job) else { return Ok(None) };
        let mut entry = AuditEntry::asked(id.as_str(), action, thing(job));
        entry.before = shown(ctx, job).await?;
        Ok(Some(Self { entry }))
    }

    /// Looks again, and writes how it ended; nothing where it has not.
    pub(super) async fn after(mut self, ctx: &Context, job: &ControlJob, outcome: &Outcome) -> Result<(), StoreError> {
        match outcome {
            Outcome::Again | Outcome::Retry { .. } | Outcome::Snooze { .. } => return Ok(()),
            Outcome::Rejected { rejection } => rejection.code.as_str().clone_into(&mut self.entry.outcome),
            Outcome::Dead { code, .. } => code.as_str().clone_into(&mut self.entry.outcome),
            Outcome::Done { result, .. } => self.done(result),
        }
        if self.entry.after.is_empty() {
            self.entry.after = shown(ctx, job).await?;
        }
        ctx.store.audit(&self.entry).await
    }

    fn done(&mut self, result: &Value) {
        let changed = result.get("changed");
        let same = changed.is_some_and(|changed| *changed == Value::Bool(false) || *changed == 0);
        if same { "same" } else { "done" }.clone_into(&mut self.entry.outcome);
        self.entry.counts = counts(result);
        let text = |field: &str| {
            result.get(field).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        for (field, place) in [("order", &mut self.entry.of.order), ("case", &mut self.entry.of.case)] {
            if let (true, Some(number)) = (place.is_empty(), text(field).filter(|number| number != "null")) {
                *place = number;
            }
        }
        if self.entry.action == "run_now" {
            self.entry.of.run = text("run").unwrap_or_default();
        }
        if self.entry.action == "reroute" {
            self.entry.after = text("payment_point").unwrap_or_default();
            self.entry.of.campaign = text("campaign").unwrap_or_default();
        }
    }
}

/// What the audit calls it; nothing for traffic.
fn action(job: &ControlJob) -> Option<&'static str> {
    Some(match job {
        ControlJob::Pause(_) => "pause",
        ControlJob::Resume(_) => "resume",
        ControlJob::Cancel { .. } => "cancel",
        ControlJob::RunNow { .. } => "run_now",
        ControlJob::Retry { .. } => "retry",
        ControlJob::Reroute { .. } => "reroute",
        ControlJob::ResolveOrders { .. } => "resolve_orders",
        ControlJob::Export(_) => "export",
        ControlJob::Forget(_) => "forget",
        ControlJob::OptOut(OptOutJob { change, .. }) if change.adds => "opt_out",
        ControlJob::OptOut(_) => "opt_in",
        ControlJob::Case(CaseJob { action, .. }) => match action {
            crate::domain::case::CaseAction::Close => "close_case",
            crate::domain::case::CaseAction::Reopen => "reopen_case",
        },
        ControlJob::OrderEvent { .. } | ControlJob::Receipt(_) | ControlJob::Reply(_) | ControlJob::Preview(_) => {
            return None;
        }
    })
}

/// What it is done to. A row's key and a case's id may say who somebody is: only numbers stand here.
fn thing(job: &ControlJob) -> Thing {
    let mut thing = Thing {
        campaign: job.campaign().map(ToString::to_string).unwrap_or_default(),
        run: job.run().map(ToString::to_string).unwrap_or_default(),
        ..Thing::default()
    };
    match job {
        ControlJob::Pause(target) | ControlJob::Resume(target) | ControlJob::Cancel { target, .. } => match target {
            Target::Recurring { recurring, .. } => thing.recurring = recurring.to_string(),
            Target::Channel(channel) => thing.channel = channel.to_string(),
            Target::Campaign(_) | Target::Run { .. } => {}
        },
        ControlJob::RunNow { recurring, .. } => thing.recurring = recurring.to_string(),
        ControlJob::Reroute { order: OrderRef::Number { number, .. }, .. }
        | ControlJob::Forget(Person::OfOrder(OrderRef::Number { number, .. }))
        | ControlJob::OptOut(OptOutJob { whom: Whom::OfOrder(OrderRef::Number { number, .. }), .. }) => {
            thing.order = number.to_string();
        }
        ControlJob::Case(CaseJob { case: CaseRef::Number { number, .. }, .. })
        | ControlJob::Forget(Person::OfCase(CaseRef::Number { number, .. })) => thing.case = number.to_string(),
        ControlJob::Retry { .. }
        | ControlJob::OrderEvent { .. }
        | ControlJob::Reroute { .. }
        | ControlJob::Receipt(_)
        | ControlJob::Export(_)
        | ControlJob::OptOut(_)
        | ControlJob::Case(_)
        | ControlJob::Reply(_)
        | ControlJob::Forget(_)
        | ControlJob::ResolveOrders { .. }
        | ControlJob::Preview(_) => {}
    }
    thing
}

/// The state of what a job changes, as people are shown it; empty where it has none, or is not there.
async fn shown(ctx: &Context, job: &ControlJob) -> Result<String, StoreError> {
    let store = &ctx.store;
    let target = match job {
        ControlJob::Pause(target) | ControlJob::Resume(target) | ControlJob::Cancel { target, .. } => target.clone(),
        ControlJob::RunNow { campaign, recurring } => {
            Target::Recurring { campaign: campaign.clone(), recurring: recurring.clone() }
        }
        ControlJob::Retry { campaign, run, .. } => Target::Run { campaign: campaign.clone(), run: run.clone() },
        ControlJob::Case(job) => {
            let found = case::find(ctx, &job.case).await?;
            return Ok(found.map(|found| found.case.state.to_string()).unwrap_or_default());
        }
        ControlJob::OrderEvent { .. }
        | ControlJob::Reroute { .. }
        | ControlJob::Receipt(_)
        | ControlJob::Export(_)
        | ControlJob::OptOut(_)
        | ControlJob::Reply(_)
        | ControlJob::Forget(_)
        | ControlJob::ResolveOrders { .. }
        | ControlJob::Preview(_) => return Ok(String::new()),
    };
    Ok(match target {
        Target::Campaign(campaign) => {
            store.campaign_fields(campaign.as_str(), &["state"]).await?.into_iter().flatten().next().unwrap_or_default()
        }
        Target::Run { campaign, run } => {
            let now = store.now_ms().await?;
            let view = RunView::load(store, campaign.as_str(), run.as_str(), now).await?;
            view.map(|view| view.shown).unwrap_or_default()
        }
        Target::Recurring { campaign, recurring } => {
            let definition = store.definition(campaign.as_str(), recurring.as_str()).await?;
            definition.map(|definition| definition.state).unwrap_or_default()
        }
        Target::Channel(channel) => {
            let now = store.now_ms().await?;
            ChannelState::of(&store.channel(channel.as_str()).await?, now).word().to_owned()
        }
    })
}

/// The numbers of a result that say how many: `queued 12, orders_cancelled 3`.
fn counts(result: &Value) -> String {
    let objects = [Some(result), result.get("erased")];
    let fields = objects.into_iter().flatten().filter_map(Value::as_object).flatten();
    let numbers = fields.filter(|(name, _)| !matches!(name.as_str(), "order" | "case"));
    let counts = numbers.filter_map(|(name, value)| Some(format!("{name} {}", value.as_u64()?)));
    counts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Job, QueueName, decode};
    use serde_json::json;

    fn job(job: &Value) -> ControlJob {
        let Job::Control(job) = decode(QueueName::Control, job.to_string().as_bytes()).unwrap().1 else {
            panic!("{job}")
        };
        job
    }

    #[test]
    fn traffic_is_not_audited_and_every_act_has_its_name() {
        let order = json!({"action": "order_event", "campaign": "c", "order": 1, "event": "paid"});
        assert_eq!(action(&job(&order)), None);
        for (act, name) in [
            (json!({"action": "pause", "channel": "sms"}), "pause"),
            (json!({"action": "opt_in", "contact": "+34600123456"}), "opt_in"),
            (json!({"action": "reopen_case", "campaign": "c", "case": 7}), "reopen_case"),
        ] {
            assert_eq!(action(&job(&act)), Some(name));
        }
    }

    #[test]
    fn nobody_is_named_by_key_id_or_contact() {
        for act in [
            json!({"action": "forget", "contact": "+34600123456"}),
            json!({"action": "close_case", "campaign": "c", "case_id": "12345678Z"}),
            json!({"action": "reroute", "campaign": "c", "key": "12345678Z", "payment_point": "p"}),
        ] {
            let thing = format!("{:?}", thing(&job(&act)));
            assert!(!thing.contains("12345678Z") && !thing.contains("600123456"), "{thing}");
        }
        let case = thing(&job(&json!({"action": "close_case", "campaign": "c", "case": 7})));
        assert_eq!((case.campaign.as_str(), case.case.as_str()), ("c", "7"));
    }

    #[test]
    fn of_a_result_only_what_counts_is_kept() {
        let result =
            json!({"action": "cancel", "orders_cancelled": 3, "order": 7, "erased": {"cases": 2}, "who": "Ana"});
        assert_eq!(counts(&result), "orders_cancelled 3, cases 2");
    }
}
