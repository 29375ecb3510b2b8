//! The state of one message to one contact, and its cell in the ledger (DA-4, DESIGN 4 and 5).
//!
//! Each state has a letter (the ledger is made of them), and a rank. News of a lower rank never
//! overwrites a higher one, whatever order it arrives in; of two final states of the same rank
//! the first stands. Only the holder of a claim may go down, from what it holds to what it knows.

use super::clock::EpochMs;
use super::word::words;
use std::fmt;

/// Recipients in one hash of the ledger; other systems compute with it.
pub const PAGE: u64 = 128;

words! {
    /// Where one message to one contact stands.
    pub enum DeliveryState {
        /// It waits for its turn.
        Queued = "queued",
        /// Somebody holds it and may be sending it.
        Sending = "sending",
        /// The provider accepted it.
        Sent = "sent",
        /// The handset has it.
        Delivered = "delivered",
        /// The network could not deliver it.
        Undelivered = "undelivered",
        /// Its validity ended in the network.
        Expired = "expired",
        /// The provider refused it, or the attempts are used up.
        Failed = "failed",
        /// It was not sent, for a reason.
        Skipped = "skipped",
        /// It waits for contact hours.
        Held = "held",
        /// It waits for its next attempt.
        Retry = "retry",
        /// Perhaps sent: the answer or the sender was lost.
        Unknown = "unknown",
    }
}

impl DeliveryState {
    /// The letter in the ledger.
    pub const fn letter(self) -> char {
        match self {
            Self::Queued => 'q',
            Self::Sending => 'c',
            Self::Sent => 's',
            Self::Delivered => 'd',
            Self::Undelivered => 'u',
            Self::Expired => 'x',
            Self::Failed => 'f',
            Self::Skipped => 'k',
            Self::Held => 'h',
            Self::Retry => 'r',
            Self::Unknown => 'n',
        }
    }

    /// The state of a letter.
    pub const fn from_letter(letter: char) -> Option<Self> {
        Some(match letter {
            'q' => Self::Queued,
            'c' => Self::Sending,
            's' => Self::Sent,
            'd' => Self::Delivered,
            'u' => Self::Undelivered,
            'x' => Self::Expired,
            'f' => Self::Failed,
            'k' => Self::Skipped,
            'h' => Self::Held,
            'r' => Self::Retry,
            'n' => Self::Unknown,
            _ => return None,
        })
    }

    /// How much is known: 0 waiting, 1 sending, 2 unknown, 3 sent, 4 ended without delivery,
    /// 5 delivered.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Queued | Self::Held | Self::Retry => 0,
            Self::Sending => 1,
            Self::Unknown => 2,
            Self::Sent => 3,
            Self::Failed | Self::Skipped | Self::Undelivered | Self::Expired => 4,
            Self::Delivered => 5,
        }
    }

    /// Whether the run still has to do something about it; a run finishes when none is open.
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            Self::Queued | Self::Sending | Self::Retry | Self::Held
        )
    }
}

/// Whether news of `new` may replace `old`. `holder` is whether it comes from the holder of the
/// claim, who may turn `sending` and `unknown` into what it knows.
pub const fn may_replace(old: DeliveryState, new: DeliveryState, holder: bool) -> bool {
    use DeliveryState::{Sending, Unknown};
    if holder && matches!(old, Sending | Unknown) {
        return !matches!(new, Sending);
    }
    // Among waiting states (rank 0) any change is news; elsewhere the first of a rank stands.
    new.rank() > old.rank() || (new.rank() == 0 && old.rank() == 0)
}

/// The page of the ledger and the field in it that hold recipient `n`.
pub const fn page(n: u64) -> (u64, u64) {
    (n / PAGE, n % PAGE)
}

/// What the ledger says of one message to one contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Where it stands.
    pub state: DeliveryState,
    /// The last attempt; 0 before the first.
    pub attempt: u32,
    /// When it got there.
    pub at: EpochMs,
    /// Why, as a code; empty where there is nothing to say.
    pub reason: String,
    /// What the provider calls it; empty before it was accepted.
    pub provider_id: String,
}

/// Why the text of a cell could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ledger cell is not <letter>,<attempt>,<epoch ms>,<reason>,<provider id>")]
pub struct CellError;

impl CellError {
    /// The stable code of this refusal.
    pub const fn code(self) -> &'static str {
        "invalid_ledger_cell"
    }
}

impl Cell {
    /// Reads `<letter>,<attempt>,<epoch ms>,<reason>,<provider id>`; the provider's id is the rest
    /// of the text and may hold commas.
    pub fn parse(text: &str) -> Result<Self, CellError> {
        let mut fields = text.splitn(5, ',');
        let mut field = || fields.next().ok_or(CellError);
        let mut letter = field()?.chars();
        let state = letter
            .next()
            .and_then(DeliveryState::from_letter)
            .ok_or(CellError)?;
        if letter.next().is_some() {
            return Err(CellError);
        }
        Ok(Self {
            state,
            attempt: field()?.parse().map_err(|_| CellError)?,
            at: EpochMs(field()?.parse().map_err(|_| CellError)?),
            reason: field()?.to_owned(),
            provider_id: field()?.to_owned(),
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},", self.state.letter(), self.attempt, self.at.0)?;
        // A comma in a reason would move the provider's id.
        let mut pieces = self.reason.split(',');
        f.write_str(pieces.next().unwrap_or_default())?;
        for piece in pieces {
            f.write_str(";")?;
            f.write_str(piece)?;
        }
        write!(f, ",{}", self.provider_id)
    }
}
