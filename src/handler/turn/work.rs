//! The loop of a turn: one claim, one record and many messages under way at the same time.
//!
//! Nothing waits for anything it does not need: while messages are at the provider the next claim is
//! made and the last outcomes are recorded. Memory is flat: at most the channel's in-flight permits
//! are claimed and not recorded.

use std::{
    collections::{BTreeSet, VecDeque},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::{
    channel::{DeliverError, FilledTemplate, Submission, governor::Pace},
    domain::{clock::EpochMs, delivery::DeliveryId, expiry::validity},
    journal::Batch,
    store::{
        StoreError,
        caps::Note,
        leases::Lease,
        reassert::Origin,
        runs::{Record, SlotRef},
    },
};

use super::{
    super::Context,
    claiming::{Brought, Ready},
    landing::{Landing, Rules, record},
    plan::RunPlan,
    prepare::{Letter, Who},
};

/// Outcomes written by one script.
const RECORD_AT_ONCE: usize = 64;

/// An outcome waits no longer than this for others to be noted with.
const RECORD_AFTER: Duration = Duration::from_millis(3);

/// A turn under way.
#[derive(Debug)]
pub struct Turn {
    /// What handlers share.
    pub ctx: Arc<Context>,
    /// The slot.
    pub slot: SlotRef,
    /// The fence it was taken with.
    pub fence: u64,
    /// The slot and the fence, as the journal notes them.
    pub origin: Arc<Origin>,
    /// The run, compiled.
    pub plan: Arc<RunPlan>,
    /// The entry's lease.
    pub lease: Arc<Lease>,
    /// Cancelled when the slot is another's.
    pub lost: CancellationToken,
    /// Nothing is claimed after this instant.
    pub until: Instant,
    /// Nothing leaves after this instant: the contact hours end.
    pub closes: Option<Instant>,
}

/// Why a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its time is up, or the daemon drains; there may be more to do.
    TimeUp,
    /// Nothing is due.
    Exhausted {
        /// When the next retry is (epoch ms).
        next_retry_ms: Option<i64>,
    },
    /// The channel is held.
    Held {
        /// For so long.
        after: Duration,
    },
    /// The contact hours are closed.
    Closed {
        /// Until then.
        opens: EpochMs,
    },
    /// Paused, cancelled or finished.
    Stopped,
    /// The slot is another's.
    Lost,
}

/// A recipient that came down.
#[derive(Debug)]
struct Landed {
    who: Who,
    landing: Landing,
    /// Back when the outcome is recorded.
    permit: OwnedSemaphorePermit,
}

/// Outcomes that stand in the journal, on their way to Redis.
struct Noted {
    /// What the journal calls them.
    batch: Batch,
    records: Vec<Record>,
    /// What they give back.
    unused: Vec<Note>,
    /// Back when they are recorded.
    permits: Vec<OwnedSemaphorePermit>,
}

type ClaimUnderWay = BoxFuture<'static, (Result<Brought, StoreError>, Pace)>;
type RecordUnderWay = BoxFuture<'static, Vec<(DeliveryId, bool)>>;
type SiftUnderWay = BoxFuture<'static, ()>;

/// What is under way in a turn.
#[derive(Default)]
struct UnderWay {
    claim: Option<ClaimUnderWay>,
    record: Option<RecordUnderWay>,
    sift: Option<SiftUnderWay>,
    messages: FuturesUnordered<Pin<Box<dyn Future<Output = Landed> + Send>>>,
    landed: Vec<Landed>,
    landed_since: Option<Instant>,
    noted: VecDeque<Noted>,
    pace: Option<Pace>,
    ordinals: BTreeSet<u64>,
    end: Option<End>,
    clock: Clock,
}

/// Redis' clock, carried on from the last claim.
#[derive(Debug, Clone, Copy)]
struct Clock {
    redis: EpochMs,
    read_at: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { redis: EpochMs(0), read_at: Instant::now() }
    }
}

impl Clock {
    fn now(&self) -> EpochMs {
        self.redis.plus(self.read_at.elapsed())
    }
}

