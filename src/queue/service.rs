//! The queue as one thing to start and stop.
//!
//! Start: leases first, then the settlers, then apalis' monitor with a worker a queue, then those
//! who bring entries (readers, sweeper, scheduler, reconciler). Stop is the reverse: no new entries,
//! what never began is given back uncounted, what runs is waited for, what ended is settled.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use apalis::prelude::{Monitor, ParallelizeExt as _, Task, WorkerBuilder};
use tokio::sync::{Notify, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    metrics::Metrics,
    store::{Store, alarms::Mark, leases::Registry, pressure::Pressure},
};

use super::{
    Delivery, Handle, Queue,
    backend::{Ended, StreamsBackend},
    clock::ClockWatch,
    pressure,
    reader::{self, Reader},
    reconciler::Reconciler,
    renewer::Renewer,
    scheduler::{self, Scheduler},
    settler::Settler,
    suspects::{Suspect, Suspects},
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
    /// Whether Redis has room for more.
    pub pressure: Pressure,
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

/// What every part is given.
struct Parts<H> {
    settings: Settings,
    store: Store,
    handle: Arc<H>,
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
    pressure: Pressure,
    drain: CancellationToken,
    bringers: TaskTracker,
    workers: TaskTracker,
    settlers: TaskTracker,
    tell_ended: mpsc::UnboundedSender<String>,
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
        let (tell_ended, ended) = mpsc::unbounded_channel();
        let parts = Parts {
            pressure: settings.pressure.clone(),
            settings,
            store: store.clone(),
            handle: Arc::clone(handle),
            registry: Arc::clone(registry),
            metrics: Arc::clone(metrics),
            drain,
            bringers: TaskTracker::new(),
            workers: TaskTracker::new(),
            settlers: TaskTracker::new(),
            tell_ended,
        };
        let stop_leases = CancellationToken::new();
        let leases = parts.start_leases(stop_leases.clone())?;
        let mut monitor = Monitor::new();
        let mut sweeps = Vec::new();
        for queue in parts.settings.queues.clone() {
            let (with_worker, suspects) = parts.start_queue(monitor, &queue);
            monitor = with_worker;
            sweeps.push((queue, suspects));
        }
        let context = monitor.context();
        parts.workers.spawn(async move {
            if let Err(error) = monitor.run().await {
                tracing::error!(%error, "a worker failed");
            }
        });
        parts.start_bringers(sweeps);
        let Parts { settings, store, registry, drain, bringers, workers, settlers, .. } = parts;
        Ok(Self {
            store,
            registry,
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
        // A thread is joined where waiting blocks nobody.
        let _ = tokio::task::spawn_blocking(move || self.leases.join()).await;
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

impl<H: Handle> Parts<H> {
    fn start_leases(&self, stop: CancellationToken) -> std::io::Result<JoinHandle<()>> {
        Renewer {
            store: self.store.separate(),
            registry: Arc::clone(&self.registry),
            incarnation: self.settings.incarnation.clone(),
            interval: self.settings.renew,
            lease: self.settings.lease,
        }
        .spawn(stop)
    }

    /// One queue: its settler, its worker, its suspects and its reader.
    fn start_queue(&self, monitor: Monitor, queue: &Queue) -> (Monitor, mpsc::UnboundedSender<Suspect>) {
        let incarnation = &self.settings.incarnation;
        let (to_settler, settles) = mpsc::unbounded_channel();
        let settler = Settler {
            queue: Arc::clone(&queue.name),
            store: self.store.clone(),
            registry: Arc::clone(&self.registry),
            incarnation: incarnation.clone(),
            look_after: self.settings.lease / 2,
            settles,
        };
        self.settlers.spawn(settler.run());
        let (to_worker, deliveries) = mpsc::unbounded_channel();
        let worker = Arc::new(Worker {
            handle: Arc::clone(&self.handle),
            store: self.store.clone(),
            policy: self.settings.policy.clone(),
            registry: Arc::clone(&self.registry),
            settles: to_settler,
            deliveries: to_worker.clone(),
            tracker: self.workers.clone(),
            drain: self.drain.clone(),
            metrics: Arc::clone(&self.metrics),
            incarnation: incarnation.clone(),
        });
        let backend = StreamsBackend::new(deliveries, Ended::new(&queue.name, self.tell_ended.clone()));
        let monitor = register(monitor, queue, backend, worker, self.workers.clone());
        let (to_suspects, suspects) = mpsc::unbounded_channel();
        let suspects = Suspects {
            queue: queue.clone(),
            store: self.store.clone(),
            registry: Arc::clone(&self.registry),
            incarnation: incarnation.clone(),
            suspects,
            deliveries: to_worker.clone(),
        };
        self.bringers.spawn(suspects.run(self.drain.clone()));
        let reader = Reader {
            queue: queue.clone(),
            store: self.store.blocking(reader::BLOCK),
            registry: Arc::clone(&self.registry),
            incarnation: incarnation.clone(),
            deliveries: to_worker,
            pressure: self.pressure.clone(),
        };
        self.bringers.spawn(reader.run(self.drain.clone()));
        (monitor, to_suspects)
    }

    /// Those who bring entries to all queues.
    fn start_bringers(&self, queues: Vec<(Queue, mpsc::UnboundedSender<Suspect>)>) {
        let sweeper = Sweeper {
            queues,
            store: self.store.clone(),
            registry: Arc::clone(&self.registry),
            incarnation: self.settings.incarnation.clone(),
            dead: self.settings.dead.clone(),
            interval: self.settings.sweep,
            lease: self.settings.lease,
            metrics: Arc::clone(&self.metrics),
        };
        self.bringers.spawn(sweeper.run(self.drain.clone()));
        let nudge = Arc::new(Notify::new());
        self.bringers.spawn(scheduler::listen(self.store.clone(), Arc::clone(&nudge), self.drain.clone()));
        let scheduler = Scheduler {
            store: self.store.separate(),
            handle: Arc::clone(&self.handle),
            nudge,
            mark: Mark::of(&self.settings.incarnation),
            dead: self.settings.dead.iter().map(|incarnation| Mark::of(incarnation)).collect(),
        };
        self.bringers.spawn(scheduler.run(self.drain.clone()));
        let clock = ClockWatch { store: self.store.clone(), queues: self.settings.queues.clone() };
        self.bringers.spawn(clock.run(self.drain.clone()));
        let reconciler = Reconciler { store: self.store.clone(), metrics: Arc::clone(&self.metrics) };
        self.bringers.spawn(reconciler.run(self.drain.clone()));
        let metrics = Arc::clone(&self.metrics);
        self.bringers.spawn(pressure::run(self.pressure.clone(), self.store.clone(), metrics, self.drain.clone()));
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
        WorkerBuilder::new(name.clone()).backend(backend).parallelize(move |work| tracker.spawn(work)).build(
            tower::service_fn(move |task: Task<Delivery>| {
                let worker = Arc::clone(&worker);
                async move {
                    worker.run(task.args).await;
                    Ok::<(), std::convert::Infallible>(())
                }
            }),
        )
    })
}
