//! A run's states and flags, and the state that is shown (DESIGN 5, BM-28).
//!
//! A run is one execution of one message over a campaign's recipients. Its state is small; why it
//! stands still is a set of flags, each with its reason, so that two reasons can hold at once and
//! one can end without the other. What people see is derived from both.

use super::clock::EpochMs;
use super::word::{WrongState, words};

words! {
    /// Where a run stands.
    pub enum RunState {
        /// Some recipient has no final outcome yet.
        Running = "running",
        /// Every recipient has its final outcome.
        Finished = "finished",
        /// Stopped for good by an operator.
        Cancelled = "cancelled",
        /// Its message or channel cannot be used.
        Failed = "failed",
        /// Its time passed outside the hours, with `skip`.
        NotSent = "not_sent",
    }
}

words! {
    /// What people see of a run.
    pub enum ShownState {
        /// A job whose time has not come.
        Scheduled = "scheduled",
        /// It sends.
        Running = "running",
        /// It waits by itself: contact hours, a breaker.
        Held = "held",
        /// Somebody, or auto-pause, stopped it for a while.
        Paused = "paused",
        /// Every recipient has its final outcome.
        Finished = "finished",
        /// Stopped for good.
        Cancelled = "cancelled",
        /// Its message or channel cannot be used.
        Failed = "failed",
        /// Its time passed outside the hours.
        NotSent = "not_sent",
    }
}

words! {
    /// What can happen to a run.
    pub enum RunAction {
        /// An operator stops it for a while.
        Pause = "pause",
        /// An operator lets it go on.
        Resume = "resume",
        /// An operator stops it for good.
        Cancel = "cancel",
        /// An operator returns failed or unknown recipients to the queue.
        Retry = "retry",
        /// The last recipient got its final outcome.
        Finish = "finish",
        /// The run cannot go on.
        Fail = "fail",
        /// Its time passed outside the hours.
        Miss = "miss",
    }
}

/// Why a running run stands still; nothing set means that it sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFlags {
    /// Who paused it: an operator's command, or its campaign or channel.
    pub paused_by: Option<String>,
    /// When the contact hours open again.
    pub held_until: Option<EpochMs>,
    /// Whether its channel's breaker is open.
    pub breaker: bool,
    /// Why it paused itself (BM-26).
    pub auto_paused: Option<String>,
}

impl RunFlags {
    /// Whether somebody has to resume it.
    pub const fn is_paused(&self) -> bool {
        self.paused_by.is_some() || self.auto_paused.is_some()
    }

    /// Whether it waits for something that ends by itself.
    pub const fn is_held(&self) -> bool {
        self.held_until.is_some() || self.breaker
    }
}

impl RunState {
    /// What people see of a run in this state with these flags. A pause hides a hold.
    pub const fn shown(self, flags: &RunFlags) -> ShownState {
        match self {
            Self::Running if flags.is_paused() => ShownState::Paused,
            Self::Running if flags.is_held() => ShownState::Held,
            Self::Running => ShownState::Running,
            Self::Finished => ShownState::Finished,
            Self::Cancelled => ShownState::Cancelled,
            Self::Failed => ShownState::Failed,
            Self::NotSent => ShownState::NotSent,
        }
    }

    /// The state after `action`, or the commands that would be allowed (DA-7). Pausing and
    /// resuming change a flag and leave the state.
    pub fn after(self, action: RunAction, flags: &RunFlags) -> Result<Self, WrongState<ShownState, RunAction>> {
        use RunAction as A;
        let next = match (self, action) {
            (Self::Running, A::Pause) if !flags.is_paused() => Some(Self::Running),
            (Self::Running, A::Resume) if flags.is_paused() => Some(Self::Running),
            (Self::Running | Self::Finished | Self::Failed, A::Retry) => Some(Self::Running),
            (Self::Running, A::Cancel) => Some(Self::Cancelled),
            (Self::Running, A::Finish) => Some(Self::Finished),
            (Self::Running, A::Fail) => Some(Self::Failed),
            (Self::Running, A::Miss) => Some(Self::NotSent),
            _ => None,
        };
        let shown = self.shown(flags);
        next.ok_or(WrongState { state: shown, allowed: shown.allowed() })
    }

