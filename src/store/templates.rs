//! Templates of messages, for all campaigns: kept by name, replaced by a later import, never changed by a run (BM-21).

use std::collections::HashMap;

use redis::cmd;

use super::{Store, StoreError};
use crate::domain::{clock::EpochMs, content::Content};

/// A template as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTemplate {
    /// Its name.
    pub name: String,
    /// What it says.
    pub content: Content,
    /// When it was last replaced.
    pub updated_at: EpochMs,
    /// The job that did.
    pub job: String,
}

impl StoredTemplate {
    fn read(name: &str, hash: &HashMap<String, String>) -> Option<Self> {
        let content = serde_json::from_str(hash.get("content")?).ok()?;
        let updated_at = EpochMs(hash.get("updated_at")?.parse().ok()?);
        Some(Self { name: name.to_owned(), content, updated_at, job: hash.get("job").cloned().unwrap_or_default() })
    }
}

impl Store {
    /// A template, if there is one of this name.
    pub async fn template(&self, name: &str) -> Result<Option<StoredTemplate>, StoreError> {
        let hash = self.hash(&self.keys.template(name)).await?;
        Ok(StoredTemplate::read(name, &hash))
    }

    /// Writes a template; one of this name is replaced.
    pub async fn write_template(&self, template: &StoredTemplate) -> Result<(), StoreError> {
        // Plain texts: there is nothing to refuse.
        let content = serde_json::to_string(&template.content).unwrap_or_default();
        // The name first: a template that exists is always listed.
        let mut list = cmd("ZADD");
        list.arg(self.keys.templates()).arg(0).arg(&template.name);
        self.connection.query::<()>(&list).await?;
        let mut write = cmd("HSET");
        write.arg(self.keys.template(&template.name)).arg("content").arg(content);
        write.arg("updated_at").arg(template.updated_at.0).arg("job").arg(&template.job);
        self.connection.query(&write).await
    }

    /// Names of templates behind `after`, in their order, at most `count`.
    pub async fn template_names(&self, after: &str, count: usize) -> Result<Vec<String>, StoreError> {
        let from = if after.is_empty() { "-".to_owned() } else { format!("({after}") };
        let mut range = cmd("ZRANGE");
        range.arg(self.keys.templates()).arg(from).arg("+").arg("BYLEX").arg("LIMIT").arg(0).arg(count);
        self.connection.query(&range).await
    }
}
