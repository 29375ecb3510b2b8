//! The governor of a channel: rate, in-flight permits, blocks and breaker, shared by all daemons.
//!
//! The rate is a GCRA in Redis ([`crate::store::channels`]): reservations of at most 50 ms ahead, handed out
//! here as instants a message part may leave at. A slot that came too late is dropped, never sent in
//! a burst; one that a skipped recipient left over goes to the next. In flight means claimed and not
//! recorded: the permit goes back when the outcome is written.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use crate::{
    domain::failure::{Failure, FailureClass},
    store::{
        Store, StoreError,
        audit::{AuditEntry, Thing},
        channels::{Held, Report, Reservation},
    },
};

use super::settings::ChannelSettings;

/// What a governor holds to: of a channel, or of any other provider that daemons share.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Name of the shared state in Redis.
    pub name: String,
    /// Parts a second over all daemons; 0 = unlimited.
    pub rate_per_second: u32,
    /// Most at once at this daemon.
    pub in_flight: u32,
    /// How long one attempt may take.
    pub attempt: Duration,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// How long it stays open at first.
    pub breaker_cooldown: Duration,
}

impl From<&ChannelSettings> for Bounds {
    fn from(settings: &ChannelSettings) -> Self {
        Self {
            name: settings.name.clone(),
            rate_per_second: settings.rate_per_second,
            in_flight: settings.in_flight,
            attempt: settings.timeout + settings.connect_timeout,
            breaker_failures: settings.breaker_failures,
            breaker_cooldown: settings.breaker_cooldown,
        }
    }
}

/// How far ahead parts are reserved.
const AHEAD: Duration = Duration::from_millis(50);

/// A slot older than this is not used: catching up would be a burst.
const LATE: Duration = Duration::from_millis(20);

/// Longest pause of the breaker.
const COOLDOWN_MAX: Duration = Duration::from_mins(1);

/// The wait where a provider says "slow down" without a time.
const THROTTLED_WITHOUT_TIME: Duration = Duration::from_secs(1);

/// What a turn may send now.
#[derive(Debug)]
pub enum Grant {
    /// So many parts.
    Parts(u32),
    /// Nothing for so long.
    Wait {
        /// How long.
        after: Duration,
        /// Why.
        why: Held,
    },
}

/// What a turn was granted and has not used yet: slots in time or, where the rate is unlimited, a time
/// within which it need not ask again.
#[derive(Debug, Default)]
pub struct Pace {
    slots: VecDeque<Instant>,
    free: Option<Free>,
}

/// A grant without a rate. Any trouble of the channel at this daemon ends it early.
#[derive(Debug, Clone, Copy)]
struct Free {
    until: Instant,
    troubles: u64,
}

impl Pace {
    /// Slots still good at `now`.
    fn usable(&mut self, now: Instant) -> u32 {
        while self.slots.front().is_some_and(|at| *at + LATE < now) {
            self.slots.pop_front();
        }
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// Takes the slots of a message of `parts`; it leaves at the first of them.
    fn take(&mut self, parts: usize) -> Option<Instant> {
        let first = self.slots.pop_front();
        for _ in 1..parts {
            self.slots.pop_front();
        }
        first
    }
}

/// Governs one channel at this daemon.
#[derive(Debug)]
pub struct Governor {
    store: Store,
    channel: String,
    /// Between two parts; zero for no limit.
    gap: Duration,
    probe_lasts: Duration,
    cooldown: Duration,
    threshold: u32,
    failures_in_row: AtomicU32,
    /// Counts what ends a grant early.
    troubles: AtomicU64,
    capacity: usize,
    /// When a probe was granted, in microseconds since `born`; 0: none is out. The answer to what began from then on is the
    /// probe's: it closes the breaker or lengthens its pause, whoever opened it. What was under way before says nothing.
    probing: AtomicU64,
    born: Instant,
    /// Permits for recipients in flight.
    pub in_flight: Arc<Semaphore>,
}

impl Governor {
    /// The governor of a channel.
    pub fn new(store: &Store, bounds: impl Into<Bounds>) -> Self {
        let bounds = bounds.into();
        let capacity = usize::try_from(bounds.in_flight).unwrap_or(usize::MAX);
        let gap = Duration::from_secs(1).checked_div(bounds.rate_per_second).unwrap_or(Duration::ZERO);
        Self {
            store: store.clone(),
            channel: bounds.name,
            gap,
            probe_lasts: bounds.attempt,
            cooldown: bounds.breaker_cooldown,
            threshold: bounds.breaker_failures,
            failures_in_row: AtomicU32::new(0),
            troubles: AtomicU64::new(0),
            capacity,
            probing: AtomicU64::new(0),
            born: Instant::now(),
            in_flight: Arc::new(Semaphore::new(capacity)),
        }
    }

    /// Whether messages are paced.
    pub fn is_paced(&self) -> bool {
        !self.gap.is_zero()
    }

    /// How many recipients are best claimed, and recorded, together: a quarter of those that may be in
    /// flight, so that a few such groups are under way side by side; at most `most`.
    pub fn company(&self, most: usize) -> usize {
        (self.capacity / 4).clamp(1, most)
    }

