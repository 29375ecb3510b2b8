//! Why a channel does not send.

use serde_json::json;

use crate::{
    domain::{actor::actor, clock::EpochMs},
    operate::{
        pace::Speed,
        words::{count, counted, duration},
    },
    store::view::ChannelState,
};

use super::{Answer, Around, Reason, ReasonCode, Subject, codes};

/// A channel, with what waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelFacts {
    /// Its name.
    pub name: String,
    /// Whether it sends.
    pub state: ChannelState,
    /// Since when it is paused.
    pub paused_at: Option<EpochMs>,
    /// How many of the daemons that run serve it.
    pub served_by: usize,
    /// When a daemon that serves it was last seen.
    pub seen_at: Option<EpochMs>,
    /// Message parts a second, where it is configured here; 0 = unlimited.
    pub per_second: Option<u64>,
    /// Runs that have recipients waiting for it.
    pub runs: u64,
    /// Their recipients.
    pub recipients: u64,
}

/// The answer about a channel.
pub fn plan(channel: &ChannelFacts, around: &Around) -> Answer {
    let mut reasons = reasons(channel, around);
    if reasons.is_empty() {
        let limit = match channel.per_second {
            Some(0) => "without a limit".to_owned(),
            Some(limit) => format!("at most {} a second", counted(limit, "part")),
            None => "at the rate of its daemon's configuration".to_owned(),
        };
        let waiting = match channel.recipients {
            0 => "nobody waits for it".to_owned(),
            waiting => format!("{} of {} wait", counted(waiting, "recipient"), counted(channel.runs, "run")),
        };
        let all = ChannelFacts { runs: 1, ..channel.clone() };
        let rest = speed(&all, None, 1).and_then(|speed| speed.time_for(channel.recipients));
        let sentence = format!("it sends, {limit}; {waiting}");
        let ends = rest.filter(|_| channel.recipients > 0).map(|rest| around.now.plus(rest));
        reasons.push(Reason::tells(ReasonCode::ChannelSends, sentence).until(ends));
    }
    Answer::open(Subject::Channel { channel: channel.name.clone() }, channel.state.word(), reasons)
}

/// What of a channel holds up everything that goes over it.
pub fn reasons(channel: &ChannelFacts, around: &Around) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = stands(channel, around).into_iter().collect();
    let name = &channel.name;
    match around.nobody() {
        Some(nobody) => reasons.push(nobody),
        None if channel.served_by == 0 => {
            let seen = channel.seen_at.map_or_else(
                || "none ever did".to_owned(),
                |at| format!("the last one was seen {} ago", duration(around.now.since(at))),
            );
            let sentence = format!(
                "none of the {} serves the channel {name}; {seen}",
                counted(u64::try_from(around.daemons).unwrap_or(u64::MAX), "running daemon")
            );
            let unserved = Reason::stops(ReasonCode::ChannelUnserved, sentence).since(channel.seen_at);
            reasons.push(unserved.step("remesa status", "shows the daemons and their channels").step(
                format!("remesa check   (then define [channels.{name}] at a daemon and reload it)"),
                "shows whether it is in this configuration",
            ));
        }
        None => {}
    }
    reasons
}

fn stands(channel: &ChannelFacts, around: &Around) -> Option<Reason> {
    let name = &channel.name;
    let resume = |reason: Reason, does| {
        let job = json!({ "action": "resume", "channel": name });
        reason.job(format!("remesa channels resume {name}"), does, job)
    };
    let test = |reason: Reason| reason.step(format!("remesa channels test {name}"), "asks the provider, sends nothing");
    Some(match &channel.state {
        ChannelState::Open => return None,
        ChannelState::Paused { reason } => {
            if let Some(failure) = codes::failure(reason) {
                let sentence = format!("the provider of {name} refuses us: {} ({reason})", failure.meaning);
                let denied = Reason::stops(ReasonCode::ChannelDenied, sentence).since(channel.paused_at);
                resume(test(denied), "goes on, once the cause is mended")
            } else {
                let sentence = format!("the channel {name} is paused, for all campaigns");
                let paused = Reason::stops(ReasonCode::ChannelPaused, sentence);
                resume(paused.by(Some(actor(reason).to_owned())).since(channel.paused_at), "goes on")
            }
        }
        ChannelState::Blocked { until, reason } => {
            let sentence = format!("the provider of {name} asked us to wait ({reason})");
            let waits = Reason::waits(ReasonCode::ChannelThrottled, sentence).until(Some(*until));
            resume(waits, "asks it before that time")
        }
        ChannelState::Breaker { until, reason } => {
            let meaning = codes::failure(reason).map(|failure| format!(": {}", failure.meaning)).unwrap_or_default();
            let then = if *until <= around.now { "the next message tries it" } else { "then one message tries it" };
            let sentence = format!("the provider of {name} failed too often in a row ({reason}){meaning}; {then}");
            test(Reason::waits(ReasonCode::BreakerOpen, sentence).until(Some(*until).filter(|at| *at > around.now)))
        }
    })
}

