//! Leases: what this daemon has in hand, renewed on a thread of its own.
//!
//! Every entry and slot in hand is registered here. Each `renew` interval one script a queue looks
//! whether the entries are still ours and renews those; a lost one is told (its [`Lease`] is
//! cancelled) and never settled. The thread has a runtime and a connection of its own, so that
//! neither a busy worker nor a slow reply starves it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::store::{Store, runs::SlotRef};

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
struct HeldSlot {
    slot: SlotRef,
    fence: u64,
    lost: CancellationToken,
}

type EntryKey = (Arc<str>, String);

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
        let held = HeldSlot {
            slot: slot.clone(),
            fence,
            lost: lost.clone(),
        };
        locked(&self.slots).insert((slot.clone(), fence), Arc::new(held));
        lost
    }

    /// Forgets a slot.
    pub fn remove_slot(&self, slot: &SlotRef, fence: u64) {
        locked(&self.slots).remove(&(slot.clone(), fence));
    }

    fn entries_older_than(&self, age: Duration) -> HashMap<Arc<str>, Vec<(String, bool, Arc<Lease>)>> {
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

    fn held_slots(&self) -> Vec<Arc<HeldSlot>> {
        locked(&self.slots).values().cloned().collect()
    }
}

/// Renews everything in hand.
#[derive(Debug)]
pub struct Renewer {
    /// A store with a connection of its own.
    pub store: Store,
    /// What is in hand.
    pub registry: Arc<Registry>,
    /// Our consumer name.
    pub incarnation: String,
    /// How often.
    pub interval: Duration,
    /// For how long a slot is leased.
    pub lease: Duration,
}

/// Entries renewed by one call, so that no script is long.
const CHUNK: usize = 500;

impl Renewer {
    /// Starts the thread. It ends with `stop`.
    pub fn spawn(self, stop: CancellationToken) -> std::io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("leases".into()).spawn(move || runtime.block_on(self.run(stop)))
    }

    async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => self.renew().await,
            }
        }
    }

    /// One round. A fresh entry has its whole lease before it, so only older ones are renewed.
    pub async fn renew(&self) {
        for (queue, entries) in self.registry.entries_older_than(self.interval / 2) {
            for chunk in entries.chunks(CHUNK) {
                let ids: Vec<(String, bool)> = chunk.iter().map(|(id, p, _)| (id.clone(), *p)).collect();
                match self.store.renew_entries(&queue, &self.incarnation, &ids).await {
                    Ok(lost) => {
                        for (id, _, lease) in chunk.iter().filter(|(id, ..)| lost.contains(id)) {
                            // Settled in the meantime looks the same as lost.
                            if self.registry.has(&queue, id) {
                                tracing::warn!(%queue, entry = %id, "entry lost to another daemon");
                                lease.lost.cancel();
                            }
                        }
                    }
                    Err(error) => tracing::warn!(%queue, %error, "leases could not be renewed"),
                }
            }
        }
        for held in self.registry.held_slots() {
            match self.store.renew_slot(&held.slot, held.fence, &self.incarnation, self.lease).await {
                Ok(true) => {}
                Ok(false) => held.lost.cancel(),
                Err(error) => tracing::warn!(slot = %held.slot, %error, "slot could not be renewed"),
            }
        }
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
