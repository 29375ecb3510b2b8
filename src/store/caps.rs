//! Notes of what was sent to an address lately: the frequency cap, over all campaigns.
//!
//! A note is a reservation under the name of its delivery, made before the message leaves and taken back where it
//! certainly did not. The key is a keyed digest of the address: nobody reads addresses from it. One address, one key, one
//! script; those of a claim go in one round trip.

use std::time::Duration;

use redis::{cmd, pipe};
use serde::{Deserialize, Serialize};

use crate::domain::{cap::Cap, clock::EpochMs};

use super::{Answer, Store, StoreError, entries::millis, scripts};

/// Notes of a run that wants one message an address are kept so long at least.
const KEEP_RUN: Duration = Duration::from_hours(31 * 24);

/// One message that wants to leave, or left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The digest of its address.
    pub address: String,
    /// `<campaign>/<run>/<recipient>.<contact>`.
    pub delivery: String,
}

/// What became of the wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It may leave, and counts.
    Reserved,
    /// Another message of the same run goes to that address.
    Same,
    /// A cap is reached.
    Full {
        /// Which one.
        cap: usize,
        /// The message of that time must stop counting first.
        behind: EpochMs,
    },
}

/// How long notes are kept that these caps ask for.
fn keep(caps: &[Cap], once: bool) -> Duration {
    caps.iter().map(Cap::keep).chain(once.then_some(KEEP_RUN)).max().unwrap_or_default()
}

/// Reservations that were made, as a daemon remembers them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// When (epoch ms).
    pub at_ms: i64,
    /// How long they are kept.
    pub keep_ms: u64,
    /// Each.
    pub notes: Vec<Note>,
}

impl Reserved {
    /// What was reserved of the `wanted`, under these caps.
    pub fn new(wanted: Vec<Note>, rooms: &[Room], caps: &[Cap], once: bool, now: EpochMs) -> Self {
        let notes = wanted.into_iter().zip(rooms).filter(|(_, room)| **room == Room::Reserved);
        Self { at_ms: now.0, keep_ms: millis(keep(caps, once)), notes: notes.map(|(note, _)| note).collect() }
    }
}

impl Store {
    /// Makes reservations again that may have been lost.
    pub async fn reserve_again(&self, reserved: &Reserved) -> Result<(), StoreError> {
        let mut pipeline = pipe();
        for Note { address, delivery } in &reserved.notes {
            let key = self.keys.cap(address);
            pipeline.cmd("ZADD").arg(&key).arg("NX").arg(reserved.at_ms).arg(delivery).ignore();
            for longer in ["NX", "GT"] {
                pipeline.cmd("PEXPIRE").arg(&key).arg(reserved.keep_ms).arg(longer).ignore();
            }
        }
        self.connection.pipeline(&pipeline).await
    }

    /// Reserves messages, one after the other. `once` begins the deliveries of a run that wants one message an address.
    pub async fn reserve_contacts(
        &self,
        wanted: &[Note],
        caps: &[Cap],
        once: Option<&str>,
        now: EpochMs,
    ) -> Result<Vec<Room>, StoreError> {
        let keep = keep(caps, once.is_some());
        let mut calls = Vec::with_capacity(wanted.len());
        for Note { address, delivery } in wanted {
            let mut call = scripts::RESERVE_CONTACT
                .call(&[&self.keys.cap(address)])
                .arg(delivery)
                .arg(millis(keep))
                .arg(once.unwrap_or_default());
            for cap in caps {
                call.push(cap.since(now).0);
                call.push(cap.messages);
            }
            calls.push(call);
        }
        let answers = scripts::RESERVE_CONTACT.run_all(calls, &self.connection).await?;
        answers
            .into_iter()
            .map(|answer| {
                let mut answer = Answer::new(answer);
                Ok(match answer.text()?.as_str() {
                    "reserved" => Room::Reserved,
                    "same" => Room::Same,
                    _ => Room::Full { cap: answer.number()?, behind: EpochMs(answer.number()?) },
                })
            })
            .collect()
    }

    /// Takes reservations back.
    pub async fn free_contacts(&self, reserved: &[Note]) -> Result<(), StoreError> {
        let mut pipeline = pipe();
        for Note { address, delivery } in reserved {
            let mut free = cmd("ZREM");
            free.arg(self.keys.cap(address)).arg(delivery);
            pipeline.add_command(free).ignore();
        }
        self.connection.pipeline(&pipeline).await
    }
}
