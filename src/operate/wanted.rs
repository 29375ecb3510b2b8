//! Which refused or dead jobs are meant, and all of them replayed at a rate.
//!
//! `code=attempts_exhausted queue=generate campaign=nov-dues since=2h`: everything given must hold. What is meant is
//! fixed at the beginning, by the newest letter there is then: a job that is refused again is not met a second time.
//! Memory is a few letters. A replay that is interrupted and repeated runs no job twice (see [`super::replay`]).

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

use crate::{
    domain::{
        clock::{EpochMs, parse_duration},
        name::Name,
    },
    job::{DeadCode, QueueName, RawJob, RejectionCode},
    store::{
        Store, StoreError,
        letters::{Letter, Letters},
    },
};

use super::replay::{self, NotReplayed};

/// Letters read at once: each may hold a mebibyte.
const AT_ONCE: usize = 20;

/// Which letters are meant. Nothing given means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    code: Option<String>,
    queue: Option<QueueName>,
    campaign: Option<Name>,
    since: Option<EpochMs>,
    until: Option<EpochMs>,
}

impl Wanted {
    /// Reads `key=value` of each; a time is RFC 3339, epoch milliseconds, or how long ago.
    pub fn parse(which: Letters, conditions: &[String], now: EpochMs) -> Result<Self, String> {
        let mut wanted = Self::default();
        for condition in conditions {
            let (key, value) = condition.split_once('=').ok_or_else(|| {
                format!("\"{condition}\" is not <key>=<value>; keys are code, queue, campaign, since, until")
            })?;
            match key {
                "code" => wanted.code = Some(code(which, value)?),
                "queue" => {
                    let queue = QueueName::parse(value).ok_or_else(|| format!("there is no queue \"{value}\""))?;
                    wanted.queue = Some(queue);
                }
                "campaign" => wanted.campaign = Some(Name::parse(value).map_err(|error| error.to_string())?),
                "since" => wanted.since = Some(time(value, now)?),
                "until" => wanted.until = Some(time(value, now)?),
                _ => return Err(format!("\"{key}\" is not one of code, queue, campaign, since, until")),
            }
        }
        Ok(wanted)
    }

    /// Whether a letter is meant. Its payload is read last, and only where a campaign is asked for.
    pub fn means(&self, letter: &Letter) -> bool {
        let of_campaign = |wanted: &Name| {
            let raw = RawJob::parse(letter.payload.as_bytes()).ok();
            raw.and_then(|raw| raw.campaign()).is_some_and(|campaign| campaign == *wanted)
        };
        self.code.as_ref().is_none_or(|code| *code == letter.code)
            && self.queue.is_none_or(|queue| queue.as_str() == letter.queue)
            && self.since.is_none_or(|since| letter.at >= since.0)
            && self.until.is_none_or(|until| letter.at <= until.0)
            && self.campaign.as_ref().is_none_or(of_campaign)
    }
}

/// A code that letters of this kind can have: a mistyped one would mean no letter, and say so as if none were there.
fn code(which: Letters, value: &str) -> Result<String, String> {
    let known = match which {
        Letters::Rejected => RejectionCode::parse(value).is_some(),
        Letters::Dead => DeadCode::parse(value).is_some(),
    };
    let word = replay::word(which);
    if known { Ok(value.to_owned()) } else { Err(format!("\"{value}\" is not the code of a {word} job")) }
}

fn time(value: &str, now: EpochMs) -> Result<EpochMs, String> {
    if let Ok(ago) = parse_duration(value) {
        return Ok(now.minus(ago));
    }
    let rule = format!("\"{value}\" is not a time: 2h, 2026-11-21T10:00:00+01:00, or epoch milliseconds");
    EpochMs::parse(value).map_err(|_| rule)
}

/// What was found, or done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Letters that are meant.
    pub matched: u64,
    /// Those that are in their queue again.
    pub replayed: u64,
    /// Those that cannot be, by why.
    pub not_replayed: BTreeMap<&'static str, u64>,
    /// What is meant, by code.
    pub by_code: BTreeMap<String, u64>,
    /// What is meant, by queue.
    pub by_queue: BTreeMap<String, u64>,
}

impl Tally {
    /// Those that cannot be replayed.
    pub fn left(&self) -> u64 {
        self.not_replayed.values().sum()
    }

    fn meet(&mut self, letter: &Letter) {
        self.matched += 1;
        *self.by_code.entry(letter.code.clone()).or_default() += 1;
        *self.by_queue.entry(letter.queue.clone()).or_default() += 1;
    }
}

/// Counts what is meant and which of it could be replayed; nothing is changed.
pub async fn count(store: &Store, which: Letters, wanted: &Wanted) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let mut pages = Pages::begin(store, which).await?;
    while let Some(letters) = pages.next(store).await? {
        for letter in letters.iter().filter(|letter| wanted.means(letter)) {
            tally.meet(letter);
            if let Err(why) = replay::judge(letter) {
                *tally.not_replayed.entry(why.code()).or_default() += 1;
            }
        }
    }
    Ok(tally)
}

