//! What a line of the log belongs to: the job or the slot that is being worked on where it is written, and its trace.
//!
//! Whoever runs a job or a turn does so in [`Work::scope`]; every line written in there has `job`, `slot` and `trace_id`
//! beside its own fields, at any level and under any filter. A piece of work that goes to another thread takes it along
//! with [`carried`]. Entering costs a pointer, once for each time the work is polled: a span would cost several locks.

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::trace::Trace;

tokio::task_local! {
    static WORK: Arc<Work>;
}

/// One job or one turn being worked on.
#[derive(Debug, Default)]
pub struct Work {
    slot: Option<String>,
    known: Mutex<Known>,
}

/// What becomes known of it on the way.
#[derive(Debug, Default)]
struct Known {
    job: String,
    trace: Option<Trace>,
}

impl Work {
    /// A job, under the name it has until its own is known.
    pub fn on_job(name: String, trace: Option<Trace>) -> Self {
        Self { slot: None, known: Mutex::new(Known { job: name, trace }) }
    }

    /// A turn of a slot.
    pub fn on_slot(slot: String) -> Self {
        Self { slot: Some(slot), known: Mutex::default() }
    }

    /// Runs the work.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        WORK.scope(Arc::new(self), work).await
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let job = (!known.job.is_empty()).then(|| ("job", known.job.clone()));
        let slot = self.slot.as_ref().map(|slot| ("slot", slot.clone()));
        let trace = known.trace.map(|trace| ("trace_id", trace.id()));
        job.into_iter().chain(slot).chain(trace).collect()
    }
}

/// The work at hand is this job's, and belongs to this trace.
pub fn is_of(job: &str, trace: Option<Trace>) {
    let _ = WORK.try_with(|work| {
        let mut known = work.known.lock().unwrap_or_else(PoisonError::into_inner);
        job.clone_into(&mut known.job);
        known.trace = trace;
    });
}

/// The trace of the work at hand.
pub fn trace() -> Option<Trace> {
    WORK.try_with(|work| work.known.lock().unwrap_or_else(PoisonError::into_inner).trace).ok().flatten()
}

/// The same work, on whichever thread it is done.
pub fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let here = WORK.try_with(Arc::clone).ok();
    move || match here {
        Some(here) => WORK.sync_scope(here, work),
        None => work(),
    }
}

/// The fields of the work at hand.
pub(super) fn fields() -> Vec<(&'static str, String)> {
    WORK.try_with(|work| work.fields()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[tokio::test]
    async fn the_work_at_hand_is_known_where_it_is_done_and_nowhere_else() {
        let slot = Work::on_slot("c/delivery@1/0/7".to_owned()).scope(async {
            assert_eq!(fields(), [("slot", "c/delivery@1/0/7".to_owned())]);
            is_of("gen-c", Trace::parse(GIVEN));
            tokio::task::yield_now().await;
            tokio::task::spawn_blocking(carried(fields)).await.unwrap()
        });
        let job = Work::on_job("send:1-0".to_owned(), None).scope(async {
            tokio::task::yield_now().await;
            fields()
        });
        let (slot, job) = tokio::join!(slot, job);
        let trace = ("trace_id", "0af7651916cd43dd8448eb211c80319c".to_owned());
        assert_eq!(slot, [("job", "gen-c".to_owned()), ("slot", "c/delivery@1/0/7".to_owned()), trace]);
        assert_eq!(job, [("job", "send:1-0".to_owned())]);
        is_of("nobody", Trace::parse(GIVEN));
        assert_eq!(super::trace(), None);
        assert_eq!(fields(), []);
    }
}
