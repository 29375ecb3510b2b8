//! What is done where this machine has nothing left to connect with: no file descriptor, no port.
//!
//! That is neither the recipient's failure nor the provider's, so no attempt is counted, no breaker opens and no other
//! daemon is held up: after a moment the recipient is given back as not sent, for whoever can send it.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::DeliverError;

/// The moment: long enough that a daemon without descriptors does not take and give back recipients all the time.
const MOMENT: Duration = Duration::from_millis(500);

/// The process is short of sockets, not one channel of it, so it says so once in so long.
const SAID_EVERY: Duration = Duration::from_secs(10);

static SAID: Mutex<Option<Instant>> = Mutex::new(None);

/// Waits a moment, not past the deadline.
pub(crate) async fn shortage(deadline: Instant) -> DeliverError {
    let now = Instant::now();
    if is_news(now) {
        tracing::warn!("no socket can be opened, for want of a file descriptor or a port: messages wait");
    }
    tokio::time::sleep_until((now + MOMENT).min(deadline).into()).await;
    DeliverError::NotSent
}

fn is_news(now: Instant) -> bool {
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let is_news = said.is_none_or(|at| now.saturating_duration_since(at) >= SAID_EVERY);
    if is_news {
        *said = Some(now);
    }
    is_news
}
