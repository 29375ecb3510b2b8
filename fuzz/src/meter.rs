//! What one input costs: processor time of its thread, and the most memory in use at once.
//!
//! Memory is counted by the allocator, thread by thread, so that tests side by side do not count each other's. Nothing
//! here reads the wall clock: a busy machine changes no number.

#![expect(unsafe_code, reason = "an allocator that counts is an unsafe trait around the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

thread_local! {
    static IN_USE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, counting.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    // A thread at its end has no counters any more, and nobody who asks for them.
    let _ = IN_USE.try_with(|in_use| {
        let now = in_use.get() + bytes;
        in_use.set(now);
        let _ = MOST.try_with(|most| most.set(most.get().max(now)));
    });
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(signed(new_size) - signed(layout.size()));
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// What something cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Processor time of this thread.
    pub time: Duration,
    /// The most bytes that were in use at once, beyond those before.
    pub bytes: usize,
}

/// Does it, and says what it cost.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let before = IN_USE.get();
    MOST.set(before);
    let began = thread_time();
    let done = work();
    let cost =
        Cost { time: thread_time().saturating_sub(began), bytes: usize::try_from(MOST.get() - before).unwrap_or(0) };
    (done, cost)
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
