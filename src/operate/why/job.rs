//! Why a job is not done, or what became of it.

use std::{collections::HashMap, time::Duration};

use crate::{
    domain::{clock::EpochMs, name::JobId},
    job::{DeadCode, RejectionCode},
    operate::words::{counted, duration},
};

use super::{Answer, Around, Reason, ReasonCode, Subject};

/// A job that waits unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its queue.
    pub queue: String,
    /// Entries before it that nobody has; so many at least.
    pub ahead: u64,
    /// Whether there may be more of them.
    pub more: bool,
    /// Jobs of the queue that are being done.
    pub running: u64,
    /// For how long the oldest of them is.
    pub oldest_running: Duration,
}

/// A job with what bears on it.
#[derive(Debug, Clone)]
pub struct JobFacts {
    /// Its id.
    pub id: JobId,
    /// Its status; empty while it waits unread.
    pub status: HashMap<String, String>,
    /// Where it waits, if it does unread.
    pub place: Option<Place>,
    /// The jobs it comes after, each with its state.
    pub after: Vec<(String, Option<String>)>,
    /// Whether its queue is one that waits while Redis is full.
    pub fills: bool,
    /// The answer about the run it started, where that is not over.
    pub run: Option<Answer>,
}

impl JobFacts {
    fn text(&self, field: &str) -> &str {
        self.status.get(field).map_or("", String::as_str)
    }

    fn time(&self, field: &str) -> Option<EpochMs> {
        self.text(field).parse().ok().map(EpochMs)
    }
}

/// The answer about a job.
pub fn plan(job: &JobFacts, around: &Around) -> Answer {
    let subject = Subject::Job { job: job.id.clone() };
    let state = job.text("state");
    let mut reasons: Vec<Reason> = Vec::new();
    match state {
        "done" => return done(subject, job),
        "dead" => return Answer::ended(subject, state, vec![dead(job)]),
        "rejected" => return Answer::ended(subject, state, vec![rejected(job)]),
        "scheduled" => reasons.push(scheduled(job)),
        "parked" => reasons.extend(parked(job)),
        "running" => reasons.push(running(job)),
        _ => reasons.extend(job.place.as_ref().map(queued)),
    }
    reasons.extend(around.nobody());
    if around.full && job.fills && state != "scheduled" {
        let sentence = "Redis is full: no import and no generate goes on until it is below 80 % of maxmemory";
        let full = Reason::stops(ReasonCode::RedisFull, sentence);
        let full = full.step("remesa status", "shows its memory");
        reasons.push(full.step("remesa campaign list", "shows what could be removed, or raise maxmemory"));
    }
    Answer::open(subject, if state.is_empty() { "queued" } else { state }, reasons)
}

fn done(subject: Subject, job: &JobFacts) -> Answer {
    let run = job.text("run");
    let what = if run.is_empty() { String::new() } else { format!(": it made the run {run}") };
    let reason = Reason::tells(ReasonCode::JobDone, format!("the job is done{what}")).since(job.time("finished_at"));
    Answer::ended(subject, "done", vec![reason]).with(job.run.iter().cloned().collect())
}

fn queued(place: &Place) -> Reason {
    let ahead = match (place.ahead, place.more) {
        (0, _) => "it is the next".to_owned(),
        (ahead, false) => format!("{} before it", counted(ahead, "job")),
        (ahead, true) => format!("more than {} before it", counted(ahead, "job")),
    };
    let running = match place.running {
        0 => "none is being done".to_owned(),
        running => format!("{} done now, the oldest for {}", be(running), duration(place.oldest_running)),
    };
    let sentence = format!("it waits in the queue {}: {ahead}, {running}", place.queue);
    Reason::waits(ReasonCode::JobQueued, sentence).step("remesa status", "shows the queues and who works on them")
}

fn be(running: u64) -> String {
    if running == 1 { "1 is being".to_owned() } else { format!("{running} are being") }
}

fn scheduled(job: &JobFacts) -> Reason {
    let (code, error, at) = (job.text("error_code"), job.text("error"), job.time("at"));
    if code.is_empty() {
        let begun = job.text("begun") == "1";
        let sentence = if begun { "it goes on by itself at its time" } else { "its time has not come" };
        return Reason::waits(ReasonCode::ScheduledFor, sentence).until(at);
    }
    let attempt: u64 = job.text("attempt").parse().unwrap_or(1);
    let failed = attempt.saturating_sub(1).max(1);
    let sentence = format!("attempt {failed} failed, {code}: {error}; it is tried again");
    Reason::waits(ReasonCode::JobRetries, sentence).until(at)
}

fn parked(job: &JobFacts) -> Vec<Reason> {
    let open = job.after.iter().filter(|(_, state)| state.as_deref() != Some("done"));
    let reasons = open.map(|(id, state)| match state.as_deref() {
        None | Some("rejected") => {
            let is = if state.is_some() { "was refused" } else { "is known to nobody" };
            let sentence = format!("it comes after the job {id}, which {is}; after 24 h this one ends dead");
            let unknown = Reason::stops(ReasonCode::ParkedUnknown, sentence).since(job.time("parked_at"));
            unknown.step("remesa rejected list", "shows whether it was refused")
        }
        Some(state) => {
            let sentence = format!("it comes after the job {id}, which is {state}");
            let parked = Reason::waits(ReasonCode::ParkedBehind, sentence).since(job.time("parked_at"));
            parked.step(format!("remesa why job {id}"), "says why that one is not done")
        }
    });
    reasons.collect()
}

