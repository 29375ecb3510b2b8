//! The driver: runs inputs through a target until the budget is used up, or something is found.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::coverage::Coverage;
use crate::meter::{Cost, measure};
use crate::mutator::Mutator;
use crate::targets::Target;

/// Most processor time of one input, unoptimised and of the longest length.
pub const MOST_TIME: Duration = Duration::from_secs(2);

/// Most memory of one input, all told.
pub const MOST_MEMORY: usize = 32 << 20;

/// Inputs kept: the corpus of a long run stays of a size that is mutated through.
const CORPUS: usize = 20_000;

/// How long, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// So many inputs at most.
    pub inputs: u64,
    /// So long at most.
    pub time: Duration,
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Inputs run.
    pub inputs: u64,
    /// Different things that the target told.
    pub told: usize,
    /// Inputs in the corpus.
    pub corpus: usize,
    /// Edges reached, and edges there are.
    pub edges: (usize, usize),
    /// The dearest input in time, and the dearest in memory.
    pub most: Cost,
}

/// An input that a target cannot stand.
#[derive(Debug, Clone)]
pub struct Finding {
    /// It.
    pub input: Vec<u8>,
    /// What it does.
    pub what: String,
}

/// Why a run ended before its budget did.
#[derive(Debug)]
pub enum Ended {
    /// Something was found.
    Found(Box<Finding>),
    /// The input under way could not be kept.
    Unkept(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Unkept(error)
    }
}

/// The file of the input under way, written over again and again.
struct Current {
    file: File,
    length: usize,
}

impl Current {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, length: 0 })
    }

    fn keep(&mut self, input: &[u8]) -> io::Result<()> {
        self.file.write_all_at(input, 0)?;
        if input.len() < self.length {
            self.file.set_len(input.len() as u64)?;
        }
        self.length = input.len();
        Ok(())
    }
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Whether a target reads in this thread: its panics are findings.
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// Inputs begun, of all threads: who watches sees that it goes on.
pub static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Runs a target. `current` is a file that has the input under way, should it end the process.
pub fn run(target: &Target, seed: u64, budget: Budget, current: Option<&Path>) -> Result<Summary, Ended> {
    keep_panics();
    let began = Instant::now();
    let mut corpus = (target.seeds)();
    let mut mutator = Mutator { random: StdRng::seed_from_u64(seed), words: target.words };
    let mut coverage = Coverage::new();
    let (mut told, mut summary) = (HashSet::new(), Summary::default());
    let mut fresh = corpus.clone().into_iter();
    let mut keeping = current.map(Current::create).transpose()?;
    while summary.inputs < budget.inputs && began.elapsed() < budget.time {
        let input = fresh.next().unwrap_or_else(|| mutator.next(&corpus));
        if let Some(current) = &mut keeping {
            current.keep(&input)?;
        }
        coverage.start();
        let (said, cost) = once(target, &input).map_err(Ended::Found)?;
        let reached = coverage.is_new();
        summary.inputs += 1;
        summary.most = Cost { time: summary.most.time.max(cost.time), bytes: summary.most.bytes.max(cost.bytes) };
        if (told.insert(said) || reached) && corpus.len() < CORPUS {
            corpus.push(input);
        }
    }
    if let Some(current) = current {
        let _ = std::fs::remove_file(current);
    }
    Ok(Summary { told: told.len(), corpus: corpus.len(), edges: coverage.edges(), ..summary })
}

/// One input through a target: what it told and what it cost.
pub fn once(target: &Target, input: &[u8]) -> Result<(String, Cost), Box<Finding>> {
    keep_panics();
    BEGUN.fetch_add(1, Ordering::Relaxed);
    let found = |what: String| Box::new(Finding { input: input.to_vec(), what });
    READING.set(true);
    let (done, cost) = measure(|| panic::catch_unwind(AssertUnwindSafe(|| (target.read)(input))));
    READING.set(false);
    let Ok(told) = done else {
        return Err(found(PANIC.take().unwrap_or_else(|| "a panic".to_owned())));
    };
    if cost.time > MOST_TIME {
        return Err(found(format!("it took {:?} of processor time, more than {MOST_TIME:?}", cost.time)));
    }
    if cost.bytes > MOST_MEMORY {
        return Err(found(format!("it took {} bytes of memory, more than {MOST_MEMORY}", cost.bytes)));
    }
    Ok((told, cost))
}

/// Panics of targets are kept for the finding instead of being printed; all others are printed as ever.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if READING.get() {
                PANIC.set(Some(info.to_string()));
            } else {
                others(info);
            }
        }));
    });
}
