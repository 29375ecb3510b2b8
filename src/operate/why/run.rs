//! Why a run does not move, or how it does.

use serde_json::{Value, json};

use crate::{
    domain::{actor::actor, clock::EpochMs, delivery::DeliveryState},
    operate::{
        pace::Speed,
        words::{count, counted},
    },
    store::view::RunView,
};

use super::{
    Answer, Around, Reason, ReasonCode, Subject,
    channel::{self, ChannelFacts},
    codes,
};

/// Somebody paused something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The job that asked.
    pub job: String,
    /// When.
    pub at: Option<EpochMs>,
}

/// A run paused itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoPause {
    /// `too_many_errors:<code>`.
    pub reason: String,
    /// So many ...
    pub errors: u64,
    /// ... of the last so many attempts.
    pub attempts: u64,
    /// When.
    pub at: Option<EpochMs>,
}

/// How the slots of a run stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turns {
    /// Slots that a daemon has in hand.
    pub taken: u64,
    /// Slots whose owner's lease is over.
    pub left: u64,
    /// Entries that wait in the channel's queue, of all runs.
    pub waiting: u64,
}

/// A run with what bears on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFacts {
    /// Itself: state, counters, times.
    pub view: RunView,
    /// Its campaign is paused.
    pub campaign_pause: Option<Pause>,
    /// It is.
    pub pause: Option<Pause>,
    /// It paused itself.
    pub auto_pause: Option<AutoPause>,
    /// When its contact hours open, and why they are closed.
    pub hours: Option<(EpochMs, String)>,
    /// Who or what ended it.
    pub ended_by: Option<String>,
    /// Recipients below it were taken by a slot.
    pub cursor: u64,
    /// What slots took and have not claimed: from and to.
    pub batches: Vec<(u64, u64)>,
    /// When the next message is due that waits for its time.
    pub next_due: Option<EpochMs>,
    /// Its slots.
    pub turns: Turns,
    /// SMS parts of its messages.
    pub parts: u64,
    /// Its channel.
    pub channel: ChannelFacts,
    /// What it does, where that was looked at.
    pub speed: Option<Speed>,
}

impl RunFacts {
    /// How fast it goes.
    pub fn pace(&self) -> Option<Speed> {
        channel::speed(&self.channel, self.speed, self.parts)
    }

    /// Recipients that come before this one, which waits for its turn.
    pub fn ahead_of(&self, number: u64) -> u64 {
        let left = |&(from, to): &(u64, u64)| to.saturating_sub(from).saturating_add(1);
        if number >= self.cursor {
            let taken: u64 = self.batches.iter().map(left).sum();
            return number - self.cursor + taken;
        }
        // Slots go through their batches side by side.
        let own = self.batches.iter().find(|(from, to)| (*from..=*to).contains(&number));
        own.map_or(0, |(from, _)| number - from)
    }

    fn subject(&self) -> Subject {
        Subject::Run { campaign: self.view.campaign.clone(), run: self.view.run.clone() }
    }

    fn job(&self, action: &str) -> Value {
        json!({ "action": action, "campaign": self.view.campaign, "run": self.view.run })
    }
}

/// The answer about a run.
pub fn plan(run: &RunFacts, around: &Around) -> Answer {
    if run.view.state != "running" {
        return Answer::ended(run.subject(), &run.view.state, over(run));
    }
    let mut reasons = holds(run, around);
    if reasons.is_empty() {
        reasons.extend(progress(run, around));
    }
    reasons.extend(troubles(run));
    Answer::open(run.subject(), &run.view.shown, reasons)
}

