//! How a job ends: what is written about it before its entry is settled.
//!
//! Each ending writes its letter or its state first and is settled after: a crash between the two
//! repeats at most what is written the same way again. A job that another entry has taken over is
//! written by that one.

use std::time::Duration;

use crate::{
    domain::{clock::EpochMs, name::JobId},
    job::{DeadCode, QueueName, RawJob, RejectionCode, event::JobEvent, is_forget},
    store::{
        StoreError,
        entries::{Entry, EntryBody},
        jobs::JobChange,
        letters::{Letter, Letters},
        outbox::Event,
    },
};

use super::{Handle, acceptance::Accepted, worker::Worker};

/// How an entry in hand ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Acknowledge and delete it.
    Settle,
    /// Give it back uncounted.
    GiveBack,
    /// The same again, after a rest.
    Rest,
    /// It is another daemon's now.
    Leave,
}

impl<H: Handle> Worker<H> {
    pub(super) async fn retry(
        &self,
        queue: QueueName,
        accepted: &Accepted,
        code: &str,
        sentence: &str,
        at: Option<EpochMs>,
    ) -> Result<Ending, StoreError> {
        let Some(delay) = self.policy.retry.delay(accepted.attempt, rand::random()) else {
            let sentence = format!("{sentence} (attempt {} of {})", accepted.attempt, self.policy.retry.max_attempts);
            return self.end_dead(queue, accepted, DeadCode::AttemptsExhausted, &sentence).await;
        };
        let now = EpochMs(self.store.now_ms().await?);
        let at = at.filter(|at| *at > now).unwrap_or_else(|| now.plus(delay));
        let fields = [
            ("attempt", accepted.attempt.next().to_string()),
            ("begun", "1".to_owned()),
            ("error_code", code.to_owned()),
            ("error", sentence.to_owned()),
        ];
        tracing::warn!(job = %accepted.id, attempt = %accepted.attempt, code, "job will be tried again");
        self.metrics.job_retried(queue.as_str());
        self.delay(queue, accepted, "scheduled", at, &fields).await
    }

    /// Puts a job off: its payload moves into its hash, the alarm clock brings it back.
    pub(super) async fn delay(
        &self,
        queue: QueueName,
        accepted: &Accepted,
        state: &str,
        at: EpochMs,
        more: &[(&str, String)],
    ) -> Result<Ending, StoreError> {
        let mut fields = accepted.fields(queue, state);
        fields.push(("at", at.0.to_string()));
        fields.push(("payload", String::from_utf8_lossy(&accepted.payload).into_owned()));
        fields.push(("attempt", accepted.attempt.to_string()));
        let parks = state == "parked" && self.store.job_field(accepted.id.as_str(), "parked_at").await?.is_none();
        let stamp: &[&str] = if parks { &["parked_at"] } else { &[] };
        fields.extend(more.iter().map(|(f, v)| (*f, v.clone())));
        let change = JobChange { stamp, fields: &fields, ..JobChange::default() };
        if self.store.write_job(accepted.id.as_str(), &accepted.entry, &change).await?.is_none() {
            return Ok(Ending::Leave);
        }
        self.store.arm(&format!("job|{queue}|{}", accepted.id), at.0).await?;
        Ok(Ending::Settle)
    }

    pub(super) async fn end_done(
        &self,
        queue: QueueName,
        accepted: &Accepted,
        result: &serde_json::Value,
    ) -> Result<Ending, StoreError> {
        let mut fields = vec![("result", result.to_string())];
        if let Some(run) = result.get("run").and_then(serde_json::Value::as_str) {
            fields.push(("run", run.to_owned()));
        }
        self.write_end(queue, accepted, "done", &fields).await
    }

    pub(super) async fn end_dead(
        &self,
        queue: QueueName,
        accepted: &Accepted,
        code: DeadCode,
        sentence: &str,
    ) -> Result<Ending, StoreError> {
        tracing::warn!(job = %accepted.id, code = code.as_str(), "job ended dead");
        self.handle.ended_dead(queue, &accepted.id, &accepted.campaign, code).await?;
        self.write_letter(Letters::Dead, queue, accepted, code.as_str(), sentence).await?;
        let fields = [("error_code", code.as_str().to_owned()), ("error", sentence.to_owned())];
        self.write_end(queue, accepted, "dead", &fields).await
    }

