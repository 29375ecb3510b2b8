//! Acceptance: from a raw entry to a job that may run now, or an ending.
//!
//! The envelope is judged here, once, in this order: size and shape, the `id` (who else has it),
//! `not_after`, `at`, `after`. What an id protects is written before anything runs: two entries with
//! the same id never run both. `not_after` is about the beginning: a job that was begun goes on, for
//! half a campaign is worse than a late one.

use std::{sync::Arc, time::Duration};

use crate::{
    domain::{clock::EpochMs, failure::Attempt, forget, name::JobId, trace::Trace},
    job::{ControlJob, DeadCode, Envelope, Job, QueueName, RawJob, Rejection, RejectionCode, decode},
    store::{
        Store, StoreError,
        entries::{Entry, EntryBody},
        jobs::{Acceptance, Presented, Wake},
    },
    telemetry::work,
};

/// A parked job looks again after this time at the latest; the end of what it waits for wakes it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A job waits so long for jobs that nobody knows.
const UNKNOWN_FOR: Duration = Duration::from_hours(24);

/// A job as it stands under its name.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// What it is called.
    pub id: JobId,
    /// `<queue>:<entry id>` of the entry that runs it.
    pub entry: String,
    /// Whether the producer gave the id.
    pub named: bool,
    /// Whether the job's hash is there and ours.
    pub written: bool,
    /// Which attempt this is.
    pub attempt: Attempt,
    /// The job as it came.
    pub payload: Vec<u8>,
    /// Its campaign, for the status.
    pub campaign: String,
    /// The trace it belongs to.
    pub trace: Option<Trace>,
}

impl Accepted {
    /// An entry of which nothing is known but that it is there.
    pub fn unread(queue: QueueName, entry: &Entry) -> Self {
        Self {
            id: JobId::of_entry(queue.as_str(), &entry.id),
            entry: format!("{queue}:{}", entry.id),
            named: false,
            written: false,
            attempt: Attempt::FIRST,
            payload: entry.body.bytes().to_vec(),
            campaign: String::new(),
            trace: entry.trace,
        }
    }

    /// What its hash says in any state.
    pub(super) fn fields(&self, queue: QueueName, state: &str) -> Vec<(&'static str, String)> {
        let mut fields =
            vec![("state", state.to_owned()), ("queue", queue.to_string()), ("campaign", self.campaign.clone())];
        fields.extend(self.trace.map(|trace| ("traceparent", trace.to_string())));
        fields
    }

    /// Goes by the name that its producer gave.
    fn call(&mut self, id: JobId) {
        self.named = !id.is_of_entry();
        self.id = id;
        work::is_of(self.id.as_str(), self.trace);
    }
}

/// What acceptance decided.
#[derive(Debug)]
pub enum Admission {
    /// Run it now.
    Run {
        /// The job's standing.
        accepted: Accepted,
        /// Its envelope.
        envelope: Envelope,
        /// Its work.
        job: Job,
    },
    /// Nothing to do: another entry stands for this job, or it has ended.
    Absorb,
    /// Not yet.
    Wait {
        /// The job's standing.
        accepted: Accepted,
        /// When to look again.
        until: EpochMs,
        /// Whether it waits for other jobs.
        parked: bool,
    },
    /// Refused.
    Refuse {
        /// The job's standing.
        accepted: Accepted,
        /// Why.
        rejection: Rejection,
    },
    /// It cannot run any more.
    Dead {
        /// The job's standing.
        accepted: Accepted,
        /// Why.
        code: DeadCode,
        /// The same as a sentence.
        sentence: String,
    },
}

/// How far an entry is that was in somebody's hands before.
#[derive(Debug)]
enum Standing {
    /// Nothing is written about it.
    Unknown,
    /// It was begun, or put off without an alarm.
    Written {
        /// Which attempt this is.
        attempt: Attempt,
        /// Whether its handler began.
        begun: bool,
    },
    /// It has ended, or another entry stands for it.
    Over,
}

fn attempt(text: &str) -> Attempt {
    text.parse().ok().and_then(Attempt::new).unwrap_or(Attempt::FIRST)
}

/// Judges the entries of producers' queues.
#[derive(Debug, Clone)]
pub struct Porter {
    /// The store.
    pub store: Store,
    /// Largest job.
    pub max_bytes: usize,
    /// Keys the digest of a job that names a person.
    pub secret: Arc<[u8]>,
}

