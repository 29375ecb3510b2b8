//! Why the message of an order or a case has not left, or what became of it.

use serde_json::json;

use crate::{
    domain::{
        clock::EpochMs,
        delivery::{DeliveryId, DeliveryState},
        order::OrderState,
        standing::Standing,
    },
    operate::words::counted,
};

use super::{
    Answer, Around, Reason, ReasonCode, Subject, codes,
    run::{self, RunFacts},
};

/// What one run does with one contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryFacts {
    /// The run.
    pub run: String,
    /// Which delivery.
    pub of: DeliveryId,
    /// Where it stands.
    pub standing: Standing,
    /// The code in its cell, also while it waits.
    pub code: String,
    /// When it is due, where it waits for a time.
    pub due: Option<EpochMs>,
    /// Its run, where it is under way.
    pub under_way: Option<RunFacts>,
}

/// An order or a case with its deliveries.
#[derive(Debug, Clone)]
pub struct RecipientFacts {
    /// Which.
    pub subject: Subject,
    /// Its campaign.
    pub campaign: String,
    /// Its state.
    pub state: String,
    /// Of an order: its state by the clock.
    pub order: Option<OrderState>,
    /// Of a case: whether it is closed.
    pub closed: bool,
    /// When its payment platform is asked again, where it is not confirmed.
    pub asked_at: Option<EpochMs>,
    /// Newest first.
    pub deliveries: Vec<DeliveryFacts>,
    /// The answer about its campaign, where no run covers it.
    pub above: Option<Answer>,
}

/// The answer about an order or a case.
pub fn plan(it: &RecipientFacts, around: &Around) -> Answer {
    let mut reasons: Vec<Reason> = stands(it).into_iter().collect();
    if it.deliveries.is_empty() {
        reasons.push(Reason::tells(ReasonCode::NoRun, "no run was to send to it"));
        let over = reasons.iter().all(|reason| reason.effect == super::Effect::Tells);
        let make = if over { Answer::ended } else { Answer::open };
        return make(it.subject.clone(), it.state.clone(), reasons).with(it.above.iter().cloned().collect());
    }
    let parts: Vec<Answer> = it.deliveries.iter().map(|delivery| delivery_plan(it, delivery, around)).collect();
    let over = parts.iter().all(|part| part.verdict == super::Verdict::Ended);
    let make = if over { Answer::ended } else { Answer::open };
    make(it.subject.clone(), it.state.clone(), reasons).with(parts)
}

/// What the order or the case itself says.
fn stands(it: &RecipientFacts) -> Option<Reason> {
    let waits = it.deliveries.iter().any(|delivery| delivery.under_way.is_some());
    match it.order {
        Some(OrderState::Creating | OrderState::InDoubt) => {
            let sentence = "its payment platform has not confirmed it, and it is not sent before";
            let job = json!({ "action": "resolve_orders", "campaign": it.campaign });
            let creating = Reason::waits(ReasonCode::OrderCreating, sentence).until(it.asked_at);
            let command = format!("echo '{job}' | remesa enqueue control -");
            Some(creating.job(command, "asks the platform again at once", job))
        }
        Some(state) if state != OrderState::Available && waits => {
            let sentence = format!("it is {state}: a message that waits is skipped in its turn");
            Some(Reason::tells(ReasonCode::OrderClosed, sentence))
        }
        None if it.closed => {
            let sentence = "the case is closed: runs that want active cases leave it out";
            Some(Reason::tells(ReasonCode::CaseClosed, sentence))
        }
        _ => None,
    }
}

