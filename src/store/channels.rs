//! The shared state of a channel: reservations, blocks, breaker, pause.

use std::{collections::HashMap, time::Duration};

use redis::cmd;

use super::{Answer, Store, StoreError, entries::millis, scripts};

/// Why nothing, or only one, was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The rate is used up for now.
    Rate,
    /// An operator, or a provider that refused us, paused the channel.
    Paused,
    /// The provider asked us to wait.
    Blocked,
    /// The breaker is open.
    Breaker,
}

/// The answer to a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// So many parts, the first one after this time.
    Granted {
        /// Parts.
        parts: u32,
        /// Until the first may go.
        first_in: Duration,
        /// The breaker is half open: one message, to see whether the provider is back.
        probe: bool,
    },
    /// None; ask again after this time.
    Wait {
        /// How long.
        after: Duration,
        /// Why.
        why: Held,
    },
}

/// What a provider did, as far as the whole channel is concerned.
#[derive(Debug, Clone)]
pub enum Report<'a> {
    /// It works (again).
    Ok,
    /// It failed too often in a row at this daemon, or a probe of the breaker failed.
    Trouble {
        /// It was the probe.
        probe: bool,
        /// First pause of the breaker.
        cooldown: Duration,
        /// Longest pause.
        cap: Duration,
        /// The failure's code.
        code: &'a str,
    },
    /// It asked us to wait.
    Throttled {
        /// So long.
        wait: Duration,
        /// The failure's code.
        code: &'a str,
    },
    /// It refuses us.
    Denied {
        /// The failure's code.
        code: &'a str,
    },
}

impl Store {
    /// Reserves message parts. `gap` between two parts, zero for no limit.
    pub async fn reserve(
        &self,
        channel: &str,
        parts: u32,
        gap: Duration,
        ahead: Duration,
        probe_lasts: Duration,
    ) -> Result<Reservation, StoreError> {
        let mut answer = Answer::new(
            scripts::RESERVE
                .call(&[&self.keys.channel(channel)])
                .arg(parts)
                .arg(format!("{}.{:03}", gap.as_micros(), gap.subsec_nanos() % 1000))
                .arg(micros(ahead))
                .arg(millis(probe_lasts))
                .run(&self.connection)
                .await?,
        );
        let granted = answer.number()?;
        let first_in = Duration::from_micros(answer.number()?);
        let after = Duration::from_millis(answer.number()?);
        let why = answer.text()?;
        if granted > 0 {
            return Ok(Reservation::Granted { parts: granted, first_in, probe: why == "probe" });
        }
        Ok(Reservation::Wait {
            after,
            why: match why.as_str() {
                "paused" => Held::Paused,
                "blocked" => Held::Blocked,
                "breaker" => Held::Breaker,
                _ => Held::Rate,
            },
        })
    }

    /// Tells the channel what its provider did.
    pub async fn report(&self, channel: &str, report: &Report<'_>) -> Result<String, StoreError> {
        let call = scripts::REPORT.call(&[&self.keys.channel(channel)]);
        let call = match report {
            Report::Ok => call.arg("ok"),
            Report::Trouble { probe, cooldown, cap, code } => {
                call.arg("trouble").arg(millis(*cooldown)).arg(*code).arg(millis(*cap)).arg(u8::from(*probe))
            }
            Report::Throttled { wait, code } => call.arg("throttled").arg(millis(*wait)).arg(*code),
            Report::Denied { code } => call.arg("denied").arg(0).arg(*code),
        };
        call.run(&self.connection).await
    }

    /// Pauses a channel. `false`: it was paused already.
    pub async fn pause_channel(&self, channel: &str, reason: &str, now_ms: i64) -> Result<bool, StoreError> {
        let key = self.keys.channel(channel);
        let set: u8 = self.surely("HSETNX", &key, ("paused", reason)).await?;
        self.surely::<()>("HSETNX", &key, ("paused_at", now_ms)).await?;
        Ok(set == 1)
    }

    /// Resumes a channel: closes its breaker, and ends a wait that its provider asked for. `false`: it was not paused.
    pub async fn resume_channel(&self, channel: &str) -> Result<bool, StoreError> {
        let key = self.keys.channel(channel);
        let mut free = redis::pipe();
        free.cmd("HDEL").arg(&key).arg("paused").arg("paused_at");
        free.cmd("HDEL").arg(&key).arg("blocked_until").arg("blocked_reason").ignore();
        let (removed,): (u32,) = self.connection.pipeline(&free).await?;
        self.report(channel, &Report::Ok).await?;
        Ok(removed > 0)
    }

    /// Parts that wait on a channel, as the depth told last; nothing of a channel that no daemon served yet.
    pub async fn parts_waiting(&self, channel: &str) -> Result<Option<u64>, StoreError> {
        self.connection.query(cmd("HGET").arg(self.keys.depth()).arg(format!("{channel}:parts"))).await
    }

    /// A channel's hash.
    pub async fn channel(&self, channel: &str) -> Result<HashMap<String, String>, StoreError> {
        self.hash(&self.keys.channel(channel)).await
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
