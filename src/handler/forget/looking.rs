//! The pages of the walk: what each holds of the person, and where the walk goes on. Nothing is changed here.

use std::{io, path::PathBuf, sync::Arc, time::SystemTime};

use crate::{
    domain::contact::sought::Sought,
    job::{QueueName, is_forget},
    source::{
        erase::{self as files, Look as FileLook},
        staging,
    },
    store::{StoreError, forget::StreamEntry},
};

use super::{
    super::blocking,
    Walk,
    progress::{Campaign, Hit, Place},
};

/// Orders read at once.
const ORDERS: u64 = 500;

/// Refused rows, events, read at once.
const ENTRIES: usize = 200;

/// Refused, dead and waiting jobs read at once: each may have a mebibyte.
const JOBS: usize = 8;

/// Jobs whose status is read at once: one that waits has its payload with it.
const STATUSES: usize = 32;

/// Fields of a job's hash that hold what others wrote.
pub(super) const JOB_TEXTS: [&str; 3] = ["payload", "result", "error"];

/// Fields of a campaign's hash that hold what others wrote.
pub(super) const CAMPAIGN_TEXTS: [&str; 3] = ["name", "warnings", "failed_reason"];

/// The beginning of a stream.
const START: &str = "0-0";

type Look = (Vec<Hit>, Place);

