//! The statistics of the simulator: the shape of `GET /stats`, and the counters that need no lock.
//!
//! An answer is counted when it is decided, so `answers` adds up to the requests that are over plus those whose
//! answer is being held or delayed. In flight means: arrived, and neither answered nor given up by the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::payments::PaymentCounts;
use super::record::{Counts, Second};

/// `GET /stats`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Messages that arrived, whatever became of them.
    pub requests: u64,
    /// Accepted, distinct and repeated ones.
    pub counts: Counts,
    /// What the messages met.
    pub answers: Answers,
    /// Messages being handled now.
    pub in_flight: u64,
    /// The most there have been at once.
    pub most_in_flight: u64,
    /// Messages in the inbox.
    pub inbox: u64,
    /// Delivery reports not yet confirmed: waiting for their time, or for their next try.
    pub reports_waiting: u64,
    /// What became of the others.
    pub reports: ReportCounts,
    /// The last hour, oldest second first, seconds without arrivals left out.
    pub per_second: Vec<Second>,
    /// The payment platform.
    #[serde(default)]
    pub payments: PaymentCounts,
}

macro_rules! counters {
    ($(#[$about:meta])* $shown:ident, $(#[$inner:meta])* $live:ident { $($(#[$doc:meta])* $name:ident,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $shown { $($(#[$doc])* pub $name: u64,)* }

        $(#[$inner])*
        #[derive(Debug, Default)]
        pub(super) struct $live { $(pub(super) $name: AtomicU64,)* }

        impl $shown {
            /// The sum of all kinds.
            pub fn total(&self) -> u64 {
                [$(self.$name,)*].iter().sum()
            }
        }

        impl $live {
            pub(super) fn shown(&self) -> $shown {
                $shown { $($name: self.$name.load(Ordering::Relaxed),)* }
            }

            pub(super) fn clear(&self) {
                $(self.$name.store(0, Ordering::Relaxed);)*
            }
        }
    };
}

counters! {
    /// What messages met, by kind.
    Answers,
    /// The same while counting.
    LiveAnswers {
        /// 202, newly accepted.
        accepted,
        /// 202 with the id of an earlier message of the same key.
        replayed,
        /// 400 or 413: the request itself is wrong.
        invalid,
        /// Refused by a fate (4xx).
        refused,
        /// 429.
        throttled,
        /// 5xx.
        failed,
        /// Left without an answer.
        hung,
        /// Accepted (or replayed) and cut off.
        cut,
        /// Reset before reading.
        reset,
        /// The client went away while sending its body.
        broken,
    }
}

counters! {
    /// Delivery reports, by what became of them.
    ReportCounts,
    /// The same while counting.
    LiveReports {
        /// Confirmed by a 2xx.
        confirmed,
        /// POSTs that failed and were, or will be, tried again.
        retried,
        /// Not confirmed after the last attempt.
        given_up,
        /// Never tried, because too many were waiting.
        dropped,
    }
}

/// Counts one more, and says which it was.
pub(super) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// How many messages are being handled.
#[derive(Debug)]
pub(super) struct InFlight {
    changed: Arc<Notify>,
    now: AtomicU64,
    most: AtomicU64,
}

impl InFlight {
    /// Nothing in flight; `changed` is told when a message is over.
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        Self { changed, now: AtomicU64::new(0), most: AtomicU64::new(0) }
    }

    /// One more until the guard is dropped, which also happens when the client goes away.
    pub(super) fn enter(self: &Arc<Self>) -> InFlightGuard {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        if now > self.most.load(Ordering::Relaxed) {
            self.most.fetch_max(now, Ordering::Relaxed);
        }
        InFlightGuard(Arc::clone(self))
    }

    /// Now, and at most.
    pub(super) fn shown(&self) -> (u64, u64) {
        (self.now.load(Ordering::Relaxed), self.most.load(Ordering::Relaxed))
    }

    /// Forgets the most.
    pub(super) fn clear(&self) {
        self.most.store(self.now.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Held while one message is handled.
#[derive(Debug)]
pub(super) struct InFlightGuard(Arc<InFlight>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_waiters();
    }
}
