//! The queue as one thing to start and stop.
//!
//! Start: leases first, then the settlers, then apalis' monitor with a worker a queue, then those
//! who bring entries (readers, sweeper, scheduler, reconciler). Stop is the reverse: no new entries,
//! what never began is given back uncounted, what runs is waited for, what ended is settled.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use apalis::prelude::{Monitor, ParallelizeExt as _, Task, WorkerBuilder};
use tokio::sync::{Notify, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{metrics::Metrics, store::Store};

use super::{
    Delivery, Handle, Queue,
    backend::{Ended, StreamsBackend},
    lease::{Registry, Renewer},
    reader::Reader,
    reconciler::Reconciler,
    scheduler::{self, Scheduler},
    settler::Settler,
    suspects::Suspects,
    sweeper::Sweeper,
    worker::{JobPolicy, Worker},
};

/// What the queue is made of.
#[derive(Debug)]
pub struct Settings {
    /// The queues this daemon serves.
    pub queues: Vec<Queue>,
    /// How jobs end.
    pub policy: JobPolicy,
    /// Renewal interval.
    pub renew: Duration,
    /// Length of a lease.
    pub lease: Duration,
    /// Sweep interval.
    pub sweep: Duration,
    /// Our consumer name.
    pub incarnation: String,
    /// Earlier incarnations of this instance, known to be dead.
    pub dead: Vec<String>,
}

/// The running queue.
#[derive(Debug)]
pub struct QueueService {
    store: Store,
    registry: Arc<Registry>,
    incarnation: String,
    drain: CancellationToken,
    stop_leases: CancellationToken,
    bringers: TaskTracker,
    workers: TaskTracker,
    settlers: TaskTracker,
    monitor: apalis::prelude::MonitorContext,
    leases: JoinHandle<()>,
    ended: mpsc::UnboundedReceiver<String>,
}

impl QueueService {
    /// Starts everything. `registry` is shared with the turns, whose slots it renews.
    pub fn start<H: Handle>(
        settings: Settings,
        store: &Store,
        handle: &Arc<H>,
        registry: &Arc<Registry>,
        metrics: &Arc<Metrics>,
        drain: CancellationToken,
    ) -> std::io::Result<Self> {
        let stop_leases = CancellationToken::new();
        let leases = Renewer {
            store: store.separate(),
            registry: Arc::clone(registry),
            incarnation: settings.incarnation.clone(),
            interval: settings.renew,
            lease: settings.lease,
        }
        .spawn(stop_leases.clone())?;
        let (bringers, workers, settlers) = (TaskTracker::new(), TaskTracker::new(), TaskTracker::new());
        let (tell_ended, ended) = mpsc::unbounded_channel();
        let mut monitor = Monitor::new();
        let mut sweeps = Vec::new();
        for queue in settings.queues {
            let (to_settler, settles) = mpsc::unbounded_channel();
            settlers.spawn(
                Settler {
                    queue: Arc::clone(&queue.name),
                    store: store.clone(),
                    registry: Arc::clone(registry),
                    incarnation: settings.incarnation.clone(),
                    settles,
                }
                .run(),
            );
            let (to_worker, deliveries) = mpsc::unbounded_channel();
            let worker = Arc::new(Worker {
                handle: Arc::clone(handle),
                store: store.clone(),
                policy: settings.policy.clone(),
                registry: Arc::clone(registry),
                settles: to_settler,
                deliveries: to_worker.clone(),
                tracker: workers.clone(),
                drain: drain.clone(),
                metrics: Arc::clone(metrics),
                incarnation: settings.incarnation.clone(),
            });
            let backend = StreamsBackend::new(deliveries, Ended::new(&queue.name, tell_ended.clone()));
            monitor = register(monitor, &queue, backend, worker, workers.clone());
            let (to_suspects, suspects) = mpsc::unbounded_channel();
            bringers.spawn(
                Suspects {
                    queue: queue.clone(),
                    store: store.clone(),
                    registry: Arc::clone(registry),
                    incarnation: settings.incarnation.clone(),
                    suspects,
                    deliveries: to_worker.clone(),
                }
                .run(drain.clone()),
            );
            bringers.spawn(
                Reader {
                    queue: queue.clone(),
                    store: store.separate(),
                    registry: Arc::clone(registry),
                    incarnation: settings.incarnation.clone(),
                    deliveries: to_worker,
                }
                .run(drain.clone()),
            );
            sweeps.push((queue, to_suspects));
        }
        let context = monitor.context();
        workers.spawn(async move {
            if let Err(error) = monitor.run().await {
                tracing::error!(%error, "a worker failed");
            }
        });
        let sweeper = Sweeper {
            queues: sweeps,
            store: store.clone(),
            registry: Arc::clone(registry),
            incarnation: settings.incarnation.clone(),
            dead: settings.dead,
            interval: settings.sweep,
            lease: settings.lease,
        };
        bringers.spawn(sweeper.run(drain.clone()));
        let nudge = Arc::new(Notify::new());
        bringers.spawn(scheduler::listen(store.clone(), Arc::clone(&nudge), drain.clone()));
        let scheduler = Scheduler {
            store: store.separate(),
            handle: Arc::clone(handle),
            nudge,
        };
        bringers.spawn(scheduler.run(drain.clone()));
        let reconciler = Reconciler {
            store: store.clone(),
        };
        bringers.spawn(reconciler.run(drain.clone()));
        Ok(Self {
            store: store.clone(),
            registry: Arc::clone(registry),
            incarnation: settings.incarnation,
            drain,
            stop_leases,
            bringers,
            workers,
            settlers,
            monitor: context,
            leases,
            ended,
        })
    }

    /// Waits until a worker ends by itself: a daemon with a dead worker must not live on.
    pub async fn worker_ended(&mut self) -> String {
        self.ended.recv().await.unwrap_or_default()
    }

    /// Drains within `budget`. Returns whether everything in hand ended in time.
    pub async fn stop(self, budget: Duration) -> bool {
        self.drain.cancel();
        self.bringers.close();
        let all = async {
            self.bringers.wait().await;
            self.give_back().await;
            let _ = self.monitor.shutdown();
            self.workers.close();
            self.workers.wait().await;
            self.settlers.close();
            self.settlers.wait().await;
        };
        let in_time = tokio::time::timeout(budget, all).await.is_ok();
        // What snoozed or came in between: still ours, never begun.
        self.give_back().await;
        self.stop_leases.cancel();
        let _ = self.leases.join();
        in_time
    }

    async fn give_back(&self) {
        for (queue, ids) in self.registry.take_unstarted() {
            match self.store.give_back_entries(&queue, &self.incarnation, &ids).await {
                Ok(given) => tracing::info!(%queue, given, "entries given back"),
                Err(error) => tracing::warn!(%queue, %error, "not given back: their leases will end"),
            }
        }
    }
}

/// Registers a worker. The service is one function: no retry, time-out or limit layers, because
/// outcomes, deadlines and permits do their work.
fn register<H: Handle>(
    monitor: Monitor,
    queue: &Queue,
    backend: StreamsBackend,
    worker: Arc<Worker<H>>,
    tracker: TaskTracker,
) -> Monitor {
    let name = queue.name.to_string();
    // apalis asks for a factory so that it can restart a worker; ours never restart.
    let once = std::sync::Mutex::new(Some(backend));
    monitor.register(move |_| {
        let worker = Arc::clone(&worker);
        let tracker = tracker.clone();
        let backend = once
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take()
            .unwrap_or_else(StreamsBackend::closed);
        WorkerBuilder::new(name.clone())
            .backend(backend)
            .parallelize(move |work| tracker.spawn(work))
            .build(tower::service_fn(move |task: Task<Delivery>| {
                let worker = Arc::clone(&worker);
                async move {
                    worker.run(task.args).await;
                    Ok::<(), std::convert::Infallible>(())
                }
            }))
    })
}
