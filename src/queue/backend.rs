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
    backend::{Backend, BackendConfig},
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
        Self {
            queue: queue.to_owned(),
            tell,
        }
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
        Self {
            deliveries,
            config: (),
            _ended: ended,
        }
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
    type Kind = ();
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &self.config
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
