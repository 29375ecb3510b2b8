//! The queues that producers write to, by the names that stand in keys.

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
    /// A permanent bulk message.
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
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
