//! The queues that producers write to.
//!
//! All names of the contract are known, so that a job for one that is not built yet is told so instead of being called
//! a typo. Entries in such a queue wait; nothing reads them.

use std::fmt;

/// A queue of the contract; `batch:<channel>` is the daemon's own and not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueName {
    /// Cases and templates of a campaign.
    Import,
    /// The payment orders of a campaign, and their first message.
    Generate,
    /// One bulk message.
    Send,
    /// A permanent bulk message (not available yet).
    Recurring,
    /// Commands to what is under way.
    Control,
}

impl QueueName {
    /// Every queue.
    pub const ALL: [Self; 5] = [Self::Import, Self::Generate, Self::Send, Self::Recurring, Self::Control];

    /// The name in keys: `remesa:jobs:<name>`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Generate => "generate",
            Self::Send => "send",
            Self::Recurring => "recurring",
            Self::Control => "control",
        }
    }

    /// The queue of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.as_str() == name)
    }

    /// Whether this version reads the queue.
    pub const fn is_available(self) -> bool {
        matches!(self, Self::Import | Self::Generate | Self::Send | Self::Control)
    }

    /// The queues that this version reads.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|queue| queue.is_available())
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