    /// Whether recipients may still be claimed, flags aside.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Running)
    }
}

impl ShownState {
    /// The commands that this state allows.
    pub const fn allowed(self) -> &'static [RunAction] {
        use RunAction as A;
        match self {
            Self::Running | Self::Held => &[A::Pause, A::Cancel, A::Retry],
            Self::Paused => &[A::Resume, A::Cancel, A::Retry],
            Self::Finished | Self::Failed => &[A::Retry],
            Self::Scheduled => &[A::Cancel],
            Self::Cancelled | Self::NotSent => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> [RunFlags; 5] {
        let none = RunFlags::default;
        [
            none(),
            RunFlags { paused_by: Some("operator".to_owned()), ..none() },
            RunFlags { held_until: Some(EpochMs(1)), ..none() },
            RunFlags { breaker: true, ..none() },
            RunFlags { auto_paused: Some("errors".to_owned()), breaker: true, ..none() },
        ]
    }

    #[test]
    fn bm_28_the_shown_state_follows_from_the_flags_while_the_run_runs() {
        let shown: Vec<_> = flags().iter().map(|f| RunState::Running.shown(f)).collect();
        let words: Vec<_> = shown.iter().map(|state| state.as_str()).collect();
        assert_eq!(words, ["running", "paused", "held", "held", "paused"]);
        for flags in flags() {
            assert_eq!(RunState::Finished.shown(&flags), ShownState::Finished);
            assert_eq!(RunState::Cancelled.shown(&flags), ShownState::Cancelled);
            assert_eq!(RunState::Failed.shown(&flags), ShownState::Failed);
            assert_eq!(RunState::NotSent.shown(&flags), ShownState::NotSent);
        }
    }

    #[test]
    fn bm_28_every_state_of_a_run_is_shown_by_its_own_word() {
        for state in RunState::ALL {
            assert_eq!(state.shown(&RunFlags::default()).as_str(), state.as_str());
        }
    }

    #[test]
    fn the_allowed_commands_are_exactly_those_that_lead_somewhere() {
        use RunAction as A;
        for state in RunState::ALL {
            for flags in flags() {
                let allowed = state.shown(&flags).allowed();
                for command in [A::Pause, A::Resume, A::Cancel, A::Retry] {
                    let after = state.after(command, &flags);
                    assert_eq!(after.is_ok(), allowed.contains(&command), "{command} in {state} with {flags:?}");
                }
            }
        }
    }

    #[test]
    fn a_finished_run_runs_again_by_retry_and_by_nothing_else() {
        let none = RunFlags::default();
        assert_eq!(RunState::Finished.after(RunAction::Retry, &none), Ok(RunState::Running));
        for action in RunAction::ALL.iter().filter(|action| **action != RunAction::Retry) {
            let wrong = RunState::Finished.after(*action, &none).unwrap_err();
            assert_eq!(wrong.to_string(), "the state is finished, which allows only retry");
        }
    }

    #[test]
    fn a_cancelled_run_is_at_its_end() {
        for action in RunAction::ALL {
            assert!(RunState::Cancelled.after(*action, &RunFlags::default()).is_err());
        }
    }

    #[test]
    fn ending_a_run_does_not_depend_on_its_flags() {
        for flags in flags() {
            assert_eq!(RunState::Running.after(RunAction::Finish, &flags), Ok(RunState::Finished));
            assert_eq!(RunState::Running.after(RunAction::Fail, &flags), Ok(RunState::Failed));
            assert_eq!(RunState::Running.after(RunAction::Miss, &flags), Ok(RunState::NotSent));
        }
    }
}
