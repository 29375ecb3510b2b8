//! The campaigns, newest first, filtered and in pages.
//!
//! A page goes on behind a campaign that is named, not behind a number: campaigns that are made meanwhile do not move
//! it. Names are read in stretches and filtered before anything else of them is read.

use redis::cmd;

use super::{CampaignView, Hash, Store, StoreError};
use crate::domain::{campaign::CampaignState, clock::EpochMs, lookup::NamePattern};

/// Campaigns read by one round trip.
const STRETCH: usize = 100;

/// Which campaigns are wanted.
#[derive(Debug, Clone, Default)]
pub struct CampaignQuery {
    /// In this state.
    pub state: Option<CampaignState>,
    /// Created at this time or later.
    pub since: Option<EpochMs>,
    /// With such a name.
    pub name: Option<NamePattern>,
    /// Behind this one: the last of the page before.
    pub after: Option<String>,
    /// So many of what is found are left out.
    pub offset: usize,
    /// At most so many.
    pub limit: usize,
    /// At most so many are looked at for them, in whole stretches.
    pub look_at: usize,
}

/// A page of campaigns.
#[derive(Debug, Default)]
pub struct Listing {
    /// The campaigns.
    pub campaigns: Vec<CampaignView>,
    /// The campaign behind which the next page begins; none at the end.
    pub next: Option<String>,
    /// So many are still to be left out there.
    pub offset_left: usize,
}

impl Listing {
    /// Reads a page. None when there is no campaign that `after` names.
    pub async fn load(store: &Store, query: &CampaignQuery) -> Result<Option<Self>, StoreError> {
        let mut from = match &query.after {
            None => 0,
            Some(name) => {
                let rank = store.connection.query(cmd("ZREVRANK").arg(store.keys.campaigns()).arg(name)).await?;
                let Some(rank): Option<usize> = rank else { return Ok(None) };
                rank + 1
            }
        };
        let (mut page, mut skipped, mut looked_at) = (Self::default(), 0, 0);
        loop {
            let mut range = cmd("ZREVRANGE");
            range.arg(store.keys.campaigns()).arg(from).arg(from + STRETCH - 1).arg("WITHSCORES");
            let names: Vec<(String, i64)> = store.connection.query(&range).await?;
            let is_last = names.len() < STRETCH;
            from += names.len();
            looked_at += names.len();
            let last = names.last().map(|(name, _)| name.clone());
            let old = |created_at: i64| query.since.is_some_and(|since| created_at < since.0);
            let over = is_last || names.last().is_some_and(|(_, created_at)| old(*created_at));
            let fitting = |name: &String| query.name.as_ref().is_none_or(|pattern| pattern.fits(name));
            let names: Vec<String> =
                names.into_iter().filter(|(_, at)| !old(*at)).map(|(name, _)| name).filter(fitting).collect();
            for view in store.campaign_views(names).await? {
                if query.state.is_some_and(|state| state.as_str() != view.state) {
                    continue;
                }
                if skipped < query.offset {
                    skipped += 1;
                    continue;
                }
                if page.campaigns.len() == query.limit {
                    page.next = page.campaigns.last().map(|last| last.campaign.clone());
                    return Ok(Some(page));
                }
                page.campaigns.push(view);
            }
            if over {
                return Ok(Some(page));
            }
            if looked_at >= query.look_at {
                (page.next, page.offset_left) = (last, query.offset - skipped);
                return Ok(Some(page));
            }
        }
    }
}

impl Store {
    /// Campaigns by name; one that was removed meanwhile is left out.
    async fn campaign_views(&self, names: Vec<String>) -> Result<Vec<CampaignView>, StoreError> {
        let mut pipeline = redis::pipe();
        for name in &names {
            pipeline.cmd("HGETALL").arg(self.keys.campaign(name));
        }
        let hashes: Vec<Hash> = self.connection.pipeline(&pipeline).await?;
        let found = names.iter().zip(hashes).filter(|(_, hash)| !hash.is_empty());
        Ok(found.map(|(name, hash)| CampaignView::of(name, &hash)).collect())
    }
}
