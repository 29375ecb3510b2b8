//! Runs, slots and the ledger: create, take, claim, record, leave.
//!
//! Guarantees: a recipient is claimed by one owner at a time, under a fence that only grows; the
//! ledger, the counters of the run and the totals of its campaign change in one script, so their
//! sum is right at any instant; a claim asked again with the same nonce returns the same recipients.
//! What it does not do: decide what follows a failure (`handler/turn`) or send anything.

use std::{collections::HashMap, time::Duration};

use redis::cmd;

use crate::domain::{
    delivery::{DeliveryId, DeliveryState},
    failure::Tried,
};

pub use super::slots::{InDoubt, Leaving, SlotRef, Take};
use super::{Answer, Store, StoreError, entries::millis, outbox::Event, scripts};

/// Ordinals a slot takes from the cursor at once. A dead owner's batches are scanned by the next one.
const BATCH: u64 = 200;

/// A claimed recipient.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Which delivery.
    pub of: DeliveryId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The attempt whose idempotency key is used.
    pub key_attempt: u32,
    /// Whether an attempt under that key may have been accepted.
    pub doubt: bool,
    /// Its cell as the claim wrote it.
    pub cell: String,
    /// Why it is not to be sent, or empty.
    pub skip: String,
    /// Its order as JSON; empty where there is none, or nobody asks for it.
    pub order: String,
    /// Its case as JSON; empty where the run is for orders.
    pub case: String,
}

impl Recipient {
    /// Reads `<delivery>,<attempt>,<attempt of its key>,<reason to skip it>` of a claim made with `fence`.
    pub fn read(head: &str, claimed_at: &str, fence: u64, order: String, case: String) -> Option<Self> {
        let mut parts = head.splitn(4, ',');
        let (of, attempt, key, skip) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            of: DeliveryId::parse(of)?,
            attempt: attempt.parse().ok()?,
            key_attempt: key.trim_end_matches('?').parse().ok()?,
            doubt: key.ends_with('?'),
            cell: format!("c,{attempt},{claimed_at},{fence},{key}"),
            skip: skip.to_owned(),
            order,
            case,
        })
    }
}

/// The answer to a claim.
#[derive(Debug)]
pub enum Claimed {
    /// The slot is no longer ours.
    Lost,
    /// The run may not go on: paused, cancelled, finished.
    Stop,
    /// Recipients to send to; none when nothing is due now.
    Recipients {
        /// Redis' clock (epoch ms).
        now_ms: i64,
        /// When the next retry is due (epoch ms).
        next_retry_ms: Option<i64>,
        /// Whether ordinals remain that were never claimed.
        more: bool,
        /// What is to be sifted before more can be claimed.
        sift: Option<Sift>,
        /// The recipients.
        recipients: Vec<Recipient>,
    },
}

/// What a claim says of the stretch that is not sifted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sift {
    /// The slot is to sift the stretch that begins here.
    From(u64),
    /// Another does, and there is nothing to claim before.
    Wait,
}

/// What a turn asks for.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Names this request, so that it can be repeated after a lost reply.
    pub nonce: String,
    /// How many.
    pub count: usize,
    /// Lowest ordinal of this slot that is not yet recorded.
    pub floor: u64,
    /// Lease of the slot.
    pub lease: Duration,
    /// Orders with less life left are skipped.
    pub min_life: Duration,
}

/// What became of one claimed recipient, as the ledger writes it.
#[derive(Debug, Clone)]
pub struct Record {
    /// Which delivery.
    pub of: DeliveryId,
    /// Its state now.
    pub state: DeliveryState,
    /// The attempt that was claimed.
    pub attempt: u32,
    /// The attempt whose idempotency key was used.
    pub key_attempt: u32,
    /// Whether an attempt under that key may have been accepted.
    pub doubt: bool,
    /// Its cell as it was claimed.
    pub cell: String,
    /// When it came to its state (epoch ms).
    pub at_ms: i64,
    /// Reason or code, empty for none.
    pub reason: String,
    /// The provider's id, empty for none.
    pub provider_id: String,
    /// How long until it is due again, for a retry or a release.
    pub due_in: Option<Duration>,
    /// Its event, where other systems are told.
    pub event: Option<Event>,
    /// How it counts towards the pause of its run.
    pub tried: Tried,
}

