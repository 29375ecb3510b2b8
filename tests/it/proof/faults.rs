//! The faults: what fails, whom it strikes, and how it ends.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A daemon is killed at whatever instruction it is, and started again.
    Kill(usize),
    /// All daemons are killed at once, and started again one by one.
    KillAll,
    /// A daemon stands still for longer than its leases, then goes on.
    Freeze(usize),
    /// A daemon is asked to drain under load, and started again.
    Drain(usize),
    /// Redis is killed and comes back with its append-only file.
    RedisRestart,
    /// Redis is killed together with a daemon.
    RedisAndDaemon(usize),
    /// Redis comes back without what it took last: a failure of the power, or a failover to a replica that lags.
    RedisLosesTail,
    /// The same, and a daemon dies with it.
    RedisLosesTailAndDaemon(usize),
    /// Redis stands still for a while.
    RedisFreeze,
    /// Every connection to Redis is cut.
    Cut,
    /// Redis forgets all scripts.
    ScriptFlush,
    /// The provider fails, throttles, cuts answers off and stays silent, until the next fault.
    Storm,
}

impl Fault {
    /// The faults of a seed.
    pub(super) fn plan(seed: u64, count: usize) -> Vec<Self> {
        let mut random = StdRng::seed_from_u64(seed);
        (0..count)
            .map(|_| {
                let daemon = random.random_range(0..super::world::DAEMONS);
                match random.random_range(0..12) {
                    0 | 1 => Self::Kill(daemon),
                    2 => Self::KillAll,
                    3 => Self::Freeze(daemon),
                    4 => Self::Drain(daemon),
                    5 => Self::RedisRestart,
                    6 => Self::RedisAndDaemon(daemon),
                    7 => {
                        if random.random() {
                            Self::RedisFreeze
                        } else {
                            Self::ScriptFlush
                        }
                    }
                    8 => Self::Cut,
                    9 => Self::RedisLosesTail,
                    10 => Self::RedisLosesTailAndDaemon(daemon),
                    _ => Self::Storm,
                }
            })
            .collect()
    }

    /// The most recipients that it may leave unknown: what the daemons it strikes had in flight.
    pub(super) fn in_flight(self, permits: u64) -> u64 {
        match self {
            Self::Kill(_) | Self::Freeze(_) | Self::Drain(_) | Self::RedisAndDaemon(_) => permits,
            Self::KillAll | Self::RedisRestart | Self::RedisLosesTail | Self::RedisLosesTailAndDaemon(_) => {
                permits * super::world::DAEMONS as u64
            }
            Self::RedisFreeze | Self::Cut | Self::ScriptFlush | Self::Storm => 0,
        }
    }
}
