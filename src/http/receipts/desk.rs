//! The desk where receipts wait to be written together, and who writes them.
//!
//! Every request waits until its receipts are in the journal and in Redis. The committer takes what waits, many requests at once, into one
//! script a run; while it writes, the next ones gather. So many receipts may wait and no more: whoever comes then is
//! told to come again. Where Redis fails, all that wait are told at once, not one after the other.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{
    config::ReceiptSettings,
    journal::Journal,
    metrics::Metrics,
    store::{
        Store,
        publisher::Publisher,
        receipts::{AT_ONCE, Arrived, Received},
    },
};

/// Receipts that may wait: a second of the fastest provider.
const WAITING: usize = 10_000;

/// Receipts written together: a few scripts of a run.
const TOGETHER: usize = 4 * AT_ONCE;

/// Bodies read at the same time.
const READING: usize = 128;

/// Shared by all requests.
#[derive(Debug)]
pub struct Desk {
    /// How each channel's receipts are read.
    pub(super) settings: BTreeMap<String, ReceiptSettings>,
    /// The key of our references.
    pub(super) secret: Arc<[u8]>,
    /// Counts.
    pub(super) metrics: Arc<Metrics>,
    /// Permits to read a body.
    pub(super) reading: Semaphore,
    room: Arc<Semaphore>,
    queue: mpsc::UnboundedSender<Waiting>,
}

/// The receipts of one request.
#[derive(Debug)]
struct Waiting {
    arrived: Vec<Arrived>,
    answer: oneshot::Sender<Option<Vec<Received>>>,
    room: OwnedSemaphorePermit,
}

/// Writes what waits at the desk.
#[derive(Debug)]
pub struct Committer {
    store: Store,
    publisher: Publisher,
    journal: Arc<Journal>,
    queue: mpsc::UnboundedReceiver<Waiting>,
}

impl Desk {
    /// A desk, and its committer, which is to be spawned.
    pub fn new(
        settings: BTreeMap<String, ReceiptSettings>,
        secret: Arc<[u8]>,
        (store, publisher, journal): (&Store, &Publisher, &Arc<Journal>),
        metrics: Arc<Metrics>,
    ) -> (Arc<Self>, Committer) {
        let (sender, queue) = mpsc::unbounded_channel();
        let desk = Self {
            settings,
            secret,
            metrics,
            reading: Semaphore::new(READING),
            room: Arc::new(Semaphore::new(WAITING)),
            queue: sender,
        };
        let (publisher, journal) = (publisher.clone(), Arc::clone(journal));
        (Arc::new(desk), Committer { store: store.separate(), publisher, journal, queue })
    }

    /// Waits until the receipts are written, and says what each did; nothing where there is no room, or no Redis.
    pub(super) async fn commit(&self, arrived: Vec<Arrived>) -> Option<Vec<Received>> {
        let count = u32::try_from(arrived.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(count).ok()?;
        let (answer, written) = oneshot::channel();
        self.queue.send(Waiting { arrived, answer, room }).ok()?;
        written.await.ok().flatten()
    }
}

impl Committer {
    /// Writes until the desk is gone and nothing waits any more.
    pub async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            let mut together = first.arrived.len();
            let mut waiting = vec![first];
            while together < TOGETHER
                && let Ok(next) = self.queue.try_recv()
            {
                together += next.arrived.len();
                waiting.push(next);
            }
            self.write(waiting).await;
        }
    }

    async fn write(&mut self, waiting: Vec<Waiting>) {
        let (mut all, mut answers) = (Vec::new(), Vec::with_capacity(waiting.len()));
        for Waiting { arrived, answer, room } in waiting {
            answers.push((arrived.len(), answer, room));
            all.extend(arrived);
        }
        // First: should the server lose what it is told now, it is told again; what it does not take comes again anyway.
        self.journal.received(&all);
        match self.store.receive(&all, &self.publisher).await {
            Ok(received) => {
                let mut received = received.into_iter();
                for (count, answer, _) in answers {
                    // Who has gone away meanwhile will tell it again.
                    let _ = answer.send(Some(received.by_ref().take(count).collect()));
                }
            }
            Err(error) => {
                tracing::warn!(receipts = all.len(), %error, "receipts are not written: they come again");
                for (_, answer, _) in answers {
                    let _ = answer.send(None);
                }
                while let Ok(one) = self.queue.try_recv() {
                    let _ = one.answer.send(None);
                }
            }
        }
    }
}