/// What recording did.
#[derive(Debug)]
pub struct Recorded {
    /// The outbox entry with the events.
    pub outbox_id: Option<String>,
    /// Events the script added (the run's end), a JSON array.
    pub added: Option<String>,
    /// Why the run paused itself at this, if it did (BM-26).
    pub auto_paused: Option<String>,
    /// Indexes of records that were not applied.
    pub stale: Vec<usize>,
    /// How many of those were overtaken by a receipt that knows better.
    pub overtaken: usize,
}

/// What `retry` did with one stretch of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requeued {
    /// So many are queued again.
    Moved(u64),
    /// There is no such run.
    Gone,
    /// Not in this state.
    Wrong(String),
}

impl Store {
    /// Creates a run over `first..=last`, or finds it. Returns its state, or `None` when the
    /// campaign is gone or cancelled; `Some(Err(job))` when another job made a run of this name.
    pub async fn create_run(
        &self,
        campaign: &str,
        run: &str,
        ordinals: (u64, u64),
        slots: u32,
        fields: &[(&str, String)],
    ) -> Result<CreatedRun, StoreError> {
        let now_ms = self.now_ms().await?;
        // The intent first: the reconciler looks after what it finds here.
        let mut active = cmd("ZADD");
        active.arg(self.keys.active()).arg(now_ms).arg(format!("{campaign}/{run}"));
        self.connection.query::<()>(&active).await?;
        let mut call = scripts::CREATE_RUN
            .call(&[&self.keys.campaign(campaign)])
            .arg(run)
            .arg(ordinals.0)
            .arg(ordinals.1)
            .arg(slots);
        for (field, value) in fields {
            call.push(*field);
            call.push(value);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        let kind = answer.text()?;
        let state = answer.text()?;
        Ok(match kind.as_str() {
            "created" => {
                self.publish_soon(campaign, &answer.text()?).await;
                CreatedRun::Created { state }
            }
            "exists" => {
                // It may have ended while its job, resumed, was at the campaign again.
                self.close_campaign(campaign).await?;
                CreatedRun::Exists { state, job: answer.text()? }
            }
            _ => CreatedRun::Refused { state },
        })
    }

    /// Claims recipients for a slot.
    pub async fn claim(
        &self,
        slot: &SlotRef,
        fence: u64,
        incarnation: &str,
        request: &ClaimRequest,
    ) -> Result<Claimed, StoreError> {
        let mut answer = Answer::new(
            scripts::CLAIM
                .call(&[&self.keys.campaign(&slot.campaign)])
                .arg(&slot.run)
                .arg(slot.slot)
                .arg(fence)
                .arg(incarnation)
                .arg(&request.nonce)
                .arg(request.count)
                .arg(request.floor)
                .arg(millis(request.lease))
                .arg(millis(request.min_life))
                .arg(BATCH)
                .run(&self.connection)
                .await?,
        );
        match answer.text()?.as_str() {
            "lost" => return Ok(Claimed::Lost),
            "stop" => return Ok(Claimed::Stop),
            _ => {}
        }
        let now_ms = answer.number()?;
        let claimed_at = answer.text()?;
        let due = answer.text()?;
        let more = answer.text()? == "1";
        let sift = match answer.text()?.as_str() {
            "" => None,
            "wait" => Some(Sift::Wait),
            first => Some(Sift::From(
                first.parse().map_err(|_| StoreError::Refused(format!("a claim answered {first:?} to sift")))?,
            )),
        };
        let mut recipients = Vec::with_capacity(request.count);
        while !answer.is_done() {
            let head = answer.text()?;
            recipients.push(
                Recipient::read(&head, &claimed_at, fence, answer.text()?, answer.text()?)
                    .ok_or_else(|| StoreError::Refused(format!("a claim answered {head:?}")))?,
            );
        }
        Ok(Claimed::Recipients { now_ms, next_retry_ms: due.parse().ok(), more, sift, recipients })
    }

    /// Records outcomes; `closes_cases` as the run does; `takeover` when they are about claims of a dead owner. `None`:
    /// there is no such run.
    pub async fn record(
        &self,
        slot: &SlotRef,
        closes_cases: bool,
        takeover: bool,
        records: &[Record],
    ) -> Result<Option<Recorded>, StoreError> {
        let mut call = scripts::RECORD
            .call(&[&self.keys.campaign(&slot.campaign)])
            .arg(&slot.run)
            .arg(if takeover { "t" } else { "h" })
            .arg(u8::from(closes_cases));
        let mut letter = [0; 4];
        for record in records {
            call.push(record.of.to_string());
            call.push(&record.cell);
            call.push(&*record.state.letter().encode_utf8(&mut letter));
            call.push(record.attempt);
            call.push(record.key_mark());
            call.push(&record.reason);
            call.push(&record.provider_id);
            match record.due_in {
                Some(wait) => call.push(millis(wait)),
                None => call.push(""),
            }
            call.push(record.event.as_ref().map_or("", |event| event.json.as_str()));
            call.push(record.tried.mark());
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        let outbox_id = answer.some_text()?;
        let added = answer.some_text()?;
        let auto_paused = answer.some_text()?;
        let (mut stale, mut overtaken) = (Vec::new(), 0);
        for index in answer.rest() {
            if index == "gone" {
                return Ok(None);
            }
            overtaken += usize::from(index.starts_with('r'));
            stale.extend(index.trim_start_matches('r').parse::<usize>());
        }
        Ok(Some(Recorded { outbox_id, added, auto_paused, stale, overtaken }))
    }

    /// Returns failed or unknown recipients of ledger pages `first..=last` to the queue.
    pub async fn requeue(
        &self,
        campaign: &str,
        run: &str,
        states: &str,
        pages: (u64, u64),
        keep_key: bool,
    ) -> Result<Requeued, StoreError> {
        let mut answer = Answer::new(
            scripts::REQUEUE
                .call(&[&self.keys.campaign(campaign)])
                .arg(run)
                .arg(states)
                .arg(pages.0)
                .arg(pages.1)
                .arg(u8::from(keep_key))
                .run(&self.connection)
                .await?,
        );
        Ok(match answer.text()?.as_str() {
            "done" => {
                let moved = answer.number()?;
                self.publish_soon(campaign, &answer.text()?).await;
                Requeued::Moved(moved)
            }
            "gone" => Requeued::Gone,
            _ => Requeued::Wrong(answer.text()?),
        })
    }

    /// A run's hash, empty when there is none.
    pub async fn run(&self, campaign: &str, run: &str) -> Result<HashMap<String, String>, StoreError> {
        self.hash(&self.keys.run(campaign, run)).await
    }

    /// The runs of a campaign, newest first.
    pub async fn run_names(&self, campaign: &str) -> Result<Vec<String>, StoreError> {
        self.connection.query(cmd("ZREVRANGE").arg(self.keys.runs(campaign)).arg(0).arg(9_999)).await
    }

    /// What the ledger says in these pages, which are few: one cell each, of further contacts too.
    pub async fn ledger_cells(
        &self,
        campaign: &str,
        run: &str,
        pages: std::ops::RangeInclusive<u64>,
    ) -> Result<Vec<String>, StoreError> {
        let mut pipeline = redis::pipe();
        for page in pages {
            pipeline.cmd("HVALS").arg(self.keys.ledger(campaign, run, page * super::keys::LEDGER_PAGE));
        }
        let found: Vec<Vec<String>> = self.connection.pipeline(&pipeline).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The score of the next retry of a run, when one waits.
    pub async fn next_retry(&self, campaign: &str, run: &str) -> Result<Option<i64>, StoreError> {
        let mut range = cmd("ZRANGE");
        range.arg(self.keys.retry(campaign, run)).arg(0).arg(0).arg("WITHSCORES");
        let found: Vec<String> = self.connection.query(&range).await?;
        Ok(found.get(1).and_then(|score| score.parse().ok()))
    }

    /// Runs in progress as `C/R` (or `C/` for events not yet published), oldest progress first.
    pub async fn active(&self, count: usize) -> Result<Vec<(String, String)>, StoreError> {
        let members: Vec<String> =
            self.connection.query(cmd("ZRANGE").arg(self.keys.active()).arg(0).arg(count.saturating_sub(1))).await?;
        Ok(members
            .iter()
            .filter_map(|member| member.split_once('/'))
            .map(|(c, r)| (c.to_owned(), r.to_owned()))
            .collect())
    }

    /// Notes that a run made progress, or that a campaign has events to publish (`run` empty).
    pub async fn touch_active(&self, campaign: &str, run: &str, now_ms: i64) -> Result<(), StoreError> {
        self.surely("ZADD", &self.keys.active(), (now_ms, format!("{campaign}/{run}"))).await
    }
}

/// What became of the wish for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedRun {
    /// It is new; `finished` at once when it has no recipients.
    Created {
        /// Its state.
        state: String,
    },
    /// It was there.
    Exists {
        /// Its state.
        state: String,
        /// The job that made it.
        job: String,
    },
    /// The campaign is gone or cancelled.
    Refused {
        /// The campaign's state, empty when it is gone.
        state: String,
    },
}