    /// Reserves up to `parts`; slots left over in `pace` are used first.
    pub async fn reserve(&self, parts: u32, pace: &mut Pace) -> Result<Grant, StoreError> {
        let now = Instant::now();
        let left = pace.usable(now);
        if left > 0 {
            return Ok(Grant::Parts(left.min(parts)));
        }
        let troubles = self.troubles.load(Ordering::Relaxed);
        if pace.free.is_some_and(|free| now < free.until && free.troubles == troubles) {
            return Ok(Grant::Parts(parts));
        }
        match self.store.reserve(&self.channel, parts, self.gap, AHEAD, self.probe_lasts).await? {
            Reservation::Wait { after, why } => Ok(Grant::Wait { after, why }),
            Reservation::Granted { parts, first_in, probe } => {
                if probe {
                    self.probe_granted();
                }
                if self.is_paced() {
                    let first = Instant::now() + first_in;
                    pace.slots.extend((0..parts).map(|i| first + self.gap * i));
                } else if !probe {
                    // As far ahead as a rate is reserved.
                    pace.free = Some(Free { until: now + AHEAD, troubles });
                }
                Ok(Grant::Parts(parts))
            }
        }
    }

    /// When a message of `parts` may leave; waits for more slots where it needs more than are held.
    /// `None`: at once.
    pub async fn slot(&self, parts: usize, pace: &mut Pace) -> Result<Option<Instant>, StoreError> {
        if !self.is_paced() {
            return Ok(None);
        }
        loop {
            let held = usize::try_from(pace.usable(Instant::now())).unwrap_or(usize::MAX);
            if held >= parts {
                return Ok(pace.take(parts));
            }
            let missing = u32::try_from(parts - held).unwrap_or(u32::MAX);
            match self.store.reserve(&self.channel, missing, self.gap, AHEAD, self.probe_lasts).await? {
                Reservation::Granted { parts, first_in, probe } => {
                    if probe {
                        self.probe_granted();
                    }
                    let first = Instant::now() + first_in;
                    pace.slots.extend((0..parts).map(|i| first + self.gap * i));
                }
                // Blocked or paused meanwhile: what was claimed goes all the same, as what is in flight does.
                Reservation::Wait { why: Held::Paused | Held::Blocked | Held::Breaker, .. } => {
                    return Ok(pace.take(parts));
                }
                Reservation::Wait { after, why: Held::Rate } => tokio::time::sleep(after.min(AHEAD)).await,
            }
        }
    }

    fn probe_granted(&self) {
        self.probing.store(self.age_micros(Instant::now()), Ordering::Relaxed);
    }

    fn age_micros(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.born).as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// Whether what began then is the probe that is out; if so, it is no longer.
    fn is_probe(&self, began: Instant) -> bool {
        let granted = self.probing.load(Ordering::Relaxed);
        granted > 0
            && self.age_micros(began) >= granted
            && self.probing.compare_exchange(granted, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Notes what the provider did with one message, whose way began then. Redis is told only what changes something: that a
    /// probe has an answer, that failures reached their limit or came to their end, that the provider asks for something.
    pub async fn note(&self, outcome: Result<(), &Failure>, began: Instant) -> Result<(), StoreError> {
        let probe = self.is_probe(began);
        let failure = match outcome {
            Ok(()) => return self.works(probe).await,
            Err(failure) => failure,
        };
        let told = self.tell(failure, probe).await;
        if failure.class() != FailureClass::Permanent {
            self.troubles.fetch_add(1, Ordering::Relaxed);
        }
        told
    }

    async fn tell(&self, failure: &Failure, probe: bool) -> Result<(), StoreError> {
        let code = failure.code();
        match failure.class() {
            // The provider works; it is this message it does not want.
            FailureClass::Permanent => self.works(probe).await?,
            FailureClass::Throttled => {
                let asked = if let Failure::Throttled { after, .. } = failure { *after } else { None };
                let wait = asked.unwrap_or(THROTTLED_WITHOUT_TIME);
                self.store.report(&self.channel, &Report::Throttled { wait, code }).await?;
            }
            FailureClass::Denied => {
                let state = self.store.report(&self.channel, &Report::Denied { code }).await?;
                tracing::error!(channel = %self.channel, code, state, "the provider refuses us: channel paused");
                if state == "paused" {
                    let of = Thing { channel: self.channel.clone(), ..Thing::default() };
                    self.store.audit_own(&AuditEntry::by_daemon("pause", of, code)).await;
                }
            }
            FailureClass::Transient | FailureClass::Ambiguous => {
                let failures = self.failures_in_row.fetch_add(1, Ordering::Relaxed) + 1;
                if !probe && failures < self.threshold {
                    return Ok(());
                }
                let report = Report::Trouble { probe, cooldown: self.cooldown, cap: COOLDOWN_MAX, code };
                let state = self.store.report(&self.channel, &report).await?;
                if state == "open" && failures == self.threshold {
                    tracing::warn!(channel = %self.channel, code, "breaker open");
                }
            }
        }
        Ok(())
    }

    /// The provider answered as one that works.
    async fn works(&self, probe: bool) -> Result<(), StoreError> {
        if self.failures_in_row.swap(0, Ordering::Relaxed) >= self.threshold || probe {
            self.store.report(&self.channel, &Report::Ok).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_slot_is_dropped_and_never_sent_in_a_burst() {
        let now = Instant::now();
        let slots = [
            now.checked_sub(Duration::from_millis(50)).unwrap(),
            now.checked_sub(Duration::from_millis(5)).unwrap(),
            now + Duration::from_millis(5),
        ];
        let mut pace = Pace { slots: slots.into(), free: None };
        assert_eq!(pace.usable(now), 2);
        assert_eq!(pace.take(1), Some(slots[1]));
    }

    #[test]
    fn a_message_of_three_parts_takes_three_slots() {
        let now = Instant::now();
        let mut pace = Pace { slots: (0..4).map(|i| now + Duration::from_millis(i)).collect(), free: None };
        assert_eq!(pace.take(3), Some(now));
        assert_eq!(pace.slots.len(), 1);
    }
}
