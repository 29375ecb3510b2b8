//! How an attempt to reach the outside failed, and what is known before one begins.
//!
//! The class of a failure decides what may follow: only *transient* and *throttled* are tried
//! again by themselves. *Denied* means that the provider refuses us, not the recipient.
//! *Ambiguous* means that bytes left and no answer came: nobody knows whether the message exists,
//! so it is never sent again blindly (DA-1).

use super::clock::EpochMs;
use super::word::words;
use std::{borrow::Cow, fmt, num::NonZeroU32, time::Duration};

words! {
    /// What may follow a failure.
    pub enum FailureClass {
        /// Not sent; try again later.
        Transient = "transient",
        /// Not sent; the provider said how fast we may be.
        Throttled = "throttled",
        /// Not sent; the provider refuses us. The channel pauses, the recipient waits.
        Denied = "denied",
        /// Not sent, and never will be.
        Permanent = "permanent",
        /// Perhaps sent.
        Ambiguous = "ambiguous",
    }
}

/// A failed attempt: its class, and a public `snake_case` code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Not sent; try again later.
    Transient {
        /// Public code.
        code: Cow<'static, str>,
    },
    /// Not sent; the provider asks us to slow down.
    Throttled {
        /// Public code.
        code: Cow<'static, str>,
        /// How long it asked us to wait, if it said so.
        after: Option<Duration>,
    },
    /// Not sent; credentials, balance or quota: the provider refuses us.
    Denied {
        /// Public code.
        code: Cow<'static, str>,
    },
    /// Not sent; this message to this recipient will never be accepted.
    Permanent {
        /// Public code.
        code: Cow<'static, str>,
    },
    /// Bytes left, no usable answer came.
    Ambiguous {
        /// Public code.
        code: Cow<'static, str>,
    },
}

impl Failure {
    /// A [`Failure::Transient`].
    pub fn transient(code: impl Into<Cow<'static, str>>) -> Self {
        Self::Transient { code: code.into() }
    }

    /// A [`Failure::Throttled`].
    pub fn throttled(code: impl Into<Cow<'static, str>>, after: Option<Duration>) -> Self {
        Self::Throttled { code: code.into(), after }
    }

    /// A [`Failure::Denied`].
    pub fn denied(code: impl Into<Cow<'static, str>>) -> Self {
        Self::Denied { code: code.into() }
    }

    /// A [`Failure::Permanent`].
    pub fn permanent(code: impl Into<Cow<'static, str>>) -> Self {
        Self::Permanent { code: code.into() }
    }

    /// A [`Failure::Ambiguous`].
    pub fn ambiguous(code: impl Into<Cow<'static, str>>) -> Self {
        Self::Ambiguous { code: code.into() }
    }

    /// What may follow.
    pub const fn class(&self) -> FailureClass {
        match self {
            Self::Transient { .. } => FailureClass::Transient,
            Self::Throttled { .. } => FailureClass::Throttled,
            Self::Denied { .. } => FailureClass::Denied,
            Self::Permanent { .. } => FailureClass::Permanent,
            Self::Ambiguous { .. } => FailureClass::Ambiguous,
        }
    }

    /// The public code.
    pub fn code(&self) -> &str {
        match self {
            Self::Transient { code }
            | Self::Throttled { code, .. }
            | Self::Denied { code }
            | Self::Permanent { code }
            | Self::Ambiguous { code } => code,
        }
    }

    /// Whether the provider certainly took nothing.
    pub const fn is_certainly_not_sent(&self) -> bool {
        !matches!(self, Self::Ambiguous { .. })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failure {}", self.class(), self.code())
    }
}

impl std::error::Error for Failure {}

/// How an outcome counts towards the pause that a run takes by itself (BM-26).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// It was no attempt, or one that says nothing of the run: the provider asked us to wait, or refuses us.
    Not,
    /// The provider answered for this recipient: it took the message, or never will.
    Answered,
    /// It came to nothing, or nobody knows, for a reason that is not the recipient's.
    Troubled,
}

impl Tried {
    /// How an attempt that failed counts.
    pub const fn of(failure: &Failure) -> Self {
        match failure.class() {
            FailureClass::Transient | FailureClass::Ambiguous => Self::Troubled,
            FailureClass::Permanent => Self::Answered,
            FailureClass::Throttled | FailureClass::Denied => Self::Not,
        }
    }

    /// As the script that records it is told.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Not => "",
            Self::Answered => "0",
            Self::Troubled => "1",
        }
    }
}

/// The number of an attempt, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Attempt(NonZeroU32);

impl Attempt {
    /// The first.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The attempt of this number; there is no attempt 0.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Its number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What the ledger knows before a side effect begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has tried.
    Fresh,
    /// It has its outcome; there is nothing to do.
    Final,
    /// Somebody began and did not say how it ended.
    InDoubt {
        /// When they began.
        since: EpochMs,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_class_and_code() {
        let cases = [
            (Failure::transient("connection_refused"), FailureClass::Transient),
            (Failure::throttled("http_429", Some(Duration::from_secs(3))), FailureClass::Throttled),
            (Failure::denied("http_401"), FailureClass::Denied),
            (Failure::permanent("http_404"), FailureClass::Permanent),
            (Failure::ambiguous("timeout"), FailureClass::Ambiguous),
        ];
        for (failure, class) in cases {
            assert_eq!(failure.class(), class);
            assert_eq!(failure.to_string(), format!("{class} failure {}", failure.code()));
        }
    }

    #[test]
    fn bm_26_only_errors_that_are_not_the_recipients_count() {
        let counted = [
            (Failure::transient("connection_refused"), Tried::Troubled),
            (Failure::ambiguous("answer_lost"), Tried::Troubled),
            (Failure::permanent("refused"), Tried::Answered),
            (Failure::throttled("rate_limited", None), Tried::Not),
            (Failure::denied("not_authorised"), Tried::Not),
        ];
        for (failure, tried) in counted {
            assert_eq!(Tried::of(&failure), tried, "{failure}");
        }
    }

    #[test]
    fn da_1_only_an_ambiguous_failure_leaves_open_whether_it_was_sent() {
        assert!(!Failure::ambiguous("timeout").is_certainly_not_sent());
        assert!(Failure::transient("dns").is_certainly_not_sent());
        assert!(Failure::throttled("http_429", None).is_certainly_not_sent());
        assert!(Failure::denied("quota").is_certainly_not_sent());
        assert!(Failure::permanent("http_404".to_owned()).is_certainly_not_sent());
    }

    #[test]
    fn attempts_are_counted_from_one_and_never_wrap() {
        assert_eq!(Attempt::FIRST.get(), 1);
        assert_eq!(Attempt::FIRST.next().get(), 2);
        assert_eq!(Attempt::new(0), None);
        let last = Attempt::new(u32::MAX).unwrap();
        assert_eq!(last.next(), last);
        assert_eq!(serde_json::from_str::<Attempt>("3").unwrap().to_string(), "3");
        assert!(serde_json::from_str::<Attempt>("0").is_err());
    }
}