    pub(super) async fn end_rejected(
        &self,
        queue: QueueName,
        accepted: &Accepted,
        code: RejectionCode,
        sentence: &str,
    ) -> Result<Ending, StoreError> {
        tracing::info!(job = %accepted.id, code = code.as_str(), "job rejected");
        self.write_letter(Letters::Rejected, queue, accepted, code.as_str(), sentence).await?;
        let fields = [("error_code", code.as_str().to_owned()), ("error", sentence.to_owned())];
        if accepted.written {
            return self.write_end(queue, accepted, "rejected", &fields).await;
        }
        let now = self.store.now_ms().await?;
        let mut all = accepted.fields(queue, "rejected");
        all.push(("entry", accepted.entry.clone()));
        all.push(("finished_at", now.to_string()));
        all.extend(fields);
        self.store.refuse_job(accepted.id.as_str(), self.retention(accepted), &all).await?;
        self.tell(accepted, queue, "rejected", code.as_str(), now).await?;
        self.metrics.job_ended(queue.as_str(), "rejected");
        Ok(Ending::Settle)
    }

    pub(super) async fn write_letter(
        &self,
        which: Letters,
        queue: QueueName,
        accepted: &Accepted,
        code: &str,
        sentence: &str,
    ) -> Result<(), StoreError> {
        let mut letter = Letter::about(
            queue.as_str(),
            accepted.id.as_str(),
            code,
            sentence,
            &accepted.payload,
            self.policy.max_bytes,
        );
        if queue == QueueName::Control && is_forget(&accepted.payload) {
            // It names the person it forgets, so it is kept nowhere.
            letter.payload.clear();
            letter.digest.clear();
        }
        letter.at = self.store.now_ms().await?;
        self.store.write_letters(which, &[letter]).await
    }

    pub(super) async fn write_end(
        &self,
        queue: QueueName,
        accepted: &Accepted,
        state: &'static str,
        more: &[(&str, String)],
    ) -> Result<Ending, StoreError> {
        let mut fields = accepted.fields(queue, state);
        fields.push(("attempt", accepted.attempt.to_string()));
        fields.extend(more.iter().map(|(f, v)| (*f, v.clone())));
        let change = JobChange {
            ttl: Some(self.retention(accepted)),
            delete: if accepted.written { &["payload", "at"] } else { &[] },
            stamp: &["finished_at"],
            fields: &fields,
        };
        let Some(now) = self.store.write_job(accepted.id.as_str(), &accepted.entry, &change).await? else {
            return Ok(Ending::Leave);
        };
        let code = more.iter().find(|(f, _)| *f == "error_code").map_or("", |(_, v)| v.as_str());
        self.tell(accepted, queue, state, code, now).await?;
        self.metrics.job_ended(queue.as_str(), state);
        if accepted.named && state != "rejected" {
            self.wake_waiters(accepted, now).await?;
        }
        Ok(Ending::Settle)
    }

    pub(super) async fn tell(
        &self,
        job: &Accepted,
        queue: QueueName,
        state: &str,
        code: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let id = format!("{}/{state}", job.entry);
        let event = JobEvent {
            event: &id,
            r#type: "job",
            job: job.id.as_str(),
            queue: queue.as_str(),
            campaign: &job.campaign,
            state,
            code,
            at: now,
        };
        // Plain strings and numbers: there is nothing to refuse.
        let json = serde_json::to_string(&event).unwrap_or_default();
        self.store.publish(&[Event { id, kind: "job".into(), json }]).await
    }

    /// Tells the end of a job whose daemon died after it had written it: perhaps nobody was told. Twice is no harm, it
    /// is the same event.
    pub(super) async fn tell_again(&self, queue: QueueName, entry: &Entry) -> Result<(), StoreError> {
        let mut job = Accepted::unread(queue, entry);
        let named = match &entry.body {
            EntryBody::Ref(id) => JobId::of_wire(id).ok(),
            EntryBody::Job(payload) => RawJob::parse(payload).ok().and_then(|raw| raw.id()),
            EntryBody::Slot(_) | EntryBody::Unknown => None,
        };
        for id in named.into_iter().chain([job.id.clone()]) {
            let hash = self.store.job(id.as_str()).await?;
            let text = |field: &str| hash.get(field).map_or("", String::as_str);
            if matches!(text("state"), "done" | "dead" | "rejected") && text("entry") == job.entry {
                job.id = id;
                text("campaign").clone_into(&mut job.campaign);
                let at = text("finished_at").parse().unwrap_or_default();
                return self.tell(&job, queue, text("state"), text("error_code"), at).await;
            }
        }
        Ok(())
    }

    pub(super) async fn wake_waiters(&self, accepted: &Accepted, now: i64) -> Result<(), StoreError> {
        loop {
            let waiters = self.store.take_waiters(accepted.id.as_str()).await?;
            if waiters.is_empty() {
                return Ok(());
            }
            for waiter in waiters {
                self.store.arm(&format!("job|{waiter}"), now).await?;
            }
        }
    }

    pub(super) fn retention(&self, accepted: &Accepted) -> Duration {
        if accepted.named { self.policy.retention_with_id } else { self.policy.retention }
    }
}
