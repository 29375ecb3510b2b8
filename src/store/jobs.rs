//! The status hash of a job: acceptance, waking, writing, refusing, reading.
//!
//! Guarantees: one entry runs a job at a time (`entry` in the hash says which), the same id and
//! payload again never runs twice, and an accepted job's hash is never overwritten by a refusal.

use std::{collections::HashMap, time::Duration};

use redis::cmd;

use super::{Answer, Store, StoreError, entries::millis, scripts};
use crate::domain::trace::Trace;

/// The answer to "may this entry run this job?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// Nobody had this id: it is ours.
    Fresh,
    /// It is ours from an earlier delivery.
    Resume {
        /// Which attempt this is.
        attempt: u32,
        /// Whether its handler began before.
        begun: bool,
    },
    /// Another entry runs it.
    Held {
        /// `<queue>:<entry id>` of that entry.
        entry: String,
    },
    /// It waits for its time or for other jobs.
    Waiting,
    /// It has ended: the first job's outcome is the answer.
    Ended,
    /// The id belongs to another payload.
    Conflict,
}

/// A job with an id that asks to be run.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// Its id.
    pub id: &'a str,
    /// `<queue>:<entry id>` of the entry that brings it.
    pub entry: &'a str,
    /// Of queue and payload.
    pub digest: &'a str,
    /// Its queue.
    pub queue: &'a str,
    /// Its campaign, or empty.
    pub campaign: &'a str,
    /// The trace it belongs to.
    pub trace: Option<Trace>,
}

/// The answer of a due alarm's job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// Run it.
    Run {
        /// The job as the producer wrote it.
        payload: String,
        /// Which attempt this is.
        attempt: u32,
        /// Whether its handler began before.
        begun: bool,
        /// The trace it belongs to.
        trace: Option<Trace>,
    },
    /// The alarm fired twice, or the job is gone.
    Absorbed,
}

/// What is written into a job's hash.
#[derive(Debug, Clone, Default)]
pub struct JobChange<'a> {
    /// How long the hash is kept from now on; for good without.
    pub ttl: Option<Duration>,
    /// Fields that go.
    pub delete: &'a [&'a str],
    /// Fields that become the time of the writing.
    pub stamp: &'a [&'a str],
    /// Fields and what they become.
    pub fields: &'a [(&'a str, String)],
}

impl Store {
    /// Accepts a job with an id for its entry; `adopt_from`: also where that entry holds it.
    pub async fn accept_job(&self, job: &Presented<'_>, adopt_from: Option<&str>) -> Result<Acceptance, StoreError> {
        let reply: Vec<String> = scripts::ACCEPT_JOB
            .call(&[&self.keys.job(job.id)])
            .arg(job.entry)
            .arg(job.digest)
            .arg(job.queue)
            .arg(job.campaign)
            .arg(adopt_from.unwrap_or(""))
            .arg(job.trace.map_or_else(String::new, |trace| trace.to_string()))
            .run(&self.connection)
            .await?;
        let mut answer = Answer::new(reply);
        Ok(match answer.text()?.as_str() {
            "fresh" => Acceptance::Fresh,
            "resume" => Acceptance::Resume { attempt: answer.number()?, begun: answer.text()? == "1" },
            "held" => Acceptance::Held { entry: answer.text()? },
            "waiting" => Acceptance::Waiting,
            "ended" => Acceptance::Ended,
            _ => Acceptance::Conflict,
        })
    }

    /// Lets the entry of an alarm take over its delayed or parked job.
    pub async fn wake_job(&self, id: &str, entry: &str) -> Result<Wake, StoreError> {
        let reply: Vec<String> = scripts::WAKE_JOB.call(&[&self.keys.job(id)]).arg(entry).run(&self.connection).await?;
        let mut answer = Answer::new(reply);
        if answer.text()? != "run" {
            return Ok(Wake::Absorbed);
        }
        Ok(Wake::Run {
            payload: answer.text()?,
            attempt: answer.number()?,
            begun: answer.text()? == "1",
            trace: Trace::parse(&answer.text()?),
        })
    }

    /// Writes fields of a job's hash, unless another entry has taken it over. Returns the time at which they were written.
    pub async fn write_job(&self, id: &str, entry: &str, change: &JobChange<'_>) -> Result<Option<i64>, StoreError> {
        let JobChange { ttl, delete, stamp, fields } = change;
        let mut call = scripts::WRITE_JOB
            .call(&[&self.keys.job(id)])
            .arg(entry)
            .arg(ttl.map_or(0, millis))
            .arg(delete.join(","))
            .arg(stamp.join(","));
        for (field, value) in *fields {
            call.push(*field);
            call.push(value);
        }
        let now: i64 = call.run(&self.connection).await?;
        Ok((now > 0).then_some(now))
    }

    /// Notes a refusal under a job's id, unless an accepted job holds it.
    pub async fn refuse_job(&self, id: &str, ttl: Duration, fields: &[(&str, String)]) -> Result<(), StoreError> {
        let mut call = scripts::REFUSE_JOB.call(&[&self.keys.job(id)]).arg(millis(ttl));
        for (field, value) in fields {
            call.push(*field);
            call.push(value);
        }
        call.run::<u8>(&self.connection).await?;
        Ok(())
    }

    /// A job's hash, empty when there is none.
    pub async fn job(&self, id: &str) -> Result<HashMap<String, String>, StoreError> {
        self.hash(&self.keys.job(id)).await
    }

    /// One field of a job's hash.
    pub async fn job_field(&self, id: &str, field: &str) -> Result<Option<String>, StoreError> {
        let mut get = cmd("HGET");
        get.arg(self.keys.job(id)).arg(field);
        self.connection.query(&get).await
    }

    /// States of several jobs, in their order.
    pub async fn job_states(&self, ids: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        let mut pipeline = redis::pipe();
        for id in ids {
            pipeline.cmd("HGET").arg(self.keys.job(id)).arg("state");
        }
        self.connection.pipeline(&pipeline).await
    }

    /// Frees a job's id, so that a replay runs it again.
    pub async fn forget_job(&self, id: &str) -> Result<(), StoreError> {
        let mut delete = cmd("DEL");
        delete.arg(self.keys.job(id));
        self.connection.query(&delete).await
    }

    /// Notes that `waiter` waits for the end of each of `ids`.
    pub async fn wait_for_jobs(&self, ids: &[String], waiter: &str, keep: Duration) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        for id in ids {
            let key = self.keys.waiters(id);
            pipeline.cmd("SADD").arg(&key).arg(waiter).ignore();
            pipeline.cmd("PEXPIRE").arg(&key).arg(millis(keep)).ignore();
        }
        self.connection.pipeline(&pipeline).await
    }

    /// Takes up to 500 of those who wait for `id`.
    pub async fn take_waiters(&self, id: &str) -> Result<Vec<String>, StoreError> {
        let mut pop = cmd("SPOP");
        pop.arg(self.keys.waiters(id)).arg(500);
        self.connection.query(&pop).await
    }
}
