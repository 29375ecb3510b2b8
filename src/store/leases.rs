//! Leases: what this daemon has in hand.
//!
//! Every entry and slot in hand is registered here, for the renewer (`queue/renewer.rs`) to renew. One
//! that turns out to be another daemon's is told: its work stops, and it is never settled.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::runs::SlotRef;

/// An entry in hand.
#[derive(Debug)]
pub struct Lease {
    /// When it came into our hands.
    pub since: Instant,
    /// Set when the entry turned out to belong to another daemon.
    lost: CancellationToken,
    progress: AtomicBool,
    started: AtomicBool,
}

impl Lease {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            lost: CancellationToken::new(),
            progress: AtomicBool::new(false),
            started: AtomicBool::new(false),
        }
    }

    /// Whether the entry belongs to another daemon now: its work must stop and is not settled.
    pub fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Waits until it is lost.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Notes that it is another's.
    pub fn lose(&self) {
        self.lost.cancel();
    }

    /// Notes recorded progress: the delivery count starts again, so a long job is no poison.
    pub fn progressed(&self) {
        self.progress.store(true, Ordering::Relaxed);
    }

    /// Notes that the entry rests: at a drain it is given back.
    pub fn rest(&self) {
        self.started.store(false, Ordering::Relaxed);
    }

    /// Notes that work began; an entry that never began is given back uncounted at a drain.
    pub fn start(&self) {
        self.started.store(true, Ordering::Relaxed);
    }
}

/// A slot in hand.
#[derive(Debug)]
pub struct HeldSlot {
    /// Which.
    pub slot: SlotRef,
    /// The fence it was taken with.
    pub fence: u64,
    lost: CancellationToken,
}

impl HeldSlot {
    /// Tells its turn that the slot is another's.
    pub fn lose(&self) {
        self.lost.cancel();
    }
}

type EntryKey = (Arc<str>, String);

/// Entry id, whether it made progress since last asked, and its lease.
pub type HeldEntry = (String, bool, Arc<Lease>);

/// Everything in hand.
#[derive(Debug, Default)]
pub struct Registry {
    entries: Mutex<HashMap<EntryKey, Arc<Lease>>>,
    slots: Mutex<HashMap<(SlotRef, u64), Arc<HeldSlot>>>,
}

/// A poisoned map is still a map: the panic was elsewhere.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// Takes note of an entry that came into our hands.
    pub fn add(&self, queue: &Arc<str>, id: &str) -> Arc<Lease> {
        let lease = Arc::new(Lease::new());
        locked(&self.entries).insert((Arc::clone(queue), id.to_owned()), Arc::clone(&lease));
        lease
    }

    /// Whether we have this entry in hand.
    pub fn has(&self, queue: &Arc<str>, id: &str) -> bool {
        locked(&self.entries).contains_key(&(Arc::clone(queue), id.to_owned()))
    }

    /// Forgets an entry: it is settled, given back or lost.
    pub fn remove(&self, queue: &Arc<str>, id: &str) {
        locked(&self.entries).remove(&(Arc::clone(queue), id.to_owned()));
    }

    /// How many entries are in hand.
    pub fn len(&self) -> usize {
        locked(&self.entries).len()
    }

    /// Whether nothing is in hand.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes out the entries on which no work began, by queue.
    pub fn take_unstarted(&self) -> HashMap<Arc<str>, Vec<String>> {
        let mut by_queue: HashMap<Arc<str>, Vec<String>> = HashMap::new();
        locked(&self.entries).retain(|(queue, id), lease| {
            let started = lease.started.load(Ordering::Relaxed);
            if !started {
                by_queue.entry(Arc::clone(queue)).or_default().push(id.clone());
            }
            started
        });
        by_queue
    }

    /// Takes note of a slot; the token is cancelled when the slot is lost.
    pub fn add_slot(&self, slot: &SlotRef, fence: u64) -> CancellationToken {
        let lost = CancellationToken::new();
        let held = HeldSlot { slot: slot.clone(), fence, lost: lost.clone() };
        locked(&self.slots).insert((slot.clone(), fence), Arc::new(held));
        lost
    }

    /// Forgets a slot.
    pub fn remove_slot(&self, slot: &SlotRef, fence: u64) {
        locked(&self.slots).remove(&(slot.clone(), fence));
    }

    /// Entries in hand for at least `age`, by queue, with whether they made progress since last asked.
    pub fn entries_older_than(&self, age: Duration) -> HashMap<Arc<str>, Vec<HeldEntry>> {
        let mut by_queue: HashMap<Arc<str>, Vec<_>> = HashMap::new();
        for ((queue, id), lease) in locked(&self.entries).iter() {
            if lease.since.elapsed() >= age && !lease.is_lost() {
                let progress = lease.progress.swap(false, Ordering::Relaxed);
                let item = (id.clone(), progress, Arc::clone(lease));
                by_queue.entry(Arc::clone(queue)).or_default().push(item);
            }
        }
        by_queue
    }

    /// The slots in hand.
    pub fn held_slots(&self) -> Vec<Arc<HeldSlot>> {
        locked(&self.slots).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_on_which_no_work_began_are_given_back() {
        let registry = Registry::default();
        let queue: Arc<str> = "generate".into();
        registry.add(&queue, "1-0").start();
        registry.add(&queue, "2-0");
        let unstarted = registry.take_unstarted();
        assert_eq!(unstarted.get(&queue), Some(&vec!["2-0".to_owned()]));
        assert!(registry.has(&queue, "1-0"));
        assert!(!registry.has(&queue, "2-0"));
    }
}
