//! The list of what is in progress: runs `<C>/<R>`, and campaigns `<C>/` that are about to have events.
//!
//! Guarantees: what is announced is listed before it is written, so a death in between is found by the reconciler;
//! a member leaves only after a while without news, so an announcement is never taken back under its writer. Whoever
//! was looked at goes to the end, so that a long list is seen in turns.

use std::time::Duration;

use redis::cmd;

use super::{Store, StoreError, entries::millis, scripts};

/// Between an announcement and what it announces lie milliseconds, and one connection time-out at most.
const WITHOUT_NEWS: Duration = Duration::from_mins(1);

/// A member of the list, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The campaign.
    pub campaign: String,
    /// The run, or empty for the campaign's events.
    pub run: String,
    score: String,
}

impl Store {
    /// The members that were not looked at for longest.
    pub async fn watched(&self, count: usize) -> Result<Vec<Watched>, StoreError> {
        let mut range = cmd("ZRANGE");
        range.arg(self.keys.active()).arg(0).arg(count.saturating_sub(1)).arg("WITHSCORES");
        let members: Vec<(String, String)> = self.connection.query(&range).await?;
        let watched = members.into_iter().map(|(member, score)| {
            let (campaign, run) = member.split_once('/').unwrap_or((&member, ""));
            Watched { campaign: campaign.to_owned(), run: run.to_owned(), score }
        });
        Ok(watched.collect())
    }

    /// Notes that a member was looked at; `done` when nothing is left to look after. Returns whether it left.
    pub async fn looked_after(&self, member: &Watched, done: bool) -> Result<bool, StoreError> {
        let left: u8 = scripts::LOOKED_AFTER
            .call(&[&self.keys.active()])
            .arg(format!("{}/{}", member.campaign, member.run))
            .arg(&member.score)
            .arg(if done { "drop" } else { "keep" })
            .arg(millis(WITHOUT_NEWS))
            .run(&self.connection)
            .await?;
        Ok(left == 1)
    }

    /// Notes how many parts the messages of a run have.
    pub async fn set_parts_hint(&self, campaign: &str, run: &str, parts: u32) -> Result<(), StoreError> {
        self.connection.query(cmd("HSET").arg(self.keys.run(campaign, run)).arg("parts_hint").arg(parts)).await
    }
}
