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

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::runs::SlotRef;

/// How far the work on an entry in hand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// No work on it began.
    Waiting,
    /// Work is under way.
    Running,
    /// It was begun, and rests until it is tried again.
    Resting,
    /// Any daemon may take it: no work may begin here any more.
    GivenBack,
}

/// An entry in hand.
#[derive(Debug)]
pub struct Lease {
    /// When it came into our hands.
    pub since: Instant,
    /// Set when the entry turned out to belong to another daemon.
    lost: CancellationToken,
    progress: AtomicBool,
    counted: AtomicBool,
    stage: Mutex<Stage>,
    /// What keeps other adopted entries from starting.
    alone: Mutex<Option<OwnedSemaphorePermit>>,
    /// Wakes the renewer.
    nudge: Arc<Notify>,
}

impl Lease {
    fn new(counted: bool, nudge: &Arc<Notify>) -> Self {
        Self {
            since: Instant::now(),
            lost: CancellationToken::new(),
            progress: AtomicBool::new(false),
            counted: AtomicBool::new(counted),
            stage: Mutex::new(Stage::Waiting),
            alone: Mutex::new(None),
            nudge: Arc::clone(nudge),
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

    /// Notes recorded progress: the delivery count starts again, so a long job is no poison, and an adopted entry
    /// is no suspect any more. Of an adopted one Redis is told at once: its daemon may die any moment again.
    pub fn progressed(&self) {
        if !self.progress.swap(true, Ordering::Relaxed) && locked(&self.alone).take().is_some() {
            self.nudge.notify_one();
        }
    }

    /// Keeps `alone` until the entry records progress, rests or ends.
    pub fn hold_alone(&self, alone: OwnedSemaphorePermit) {
        *locked(&self.alone) = Some(alone);
    }

    /// Notes that this delivery is counted in Redis: whoever gives the entry back takes one off.
    pub fn count(&self) {
        self.counted.store(true, Ordering::Relaxed);
    }

    /// Notes that the entry rests: at a drain it is given back.
    pub fn rest(&self) {
        *locked(&self.stage) = Stage::Resting;
        locked(&self.alone).take();
    }

    /// Begins the work and returns the stage before. [`Stage::GivenBack`]: too late, leave it alone.
    pub fn start(&self) -> Stage {
        let mut stage = locked(&self.stage);
        let before = *stage;
        if before != Stage::GivenBack {
            *stage = Stage::Running;
        }
        before
    }

    /// Gives the entry back unless work is under way.
    fn give_back(&self) -> bool {
        let mut stage = locked(&self.stage);
        if *stage == Stage::Running {
            return false;
        }
        *stage = Stage::GivenBack;
        true
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

/// Keeps a slot renewed. Dropped, also by a panic, the slot is nobody's when its lease ends.
#[derive(Debug)]
pub struct SlotHold {
    registry: Arc<Registry>,
    held: Arc<HeldSlot>,
}

impl SlotHold {
    /// Cancelled when the slot is another's.
    pub fn lost(&self) -> CancellationToken {
        self.held.lost.clone()
    }
}

impl Drop for SlotHold {
    fn drop(&mut self) {
        locked(&self.registry.slots).remove(&(self.held.slot.clone(), self.held.fence));
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
    nudge: Arc<Notify>,
}

/// A poisoned map is still a map: the panic was elsewhere.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// Takes note of an entry that was read: Redis counted the delivery.
    pub fn add(&self, queue: &Arc<str>, id: &str) -> Arc<Lease> {
        self.insert(queue, id, Lease::new(true, &self.nudge))
    }

    /// Takes note of an entry that was adopted: its delivery counts when it starts.
    pub fn adopt(&self, queue: &Arc<str>, id: &str) -> Arc<Lease> {
        self.insert(queue, id, Lease::new(false, &self.nudge))
    }

    fn insert(&self, queue: &Arc<str>, id: &str, lease: Lease) -> Arc<Lease> {
        let lease = Arc::new(lease);
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

    /// Takes out the entries on which no work is under way, by queue, with whether their delivery is counted.
    pub fn take_unstarted(&self) -> HashMap<Arc<str>, Vec<(String, bool)>> {
        let mut by_queue: HashMap<Arc<str>, Vec<_>> = HashMap::new();
        locked(&self.entries).retain(|(queue, id), lease| {
            let given = lease.give_back();
            if given {
                let item = (id.clone(), lease.counted.load(Ordering::Relaxed));
                by_queue.entry(Arc::clone(queue)).or_default().push(item);
            }
            !given
        });
        by_queue
    }

    /// Takes note of a slot: it is renewed as long as the hold lives.
    pub fn hold_slot(self: &Arc<Self>, slot: &SlotRef, fence: u64) -> SlotHold {
        let held = Arc::new(HeldSlot { slot: slot.clone(), fence, lost: CancellationToken::new() });
        locked(&self.slots).insert((slot.clone(), fence), Arc::clone(&held));
        SlotHold { registry: Arc::clone(self), held }
    }

    /// Waits until an adopted entry made progress.
    pub async fn nudged(&self) {
        self.nudge.notified().await;
    }

    /// Entries in hand for at least `age`, and those that made progress, by queue, with whether they made progress since last asked.
    pub fn entries_older_than(&self, age: Duration) -> HashMap<Arc<str>, Vec<HeldEntry>> {
        let mut by_queue: HashMap<Arc<str>, Vec<_>> = HashMap::new();
        for ((queue, id), lease) in locked(&self.entries).iter() {
            let due = lease.since.elapsed() >= age || lease.progress.load(Ordering::Relaxed);
            if due && !lease.is_lost() {
                let progress = lease.progress.swap(false, Ordering::Relaxed);
                let item = (id.clone(), progress, Arc::clone(lease));
                by_queue.entry(Arc::clone(queue)).or_default().push(item);
            }
        }
        by_queue
    }

    /// Whether a turn of ours works on this slot, with that fence or with any.
    pub fn works_on(&self, (campaign, run, slot): (&str, &str, u32), fence: Option<u64>) -> bool {
        locked(&self.slots).keys().any(|(held, with)| {
            let same = held.slot == slot && held.run == run && held.campaign == campaign;
            same && fence.is_none_or(|fence| fence == *with)
        })
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
        assert_eq!(unstarted.get(&queue), Some(&vec![("2-0".to_owned(), true)]));
        assert!(registry.has(&queue, "1-0"));
        assert!(!registry.has(&queue, "2-0"));
    }

    #[test]
    fn work_does_not_begin_on_an_entry_that_was_given_back() {
        let registry = Registry::default();
        let queue: Arc<str> = "generate".into();
        let lease = registry.add(&queue, "1-0");
        registry.take_unstarted();
        assert_eq!(lease.start(), Stage::GivenBack);
    }

    #[test]
    fn an_entry_that_rests_is_given_back_and_knows_that_it_was_begun() {
        let registry = Registry::default();
        let queue: Arc<str> = "generate".into();
        let lease = registry.add(&queue, "1-0");
        assert_eq!(lease.start(), Stage::Waiting);
        lease.rest();
        assert_eq!(lease.start(), Stage::Resting);
        assert!(registry.take_unstarted().is_empty());
        lease.rest();
        assert_eq!(registry.take_unstarted().len(), 1);
    }

    #[test]
    fn a_slot_is_renewed_until_its_turn_ends_even_by_a_panic() {
        let registry = Arc::new(Registry::default());
        let slot = SlotRef { campaign: "nov".into(), run: "delivery@1".into(), slot: 0, token: 1 };
        let turn = std::panic::AssertUnwindSafe(|| {
            let _hold = registry.hold_slot(&slot, 7);
            assert_eq!(registry.held_slots().len(), 1);
            panic!("a turn panics");
        });
        std::panic::catch_unwind(turn).unwrap_err();
        assert!(registry.held_slots().is_empty());
    }

    #[test]
    fn an_adopted_entry_is_alone_until_it_progresses_rests_or_ends() {
        let registry = Registry::default();
        let queue: Arc<str> = "generate".into();
        let one = Arc::new(tokio::sync::Semaphore::new(1));
        let adopt = || {
            let lease = registry.adopt(&queue, "1-0");
            lease.hold_alone(Arc::clone(&one).try_acquire_owned().unwrap());
            assert_eq!(one.available_permits(), 0);
            lease
        };
        adopt().progressed();
        assert_eq!(one.available_permits(), 1, "progress");
        adopt().rest();
        assert_eq!(one.available_permits(), 1, "rest");
        drop(adopt());
        registry.remove(&queue, "1-0");
        assert_eq!(one.available_permits(), 1, "end");
    }

    #[test]
    fn an_adopted_entry_is_counted_when_it_starts() {
        let registry = Registry::default();
        let queue: Arc<str> = "generate".into();
        registry.adopt(&queue, "1-0");
        registry.adopt(&queue, "2-0").count();
        let mut unstarted = registry.take_unstarted().remove(&queue).unwrap();
        unstarted.sort();
        assert_eq!(unstarted, [("1-0".to_owned(), false), ("2-0".to_owned(), true)]);
    }
}
