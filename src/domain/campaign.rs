//! A campaign's states and their legal edges (DESIGN 5, PO-4, PO-5, PO-6, PO-20).
//!
//! A campaign is `running` until every recipient has a final submission outcome, then `delivered`
//! (or `generated` when nothing was to be sent). A later run moves it to `running` again. Receipts
//! do not move it. Commands are what an operator may ask for; the other actions are ours.

use super::word::{WrongState, words};

words! {
    /// Where a campaign stands.
    pub enum CampaignState {
        /// Its generation waits for a time.
        Scheduled = "scheduled",
        /// Something is being generated or sent.
        Running = "running",
        /// Stopped by an operator, to be resumed.
        Paused = "paused",
        /// Its orders exist; nothing was to be sent.
        Generated = "generated",
        /// Every recipient has a final submission outcome.
        Delivered = "delivered",
        /// Stopped for good.
        Cancelled = "cancelled",
        /// The job could not go on, or nothing could be generated.
        Failed = "failed",
    }
}

words! {
    /// What can happen to a campaign.
    pub enum CampaignAction {
        /// A generate job or a run begins.
        Start = "start",
        /// An operator stops it for a while.
        Pause = "pause",
        /// An operator lets it go on.
        Resume = "resume",
        /// An operator stops it for good.
        Cancel = "cancel",
        /// All rows are generated, and nothing is to be sent.
        Generate = "generate",
        /// The last recipient got its final outcome.
        Deliver = "deliver",
        /// The job cannot go on.
        Fail = "fail",
    }
}

words! {
    /// What kind of messages a campaign sends; it governs only the unsubscribe (PO-24).
    #[derive(Default)]
    pub enum Category {
        /// About an order the person has; no unsubscribe link.
        #[default]
        Transactional = "transactional",
        /// Advertising; an unsubscribe link is added and suppression applies.
        Commercial = "commercial",
    }
}

impl CampaignState {
    /// The commands that this state allows.
    pub const fn allowed(self) -> &'static [CampaignAction] {
        use CampaignAction as A;
        match self {
            Self::Running => &[A::Pause, A::Cancel],
            Self::Paused => &[A::Resume, A::Cancel],
            Self::Scheduled | Self::Generated | Self::Delivered => &[A::Cancel],
            Self::Cancelled | Self::Failed => &[],
        }
    }

    /// The state after `action`, or the commands that would be allowed (DA-7).
    pub fn after(self, action: CampaignAction) -> Result<Self, WrongState<Self, CampaignAction>> {
        use CampaignAction as A;
        let next = match (self, action) {
            // A second job or run may begin in any state but one stopped by an operator; a failed
            // campaign gets its mended job this way.
            (
                Self::Scheduled | Self::Running | Self::Generated | Self::Delivered | Self::Failed,
                A::Start,
            )
            | (Self::Paused, A::Resume) => Some(Self::Running),
            (Self::Running, A::Pause) => Some(Self::Paused),
            (
                Self::Scheduled | Self::Running | Self::Paused | Self::Generated | Self::Delivered,
                A::Cancel,
            ) => Some(Self::Cancelled),
            // What was in flight when an operator paused may have been the last.
            (Self::Running | Self::Paused, A::Generate) => Some(Self::Generated),
            (Self::Running | Self::Paused, A::Deliver) => Some(Self::Delivered),
            (Self::Scheduled | Self::Running | Self::Paused, A::Fail) => Some(Self::Failed),
            _ => None,
        };
        next.ok_or(WrongState {
            state: self,
            allowed: self.allowed(),
        })
    }

    /// Whether something may still be generated or sent without a new job.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Scheduled | Self::Running | Self::Paused)
    }
}
