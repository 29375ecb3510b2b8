//! The alarm clock: members by due time, set, taken and worked off.
//!
//! Whoever takes an alarm hides it for a while and disarms it when it is worked off: after a death it is due again. The
//! hidden score bears the [`Mark`] of its taker, a part of a millisecond, which no due time has. So what was taken by the
//! dead, or by a call whose answer was lost, is told from what somebody works on, and need not stay hidden. What it does
//! not do: keep an alarm from firing twice, which the state of what it wakes absorbs.

use std::time::Duration;

use super::{Answer, Store, StoreError, entries::millis, scripts};

/// How many marks there are. Milliseconds of the next two centuries leave ten bits of a score for them.
const MARKS: u32 = 1023;

/// Who took an alarm, in 1024ths of a millisecond. Two incarnations may share one: then what is freed of the one fires
/// again at the other, and is absorbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u32);

impl Mark {
    /// The mark of an incarnation.
    pub fn of(incarnation: &str) -> Self {
        Self(crc32fast::hash(incarnation.as_bytes()) % MARKS + 1)
    }
}

/// Due alarms.
#[derive(Debug)]
pub struct Fired {
    /// Redis' clock.
    pub now_ms: i64,
    /// When the next alarm is due.
    pub next_ms: Option<i64>,
    /// How many were hidden under the marks of those who do not work them off.
    pub freed: u64,
    /// Member and the score it is hidden with.
    pub due: Vec<(String, String)>,
}

impl Store {
    /// Sets an alarm, or moves one that is later or is just being worked off.
    pub async fn arm(&self, member: &str, at_ms: i64) -> Result<(), StoreError> {
        let call = scripts::ARM.call(&[&self.keys.scheduled()]).arg(member).arg(at_ms);
        call.run::<u8>(&self.connection).await?;
        Ok(())
    }

    /// Takes due alarms, at most `limit`, hidden for `hide` under `mark`; first makes those due that are hidden under the
    /// marks of takers who do not work them off.
    pub async fn fire_alarms(
        &self,
        limit: usize,
        hide: Duration,
        mark: Mark,
        stale: &[Mark],
    ) -> Result<Fired, StoreError> {
        let mut call = scripts::FIRE_ALARMS.call(&[&self.keys.scheduled()]).arg(limit).arg(millis(hide)).arg(mark.0);
        for stale in stale {
            call.push(stale.0);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        let now_ms = answer.number()?;
        let next = answer.text()?;
        let freed = answer.number()?;
        let mut due = Vec::new();
        while !answer.is_done() {
            due.push((answer.text()?, answer.text()?));
        }
        Ok(Fired { now_ms, next_ms: next.parse().ok(), freed, due })
    }

    /// Removes alarms that were worked off, unless they were set anew meanwhile.
    pub async fn disarm(&self, alarms: &[(String, String)]) -> Result<(), StoreError> {
        if alarms.is_empty() {
            return Ok(());
        }
        let mut call = scripts::DISARM.call(&[&self.keys.scheduled()]);
        for (member, score) in alarms {
            call.push(member);
            call.push(score);
        }
        call.run::<u64>(&self.connection).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_between_two_milliseconds() {
        for n in 0..10_000 {
            let Mark(mark) = Mark::of(&format!("host:it:{n:016x}"));
            assert!((1..=MARKS).contains(&mark), "{mark}");
        }
    }
}