/// The answer about one delivery, under the name of its run.
fn delivery_plan(it: &RecipientFacts, delivery: &DeliveryFacts, around: &Around) -> Answer {
    let subject = Subject::Run { campaign: it.campaign.clone(), run: delivery.run.clone() };
    let standing = &delivery.standing;
    let state = standing.state.as_str();
    let holds = delivery.under_way.iter().flat_map(|run| run::holds(run, around)).collect::<Vec<_>>();
    let meaning = codes::any(&delivery.code).map(|it| format!(": {}", it.meaning)).unwrap_or_default();
    let mut reasons = holds;
    match standing.state {
        DeliveryState::Queued if reasons.is_empty() => reasons.push(queued(delivery, &meaning, around)),
        DeliveryState::Queued => {}
        DeliveryState::Sending => {
            let sentence = "a daemon is sending it now, or its daemon is gone and another takes over within seconds";
            reasons = vec![Reason::tells(ReasonCode::BeingSent, sentence)];
        }
        DeliveryState::Retry => {
            let sentence = format!("attempt {} failed, {}{meaning}", standing.attempt, delivery.code);
            reasons.push(Reason::waits(ReasonCode::RetryAt, sentence).until(delivery.due));
        }
        DeliveryState::Held => {
            let sentence = format!("it is held, {}{meaning}", delivery.code);
            reasons.push(Reason::waits(ReasonCode::HeldUntil, sentence).until(delivery.due));
        }
        DeliveryState::Unknown => {
            return Answer::open(subject, state, vec![unknown(it, delivery, &meaning)]);
        }
        DeliveryState::Sent
        | DeliveryState::Delivered
        | DeliveryState::Undelivered
        | DeliveryState::Expired
        | DeliveryState::Failed
        | DeliveryState::Skipped => return Answer::ended(subject, state, vec![over(it, delivery, &meaning)]),
    }
    Answer::open(subject, state, reasons)
}

fn queued(delivery: &DeliveryFacts, meaning: &str, around: &Around) -> Reason {
    if let Some(due) = delivery.due.filter(|due| *due > around.now) {
        let sentence = format!("it waits for its time, {}{meaning}", delivery.code);
        return Reason::waits(ReasonCode::HeldUntil, sentence).until(Some(due));
    }
    let Some(run) = &delivery.under_way else {
        return Reason::waits(ReasonCode::RecipientsAhead, "it waits for its turn");
    };
    let ahead = run.ahead_of(delivery.of.n);
    let sentence = match ahead {
        0 => "it is the next of its run".to_owned(),
        ahead => format!("{} of its run before it", counted(ahead, "recipient")),
    };
    let rest = run.pace().and_then(|speed| speed.time_for(ahead.saturating_add(1)));
    Reason::waits(ReasonCode::RecipientsAhead, sentence).until(rest.map(|rest| around.now.plus(rest)))
}

fn unknown(it: &RecipientFacts, delivery: &DeliveryFacts, meaning: &str) -> Reason {
    let (campaign, run) = (&it.campaign, &delivery.run);
    let sentence = format!("it may have been sent, {}{meaning}; a receipt would tell", delivery.code);
    let job = json!({ "action": "retry", "campaign": campaign, "run": run, "states": "unknown" });
    let reason = Reason::stops(ReasonCode::Unknown, sentence).since(delivery.standing.at);
    let command = format!("remesa campaign retry {campaign} {run} --states unknown");
    reason.job(command, "sends all unknown ones of the run again: some may come twice", job)
}

fn over(it: &RecipientFacts, delivery: &DeliveryFacts, meaning: &str) -> Reason {
    let (standing, code) = (&delivery.standing, &delivery.standing.reason);
    let told = if code.is_empty() { String::new() } else { format!(", {code}{meaning}") };
    let reason = match standing.state {
        DeliveryState::Delivered => Reason::tells(ReasonCode::Delivered, "the handset has it"),
        DeliveryState::Undelivered | DeliveryState::Expired => {
            Reason::tells(ReasonCode::Undelivered, format!("the network could not deliver it{told}"))
        }
        DeliveryState::Failed => {
            let (campaign, run) = (&it.campaign, &delivery.run);
            let failed = Reason::tells(ReasonCode::Failed, format!("it failed at attempt {}{told}", standing.attempt));
            let job = json!({ "action": "retry", "campaign": campaign, "run": run, "states": "failed" });
            let command = format!("remesa campaign retry {campaign} {run} --states failed");
            failed.job(command, "tries all that failed in the run again", job)
        }
        DeliveryState::Skipped => {
            let meaning = codes::any(code).map(|it| format!(": {}; {}", it.meaning, it.help)).unwrap_or_default();
            Reason::tells(ReasonCode::Skipped, format!("it was not sent, {code}{meaning}"))
        }
        DeliveryState::Queued
        | DeliveryState::Sending
        | DeliveryState::Sent
        | DeliveryState::Held
        | DeliveryState::Retry
        | DeliveryState::Unknown => {
            Reason::tells(ReasonCode::SentNoReceipt, "the provider took it, and has not reported on it since")
        }
    };
    reason.since(standing.at)
}

