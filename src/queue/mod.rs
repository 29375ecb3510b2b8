//! The queue: our own apalis backend over Redis Streams with a consumer group.
//!
//! The only folder that names apalis. One [`reader`] a queue takes permits, then entries; apalis runs
//! a worker over each queue's [`backend`]; [`worker`] lets the handler run and turns its
//! `Outcome` into an ending; [`settler`] acknowledges in batches. Beside them: [`renewer`] renews what is
//! in flight on a thread of its own, [`sweeper`] adopts what dead daemons left, [`scheduler`] is the
//! alarm clock, [`reconciler`] repairs what a crash left half done, [`clock`] notices that Redis' clock was set, [`depth`]
//! counts.
//!
//! Guarantees: an entry is settled only by its owner and only after its outcome is written; a bad job
//! is data and stops nothing; trouble with Redis stays in the reader, which reconnects.

pub mod acceptance;
pub mod backend;
pub mod clock;
pub mod depth;
pub mod ending;
pub mod incarnation;
pub mod pressure;
pub mod reader;
pub mod reconciler;
pub mod renewer;
pub mod scheduler;
pub mod service;
pub mod settler;
pub mod suspects;
pub mod sweeper;
pub mod worker;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    domain::{failure::Attempt, name::JobId, trace::Trace},
    job::{DeadCode, Envelope, Job, Outcome, QueueName},
    store::{StoreError, entries::Entry, leases::Lease, runs::SlotRef},
};

/// Which stream, and what its entries are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueId {
    /// Jobs of producers.
    Jobs(QueueName),
    /// Slot turns of one channel.
    Batch(String),
}

impl QueueId {
    /// Its name in `jobs:<queue>`.
    pub fn name(&self) -> String {
        match self {
            Self::Jobs(name) => name.as_str().to_owned(),
            Self::Batch(channel) => format!("batch:{channel}"),
        }
    }
}

/// One queue as this daemon serves it.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Which.
    pub id: QueueId,
    /// Its stream's name.
    pub name: Arc<str>,
    /// How many entries may be in hand at once.
    pub permits: Arc<Semaphore>,
    /// How many that is.
    pub capacity: usize,
    /// Entries read so far.
    pub claimed: Arc<AtomicU64>,
    /// Permits that the reader holds while it waits for entries.
    pub reading: Arc<AtomicUsize>,
}

impl Queue {
    /// A queue with so many permits.
    pub fn new(id: QueueId, capacity: usize) -> Self {
        Self {
            name: id.name().into(),
            id,
            permits: Arc::new(Semaphore::new(capacity)),
            capacity,
            claimed: Arc::default(),
            reading: Arc::default(),
        }
    }

    /// Entries that could be taken: those whose permits nobody holds, or only the reader that waits for them.
    pub fn permits_free(&self) -> usize {
        self.permits.available_permits() + self.reading.load(Ordering::Relaxed)
    }
}

/// An entry in hand: it carries its permit and its lease until it is settled.
#[derive(Debug)]
pub struct Delivery {
    /// Its queue.
    pub queue: Queue,
    /// The entry as it was read.
    pub entry: Entry,
    /// Renewed until it is settled.
    pub lease: Arc<Lease>,
    /// One of the queue's permits, or the one that its adopted entries share.
    pub permit: OwnedSemaphorePermit,
}

/// A job ready to run.
#[derive(Debug)]
pub struct JobTask {
    /// What it is called.
    pub id: JobId,
    /// Which attempt this is.
    pub attempt: Attempt,
    /// The trace it belongs to.
    pub trace: Option<Trace>,
    /// What all jobs share.
    pub envelope: Envelope,
    /// Its work.
    pub job: Job,
    /// Tells whether the entry is still ours, and takes note of progress.
    pub lease: Arc<Lease>,
}

/// What the queue needs of those who do the work.
///
/// A trait with one implementation, on purpose: it turns the dependency round, so that `handler` may
/// not reach into the queue.
pub trait Handle: Send + Sync + 'static {
    /// Runs a job.
    fn job(&self, task: JobTask) -> impl Future<Output = Outcome> + Send;
    /// Runs one turn of a slot.
    fn turn(&self, slot: SlotRef, lease: Arc<Lease>) -> impl Future<Output = Outcome> + Send;
    /// Works off an alarm that is not a job's: `expire|<C>|<batch>`. Returns when it is due again.
    fn alarm(&self, member: &str) -> impl Future<Output = Result<Option<i64>, StoreError>> + Send;
    /// A job ended dead, perhaps without its handler: what it leaves half done is closed.
    fn ended_dead(
        &self,
        queue: QueueName,
        id: &JobId,
        campaign: &str,
        code: DeadCode,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// A slot's entry killed its daemon again and again: its run is stopped.
    fn poisoned(&self, slot: &SlotRef) -> impl Future<Output = Result<(), StoreError>> + Send;
}