/// What holds up every recipient of a running run.
pub fn holds(run: &RunFacts, around: &Around) -> Vec<Reason> {
    let (campaign, name) = (&run.view.campaign, &run.view.run);
    let mut reasons = Vec::new();
    if let Some(pause) = &run.campaign_pause {
        reasons.push(campaign_paused(campaign, pause));
    }
    let resume = |reason: Reason, does| {
        reason.job(format!("remesa campaign resume {campaign} --run {name}"), does, run.job("resume"))
    };
    if let Some(pause) = &run.pause {
        let paused = Reason::stops(ReasonCode::RunPaused, format!("the run {name} is paused"));
        reasons.push(resume(paused.by(Some(actor(&pause.job).to_owned())).since(pause.at), "goes on"));
    }
    if let Some(auto) = &run.auto_pause {
        let code = auto.reason.split_once(':').map_or(auto.reason.as_str(), |(_, code)| code);
        let meaning = codes::any(code).map(|it| format!(": {}", it.meaning)).unwrap_or_default();
        let sentence = format!(
            "the run paused itself: {} of its last {} attempts came to nothing, lately with {code}{meaning}",
            count(auto.errors),
            count(auto.attempts)
        );
        let paused = Reason::stops(ReasonCode::RunPausedItself, sentence).since(auto.at);
        let test = format!("remesa channels test {}", run.view.channel);
        reasons
            .push(resume(paused.step(test, "asks the provider, sends nothing"), "goes on, once the cause is mended"));
    }
    if let Some((until, why)) = run.hours.as_ref().filter(|(until, _)| *until > around.now) {
        let why = if why.is_empty() || why == "outside_hours" { String::new() } else { format!(" ({why})") };
        let sentence = format!("the contact hours are closed{why}");
        reasons.push(Reason::waits(ReasonCode::ContactHours, sentence).until(Some(*until)));
    }
    reasons.extend(channel::reasons(&run.channel, around));
    reasons
}

/// That the campaign is paused, which holds up all of its runs.
pub fn campaign_paused(campaign: &str, pause: &Pause) -> Reason {
    let job = json!({ "action": "resume", "campaign": campaign });
    let paused = Reason::stops(ReasonCode::CampaignPaused, format!("the campaign {campaign} is paused"));
    let paused = paused.by(Some(actor(&pause.job).to_owned())).since(pause.at);
    paused.job(format!("remesa campaign resume {campaign}"), "goes on", job)
}

/// How a run moves that nothing holds.
fn progress(run: &RunFacts, around: &Around) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let view = &run.view;
    let number = |state| view.count(state);
    let (queued, sending) = (number(DeliveryState::Queued), number(DeliveryState::Sending));
    let (retry, held) = (number(DeliveryState::Retry), number(DeliveryState::Held));
    if run.turns.taken == 0 && run.turns.left > 0 && sending > 0 {
        let sentence = format!("{} in the hand of a daemon that is gone", counted(sending, "recipient"));
        reasons.push(Reason::waits(ReasonCode::OwnerGone, format!("{sentence}; another takes over within seconds")));
    } else if queued > 0 && run.turns.taken == 0 && run.turns.waiting > 0 {
        let sentence = format!("its turns wait behind {} of the channel", counted(run.turns.waiting, "turn"));
        let status = "shows what the daemons have in hand";
        reasons.push(Reason::waits(ReasonCode::TurnsWait, sentence).step("remesa status", status));
    } else if queued + sending > 0 {
        let done = format!("{} of {} have their outcome", count(view.ended()), counted(view.total, "message"));
        let others = channel::shared(&run.channel).map(|others| format!("; {others}")).unwrap_or_default();
        let sentence = format!("it sends: {done}, {} wait{others}", count(queued + retry + held));
        let rest = run.pace().and_then(|speed| speed.time_for(queued + sending));
        let reason = Reason::tells(ReasonCode::Sending, sentence).until(rest.map(|rest| around.now.plus(rest)));
        let watch = format!("remesa campaign show {} --watch", view.campaign);
        reasons.push(reason.step(watch, "shows it as it goes"));
    }
    let moves = queued + sending > 0;
    let waits = |code, sentence: String| {
        if moves { Reason::tells(code, sentence) } else { Reason::waits(code, sentence).until(run.next_due) }
    };
    if retry > 0 {
        let sentence = format!("{} wait for their next attempt", counted(retry, "message"));
        reasons.push(waits(ReasonCode::RetriesWait, sentence));
    }
    if held > 0 {
        let sentence = format!("{} wait: their address has had its messages for now", counted(held, "message"));
        reasons.push(waits(ReasonCode::CapReached, sentence));
    }
    reasons
}

/// What became of messages that somebody may want to see to.
fn troubles(run: &RunFacts) -> Vec<Reason> {
    let (campaign, name) = (&run.view.campaign, &run.view.run);
    let retry = |reason: Reason, states: &str, does| {
        let job = json!({ "action": "retry", "campaign": campaign, "run": name, "states": states });
        reason.job(format!("remesa campaign retry {campaign} {name} --states {states}"), does, job)
    };
    let (failed, unknown) = (run.view.count(DeliveryState::Failed), run.view.count(DeliveryState::Unknown));
    let mut reasons = Vec::new();
    if unknown > 0 {
        let sentence = format!("of {} nobody knows whether they were sent", counted(unknown, "message"));
        let reason = Reason::tells(ReasonCode::SomeUnknown, sentence);
        reasons.push(retry(reason, "unknown", "sends them again: some may come twice"));
    }
    if failed > 0 {
        let reason = Reason::tells(ReasonCode::SomeFailed, format!("{} failed", counted(failed, "message")));
        let list = format!("remesa campaign orders {campaign} --delivery failed");
        let reason = if run.view.audience == "cases" { reason } else { reason.step(list, "shows which, and why") };
        reasons.push(retry(reason, "failed", "tries them again"));
    }
    reasons
}

