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
            Self::Scheduled | Self::Generated | Self::Delivered | Self::Failed => &[A::Cancel],
            Self::Cancelled => &[],
        }
    }

    /// The state after `action`, or the commands that would be allowed (DA-7).
    pub fn after(self, action: CampaignAction) -> Result<Self, WrongState<Self, CampaignAction>> {
        use CampaignAction as A;
        let next = match (self, action) {
            // A second job or run may begin in any state but one stopped by an operator; a failed
            // campaign gets its mended job this way.
            (Self::Scheduled | Self::Running | Self::Generated | Self::Delivered | Self::Failed, A::Start)
            | (Self::Paused, A::Resume) => Some(Self::Running),
            (Self::Running, A::Pause) => Some(Self::Paused),
            // What failed may have orders that can be paid: they are withdrawn this way.
            (
                Self::Scheduled | Self::Running | Self::Paused | Self::Generated | Self::Delivered | Self::Failed,
                A::Cancel,
            ) => Some(Self::Cancelled),
            // What was in flight when an operator paused may have been the last.
            (Self::Running | Self::Paused, A::Generate) => Some(Self::Generated),
            (Self::Running | Self::Paused, A::Deliver) => Some(Self::Delivered),
            (Self::Scheduled | Self::Running | Self::Paused, A::Fail) => Some(Self::Failed),
            _ => None,
        };
        next.ok_or(WrongState { state: self, allowed: self.allowed() })
    }

    /// Whether something may still be generated or sent without a new job.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Scheduled | Self::Running | Self::Paused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges() -> impl Iterator<Item = (CampaignState, CampaignAction)> {
        let states = CampaignState::ALL.iter();
        states.flat_map(|state| CampaignAction::ALL.iter().map(|action| (*state, *action)))
    }

    #[test]
    fn po_4_the_states_are_these_words() {
        let words: Vec<&str> = CampaignState::ALL.iter().map(|state| state.as_str()).collect();
        assert_eq!(words, ["scheduled", "running", "paused", "generated", "delivered", "cancelled", "failed"]);
    }

    #[test]
    fn the_allowed_commands_are_exactly_those_that_lead_somewhere() {
        use CampaignAction as A;
        for (state, action) in edges() {
            let is_command = matches!(action, A::Pause | A::Resume | A::Cancel);
            if is_command {
                assert_eq!(state.after(action).is_ok(), state.allowed().contains(&action), "{action} in {state}");
            } else {
                assert!(!state.allowed().contains(&action));
            }
        }
    }

    #[test]
    fn po_20_cancelled_is_an_end_for_every_action() {
        for action in CampaignAction::ALL {
            let wrong = CampaignState::Cancelled.after(*action).unwrap_err();
            assert_eq!(wrong.code(), "wrong_state");
            assert_eq!(wrong.allowed, &[]);
        }
    }

    #[test]
    fn pausing_and_resuming_lead_back_to_running() {
        use CampaignAction as A;
        let paused = CampaignState::Running.after(A::Pause).unwrap();
        assert_eq!(paused.after(A::Resume), Ok(CampaignState::Running));
        let wrong = paused.after(A::Pause).unwrap_err();
        assert_eq!(wrong.to_string(), "the state is paused, which allows only resume, cancel");
        assert!(paused.after(A::Start).is_err());
    }

    #[test]
    fn po_5_a_later_run_moves_a_delivered_campaign_to_running_and_its_end_back() {
        use CampaignAction as A;
        for state in [CampaignState::Generated, CampaignState::Delivered] {
            let running = state.after(A::Start).unwrap();
            assert_eq!(running, CampaignState::Running);
            assert_eq!(running.after(A::Deliver), Ok(CampaignState::Delivered));
        }
    }

    #[test]
    fn po_24_a_campaign_is_transactional_unless_it_says_otherwise() {
        assert_eq!(Category::default(), Category::Transactional);
        assert_eq!(Category::parse("commercial"), Some(Category::Commercial));
    }
}