impl Porter {
    /// Judges one entry; `again` when it was in somebody's hands before.
    pub async fn admit(&self, queue: QueueName, entry: &Entry, again: bool) -> Result<Admission, StoreError> {
        let mut accepted = Accepted::unread(queue, entry);
        match &entry.body {
            EntryBody::Job(_) => {
                let mut begun = false;
                let standing = if again { self.standing(&accepted).await? } else { Standing::Unknown };
                match standing {
                    Standing::Over => return Ok(Admission::Absorb),
                    Standing::Written { attempt, begun: before } => {
                        begun = before;
                        accepted.written = true;
                        accepted.attempt = attempt;
                    }
                    Standing::Unknown => {}
                }
                self.judge(queue, accepted, begun).await
            }
            EntryBody::Ref(id) => {
                accepted.payload.clear();
                self.wake(queue, id, accepted).await
            }
            EntryBody::Slot(_) | EntryBody::Unknown => {
                let rejection =
                    Rejection::new(RejectionCode::NoJob, "the entry has no field \"job\": XADD <stream> * job '{...}'");
                Ok(Admission::Refuse { accepted, rejection })
            }
        }
    }

    /// How far an entry without an id had come when its daemon died, which may have been at any
    /// instruction: before its alarm was armed, or before its end could be settled.
    async fn standing(&self, accepted: &Accepted) -> Result<Standing, StoreError> {
        let job = self.store.job(accepted.id.as_str()).await?;
        let text = |field: &str| job.get(field).map_or("", String::as_str);
        Ok(match text("state") {
            "" => Standing::Unknown,
            "done" | "dead" | "rejected" => Standing::Over,
            // Its alarm's entry has taken it over.
            _ if text("entry") != accepted.entry => Standing::Over,
            _ => Standing::Written { attempt: attempt(text("attempt")), begun: text("begun") == "1" },
        })
    }

    async fn judge(&self, queue: QueueName, mut accepted: Accepted, mut begun: bool) -> Result<Admission, StoreError> {
        let size = accepted.payload.len();
        if size > self.max_bytes {
            let rejection = Rejection::too_big(size, self.max_bytes);
            return Ok(Admission::Refuse { accepted, rejection });
        }
        let (envelope, job) = match decode(queue, &accepted.payload) {
            Ok(decoded) => decoded,
            Err(rejection) => {
                if let Ok(raw) = RawJob::parse(&accepted.payload) {
                    accepted.campaign = raw.campaign().map(|c| c.to_string()).unwrap_or_default();
                    if let Some(id) = raw.id() {
                        accepted.call(id);
                    }
                }
                return Ok(Admission::Refuse { accepted, rejection });
            }
        };
        accepted.campaign = job.campaign().map(ToString::to_string).unwrap_or_default();
        if let (Some(id), Some(digest)) = (&envelope.id, &envelope.digest) {
            let by_entry = accepted.id.clone();
            accepted.call(id.clone());
            // A digest of hardly more than a number would tell the number to whoever tries all.
            let keyed = matches!(job, Job::Control(ControlJob::Forget(_)));
            let digest = if keyed { forget::keyed_digest(&self.secret, digest) } else { digest.clone() };
            match self.accept(queue, &accepted, &digest).await? {
                Acceptance::Fresh => accepted.written = true,
                Acceptance::Resume { attempt, begun: before } => {
                    begun = before;
                    accepted.written = true;
                    accepted.attempt = Attempt::new(attempt).unwrap_or(Attempt::FIRST);
                }
                Acceptance::Held { .. } | Acceptance::Waiting | Acceptance::Ended => return Ok(Admission::Absorb),
                Acceptance::Conflict => {
                    let rejection = Rejection::of_field(
                        RejectionCode::IdConflict,
                        "id",
                        format!("\"{id}\" belongs to a job with another payload until 24 h after its end"),
                    );
                    // The id is another job's: the refusal is noted under the entry.
                    accepted.call(by_entry);
                    return Ok(Admission::Refuse { accepted, rejection });
                }
            }
        }
        if !begun && let Some(refused) = self.check_expiry(&envelope, &accepted).await? {
            return Ok(refused);
        }
        self.timing(accepted, envelope, job).await
    }

