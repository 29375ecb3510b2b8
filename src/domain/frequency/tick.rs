//! A tick: what is done about the due times that have come (BM-7, DA-5).
//!
//! Ticks that were missed while nobody looked become one, the latest, if it is inside the grace; with `skip` only a
//! punctual one runs. Each due time that gets no run of its own is counted as missed. Pure: the script that records
//! the decision knows whether the run before is still under way, and what [`Overlap`] says about that.

use std::time::Duration;

use crate::domain::{clock::EpochMs, word::words};

use super::Schedule;

/// A tick later than this is not punctual any more: clocks, wake-ups and a restart take less.
const PUNCTUAL: Duration = Duration::from_mins(1);

/// Longest grace that is not asked for.
const GRACE_MAX: Duration = Duration::from_hours(24);

words! {
    /// What becomes of due times that nobody saw in time.
    #[derive(Default)]
    pub enum Misfire {
        /// They become one run, inside the grace.
        #[default]
        RunOnce = "run_once",
        /// Nothing: the next one is waited for.
        Skip = "skip",
    }
}

words! {
    /// What becomes of a due time while the run before is under way: a definition never overlaps itself.
    #[derive(Default)]
    pub enum Overlap {
        /// It is passed over.
        #[default]
        Skip = "skip",
        /// It begins when the run before has ended; of several, the latest.
        Queue = "queue",
    }
}

/// The grace of a definition that names none: the smaller of half its interval and 24 h.
pub fn default_grace(shortest: Duration) -> Duration {
    (shortest / 2).min(GRACE_MAX)
}

/// What to do about what came due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The due time that gets a run.
    pub run: Option<EpochMs>,
    /// The first due time that gets none.
    pub missed: Option<EpochMs>,
    /// How many get none.
    pub missed_count: u64,
    /// The next due time; without one the definition is at its end.
    pub next: Option<EpochMs>,
    /// A due time so soon after the hold of the run before ended is absorbed by that run (BM-1).
    pub half_interval: Duration,
}

/// Decides; `None` when nothing is due yet.
pub fn plan(schedule: &Schedule, next: EpochMs, now: EpochMs, misfire: Misfire, grace: Duration) -> Option<Plan> {
    let due = schedule.due(next, now)?;
    let late = now.since(due.last);
    let bearable = match misfire {
        Misfire::RunOnce => grace,
        Misfire::Skip => grace.min(PUNCTUAL),
    };
    let runs = late <= bearable;
    let missed_count = due.count - u64::from(runs);
    Some(Plan {
        run: runs.then_some(due.last),
        missed: (missed_count > 0).then_some(due.first),
        missed_count,
        next: schedule.after(now),
        half_interval: schedule.frequency.shortest() / 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        frequency::{Frequency, interval::Interval},
        zone::Zone,
    };

    const HOUR: i64 = 3_600_000;

    fn hourly(until: Option<i64>) -> Schedule {
        let frequency = Frequency::Every(Interval::parse("1h").unwrap());
        Schedule { frequency, zone: Zone::UTC, first: EpochMs(0), until: until.map(EpochMs) }
    }

    fn planned(next: i64, now: i64, misfire: Misfire) -> Option<(Option<i64>, u64, Option<i64>)> {
        let plan = plan(&hourly(None), EpochMs(next), EpochMs(now), misfire, Duration::from_mins(30))?;
        assert_eq!(plan.missed.is_some(), plan.missed_count > 0);
        Some((plan.run.map(|at| at.0), plan.missed_count, plan.next.map(|at| at.0)))
    }

    #[test]
    fn bm_7_a_punctual_tick_runs_and_names_the_next() {
        for misfire in [Misfire::RunOnce, Misfire::Skip] {
            assert_eq!(planned(HOUR, HOUR - 1, misfire), None);
            assert_eq!(planned(HOUR, HOUR, misfire), Some((Some(HOUR), 0, Some(2 * HOUR))));
            assert_eq!(planned(HOUR, HOUR + 59_000, misfire), Some((Some(HOUR), 0, Some(2 * HOUR))));
        }
    }

    #[test]
    fn bm_7_missed_ticks_become_one_inside_the_grace() {
        assert_eq!(planned(HOUR, 5 * HOUR + 60_000, Misfire::RunOnce), Some((Some(5 * HOUR), 4, Some(6 * HOUR))));
        assert_eq!(planned(HOUR, 5 * HOUR + 1_800_000, Misfire::RunOnce), Some((Some(5 * HOUR), 4, Some(6 * HOUR))));
    }

    #[test]
    fn da_5_what_is_missed_beyond_the_grace_is_recorded_and_not_run() {
        assert_eq!(planned(HOUR, 5 * HOUR + 1_800_001, Misfire::RunOnce), Some((None, 5, Some(6 * HOUR))));
        assert_eq!(planned(HOUR, 5 * HOUR + 60_001, Misfire::Skip), Some((None, 5, Some(6 * HOUR))));
    }

    #[test]
    fn the_last_tick_has_no_next_one() {
        let plan = plan(&hourly(Some(2 * HOUR)), EpochMs(HOUR), EpochMs(9 * HOUR), Misfire::RunOnce, Duration::ZERO);
        let plan = plan.unwrap();
        assert_eq!((plan.run, plan.missed, plan.missed_count, plan.next), (None, Some(EpochMs(HOUR)), 2, None));
    }

    #[test]
    fn bm_7_the_grace_is_half_the_interval_and_a_day_at_most() {
        assert_eq!(default_grace(Duration::from_hours(1)), Duration::from_mins(30));
        assert_eq!(default_grace(Duration::from_hours(24 * 7)), Duration::from_hours(24));
    }
}
