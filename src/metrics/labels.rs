//! The labels of metrics and the closed sets of their values.

use prometheus_client::encoding::EncodeLabelSet;

use crate::domain::words;

/// Label sets: one struct for each combination of labels.
macro_rules! label_sets {
    ($($(#[$doc:meta])+ $name:ident { $($label:ident),+ })+) => { $(
        $(#[$doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub struct $name { $($label: String),+ }

        impl $name {
            pub(super) fn of($($label: &str),+) -> Self {
                Self { $($label: $label.to_owned()),+ }
            }
        }
    )+ };
}

label_sets! {
    /// Of a queue.
    ByQueue { queue }
    /// Of a queue's entries.
    ByQueueState { queue, state }
    /// Of a channel.
    ByChannel { channel }
    /// Of a channel, or its recipients.
    ByChannelState { channel, state }
    /// Of what holds a channel, or its recipients.
    ByChannelWhy { channel, why }
    /// Of a provider's failures.
    ByChannelClass { channel, class }
    /// Of what came by a channel; the channel is empty where a job brought it.
    ByChannelResult { channel, result }
    /// Of what becomes of something.
    ByResult { result }
    /// Of kinds of things.
    ByWhat { what }
    /// Of reasons.
    ByWhy { why }
}

/// What runs here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Build {
    version: &'static str,
    profile: &'static str,
}

impl Default for Build {
    fn default() -> Self {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        Self { version: env!("CARGO_PKG_VERSION"), profile }
    }
}

words! {
    /// What became of a receipt.
    pub enum ReceiptResult {
        /// The ledger says now what it says.
        Applied = "applied",
        /// The ledger knew as much or more.
        Old = "old",
        /// Nothing of ours, or gone.
        Unknown = "unknown",
        /// A word that means nothing new.
        Ignored = "ignored",
        /// Not understood.
        Unreadable = "unreadable",
        /// Not believed.
        Unsigned = "unsigned",
        /// Turned away, to come again: too many at once, or Redis is away.
        Busy = "busy",
    }
}

words! {
    /// What became of a reply.
    pub enum ReplyResult {
        /// It answers a message of ours.
        Kept = "kept",
        /// A case was opened for it.
        Opened = "opened",
        /// It answers none.
        Unknown = "unknown",
        /// It was kept before.
        Again = "again",
        /// Not understood.
        Unreadable = "unreadable",
        /// Not believed.
        Unsigned = "unsigned",
    }
}

words! {
    /// What a recipient that is not sent to yet waits for.
    pub enum WaitsFor {
        /// Nothing: its turn.
        Turn = "turn",
        /// The time of its next attempt.
        Retry = "retry",
        /// Contact hours, or the cap of its address.
        Hours = "hours",
        /// Somebody to resume its run or campaign.
        Resume = "resume",
    }
}

words! {
    /// Why a channel stands still.
    pub enum Standing {
        /// Somebody, or a provider that refuses us, paused it.
        Paused = "paused",
        /// The provider asked us to wait.
        Throttled = "throttled",
        /// The breaker is open.
        Breaker = "breaker",
    }
}

words! {
    /// What dead daemons leave behind.
    pub enum Recovered {
        /// An entry of a queue.
        Entry = "entry",
        /// A recipient in flight.
        Recipient = "recipient",
        /// A slot of a run that nobody worked on.
        Slot = "slot",
        /// An alarm of a permanent message.
        Alarm = "alarm",
        /// Events that nobody had published.
        Events = "events",
    }
}

words! {
    /// Why a request is turned away that may be somebody's who tries.
    pub enum HttpRefusal {
        /// Nobody has this token.
        UnknownToken = "unknown_token",
        /// No token came.
        TokenNeeded = "token_needed",
        /// The session has ended, or never was one.
        SessionOver = "session_over",
        /// The token is for looking only.
        OperatorNeeded = "operator_needed",
        /// Nothing is shown on this address without a token.
        NobodyMay = "nobody_may",
        /// The form is not of this session.
        Csrf = "csrf",
        /// A page of another site asks.
        CrossSite = "cross_site",
        /// Asked by a name that is not ours.
        NotThisHost = "not_this_host",
        /// The body is too big.
        TooBig = "too_big",
        /// The body did not come.
        TooSlow = "too_slow",
        /// Too many at once.
        Busy = "busy",
    }
}

words! {
    /// What became of a due time of a permanent message.
    pub enum DueResult {
        /// It got a run.
        Run = "run",
        /// Its run stands in line behind the one before.
        Queued = "queued",
        /// The run before was still under way.
        Overlapped = "overlapped",
        /// Nobody was there in time, or its campaign was paused.
        Missed = "missed",
    }
}