/// How fast a run goes over this channel: what was seen, else what the limit leaves each run for messages of so many
/// parts.
pub fn speed(channel: &ChannelFacts, seen: Option<Speed>, parts: u64) -> Option<Speed> {
    let limit = channel.per_second.filter(|limit| *limit > 0).map(|limit| Speed {
        done: limit,
        within: std::time::Duration::from_secs(parts.max(1).saturating_mul(channel.runs.max(1))),
    });
    seen.filter(|speed| speed.done > 0).or(limit)
}

/// `3 other runs share the channel sms-main`, where some do.
pub fn shared(channel: &ChannelFacts) -> Option<String> {
    let others = channel.runs.saturating_sub(1);
    let verb = if others == 1 { "shares" } else { "share" };
    let runs = if others == 1 { "run" } else { "runs" };
    (others > 0).then(|| format!("{} other {runs} {verb} the channel {}", count(others), channel.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::why::Verdict;

    const NOW: EpochMs = EpochMs(1_763_719_200_000);

    fn told(state: ChannelState, served_by: usize, daemons: usize) -> (Verdict, Vec<ReasonCode>) {
        let channel = ChannelFacts {
            name: "sms".to_owned(),
            state,
            paused_at: Some(NOW),
            served_by,
            seen_at: None,
            per_second: Some(10),
            runs: 2,
            recipients: 100,
        };
        let answer = plan(&channel, &Around { now: NOW, full: false, daemons });
        (answer.verdict, answer.reasons.iter().map(|reason| reason.code).collect())
    }

    #[test]
    fn a_pause_by_somebody_is_told_from_a_provider_that_refuses_us() {
        let paused = |reason: &str| told(ChannelState::Paused { reason: reason.to_owned() }, 1, 1);
        assert_eq!(paused("cli:ana@desk:00000000000000ff"), (Verdict::Stuck, vec![ReasonCode::ChannelPaused]));
        assert_eq!(paused("not_authorised:http_401"), (Verdict::Stuck, vec![ReasonCode::ChannelDenied]));
        assert_eq!(paused("quota_exceeded:no_credit").1, [ReasonCode::ChannelDenied]);
    }

    #[test]
    fn what_ends_by_itself_is_told_from_what_nobody_serves() {
        let later = EpochMs(NOW.0 + 9_000);
        let blocked = ChannelState::Blocked { until: later, reason: "rate_limited".to_owned() };
        assert_eq!(told(blocked, 1, 1), (Verdict::Waits, vec![ReasonCode::ChannelThrottled]));
        let breaker = ChannelState::Breaker { until: later, reason: "connection_refused".to_owned() };
        assert_eq!(told(breaker.clone(), 1, 1), (Verdict::Waits, vec![ReasonCode::BreakerOpen]));
        assert_eq!(told(breaker, 0, 2), (Verdict::Stuck, vec![ReasonCode::ChannelUnserved, ReasonCode::BreakerOpen]));
        assert_eq!(told(ChannelState::Open, 0, 0), (Verdict::Stuck, vec![ReasonCode::NoDaemon]));
        assert_eq!(told(ChannelState::Open, 1, 1), (Verdict::Moves, vec![ReasonCode::ChannelSends]));
    }
}