impl Turn {
    /// The rules of this run's channel.
    pub fn rules(&self, now: EpochMs) -> Rules<'_> {
        Rules { settings: self.plan.channel.settings(), now, min_life: self.plan.min_life }
    }

    /// Works until the time is up or nothing is left to do, and everything claimed is recorded.
    pub async fn work(&self) -> End {
        let me = Arc::new(self.share());
        let mut way = UnderWay { pace: Some(Pace::default()), ..UnderWay::default() };
        loop {
            me.begin(&mut way);
            if way.is_over() {
                return way.end.unwrap_or(End::TimeUp);
            }
            let flush_at = way.landed_since.map(|since| since + RECORD_AFTER);
            tokio::select! {
                biased;
                Some(landed) = way.messages.next(), if !way.messages.is_empty() => {
                    way.land(landed);
                    // What else came down meanwhile, without another round of the loop.
                    while way.landed.len() < RECORD_AT_ONCE
                        && let Some(Some(landed)) = way.messages.next().now_or_never()
                    {
                        way.land(landed);
                    }
                }
                recorded = under_way(way.record.as_mut()), if way.record.is_some() => {
                    way.record = None;
                    me.lease.progressed();
                    me.count_in_flight(-1, recorded.len());
                    for (of, again) in recorded {
                        way.unmark(of);
                        if again && matches!(way.end, Some(End::Exhausted { .. })) {
                            // Its next time must be asked for again.
                            way.end = None;
                        }
                    }
                }
                (brought, pace) = under_way(way.claim.as_mut()), if way.claim.is_some() => {
                    way.claim = None;
                    way.pace = Some(pace);
                    me.take_in(&mut way, brought);
                }
                () = under_way(way.sift.as_mut()), if way.sift.is_some() => way.sift = None,
                () = sleep_until(flush_at), if flush_at.is_some() => {}
            }
        }
    }

    fn share(&self) -> Self {
        Self {
            ctx: Arc::clone(&self.ctx),
            slot: self.slot.clone(),
            fence: self.fence,
            origin: Arc::clone(&self.origin),
            plan: Arc::clone(&self.plan),
            lease: Arc::clone(&self.lease),
            lost: self.lost.clone(),
            until: self.until,
            closes: self.closes,
        }
    }

    /// Begins whatever may begin now.
    fn begin(self: &Arc<Self>, way: &mut UnderWay) {
        let over = Instant::now() >= self.until || self.ctx.drain.is_cancelled();
        if self.lost.is_cancelled() || self.lease.is_lost() {
            way.end = Some(End::Lost);
        } else if over && way.end.is_none() {
            way.end = Some(End::TimeUp);
        }
        if way.claim.is_none()
            && way.end.is_none()
            && let Some(mut pace) = way.pace.take()
        {
            let floor = way.ordinals.first().copied().unwrap_or(u64::MAX / 2);
            let me = Arc::clone(self);
            way.claim = Some(Box::pin(async move {
                let brought = me.claim(floor, &mut pace).await;
                (brought, pace)
            }));
        }
        let idle = way.messages.is_empty();
        let waited = way.landed_since.is_some_and(|since| since.elapsed() >= RECORD_AFTER);
        let enough = way.landed.len() >= self.plan.channel.governor.company(RECORD_AT_ONCE);
        if !way.landed.is_empty() && (idle || waited || enough) {
            let take = way.landed.len().min(RECORD_AT_ONCE * 2);
            let batch: Vec<Landed> = way.landed.drain(..take).collect();
            way.landed_since = (!way.landed.is_empty()).then(Instant::now);
            // At once, whether or not Redis takes outcomes now.
            way.noted.push_back(self.note_down(batch, way.clock.now()));
        }
        if way.record.is_none() && !way.noted.is_empty() {
            way.record = Some(Box::pin(Arc::clone(self).record(way.recorded_next())));
        }
    }

    /// Takes in what a claim brought.
    fn take_in(self: &Arc<Self>, way: &mut UnderWay, brought: Result<Brought, StoreError>) {
        match brought {
            Ok(Brought::Recipients { ready, now, sift }) => {
                if let (Some(first), None) = (sift, &way.sift) {
                    way.sift = Some(Box::pin(Arc::clone(self).sift(first)));
                }
                way.clock = Clock { redis: now, read_at: Instant::now() };
                self.count_in_flight(1, ready.len());
                for ready in ready {
                    let Ready { letter, at, deadline, permit } = ready;
                    match letter {
                        Ok(letter) => {
                            way.mark(letter.who.of);
                            let me = Arc::clone(self);
                            way.messages.push(Box::pin(me.send(letter, at, deadline, permit, now)));
                        }
                        Err(unsent) => {
                            let (who, unsent) = *unsent;
                            way.mark(who.of);
                            way.land(Landed { who, landing: Landing::Unsent(unsent), permit });
                        }
                    }
                }
            }
            Ok(Brought::Nothing { next_retry_ms }) => way.end = Some(End::Exhausted { next_retry_ms }),
            Ok(Brought::Held { after }) => way.end = Some(End::Held { after }),
            Ok(Brought::Stopped) => way.end = Some(End::Stopped),
            Ok(Brought::Lost) => way.end = Some(End::Lost),
            Ok(Brought::TimeUp) => way.end = Some(End::TimeUp),
            Err(error) => {
                tracing::warn!(slot = %self.slot, %error, "claiming stopped");
                way.end = Some(End::Held { after: Duration::from_secs(1) });
            }
        }
    }

    fn count_in_flight(&self, sign: i64, recipients: usize) {
        let by = sign * i64::try_from(recipients).unwrap_or(0);
        self.ctx.metrics.in_flight(&self.plan.channel.settings().name, by);
    }

    /// Sends one message: at its time, before its deadline, only while the slot is ours.
    async fn send(
        self: Arc<Self>,
        letter: Letter,
        at: Option<Instant>,
        deadline: Instant,
        permit: OwnedSemaphorePermit,
        now: EpochMs,
    ) -> Landed {
        let Letter { who, to, message, unsubscribe, reference, idempotency_key } = letter;
        let claimed = Instant::now();
        if let Some(at) = at {
            tokio::time::sleep_until(at.into()).await;
        }
        if self.lost.is_cancelled() {
            return Landed { who, landing: Landing::Released, permit };
        }
        let receipt_url = self.ctx.config.public_url.as_ref().map(|public| {
            let channel = &self.plan.channel.settings().name;
            format!("{public}/receipts/{channel}/{reference}")
        });
        let served = &self.plan.channel;
        let longest = served.settings().max_validity;
        let life = who.expires_at.map(|at| validity(at, now.plus(claimed.elapsed()), longest));
        let submission = Submission {
            to: to.as_str(),
            text: &message.text,
            subject: &message.subject,
            html: &message.html,
            template: self.plan.writing.words.provider_template().map(|(name, language)| FilledTemplate {
                name,
                language,
                parameters: &message.parameters,
            }),
            unsubscribe_url: unsubscribe.as_deref().unwrap_or_default(),
            reference: &reference,
            idempotency_key: &idempotency_key,
            validity_seconds: life.map(|life| life.as_secs()),
            parts: who.parts,
            receipt_url: receipt_url.as_deref().unwrap_or_default(),
            trace: self.plan.trace.map(|trace| trace.step(rand::random())),
            deadline,
        };
        let began = Instant::now();
        let answer = served.channel.deliver(&submission).await;
        self.ctx.metrics.provider_answered(&served.settings().name, began.elapsed());
        let noted = match &answer {
            Ok(_) => served.governor.note(Ok(()), began).await,
            Err(DeliverError::Failure(failure)) => {
                self.ctx.metrics.provider_failed(&served.settings().name, failure.class());
                served.governor.note(Err(failure), began).await
            }
            Err(DeliverError::NotSent) => Ok(()),
        };
        if let Err(error) = noted {
            tracing::warn!(channel = %served.settings().name, %error, "the channel was not told");
        }
        let landing = match answer {
            Ok(accepted) => Landing::Sent { provider_id: accepted.provider_id },
            Err(DeliverError::NotSent) => Landing::Released,
            Err(DeliverError::Failure(failure)) => Landing::Failed(failure),
        };
        Landed { who, landing, permit }
    }

    /// Judges what came down, and notes it in the journal: from here on it outlives this daemon.
    fn note_down(&self, landed: Vec<Landed>, now: EpochMs) -> Noted {
        let rules = self.rules(now);
        let (campaign, run) = (self.slot.campaign.as_str(), self.slot.run.as_str());
        let records: Vec<_> = landed
            .iter()
            .map(|landed| record(campaign, run, &landed.who, &landed.landing, &rules, rand::random()))
            .collect();
        let unused = self.unused(landed.iter().map(|landed| &landed.who).zip(&records));
        let batch = self.ctx.journal.ended(&self.origin, &records);
        Noted { batch, records, unused, permits: landed.into_iter().map(|landed| landed.permit).collect() }
    }

    /// Records what was noted; then its permits are free. Returns which, and whether they are due again.
    async fn record(self: Arc<Self>, noted: Vec<Noted>) -> Vec<(DeliveryId, bool)> {
        let (mut records, mut unused, mut batches, mut permits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for one in noted {
            records.extend(one.records);
            unused.extend(one.unused);
            batches.push(one.batch);
            permits.push(one.permits);
        }
        let recorded = records.iter().map(|record| (record.of, record.due_in.is_some())).collect();
        self.write_surely(records).await;
        self.ctx.journal.recorded(batches);
        drop(permits);
        self.give_back(&unused).await;
        recorded
    }
}

