//! The last hour, for the charts: in steps of half a minute what waited, and what was sent over each channel.
//!
//! A step is a hash of its own that ends by itself, so nothing has to be trimmed. Every daemon adds what it recorded
//! (`HINCRBY`) and writes how deep the queues are; of that, which all see alike, the latest of a step stands. What a daemon
//! recorded in the second before it dies is missing: these numbers are to be looked at, the ledger is what counts.

use std::{collections::HashMap, time::Duration};

use super::{Store, StoreError, entries::millis};

/// Length of a step.
pub const STEP: Duration = Duration::from_secs(30);

/// Steps of the last hour.
pub const STEPS: usize = 120;

/// A step is kept a little longer than it is shown.
const KEEP: Duration = Duration::from_mins(62);

/// What one daemon tells at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Jobs that wait, by queue.
    pub waiting: Vec<(String, u64)>,
    /// Recipients that wait, by channel.
    pub recipients: Vec<(String, u64)>,
    /// Messages that a provider accepted since the last time, by channel.
    pub sent: Vec<(String, u64)>,
    /// Messages that failed, or of which nobody knows, since the last time, by channel.
    pub failed: Vec<(String, u64)>,
}

/// One step of the last hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moment {
    /// Its number; it begins at this many times [`STEP`] since 1970.
    pub step: i64,
    fields: HashMap<String, u64>,
}

impl Moment {
    /// The numbers of one kind (`waiting`, `recipients`, `sent`, `failed`) by queue or channel.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        let named = move |field: &'a str| field.strip_prefix(kind)?.strip_prefix(':');
        self.fields.iter().filter_map(move |(field, number)| Some((named(field)?, *number)))
    }

    /// How much of it has passed; the last one has just begun.
    pub fn seconds(&self, now_ms: i64) -> u64 {
        let passed = now_ms.saturating_sub(self.begun_ms()) / 1000;
        u64::try_from(passed).unwrap_or(0).clamp(1, STEP.as_secs())
    }

    /// When it begins.
    pub fn begun_ms(&self) -> i64 {
        self.step.saturating_mul(i64::try_from(millis(STEP)).unwrap_or(30_000))
    }

    /// Whether any daemon told anything of it.
    pub fn is_known(&self) -> bool {
        !self.fields.is_empty()
    }
}

/// The step that an instant lies in.
pub fn step(now_ms: i64) -> i64 {
    now_ms.div_euclid(i64::try_from(millis(STEP)).unwrap_or(30_000))
}

impl Store {
    /// Adds to the step of now.
    pub async fn add_to_history(&self, now_ms: i64, told: &Told) -> Result<(), StoreError> {
        let key = self.keys.history(step(now_ms));
        let mut pipeline = redis::pipe();
        for (kind, numbers) in [("waiting", &told.waiting), ("recipients", &told.recipients)] {
            for (name, number) in numbers {
                pipeline.cmd("HSET").arg(&key).arg(format!("{kind}:{name}")).arg(number).ignore();
            }
        }
        for (kind, numbers) in [("sent", &told.sent), ("failed", &told.failed)] {
            for (name, number) in numbers.iter().filter(|(_, number)| *number > 0) {
                pipeline.cmd("HINCRBY").arg(&key).arg(format!("{kind}:{name}")).arg(number).ignore();
            }
        }
        pipeline.cmd("PEXPIRE").arg(&key).arg(millis(KEEP)).ignore();
        self.connection.pipeline(&pipeline).await
    }

    /// The last hour up to now, the oldest step first.
    pub async fn history(&self, now_ms: i64) -> Result<Vec<Moment>, StoreError> {
        let last = step(now_ms);
        let steps: Vec<i64> = (0..STEPS).rev().filter_map(|back| Some(last - i64::try_from(back).ok()?)).collect();
        let mut pipeline = redis::pipe();
        for step in &steps {
            pipeline.cmd("HGETALL").arg(self.keys.history(*step));
        }
        let found: Vec<HashMap<String, u64>> = self.connection.pipeline(&pipeline).await?;
        Ok(steps.into_iter().zip(found).map(|(step, fields)| Moment { step, fields }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_that_has_just_begun_is_measured_by_what_passed_of_it() {
        let moment = Moment { step: 2, ..Moment::default() };
        assert_eq!([61_000, 75_500, 90_000, 500_000].map(|now| moment.seconds(now)), [1, 15, 30, 30]);
    }

    #[test]
    fn a_step_is_half_a_minute_and_its_numbers_are_told_by_kind() {
        assert_eq!((step(0), step(29_999), step(30_000), step(-1)), (0, 0, 1, -1));
        let fields = [("waiting:batch:sms", 3), ("waiting:generate", 1), ("sent:sms", 40)];
        let fields = fields.map(|(field, number)| (field.to_owned(), number)).into();
        let moment = Moment { step: 1, fields };
        let mut waiting: Vec<_> = moment.of("waiting").collect();
        waiting.sort_unstable();
        assert_eq!(waiting, [("batch:sms", 3), ("generate", 1)]);
        assert_eq!((moment.of("sent").collect::<Vec<_>>(), moment.of("failed").count()), (vec![("sms", 40)], 0));
    }
}
