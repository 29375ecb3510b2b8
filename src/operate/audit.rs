//! The audit, looked through: what was done, by whom, the newest first.

use serde::Serialize;

use crate::store::{Store, StoreError, audit::AuditEntry};

/// Entries read at once.
const AT_ONCE: usize = 500;

/// Entries that one look reads, at most.
const LOOKED_AT: usize = 20_000;

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Of this campaign.
    pub campaign: Option<String>,
    /// By this actor.
    pub actor: Option<String>,
    /// Older than this entry.
    pub before: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Entries, the newest first.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AuditPage {
    /// Those that are wanted.
    pub entries: Vec<AuditEntry>,
    /// Where to go on (`before`), unless it was looked at everything.
    pub next: Option<String>,
}

/// Looks them up. It goes back a bounded way: a page may have fewer than `limit` and a `next`.
pub async fn page(store: &Store, wanted: &Wanted) -> Result<AuditPage, StoreError> {
    let mut page = AuditPage { next: wanted.before.clone(), ..AuditPage::default() };
    let mut looked_at = 0;
    while looked_at < LOOKED_AT {
        let read = store.audited(page.next.as_deref(), AT_ONCE).await?;
        let is_last = read.len() < AT_ONCE;
        looked_at += read.len();
        for entry in read {
            page.next = Some(entry.entry.clone());
            if wanted.wants(&entry) {
                page.entries.push(entry);
            }
            if page.entries.len() >= wanted.limit {
                return Ok(page);
            }
        }
        if is_last {
            page.next = None;
            return Ok(page);
        }
    }
    Ok(page)
}

impl Wanted {
    fn wants(&self, entry: &AuditEntry) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        is(&self.campaign, &entry.of.campaign) && is(&self.actor, &entry.actor)
    }
}
