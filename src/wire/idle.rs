//! Connections that wait for their next use.
//!
//! Last in, first out, so that a channel with little traffic keeps few connections warm and lets the others grow old.
//! One that is older than the limit is never used: servers close idle ones, and what meets the closing is in doubt.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The idle connections of one channel, oldest first, each since when.
pub(crate) struct Idle<T> {
    waiting: Mutex<VecDeque<(Instant, T)>>,
    most: usize,
    limit: Duration,
}

impl<T> Idle<T> {
    /// None yet; at most `most`, none for longer than `limit`.
    pub(crate) fn new(most: usize, limit: Duration) -> Self {
        Self { waiting: Mutex::new(VecDeque::new()), most, limit }
    }

    /// Takes one back; where there are enough it is closed.
    pub(crate) fn put(&self, one: T) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < self.most {
            waiting.push_back((Instant::now(), one));
        }
    }

    /// The one that was used last.
    pub(crate) fn youngest(&self) -> Option<T> {
        let (since, one) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_back()?;
        if since.elapsed() < self.limit {
            return Some(one);
        }
        // The youngest is too old, so all are.
        self.drop_old();
        None
    }

    /// Closes what has waited for too long.
    pub(crate) fn drop_old(&self) {
        let old = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = waiting.iter().position(|(since, _)| since.elapsed() < self.limit).unwrap_or(waiting.len());
            let young = waiting.split_off(kept);
            std::mem::replace(&mut *waiting, young)
        };
        // Closing sockets is not done under the lock.
        drop(old);
    }
}