impl Walk<'_> {
    /// One page.
    pub(super) async fn look(&mut self) -> Result<Look, StoreError> {
        match self.progress.place.clone() {
            Place::Campaigns(at) => self.next_campaign(at).await,
            Place::Orders(campaign, from) => self.orders(campaign, from).await,
            Place::Cases(campaign, from) => self.cases(campaign, from).await,
            Place::Rows(campaign, from) => self.rows(campaign, from).await,
            Place::Outbox(campaign, after) => self.outbox(campaign, &after).await,
            Place::Fields(campaign) => self.fields(campaign).await,
            Place::Jobs(cursor, life) => self.jobs(cursor, life).await,
            Place::Rejected(after) => {
                let key = self.ctx.store.keys.rejected();
                let page = self.page(&key, &after, JOBS).await?;
                let next = after_page(&page, JOBS, Place::Rejected, Place::Dead(START.into()));
                Ok((self.hits(page, Hit::Rejected), next))
            }
            Place::Dead(after) => {
                let key = self.ctx.store.keys.dead();
                let page = self.page(&key, &after, JOBS).await?;
                let next = after_page(&page, JOBS, Place::Dead, Place::Results(START.into()));
                Ok((self.hits(page, Hit::Dead), next))
            }
            Place::Results(after) => {
                let key = self.ctx.store.keys.results();
                let page = self.page(&key, &after, ENTRIES).await?;
                let next = after_page(&page, ENTRIES, Place::Results, Place::Waiting(START.into()));
                Ok((self.hits(page, Hit::Event), next))
            }
            Place::Waiting(after) => self.waiting(QueueName::Generate, &after).await,
            Place::WaitingImports(after) => self.waiting(QueueName::Import, &after).await,
            Place::OwnFiles(after) => self.own_file(after).await,
            Place::Sources(after) => self.source(after).await,
            Place::InFlight => Ok((Vec::new(), Place::InFlight)),
        }
    }

    fn is_in(&self, text: &str) -> bool {
        self.sought.as_ref().is_some_and(|sought| sought.is_in_json(text))
    }

    async fn next_campaign(&self, at: Option<Campaign>) -> Result<Look, StoreError> {
        let at = at.as_ref().map(|(score, name)| (*score, name.as_str()));
        Ok(match self.ctx.store.campaign_before(at).await? {
            Some(campaign) => (Vec::new(), Place::Orders(campaign, 1)),
            None => (Vec::new(), Place::Jobs(0, self.ctx.store.server_life().await?)),
        })
    }

    async fn orders(&self, campaign: Campaign, from: u64) -> Result<Look, StoreError> {
        let next = self.ctx.store.campaign_fields(&campaign.1, &["next"]).await?.into_iter().next().flatten();
        let end: u64 = next.and_then(|text| text.parse().ok()).unwrap_or(1);
        if from >= end {
            return Ok((Vec::new(), Place::Cases(campaign, 1)));
        }
        let upto = end.min(from + ORDERS);
        let texts = self.ctx.store.orders(&campaign.1, from..upto).await?;
        let found = (from..upto).zip(texts).filter(|(_, text)| text.as_deref().is_some_and(|text| self.is_in(text)));
        let hits = found.map(|(number, _)| Hit::Order(campaign.1.clone(), number)).collect();
        Ok((hits, Place::Orders(campaign, upto)))
    }

    async fn cases(&self, campaign: Campaign, from: u64) -> Result<Look, StoreError> {
        let last = self.ctx.store.case_count(&campaign.1).await?;
        if from > last {
            return Ok((Vec::new(), Place::Rows(campaign, 0)));
        }
        let upto = last.min(from + ORDERS - 1);
        let texts = self.ctx.store.cases(&campaign.1, from..=upto).await?;
        let found = (from..=upto).zip(texts).filter(|(_, text)| text.as_deref().is_some_and(|text| self.is_in(text)));
        let hits = found.map(|(number, _)| Hit::Case(campaign.1.clone(), number)).collect();
        Ok((hits, Place::Cases(campaign, upto + 1)))
    }

    async fn rows(&self, campaign: Campaign, from: u64) -> Result<Look, StoreError> {
        let offset = usize::try_from(from).unwrap_or(usize::MAX);
        let rows = self.ctx.store.campaign_errors(&campaign.1, offset, ENTRIES).await?;
        let found = (from..).zip(&rows).filter(|(_, row)| self.is_in(row));
        let hits = found.map(|(index, _)| Hit::Row(campaign.1.clone(), index)).collect();
        Ok(if rows.len() < ENTRIES {
            (hits, Place::Outbox(campaign, START.into()))
        } else {
            (hits, Place::Rows(campaign, from + rows.len() as u64))
        })
    }

    async fn outbox(&self, campaign: Campaign, after: &str) -> Result<Look, StoreError> {
        let key = self.ctx.store.keys.outbox(&campaign.1);
        let page = self.page(&key, after, ENTRIES).await?;
        let goes_on = {
            let campaign = campaign.clone();
            move |after| Place::Outbox(campaign, after)
        };
        let next = after_page(&page, ENTRIES, goes_on, Place::Fields(campaign.clone()));
        Ok((self.hits(page, |id| Hit::Outbox(campaign.1.clone(), id)), next))
    }

    async fn fields(&self, campaign: Campaign) -> Result<Look, StoreError> {
        let texts = self.ctx.store.campaign_fields(&campaign.1, &CAMPAIGN_TEXTS).await?;
        let hits = texts.iter().flatten().any(|text| self.is_in(text)).then(|| Hit::Fields(campaign.1.clone()));
        Ok((hits.into_iter().collect(), Place::Campaigns(Some(campaign))))
    }

    async fn jobs(&self, cursor: u64, life: String) -> Result<Look, StoreError> {
        let store = &self.ctx.store;
        // After a restart the cursor means nothing.
        let now = store.server_life().await?;
        let (next, ids) = store.scan_jobs(if now == life { cursor } else { 0 }).await?;
        let mut hits = Vec::new();
        for ids in ids.chunks(STATUSES) {
            let found = ids.iter().zip(store.job_texts(ids, &JOB_TEXTS).await?).filter(|(_, texts)| {
                // A job that forgets somebody itself needs the number until its end.
                let forgets = texts.iter().flatten().any(|text| is_forget(text.as_bytes()));
                !forgets && texts.iter().flatten().any(|text| self.is_in(text))
            });
            hits.extend(found.map(|(id, _)| Hit::Job(id.clone())));
        }
        Ok((hits, if next == 0 { Place::Rejected(START.into()) } else { Place::Jobs(next, now) }))
    }

    /// Jobs that nobody has begun, or that are under way: what they bring comes after this walk.
    async fn waiting(&mut self, queue: QueueName, after: &str) -> Result<Look, StoreError> {
        let key = self.ctx.store.keys.jobs(queue.as_str());
        let page = self.page(&key, after, JOBS).await?;
        let found = page.iter().filter(|entry| entry.fields.iter().any(|(_, value)| self.is_in(value))).count();
        self.progress.left.jobs_waiting += found as u64;
        let next = if queue == QueueName::Import {
            after_page(&page, JOBS, Place::WaitingImports, Place::OwnFiles(String::new()))
        } else {
            after_page(&page, JOBS, Place::Waiting, Place::WaitingImports(START.into()))
        };
        Ok((Vec::new(), next))
    }

    async fn own_file(&mut self, after: String) -> Result<Look, StoreError> {
        let Some(sought) = self.sought.clone() else { return Ok((Vec::new(), Place::InFlight)) };
        let spool = self.ctx.config.sources.spool_dir.clone();
        let found = blocking(move || {
            files::next_own(&spool, &after).map(|name| {
                let count = files::count(&spool, &name, &sought);
                (name, count)
            })
        })
        .await;
        Ok(match found {
            None => (Vec::new(), Place::Sources(String::new())),
            Some((name, Ok(0))) => (Vec::new(), Place::OwnFiles(name)),
            Some((name, Ok(_))) => (vec![Hit::File(name.clone())], Place::OwnFiles(name)),
            Some((name, Err(error))) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "a file of the spool folder cannot be read");
                    self.progress.left.unreadable(&name);
                }
                (Vec::new(), Place::OwnFiles(name))
            }
        })
    }

    async fn source(&mut self, after: String) -> Result<Look, StoreError> {
        let Some(sought) = self.sought.clone() else { return Ok((Vec::new(), Place::InFlight)) };
        let spool = self.ctx.config.sources.spool_dir.clone();
        let (drain, looked_for) = (self.ctx.drain.clone(), sought.clone());
        let here = Place::Sources(after.clone());
        let found = blocking(move || {
            files::next_source(&spool, &after).map(|name| {
                let holds = files::holds(&spool.join(&name), &looked_for, || drain.is_cancelled());
                (name, holds)
            })
        })
        .await;
        Ok(match found {
            None => {
                let looked = self.look_at_copies(&sought).await;
                (Vec::new(), if looked { Place::InFlight } else { here })
            }
            // The daemon stops: this file is looked at after the restart.
            Some((_, FileLook::Stopped)) => (Vec::new(), here),
            Some((name, look)) => {
                match look {
                    FileLook::Found => self.progress.left.file(&name),
                    FileLook::Unreadable => self.progress.left.unreadable(&name),
                    FileLook::Absent | FileLook::Stopped => {}
                }
                (Vec::new(), Place::Sources(name))
            }
        })
    }

    /// Copies of sources that jobs read, and exports that are being written: their jobs end after this. Returns whether
    /// all was looked at.
    async fn look_at_copies(&mut self, sought: &Sought) -> bool {
        let (config, drain, sought) = (Arc::clone(&self.ctx.config), self.ctx.drain.clone(), sought.clone());
        let (looks, exports) = blocking(move || {
            let look = |path: &PathBuf| files::holds(path, &sought, || drain.is_cancelled());
            let looks: Vec<FileLook> = staging::copies(&config.state_dir).iter().map(look).collect();
            (looks, files::under_way(&config.sources.spool_dir, SystemTime::now()))
        })
        .await;
        let is_left = |look: &&FileLook| matches!(look, FileLook::Found | FileLook::Unreadable);
        self.progress.left.source_copies = looks.iter().filter(is_left).count() as u64;
        self.progress.left.exports_under_way = exports;
        !looks.contains(&FileLook::Stopped)
    }

    /// A page of a stream as it was when the walk began: what was put in place of an entry since then is not looked at.
    async fn page(&self, key: &str, after: &str, count: usize) -> Result<Vec<StreamEntry>, StoreError> {
        let before = self.ctx.store.now_ms().await?;
        self.ctx.store.stream_page(key, after, before, count).await
    }

    fn hits(&self, page: Vec<StreamEntry>, hit: impl Fn(String) -> Hit) -> Vec<Hit> {
        let said = self.progress.person.as_deref().map(|person| format!("\"person\":\"{person}\""));
        let is_theirs = |value: &str| said.as_deref().is_some_and(|said| value.contains(said));
        let is_found =
            |entry: &StreamEntry| entry.fields.iter().any(|(_, value)| self.is_in(value) || is_theirs(value));
        page.into_iter().filter(is_found).map(|entry| hit(entry.id)).collect()
    }
}

/// Behind the last entry of a full page; else at the next place.
fn after_page(page: &[StreamEntry], full: usize, goes_on: impl FnOnce(String) -> Place, next: Place) -> Place {
    match page.last() {
        Some(last) if page.len() >= full => goes_on(last.id.clone()),
        _ => next,
    }
}
