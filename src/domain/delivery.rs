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

/// What the reason of a delivery begins with that is called failed and may have been sent: its channel's `on_unknown` is
/// `fail`. A command that sends again what failed leaves it alone.
pub const UNKNOWN_REASON: &str = "unknown:";

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
        matches!(self, Self::Queued | Self::Sending | Self::Retry | Self::Held)
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

/// Which delivery of a run: a recipient by its number, and a further contact of a case; 0 is the recipient itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// The recipient's number in its campaign.
    pub n: u64,
    /// The index of a further contact.
    pub contact: u32,
}

impl DeliveryId {
    /// The delivery to a recipient itself.
    pub const fn of(n: u64) -> Self {
        Self { n, contact: 0 }
    }

    /// Reads `<n>` or `<n>.<contact>`.
    pub fn parse(text: &str) -> Option<Self> {
        let Some((n, contact)) = text.split_once('.') else { return Some(Self::of(text.parse().ok()?)) };
        Some(Self { n: n.parse().ok()?, contact: contact.parse().ok().filter(|contact| *contact > 0)? })
    }

    /// Reads a field of a ledger page back.
    pub fn of_field(page: u64, field: &str) -> Option<Self> {
        let Self { n, contact } = Self::parse(field)?;
        (n < PAGE).then_some(Self { n: page * PAGE + n, contact })
    }

    /// The page of the ledger that holds it.
    pub const fn page(self) -> u64 {
        page(self.n).0
    }

    /// Its field in that page.
    pub fn field(self) -> String {
        Self { n: page(self.n).1, ..self }.to_string()
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n, contact } = self;
        if *contact == 0 { write!(f, "{n}") } else { write!(f, "{n}.{contact}") }
    }
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
        let state = letter.next().and_then(DeliveryState::from_letter).ok_or(CellError)?;
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

#[cfg(test)]
mod tests {
    use super::DeliveryState::*;
    use super::*;
    use proptest::prelude::*;

    fn any_state() -> impl Strategy<Value = DeliveryState> {
        proptest::sample::select(DeliveryState::ALL)
    }

    #[test]
    fn the_letters_are_those_of_the_documented_ledger() {
        let letters: String = DeliveryState::ALL.iter().map(|state| state.letter()).collect();
        assert_eq!(letters, "qcsduxfkhrn");
        for state in DeliveryState::ALL {
            assert_eq!(DeliveryState::from_letter(state.letter()), Some(*state));
        }
        assert_eq!(DeliveryState::from_letter('z'), None);
    }

    #[test]
    fn da_4_the_ranks_are_those_of_the_rule() {
        let ranks: Vec<u8> = [Queued, Held, Retry, Sending, Unknown, Sent].map(DeliveryState::rank).to_vec();
        assert_eq!(ranks, [0, 0, 0, 1, 2, 3]);
        let ranks: Vec<u8> = [Failed, Skipped, Undelivered, Expired, Delivered].map(DeliveryState::rank).to_vec();
        assert_eq!(ranks, [4, 4, 4, 4, 5]);
    }

    #[test]
    fn da_4_unknown_becomes_sent_or_anything_final() {
        for new in [Sent, Failed, Skipped, Undelivered, Expired, Delivered] {
            assert!(may_replace(Unknown, new, false), "{new}");
        }
        for new in [Queued, Held, Retry, Sending] {
            assert!(!may_replace(Unknown, new, false), "{new}");
        }
    }

    #[test]
    fn da_4_a_late_delivered_corrects_expired_and_undelivered() {
        assert!(may_replace(Expired, Delivered, false));
        assert!(may_replace(Undelivered, Delivered, false));
        assert!(!may_replace(Delivered, Expired, false));
    }

    #[test]
    fn da_4_a_receipt_that_overtook_the_answer_is_not_undone_by_it() {
        assert!(!may_replace(Delivered, Sent, true));
        assert!(!may_replace(Undelivered, Sent, true));
        assert!(!may_replace(Sent, Sent, false));
        assert!(!may_replace(Expired, Undelivered, false));
    }