impl UnderWay {
    fn is_over(&self) -> bool {
        let Self { claim, record, sift, messages, landed, noted, .. } = self;
        claim.is_none()
            && record.is_none()
            && sift.is_none()
            && messages.is_empty()
            && landed.is_empty()
            && noted.is_empty()
    }

    /// Recipients in flight hold their batch; further contacts and retries are found by the retry set.
    fn mark(&mut self, of: DeliveryId) {
        if of.contact == 0 {
            self.ordinals.insert(of.n);
        }
    }

    fn unmark(&mut self, of: DeliveryId) {
        if of.contact == 0 {
            self.ordinals.remove(&of.n);
        }
    }

    /// What one script writes of what was noted: the oldest, and as many behind it as go together.
    fn recorded_next(&mut self) -> Vec<Noted> {
        let (mut next, mut outcomes) = (Vec::new(), 0);
        while let Some(noted) = self.noted.pop_front() {
            outcomes += noted.records.len();
            if outcomes > RECORD_AT_ONCE * 2 && !next.is_empty() {
                self.noted.push_front(noted);
                break;
            }
            next.push(noted);
        }
        next
    }

    fn land(&mut self, landed: Landed) {
        self.landed.push(landed);
        self.landed_since.get_or_insert_with(Instant::now);
    }
}

/// The future of an option; never, where there is none.
async fn under_way<T>(future: Option<&mut BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
