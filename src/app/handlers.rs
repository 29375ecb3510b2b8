//! The handlers, as the queue asks for them: which job, which alarm, which ending goes to whom.

use std::sync::Arc;

use crate::{
    domain::name::JobId,
    handler::{self, Context},
    job::{DeadCode, Job, Outcome, QueueName},
    queue::{Handle, JobTask},
    store::{
        StoreError,
        audit::{AuditEntry, Thing},
        campaigns::Acted,
        leases::Lease,
        runs::SlotRef,
    },
};

/// The handlers, as the queue asks for them.
#[derive(Debug)]
pub(super) struct Handlers(pub(super) Arc<Context>);

impl Handle for Handlers {
    async fn job(&self, task: JobTask) -> Outcome {
        match task.job {
            Job::Import(job) => handler::import::run(&self.0, &task.id, *job, &task.lease).await,
            Job::Generate(job) => handler::generate::run(&self.0, (&task.id, task.trace), *job, &task.lease).await,
            Job::Send(job) => handler::send::run(&self.0, (&task.id, task.trace), &job).await,
            Job::Recurring(job) => handler::recurring::run(&self.0, (&task.id, task.trace), &job).await,
            Job::Control(job) => handler::control::run(&self.0, &task.id, job, &task.lease).await,
        }
    }

    async fn turn(&self, slot: SlotRef, lease: Arc<Lease>) -> Outcome {
        handler::turn::run(&self.0, slot, lease).await
    }

    async fn alarm(&self, member: &str) -> Result<Option<i64>, StoreError> {
        let mut parts = member.split('|');
        if let (Some("expire"), Some(campaign), Some(batch)) = (parts.next(), parts.next(), parts.next()) {
            handler::expire::sweep(&self.0, campaign, batch).await
        } else if let Some((campaign, name)) = member.strip_prefix("recurring|").and_then(|rest| rest.split_once('|')) {
            handler::recurring::tick(&self.0, campaign, name).await
        } else if let Some(campaign) = member.strip_prefix("orders|") {
            handler::creating::look_again(&self.0, campaign.trim_end_matches('|')).await
        } else {
            tracing::warn!(member, "an alarm that nobody knows, dropped");
            Ok(None)
        }
    }

    async fn ended_dead(&self, queue: QueueName, id: &JobId, campaign: &str, code: DeadCode) -> Result<(), StoreError> {
        if queue == QueueName::Generate && !campaign.is_empty() {
            handler::generate::give_up(&self.0, campaign, id, code.as_str()).await?;
        }
        if queue == QueueName::Control {
            self.0.store.drop_forget(id.as_str()).await?;
        }
        Ok(())
    }

    async fn poisoned(&self, slot: &SlotRef) -> Result<(), StoreError> {
        let store = &self.0.store;
        if let Acted::Done { .. } = store.act(&slot.campaign, Some(&slot.run), "pause", "poison").await? {
            let of = Thing { campaign: slot.campaign.clone(), run: slot.run.clone(), ..Thing::default() };
            store.audit_own(&AuditEntry::by_daemon("pause", of, "poison")).await;
        }
        Ok(())
    }
}