/// How a run that is over ended.
fn over(run: &RunFacts) -> Vec<Reason> {
    let at = run.view.times.get("finished_at").copied().map(EpochMs);
    let why = run.ended_by.clone();
    let by = why.as_deref().map(|job| actor(job).to_owned());
    let told = |reason: Option<String>| reason.map(|why| format!(": {why}")).unwrap_or_default();
    let first = match run.view.state.as_str() {
        "cancelled" => Reason::tells(ReasonCode::RunCancelled, "the run was cancelled for good").by(by),
        "failed" => Reason::tells(ReasonCode::RunFailed, format!("the run failed{}", told(why))),
        "not_sent" => {
            let sentence = "its time passed while the contact hours were closed, and it was not to be held";
            Reason::tells(ReasonCode::RunNotSent, sentence)
        }
        _ => {
            let by_state: Vec<_> =
                run.view.deliveries_by_state.iter().map(|(s, n)| format!("{} {s}", count(*n))).collect();
            let sentence = format!("every message has its outcome: {}", by_state.join(", "));
            Reason::tells(ReasonCode::RunFinished, sentence)
        }
    };
    let mut reasons = vec![first.since(at)];
    reasons.extend(troubles(run));
    reasons
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{operate::why::Verdict, store::view::ChannelState};
    use std::collections::HashMap;
    use std::time::Duration;

    const NOW: EpochMs = EpochMs(1_763_719_200_000);

    pub(in crate::operate::why) fn around() -> Around {
        Around { now: NOW, full: false, daemons: 1 }
    }

    /// A running run of a channel that sends, with these fields of its hash.
    pub(in crate::operate::why) fn running(fields: &[(&str, &str)]) -> RunFacts {
        let all = [&[("state", "running"), ("total", "100"), ("channel", "sms")], fields].concat();
        let hash: HashMap<String, String> = all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        RunFacts {
            view: RunView::of("nov", "delivery@1", &hash, None, &ChannelState::Open),
            campaign_pause: None,
            pause: None,
            auto_pause: None,
            hours: None,
            ended_by: None,
            cursor: 1,
            batches: Vec::new(),
            next_due: None,
            turns: Turns { taken: 1, left: 0, waiting: 0 },
            parts: 1,
            channel: ChannelFacts {
                name: "sms".to_owned(),
                state: ChannelState::Open,
                paused_at: None,
                served_by: 1,
                seen_at: Some(NOW),
                per_second: Some(10),
                runs: 1,
                recipients: 60,
            },
            speed: None,
        }
    }

    fn codes(run: &RunFacts) -> (Verdict, Vec<ReasonCode>) {
        let answer = plan(run, &around());
        (answer.verdict, answer.reasons.iter().map(|reason| reason.code).collect())
    }

    #[test]
    fn what_holds_a_run_stands_in_the_order_of_its_strength() {
        use ReasonCode as C;
        let queued = running(&[("queued", "60"), ("sent", "40")]);
        assert_eq!(codes(&queued), (Verdict::Moves, vec![C::Sending]));
        let hours = Some((EpochMs(NOW.0 + 1), "outside_hours".to_owned()));
        let closed = RunFacts { hours: hours.clone(), ..queued.clone() };
        assert_eq!(codes(&closed), (Verdict::Waits, vec![C::ContactHours]));
        let over = RunFacts { hours: Some((NOW, String::new())), ..queued.clone() };
        assert_eq!(codes(&over).1, [C::Sending], "hours that have opened hold nothing");
        let pause = Some(Pause { job: "cli:ana@desk:00000000000000ff".to_owned(), at: Some(NOW) });
        let paused = RunFacts { hours, pause: pause.clone(), campaign_pause: pause, ..queued };
        assert_eq!(codes(&paused), (Verdict::Stuck, vec![C::CampaignPaused, C::RunPaused, C::ContactHours]));
        let by = plan(&paused, &around()).reasons.first().and_then(|reason| reason.by.clone());
        assert_eq!(by.as_deref(), Some("ana@desk"));
    }

    #[test]
    fn a_run_that_paused_itself_says_of_what_and_what_helps() {
        let reason = "too_many_errors:server_error".to_owned();
        let auto = AutoPause { reason, errors: 431, attempts: 1960, at: None };
        let run = RunFacts { auto_pause: Some(auto), ..running(&[("queued", "9")]) };
        let answer = plan(&run, &around());
        let reason = answer.reasons.first().unwrap();
        let says = "431 of its last 1,960 attempts came to nothing, lately with server_error: ";
        assert!(reason.sentence.contains(says), "{}", reason.sentence);
        let commands: Vec<_> = reason.steps.iter().map(|step| step.command.as_str()).collect();
        assert_eq!(commands, ["remesa channels test sms", "remesa campaign resume nov --run delivery@1"]);
    }

    #[test]
    fn what_waits_for_its_time_is_told_when_nothing_else_is_left() {
        use ReasonCode as C;
        let later = Some(EpochMs(NOW.0 + 30_000));
        let run = RunFacts { next_due: later, ..running(&[("retry", "3"), ("held", "2"), ("sent", "95")]) };
        assert_eq!(codes(&run), (Verdict::Waits, vec![C::RetriesWait, C::CapReached]));
        assert_eq!(plan(&run, &around()).reasons.first().and_then(|reason| reason.until), later);
        let moving = running(&[("queued", "10"), ("retry", "3"), ("sent", "87")]);
        assert_eq!(codes(&moving), (Verdict::Moves, vec![C::Sending, C::RetriesWait]));
    }

    #[test]
    fn the_end_of_a_run_is_told_by_the_pace_seen_else_by_what_the_limit_leaves_it() {
        let until =
            |run: &RunFacts| plan(run, &around()).reasons.first().and_then(|it| it.until).map(|at| at.0 - NOW.0);
        let run = running(&[("queued", "60")]);
        assert_eq!(until(&run), Some(6_000), "ten a second");
        let shared = RunFacts { channel: ChannelFacts { runs: 2, ..run.channel.clone() }, parts: 3, ..run.clone() };
        assert_eq!(until(&shared), Some(36_000), "three parts each, and another run");
        let seen = Speed { done: 30, within: Duration::from_secs(1) };
        assert_eq!(until(&RunFacts { speed: Some(seen), ..run.clone() }), Some(2_000));
        let unlimited = RunFacts { channel: ChannelFacts { per_second: Some(0), ..run.channel.clone() }, ..run };
        assert_eq!(until(&unlimited), None, "nobody knows");
    }

    #[test]
    fn who_comes_before_a_recipient_is_what_slots_took_and_what_lies_behind_the_cursor() {
        let run = RunFacts { cursor: 401, batches: vec![(150, 200), (201, 400)], ..running(&[]) };
        assert_eq!(run.ahead_of(500), 99 + 51 + 200);
        assert_eq!(run.ahead_of(210), 9, "slots go through their batches side by side");
        assert_eq!(run.ahead_of(10), 0, "it was taken already");
    }

    #[test]
    fn turns_that_nobody_has_and_recipients_of_a_dead_daemon_wait() {
        use ReasonCode as C;
        let waits = RunFacts { turns: Turns { taken: 0, left: 0, waiting: 7 }, ..running(&[("queued", "9")]) };
        assert_eq!(codes(&waits), (Verdict::Waits, vec![C::TurnsWait]));
        let left = RunFacts { turns: Turns { taken: 0, left: 2, waiting: 0 }, ..running(&[("sending", "9")]) };
        assert_eq!(codes(&left), (Verdict::Waits, vec![C::OwnerGone]));
    }

    #[test]
    fn a_run_without_a_daemon_is_stuck_and_a_finished_one_is_over_whatever_else() {
        let run = running(&[("queued", "60")]);
        let nobody = Around { daemons: 0, ..around() };
        let answer = plan(&RunFacts { channel: ChannelFacts { served_by: 0, ..run.channel.clone() }, ..run }, &nobody);
        let told = (answer.verdict, answer.reasons.len());
        assert_eq!(told, (Verdict::Stuck, 1), "that no daemon serves its channel goes without saying");
        let over = running(&[("state", "finished"), ("sent", "98"), ("failed", "2")]);
        assert_eq!(codes(&over), (Verdict::Ended, vec![ReasonCode::RunFinished, ReasonCode::SomeFailed]));
    }
}
