//! The audit: what was done to campaigns, runs and channels, and by whom, in one capped stream.
//!
//! Written also where Redis is full, by whoever does it, after it is done: at least once, so that a daemon which dies
//! between the two leaves a second entry (`same`) and never none. No contact and no text stands in it. What is traffic
//! (receipts, replies, order events, previews) is not an act of anybody and not here.

use redis::{cmd, streams::StreamRangeReply};
use serde::Serialize;

use super::{Store, StoreError};
use crate::domain::actor::{self, actor};

/// One thing that was done, or asked for and refused. What does not apply is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Entry id in the stream; empty when it is about to be written.
    pub entry: String,
    /// When, epoch ms.
    pub at: i64,
    /// Who: the user of a command, the name of a token, `remesa` itself, or the job of a program.
    pub actor: String,
    /// What: an action of the queue `control`, `replay`, `test_message`, `auto_pause`, `reload`.
    pub action: String,
    /// What it was done to.
    #[serde(flatten)]
    pub of: Thing,
    /// The state before.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub before: String,
    /// The state after, or what is new.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub after: String,
    /// How many: `queued 12, orders_cancelled 3`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub counts: String,
    /// `done`, `same` (it was so already), or the code of the refusal.
    pub outcome: String,
    /// The job by which it was asked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub job: String,
}

/// What something was done to. What does not apply is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Thing {
    /// The campaign.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub campaign: String,
    /// One of its runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// One of its permanent messages.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub recurring: String,
    /// The number of one of its orders.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub order: String,
    /// The number of one of its cases.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub case: String,
    /// A channel, or `orders:<payment point>`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub channel: String,
}

impl AuditEntry {
    /// What somebody asked for by this job.
    pub fn asked(job: &str, action: &str, of: Thing) -> Self {
        Self { actor: actor(job).to_owned(), action: action.to_owned(), of, job: job.to_owned(), ..Self::default() }
    }

    /// What a daemon does by itself.
    pub fn by_daemon(action: &str, of: Thing, after: &str) -> Self {
        let (actor, action, after) = (actor::DAEMON.to_owned(), action.to_owned(), after.to_owned());
        Self { actor, action, of, after, outcome: "done".to_owned(), ..Self::default() }
    }

    fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let of = &self.of;
        let fields = [
            ("actor", &self.actor),
            ("action", &self.action),
            ("campaign", &of.campaign),
            ("run", &of.run),
            ("recurring", &of.recurring),
            ("order", &of.order),
            ("case", &of.case),
            ("channel", &of.channel),
            ("before", &self.before),
            ("after", &self.after),
            ("counts", &self.counts),
            ("outcome", &self.outcome),
            ("job", &self.job),
        ];
        fields.into_iter().map(|(name, text)| (name, text.as_str())).filter(|(_, text)| !text.is_empty())
    }
}

impl Store {
    /// Writes what was done; `at` is now.
    pub async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let at = self.now_ms().await?.to_string();
        let fields: Vec<(&str, &str)> = [("at", at.as_str())].into_iter().chain(entry.fields()).collect();
        self.surely("XADD", &self.keys.audit(), ("*", fields)).await
    }

    /// The same of what the daemon did by itself: it is done, whether or not it can be written down now.
    pub async fn audit_own(&self, entry: &AuditEntry) {
        if let Err(error) = self.audit(entry).await {
            tracing::warn!(action = entry.action, %error, "not written into the audit");
        }
    }

    /// Entries, the newest first, older than the entry `before`.
    pub async fn audited(&self, before: Option<&str>, count: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let mut range = cmd("XREVRANGE");
        range.arg(self.keys.audit());
        match before {
            Some(id) => range.arg(format!("({id}")),
            None => range.arg("+"),
        };
        let reply: StreamRangeReply = self.connection.query(range.arg("-").arg("COUNT").arg(count)).await?;
        let entries = reply.ids.into_iter().map(|e| {
            let text = |name: &str| e.get::<String>(name).unwrap_or_default();
            AuditEntry {
                at: e.get("at").unwrap_or_default(),
                actor: text("actor"),
                action: text("action"),
                of: Thing {
                    campaign: text("campaign"),
                    run: text("run"),
                    recurring: text("recurring"),
                    order: text("order"),
                    case: text("case"),
                    channel: text("channel"),
                },
                before: text("before"),
                after: text("after"),
                counts: text("counts"),
                outcome: text("outcome"),
                job: text("job"),
                entry: e.id.clone(),
            }
        });
        Ok(entries.collect())
    }
}