    #[test]
    fn da_4_the_holder_of_a_claim_turns_sending_and_unknown_into_what_it_knows() {
        for old in [Sending, Unknown] {
            for new in DeliveryState::ALL {
                assert_eq!(may_replace(old, *new, true), *new != Sending, "{old} to {new}");
            }
        }
    }

    #[test]
    fn a_run_has_work_left_exactly_while_a_recipient_is_open() {
        let open: Vec<_> = DeliveryState::ALL.iter().filter(|state| state.is_open()).copied().collect();
        assert_eq!(open, [Queued, Sending, Held, Retry]);
    }

    #[test]
    fn a_recipient_is_found_by_arithmetic() {
        assert_eq!(page(1), (0, 1));
        assert_eq!(page(127), (0, 127));
        assert_eq!(page(128), (1, 0));
        assert_eq!(page(1_000_000), (7812, 64));
    }

    #[test]
    fn a_delivery_is_called_by_number_and_further_contact_and_found_by_arithmetic() {
        let own = DeliveryId::of(300);
        assert_eq!((own.to_string().as_str(), own.page(), own.field().as_str()), ("300", 2, "44"));
        let further = DeliveryId { n: 300, contact: 7 };
        assert_eq!((further.to_string().as_str(), further.page(), further.field().as_str()), ("300.7", 2, "44.7"));
        for id in [own, further] {
            assert_eq!(DeliveryId::parse(&id.to_string()), Some(id));
            assert_eq!(DeliveryId::of_field(id.page(), &id.field()), Some(id));
        }
        for bad in ["", "x", "1.", "1.0", "1.x", ".1"] {
            assert_eq!(DeliveryId::parse(bad), None, "{bad}");
        }
        assert_eq!(DeliveryId::of_field(0, "128"), None);
    }

    #[test]
    fn a_cell_is_written_as_documented_and_read_back() {
        let cell = Cell {
            state: Sent,
            attempt: 2,
            at: EpochMs(1_763_719_200_123),
            reason: String::new(),
            provider_id: "SM,1,2".to_owned(),
        };
        assert_eq!(cell.to_string(), "s,2,1763719200123,,SM,1,2");
        assert_eq!(Cell::parse("s,2,1763719200123,,SM,1,2").unwrap(), cell);
        let failed = Cell { state: Failed, reason: "a,b".to_owned(), ..cell };
        assert_eq!(failed.to_string(), "f,2,1763719200123,a;b,SM,1,2");
    }

    #[test]
    fn what_is_no_cell_is_refused() {
        for bad in ["", "s", "s,1,2,", "z,1,2,,", "sent,1,2,,", "s,-1,2,,", "s,1,x,,", ",1,2,,", "é,1,2,,"] {
            let error = Cell::parse(bad).unwrap_err();
            assert_eq!(error.code(), "invalid_ledger_cell", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn da_4_a_lower_rank_never_overwrites_a_higher_one(old in any_state(), new in any_state()) {
            if new.rank() < old.rank() {
                prop_assert!(!may_replace(old, new, false));
            }
            if new.rank() > old.rank() {
                prop_assert!(may_replace(old, new, false));
            }
        }

        #[test]
        fn da_4_two_receipts_end_in_a_state_of_the_same_rank_in_either_order(a in any_state(), b in any_state()) {
            let arrive = |old, new| if may_replace(old, new, false) { new } else { old };
            let (ab, ba) = (arrive(arrive(Sending, a), b), arrive(arrive(Sending, b), a));
            prop_assert_eq!(ab.rank(), ba.rank());
        }

        #[test]
        fn any_cell_survives_its_text(
            state in any_state(), attempt: u32, ms: i64, reason in "[^,]{0,20}", provider_id in "\\PC{0,20}",
        ) {
            let cell = Cell { state, attempt, at: EpochMs(ms), reason, provider_id };
            prop_assert_eq!(Cell::parse(&cell.to_string()).unwrap(), cell);
        }

        #[test]
        fn no_text_panics_as_a_cell(text in "\\PC{0,40}|[a-z],[0-9]{0,12},-?[0-9]{0,22},\\PC{0,9}") {
            let _ = Cell::parse(&text);
        }
    }
}