    /// An alarm's entry: the job's payload lives in its hash.
    async fn wake(&self, queue: QueueName, id: &str, mut accepted: Accepted) -> Result<Admission, StoreError> {
        let Ok(id) = JobId::of_wire(id) else { return Ok(Admission::Absorb) };
        let (payload, attempt, begun, trace) = match self.store.wake_job(id.as_str(), &accepted.entry).await? {
            Wake::Run { payload, attempt, begun, trace } => (payload, attempt, begun, trace),
            Wake::Absorbed => return Ok(Admission::Absorb),
        };
        accepted.trace = trace;
        accepted.call(id);
        accepted.written = true;
        accepted.attempt = Attempt::new(attempt).unwrap_or(Attempt::FIRST);
        accepted.payload = payload.into_bytes();
        match decode(queue, &accepted.payload) {
            Ok((envelope, job)) => {
                accepted.campaign = job.campaign().map(ToString::to_string).unwrap_or_default();
                if !begun && let Some(refused) = self.check_expiry(&envelope, &accepted).await? {
                    return Ok(refused);
                }
                self.timing(accepted, envelope, job).await
            }
            Err(rejection) => Ok(Admission::Refuse { accepted, rejection }),
        }
    }

    async fn check_expiry(&self, envelope: &Envelope, accepted: &Accepted) -> Result<Option<Admission>, StoreError> {
        let Some(not_after) = envelope.not_after else { return Ok(None) };
        let now = EpochMs(self.store.now_ms().await?);
        if now <= not_after {
            return Ok(None);
        }
        let rejection = Rejection::expired(not_after, now);
        Ok(Some(Admission::Refuse { accepted: accepted.clone(), rejection }))
    }

    async fn accept(&self, queue: QueueName, job: &Accepted, digest: &str) -> Result<Acceptance, StoreError> {
        let presented = Presented {
            id: job.id.as_str(),
            entry: &job.entry,
            digest,
            queue: queue.as_str(),
            campaign: &job.campaign,
            trace: job.trace,
        };
        let first = self.store.accept_job(&presented, None).await?;
        let Acceptance::Held { entry: holder } = &first else { return Ok(first) };
        let Some((holder_queue, holder_id)) = holder.split_once(':') else { return Ok(first) };
        if self.store.entry_exists(holder_queue, holder_id).await? {
            return Ok(first);
        }
        // The entry that held the job is gone (a failover lost it): this one adopts the job.
        self.store.accept_job(&presented, Some(holder)).await
    }

    async fn timing(&self, accepted: Accepted, envelope: Envelope, job: Job) -> Result<Admission, StoreError> {
        if let Some(at) = envelope.at
            && EpochMs(self.store.now_ms().await?) < at
        {
            return Ok(Admission::Wait { accepted, until: at, parked: false });
        }
        if envelope.after.is_empty() {
            return Ok(Admission::Run { accepted, envelope, job });
        }
        self.dependencies(accepted, envelope, job).await
    }

    async fn dependencies(&self, accepted: Accepted, envelope: Envelope, job: Job) -> Result<Admission, StoreError> {
        let ids: Vec<String> = envelope.after.iter().map(ToString::to_string).collect();
        // Enlist first and look then: an end between the two is seen by one of them.
        let waiter = format!("{}|{}", accepted.entry.split(':').next().unwrap_or(""), accepted.id);
        self.store.wait_for_jobs(&ids, &waiter, UNKNOWN_FOR + Duration::from_hours(1)).await?;
        let states = self.store.job_states(&ids).await?;
        let of = |wanted: &str| states.iter().position(|s| s.as_deref() == Some(wanted));
        if let Some(id) = of("dead").and_then(|i| ids.get(i)) {
            let sentence = format!("\"{id}\", which this job comes after, ended dead");
            return Ok(Admission::Dead { accepted, code: DeadCode::DependencyFailed, sentence });
        }
        let open = states.iter().position(|s| s.as_deref() != Some("done"));
        let Some(open) = open else {
            return Ok(Admission::Run { accepted, envelope, job });
        };
        let now = EpochMs(self.store.now_ms().await?);
        let unknown = states.iter().position(|s| s.as_deref().is_none_or(|s| s == "rejected"));
        if let Some(id) = unknown.and_then(|i| ids.get(i)) {
            let parked_at = self.store.job_field(accepted.id.as_str(), "parked_at").await?;
            let since = parked_at.and_then(|at| at.parse().ok()).map_or(now, EpochMs);
            if now.since(since) >= UNKNOWN_FOR {
                let sentence = format!("\"{id}\", which this job comes after, is unknown for 24 h");
                return Ok(Admission::Dead { accepted, code: DeadCode::DependencyFailed, sentence });
            }
        }
        tracing::debug!(job = %accepted.id, behind = ?ids.get(open), "parked");
        Ok(Admission::Wait { accepted, until: now.plus(LOOK_AGAIN), parked: true })
    }
}