/// Replays what is meant, the oldest first, one every `gap`, for whoever has the id `by`; `told` hears of each, and ends it by answering `false`.
pub async fn replay_all(
    store: &Store,
    which: Letters,
    wanted: &Wanted,
    gap: Duration,
    by: &str,
    mut told: impl FnMut(&Tally) -> bool,
) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let mut pages = Pages::begin(store, which).await?;
    let mut due = Instant::now();
    while let Some(letters) = pages.next(store).await? {
        for letter in letters.iter().filter(|letter| wanted.means(letter)) {
            tally.meet(letter);
            if let Err(why) = replay::judge(letter) {
                *tally.not_replayed.entry(why.code()).or_default() += 1;
            } else {
                tokio::time::sleep_until(due).await;
                // What was late is not made up for: no burst after a rest.
                due = due.max(Instant::now()) + gap;
                match replay::replay_for(store, which, letter, by).await {
                    Ok(_) => tally.replayed += 1,
                    Err(NotReplayed::Store(error)) => return Err(error),
                    Err(why) => *tally.not_replayed.entry(why.code()).or_default() += 1,
                }
            }
            if !told(&tally) {
                return Ok(tally);
            }
        }
    }
    Ok(tally)
}

/// The letters up to the newest one there was at the beginning, the oldest first.
struct Pages {
    which: Letters,
    from: String,
    last: Option<String>,
}

impl Pages {
    async fn begin(store: &Store, which: Letters) -> Result<Self, StoreError> {
        let newest = store.letters(which, None, 1).await?.into_iter().next();
        Ok(Self { which, from: "-".to_owned(), last: newest.map(|letter| letter.entry) })
    }

    async fn next(&mut self, store: &Store) -> Result<Option<Vec<Letter>>, StoreError> {
        let Some(last) = &self.last else { return Ok(None) };
        let letters = store.letters_between(self.which, &self.from, last, AT_ONCE).await?;
        let Some(newest) = letters.last() else { return Ok(None) };
        self.from = format!("({}", newest.entry);
        Ok(Some(letters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: EpochMs = EpochMs(1_763_719_200_000);

    fn parse(conditions: &[&str]) -> Result<Wanted, String> {
        let conditions: Vec<String> = conditions.iter().map(|text| (*text).to_owned()).collect();
        Wanted::parse(Letters::Dead, &conditions, NOW)
    }

    fn letter(queue: &str, code: &str, campaign: &str, at: i64) -> Letter {
        let payload = format!(r#"{{"campaign":"{campaign}"}}"#);
        Letter { at, ..Letter::about(queue, "x", code, "", payload.as_bytes(), 9999) }
    }

    #[test]
    fn everything_that_is_asked_must_hold() {
        let wanted = parse(&["code=poisoned", "queue=generate", "campaign=nov", "since=2h"]).unwrap();
        let hours_ago = |hours: i64| NOW.0 - hours * 3_600_000;
        assert!(wanted.means(&letter("generate", "poisoned", "nov", hours_ago(1))));
        assert!(!wanted.means(&letter("send", "poisoned", "nov", hours_ago(1))));
        assert!(!wanted.means(&letter("generate", "panicked", "nov", hours_ago(1))));
        assert!(!wanted.means(&letter("generate", "poisoned", "dec", hours_ago(1))));
        assert!(!wanted.means(&letter("generate", "poisoned", "nov", hours_ago(3))));
        assert!(parse(&[]).unwrap().means(&letter("x", "y", "z", 0)), "nothing asked means all");
    }

    #[test]
    fn times_are_instants_or_how_long_ago() {
        let since = |text: &str| parse(&[&format!("since={text}")]).unwrap().since.unwrap().0;
        assert_eq!(since("90m"), NOW.0 - 5_400_000);
        assert_eq!(since("1763719200000"), NOW.0);
        assert_eq!(since("2025-11-21T11:00:00+01:00"), NOW.0);
    }

    #[test]
    fn a_mistyped_condition_is_refused_and_never_means_all_or_none() {
        for (condition, says) in [
            ("poisoned", "is not <key>=<value>"),
            ("cod=poisoned", "is not one of code, queue"),
            ("code=poisond", "is not the code of a dead job"),
            ("code=unknown_channel", "is not the code of a dead job"),
            ("queue=genrate", "there is no queue"),
            ("campaign=a b", "is not a name"),
            ("since=yesterday", "is not a time"),
        ] {
            let error = parse(&[condition]).unwrap_err();
            assert!(error.contains(says), "{condition}: {error}");
        }
    }
}