#[cfg(test)]
mod tests {
    use super::{super::run::tests as of_run, *};
    use crate::operate::why::Verdict;

    fn delivery(state: DeliveryState, code: &str) -> DeliveryFacts {
        let standing = Standing { state, attempt: 1, at: None, reason: code.to_owned(), provider_id: String::new() };
        let under_way = state.is_open().then(|| of_run::running(&[("queued", "60")]));
        let of = DeliveryId::of(17);
        DeliveryFacts { run: "delivery@1".to_owned(), of, standing, code: code.to_owned(), due: None, under_way }
    }

    fn order(state: OrderState, deliveries: Vec<DeliveryFacts>) -> Answer {
        let facts = RecipientFacts {
            subject: Subject::Order { campaign: "nov".to_owned(), order: 17 },
            campaign: "nov".to_owned(),
            state: state.to_string(),
            order: Some(state),
            closed: false,
            asked_at: None,
            deliveries,
            above: None,
        };
        plan(&facts, &of_run::around())
    }

    fn codes(answer: &Answer) -> Vec<ReasonCode> {
        let of_parts = answer.parts.iter().flat_map(|part| &part.reasons);
        answer.reasons.iter().chain(of_parts).map(|reason| reason.code).collect()
    }

    #[test]
    fn a_message_that_waits_says_how_many_come_before_it_and_for_how_long() {
        let answer = order(OrderState::Available, vec![delivery(DeliveryState::Queued, "")]);
        assert_eq!((answer.verdict, codes(&answer)), (Verdict::Waits, vec![ReasonCode::RecipientsAhead]));
        let reason = answer.parts.first().and_then(|part| part.reasons.first()).unwrap();
        assert_eq!(reason.sentence, "16 recipients of its run before it");
        // Seventeen at ten a second.
        assert_eq!(reason.until.unwrap().0 - of_run::around().now.0, 1_700);
    }

    #[test]
    fn an_order_that_is_paid_while_its_message_waits_says_that_it_will_be_skipped() {
        let answer = order(OrderState::Paid, vec![delivery(DeliveryState::Queued, "")]);
        assert_eq!(codes(&answer), [ReasonCode::OrderClosed, ReasonCode::RecipientsAhead]);
        let sent = order(OrderState::Paid, vec![delivery(DeliveryState::Sent, "")]);
        assert_eq!((sent.verdict, codes(&sent)), (Verdict::Ended, vec![ReasonCode::SentNoReceipt]));
    }

    #[test]
    fn an_order_that_its_platform_has_not_confirmed_waits_for_it() {
        let answer = order(OrderState::InDoubt, Vec::new());
        let told = (answer.verdict, codes(&answer));
        assert_eq!(told, (Verdict::Waits, vec![ReasonCode::OrderCreating, ReasonCode::NoRun]));
    }

    #[test]
    fn only_what_may_have_been_sent_needs_somebody_who_decides() {
        for (state, verdict) in [
            (DeliveryState::Unknown, Verdict::Stuck),
            (DeliveryState::Failed, Verdict::Ended),
            (DeliveryState::Skipped, Verdict::Ended),
            (DeliveryState::Delivered, Verdict::Ended),
            (DeliveryState::Sending, Verdict::Moves),
            (DeliveryState::Retry, Verdict::Waits),
            (DeliveryState::Held, Verdict::Waits),
        ] {
            let told = order(OrderState::Available, vec![delivery(state, "frequency_cap")]);
            assert_eq!(told.verdict, verdict, "{state}");
        }
    }
}
