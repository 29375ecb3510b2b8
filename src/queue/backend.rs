//! The apalis backend of one queue.
//!
//! It hands on what the reader put into its channel and nothing else: no polling, no heartbeat, no
//! acknowledgement layer. Its error is `Infallible`, because an `Err` from a backend makes apalis
//! drop every handler in flight; and it never answers "no more tasks" outside a shutdown, because
//! that leaves a worker that is alive and idle. When the worker ends, for whatever reason, the
//! [`Ended`] guard says so: a worker that ends before shutdown ends the process.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::Task,
    worker::context::WorkerContext,
};
use tokio::sync::mpsc;
use tower::layer::util::Identity;

use super::Delivery;

/// Says that a worker is gone when it is dropped.
#[derive(Debug)]
pub struct Ended {
    queue: String,
    tell: mpsc::UnboundedSender<String>,
}

impl Ended {
    /// A guard that tells `tell` the queue's name.
    pub fn new(queue: &str, tell: mpsc::UnboundedSender<String>) -> Self {
        Self { queue: queue.to_owned(), tell }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.tell.send(std::mem::take(&mut self.queue));
    }
}

/// The entries of one queue as apalis tasks.
#[derive(Debug)]
pub struct StreamsBackend {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    config: (),
    _ended: Ended,
}

impl StreamsBackend {
    /// A backend over what a reader delivers.
    pub fn new(deliveries: mpsc::UnboundedReceiver<Delivery>, ended: Ended) -> Self {
        Self { deliveries, config: (), _ended: ended }
    }
}

impl StreamsBackend {
    /// A backend that never delivers, for a worker apalis would restart: ours are not restarted.
    pub fn closed() -> Self {
        let (_, deliveries) = mpsc::unbounded_channel();
        let (tell, _) = mpsc::unbounded_channel();
        Self::new(deliveries, Ended::new("", tell))
    }
}

impl Backend for StreamsBackend {
    type Task = Task<Delivery>;
    type Error = Infallible;

    fn poll_ready(&mut self, cx: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), Infallible>> {
        worker.heartbeat(cx);
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        match self.deliveries.poll_recv(cx) {
            Poll::Ready(Some(delivery)) => Poll::Ready(Some(Ok(Task::new(delivery)))),
            Poll::Ready(None) if worker.is_shutting_down() => Poll::Ready(None),
            // All senders are gone: only at a drain, whose wake-up comes from the monitor.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        self.deliveries.close();
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for StreamsBackend {
    type Args = Delivery;
    type Id = String;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &self.config
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use apalis::prelude::WorkerBuilder;
    use futures_util::poll;
    use tokio::sync::Semaphore;
    use tower::{Layer, Service};

    use super::*;
    use crate::{
        job::QueueName,
        queue::{Queue, QueueId},
        store::{
            entries::{Entry, EntryBody},
            leases::Registry,
        },
    };

    fn delivery(id: &str) -> Delivery {
        let queue = Queue::new(QueueId::Jobs(QueueName::Control), 1);
        let lease = Registry::default().add(&queue.name, id);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let entry = Entry { id: id.to_owned(), body: EntryBody::Unknown, trace: None, deliveries: 1 };
        Delivery { queue, entry, lease, permit }
    }

    fn backend() -> (mpsc::UnboundedSender<Delivery>, StreamsBackend, mpsc::UnboundedReceiver<String>) {
        let (deliver, deliveries) = mpsc::unbounded_channel();
        let (tell, ended) = mpsc::unbounded_channel();
        (deliver, StreamsBackend::new(deliveries, Ended::new("control", tell)), ended)
    }

    /// What the backend answers when it is asked once.
    async fn asked(backend: &mut StreamsBackend, worker: &WorkerContext) -> Poll<Option<String>> {
        let next = std::future::poll_fn(|cx| backend.poll_next(cx, worker));
        poll!(std::pin::pin!(next)).map(|next| next.map(|Ok(task)| task.args.entry.id))
    }

    #[tokio::test]
    async fn the_backend_never_says_that_there_are_no_more_tasks_outside_a_shutdown() {
        let (deliver, mut backend, _ended) = backend();
        let mut worker = WorkerContext::new("control");
        worker.start().unwrap();
        assert_eq!(asked(&mut backend, &worker).await, Poll::Pending);
        deliver.send(delivery("1-0")).unwrap();
        assert_eq!(asked(&mut backend, &worker).await, Poll::Ready(Some("1-0".to_owned())));
        // Not even when those who bring entries are gone.
        drop(deliver);
        assert_eq!(asked(&mut backend, &worker).await, Poll::Pending);
        worker.stop().unwrap();
        assert_eq!(asked(&mut backend, &worker).await, Poll::Ready(None));
    }

    #[tokio::test]
    async fn a_worker_that_ends_says_so() {
        let (_deliver, backend, mut ended) = backend();
        let worker = WorkerBuilder::new("control")
            .backend(backend)
            .build(tower::service_fn(async |_: Task<Delivery>| Ok::<(), Infallible>(())));
        assert!(ended.try_recv().is_err());
        drop(worker);
        assert_eq!(ended.recv().await.as_deref(), Some("control"));
    }

    /// A layer that notes when a call passes it.
    #[derive(Clone)]
    struct Notes<S>(&'static str, mpsc::UnboundedSender<&'static str>, S);

    impl<S> Layer<S> for Notes<()> {
        type Service = Notes<S>;

        fn layer(&self, inner: S) -> Notes<S> {
            Notes(self.0, self.1.clone(), inner)
        }
    }

    impl<S: Service<Task<Delivery>>> Service<Task<Delivery>> for Notes<S> {
        type Response = S::Response;
        type Error = S::Error;
        type Future = S::Future;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            self.2.poll_ready(cx)
        }

        fn call(&mut self, task: Task<Delivery>) -> S::Future {
            self.1.send(self.0).unwrap();
            self.2.call(task)
        }
    }

    #[tokio::test]
    async fn the_layer_added_first_is_the_outermost() {
        let (deliver, backend, _ended) = backend();
        let (note, mut notes) = mpsc::unbounded_channel();
        let worker = WorkerBuilder::new("control")
            .backend(backend)
            .layer(Notes("first", note.clone(), ()))
            .layer(Notes("second", note.clone(), ()))
            .build(tower::service_fn(move |_: Task<Delivery>| {
                note.send("handler").unwrap();
                std::future::ready(Ok::<(), Infallible>(()))
            }));
        deliver.send(delivery("1-0")).unwrap();
        let seen = async { [notes.recv().await, notes.recv().await, notes.recv().await] };
        tokio::select! {
            ended = worker.run() => panic!("the worker ended: {ended:?}"),
            seen = tokio::time::timeout(Duration::from_mins(1), seen) => {
                assert_eq!(seen.unwrap(), [Some("first"), Some("second"), Some("handler")]);
            }
        }
    }
}
