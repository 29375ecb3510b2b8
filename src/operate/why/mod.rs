//! Why something does not move: asked of a job, an order, a case, a run, a campaign, a channel, a permanent message.
//!
//! [`ask`] gathers plain facts from Redis, in a bounded number of round trips whatever the size of a campaign, and lets
//! the plan of the thing ([`job`], [`campaign`], [`run`], [`recipient`], [`channel`], [`recurring`]) turn them into
//! reasons: pure functions, tested on facts alone. A reason has a code of the closed table in [`reason`], says who, since
//! and until when, and what to type. Nothing is changed, and no text says an address.

pub mod campaign;
pub mod channel;
pub mod codes;
mod facts;
pub mod job;
pub mod reason;
pub mod recipient;
pub mod recurring;
pub mod run;

use std::time::Duration;

use serde::Serialize;

use crate::{
    config::Config,
    domain::{clock::EpochMs, name::JobId},
    store::{Store, StoreError},
};

pub use reason::{Effect, Reason, ReasonCode, Step};

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// A job.
    Job {
        /// Its id.
        job: JobId,
    },
    /// A campaign.
    Campaign {
        /// Its name.
        campaign: String,
    },
    /// A run.
    Run {
        /// Its campaign.
        campaign: String,
        /// Its name.
        run: String,
    },
    /// An order.
    Order {
        /// Its campaign.
        campaign: String,
        /// Its number.
        order: u64,
    },
    /// A case.
    Case {
        /// Its campaign.
        campaign: String,
        /// Its number.
        case: u64,
    },
    /// A channel.
    Channel {
        /// Its name.
        channel: String,
    },
    /// A permanent message.
    Recurring {
        /// Its campaign.
        campaign: String,
        /// Its name.
        recurring: String,
    },
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Job { job } => write!(f, "the job {job}"),
            Self::Campaign { campaign } => write!(f, "the campaign {campaign}"),
            Self::Run { campaign, run } => write!(f, "the run {run} of {campaign}"),
            Self::Order { campaign, order } => write!(f, "order {order} of {campaign}"),
            Self::Case { campaign, case } => write!(f, "case {case} of {campaign}"),
            Self::Channel { channel } => write!(f, "the channel {channel}"),
            Self::Recurring { campaign, recurring } => write!(f, "the permanent message {recurring} of {campaign}"),
        }
    }
}

/// Whether it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is over.
    Ended,
    /// It will, by itself.
    Waits,
    /// It does.
    Moves,
    /// Not before somebody acts.
    Stuck,
}

impl Verdict {
    /// As the end of a sentence that begins with the state.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Ended => "it is over",
            Self::Moves => "it moves",
            Self::Waits => "it waits, and goes on by itself",
            Self::Stuck => "it goes on only when somebody acts",
        }
    }
}

/// Why it does not move, or how it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What was asked about.
    #[serde(flatten)]
    pub subject: Subject,
    /// Its state.
    pub state: String,
    /// Whether it moves.
    pub verdict: Verdict,
    /// Why, the strongest first.
    pub reasons: Vec<Reason>,
    /// The same of what it consists of and is not over: the runs of a campaign.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Answer>,
}

impl Answer {
    /// An answer about something that is not over: its verdict is that of its strongest reason.
    pub fn open(subject: Subject, state: impl Into<String>, mut reasons: Vec<Reason>) -> Self {
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.effect));
        let verdict = match reasons.first().map(|reason| reason.effect) {
            Some(Effect::Stops) => Verdict::Stuck,
            Some(Effect::Waits) => Verdict::Waits,
            Some(Effect::Tells) | None => Verdict::Moves,
        };
        Self { subject, state: state.into(), verdict, reasons, parts: Vec::new() }
    }

    /// The same with the answers about what it consists of. Where one of them is stuck it is; else, where one moves, it
    /// moves; it waits where they all do.
    #[must_use]
    pub fn with(mut self, parts: Vec<Self>) -> Self {
        let binds = self.reasons.iter().any(|reason| reason.effect > Effect::Tells);
        let own = if binds || parts.is_empty() { self.verdict } else { Verdict::Ended };
        self.verdict = parts.iter().fold(own, |worst, part| worst.max(part.verdict));
        self.parts = parts;
        self
    }

    /// An answer about something that is over.
    pub fn ended(subject: Subject, state: impl Into<String>, reasons: Vec<Reason>) -> Self {
        Self { subject, state: state.into(), verdict: Verdict::Ended, reasons, parts: Vec::new() }
    }
}

/// What holds for everything: the clock, Redis' room, the daemons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// Redis' clock.
    pub now: EpochMs,
    /// Whether Redis takes nothing new.
    pub full: bool,
    /// How many daemons run.
    pub daemons: usize,
}

impl Around {
    /// That nobody is there to work, if so.
    fn nobody(&self) -> Option<Reason> {
        (self.daemons == 0).then(|| {
            Reason::stops(ReasonCode::NoDaemon, "no daemon is running")
                .step("systemctl start remesa", "starts the daemon of the package")
                .step("remesa run", "runs one here")
        })
    }
}

/// Answers; none where there is no such thing. To tell how long what waits takes, the pace is looked at for `measure`;
/// zero does without, and goes by the channel's rate.
pub async fn ask(
    store: &Store,
    config: &Config,
    subject: &Subject,
    measure: Duration,
) -> Result<Option<Answer>, StoreError> {
    let gather = facts::Gather::begin(store, config, measure).await?;
    match subject {
        Subject::Job { job } => gather.job(job).await,
        Subject::Campaign { campaign } => gather.campaign(campaign).await,
        Subject::Run { campaign, run } => gather.run_or_promise(campaign, run).await,
        Subject::Order { campaign, order } => gather.order(campaign, *order).await,
        Subject::Case { campaign, case } => gather.case(campaign, *case).await,
        Subject::Channel { channel } => Ok(gather.channel(channel).await?.map(|it| channel::plan(&it, &gather.around))),
        Subject::Recurring { campaign, recurring } => gather.recurring(campaign, recurring).await,
    }
}