fn running(job: &JobFacts) -> Reason {
    let attempt = job.text("attempt").parse::<u64>().ok().filter(|attempt| *attempt > 1);
    let attempt = attempt.map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
    Reason::tells(ReasonCode::JobRunning, format!("it is being done{attempt}")).since(job.time("started_at"))
}

fn dead(job: &JobFacts) -> Reason {
    let (id, code) = (&job.id, job.text("error_code"));
    let meaning = DeadCode::parse(code).map(DeadCode::meaning).unwrap_or_default();
    let sentence = format!("it could not be finished, {code}: {} {meaning}", ended(job.text("error")));
    let dead = Reason::tells(ReasonCode::JobDead, sentence.trim_end()).since(job.time("finished_at"));
    dead.step(format!("remesa dead show {id}"), "shows it with its job")
        .step(format!("remesa dead replay {id}"), "runs it again, once the cause is gone")
}

fn rejected(job: &JobFacts) -> Reason {
    let (id, code) = (&job.id, job.text("error_code"));
    let meaning = RejectionCode::parse(code).map(RejectionCode::meaning).unwrap_or_default();
    let sentence = format!("it was refused, {code}: {} {meaning}", ended(job.text("error")));
    let rejected = Reason::tells(ReasonCode::JobRejected, sentence.trim_end()).since(job.time("finished_at"));
    rejected
        .step(format!("remesa rejected show {id} --payload > job.json"), "takes it out, to be mended")
        .step(format!("remesa enqueue {} job.json", job.text("queue")), "gives it in again, under the same id")
}

/// A sentence with its full stop.
fn ended(sentence: &str) -> String {
    if sentence.is_empty() || sentence.ends_with('.') { sentence.to_owned() } else { format!("{sentence}.") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::why::Verdict;

    const NOW: EpochMs = EpochMs(1_763_719_200_000);

    fn around() -> Around {
        Around { now: NOW, full: false, daemons: 1 }
    }

    fn job(fields: &[(&str, &str)]) -> JobFacts {
        JobFacts {
            id: JobId::parse("gen-nov").unwrap(),
            status: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            place: None,
            after: Vec::new(),
            fills: true,
            run: None,
        }
    }

    fn codes(answer: &Answer) -> (Verdict, Vec<ReasonCode>) {
        (answer.verdict, answer.reasons.iter().map(|reason| reason.code).collect())
    }

    #[test]
    fn a_full_redis_holds_what_fills_it_and_nothing_else() {
        use ReasonCode as C;
        let full = Around { full: true, ..around() };
        let running = job(&[("state", "running")]);
        assert_eq!(codes(&plan(&running, &full)), (Verdict::Stuck, vec![C::RedisFull, C::JobRunning]));
        let send = JobFacts { fills: false, ..running };
        assert_eq!(codes(&plan(&send, &full)), (Verdict::Moves, vec![C::JobRunning]));
    }

    #[test]
    fn an_attempt_that_failed_says_which_of_what_and_when_the_next_one_is() {
        let fields = [("state", "scheduled"), ("attempt", "3"), ("error_code", "url_refused"), ("error", "404")];
        let answer = plan(&job(&[&fields[..], &[("at", "1763719205000")]].concat()), &around());
        let reason = answer.reasons.first().unwrap();
        assert_eq!(reason.sentence, "attempt 2 failed, url_refused: 404; it is tried again");
        assert_eq!((reason.code, reason.until), (ReasonCode::JobRetries, Some(EpochMs(NOW.0 + 5_000))));
    }

    #[test]
    fn a_refused_and_a_dead_job_say_their_code_its_meaning_and_the_way_on() {
        let refused =
            [("state", "rejected"), ("queue", "send"), ("error_code", "unknown_channel"), ("error", "channel: no")];
        let answer = plan(&job(&refused), &around());
        let reason = answer.reasons.first().unwrap();
        let says =
            "it was refused, unknown_channel: channel: no. No daemon seen in the last 10 minutes serves this channel.";
        assert_eq!((answer.verdict, reason.sentence.as_str()), (Verdict::Ended, says));
        let commands: Vec<_> = reason.steps.iter().map(|step| step.command.as_str()).collect();
        assert_eq!(commands, ["remesa rejected show gen-nov --payload > job.json", "remesa enqueue send job.json"]);
        let dead = plan(&job(&[("state", "dead"), ("error_code", "poisoned")]), &around());
        let step = dead.reasons.first().and_then(|reason| reason.steps.last()).unwrap();
        assert_eq!(step.command, "remesa dead replay gen-nov");
    }

    #[test]
    fn a_job_that_is_done_moves_as_its_run_does() {
        let run = Answer::open(
            Subject::Run { campaign: "nov".to_owned(), run: "delivery@1".to_owned() },
            "paused",
            vec![Reason::stops(ReasonCode::RunPaused, "paused")],
        );
        let begun = JobFacts { run: Some(run), ..job(&[("state", "done"), ("run", "delivery@1")]) };
        assert_eq!(plan(&begun, &around()).verdict, Verdict::Stuck);
        assert_eq!(plan(&job(&[("state", "done")]), &around()).verdict, Verdict::Ended);
    }
}
