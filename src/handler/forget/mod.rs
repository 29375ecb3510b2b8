//! forget: a person's data is erased wherever Remesa keeps it, and a note says that it was done.
//!
//! The way: a walk through campaigns (newest first, so that what is still to be sent is stopped first), jobs, refused
//! and dead jobs, events, files. Each step reads a small page, writes down what it found, and erases it. It goes on
//! from there after a crash, gives its permit back every two seconds so that other commands never wait for it, and runs
//! beside campaigns: what they change meanwhile is read again. What comes in later is a new matter.

mod erasing;
mod looking;
pub mod progress;

use std::time::{Duration, Instant};

use crate::{
    domain::{
        clock::EpochMs,
        contact::{Phone, sought::Sought},
        name::JobId,
    },
    job::{CaseRef, Outcome, Person, Rejection},
    store::{StoreError, leases::Lease},
};

use super::{Context, case, order_event, trouble};
use progress::{Hit, Place, Progress};

/// After so long at work the permit goes back, and the job comes again at the tail of its queue.
const WORKS_FOR: Duration = Duration::from_secs(2);

/// What is kept of a walk that does not go on.
const KEPT: Duration = Duration::from_hours(24);

/// Messages in flight are waited for so long; a provider's answer takes at most the time-out of its channel.
const FLIGHT: Duration = Duration::from_mins(2);

/// Between two looks at messages in flight.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Runs the job, or a stretch of it.
pub async fn run(ctx: &Context, id: &JobId, person: &Person, lease: &Lease) -> Outcome {
    let walked = async {
        let mut walk = match Walk::begin(ctx, id, person, lease).await? {
            Ok(walk) => walk,
            Err(rejection) => return Ok(rejection.into()),
        };
        walk.walk().await
    };
    match walked.await {
        Ok(outcome) => outcome,
        Err(error) => trouble::outcome(&error),
    }
}

/// One walk under way.
struct Walk<'a> {
    ctx: &'a Context,
    id: &'a JobId,
    lease: &'a Lease,
    /// The number, where there is one.
    sought: Option<Sought>,
    progress: Progress,
    began: Instant,
}

impl<'a> Walk<'a> {
    /// Goes on where it was, or begins.
    async fn begin(
        ctx: &'a Context,
        id: &'a JobId,
        person: &Person,
        lease: &'a Lease,
    ) -> Result<Result<Self, Rejection>, StoreError> {
        let kept = ctx.store.forget_progress(id.as_str()).await?;
        let kept = kept.and_then(|text| serde_json::from_str::<Progress>(&text).ok());
        let progress = match kept {
            Some(progress) => progress,
            None => match Self::first(ctx, person).await? {
                Ok(progress) => progress,
                Err(rejection) => return Ok(Err(rejection)),
            },
        };
        let phone = match person {
            Person::Contact(phone) => Some(phone.clone()),
            Person::OfOrder(_) | Person::OfCase(_) => {
                progress.contact.as_deref().and_then(|text| Phone::parse(text, None).ok())
            }
        };
        let mut walk = Self { ctx, id, lease, sought: phone.map(Sought::new), progress, began: Instant::now() };
        walk.progress.person = walk.sought.as_ref().map(|sought| sought.person(&ctx.secret));
        Ok(Ok(walk))
    }

    /// The beginning: an order that is named is the first thing to be erased, and says the number to look for.
    async fn first(ctx: &Context, person: &Person) -> Result<Result<Progress, Rejection>, StoreError> {
        let mut progress = Progress::new(ctx.store.now_ms().await?);
        let order = match person {
            Person::Contact(_) => return Ok(Ok(progress)),
            Person::OfCase(case) => return Self::first_case(ctx, case, progress).await,
            Person::OfOrder(order) => order,
        };
        let found = match order_event::find(ctx, order).await? {
            Ok(found) => found,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let (campaign, number) = (found.campaign, found.order.number);
        progress.contact = found.order.contact.map(|phone| phone.as_e164().to_owned());
        progress.pending.push(Hit::Order(campaign.clone(), number));
        progress.named = Some((campaign, number));
        if progress.contact.is_none() {
            // There is nothing to look for: only the order itself.
            progress.place = Place::InFlight;
        }
        Ok(Ok(progress))
    }

    /// The same of a case that is named.
    async fn first_case(
        ctx: &Context,
        named: &CaseRef,
        mut progress: Progress,
    ) -> Result<Result<Progress, Rejection>, StoreError> {
        let found = match case::find(ctx, named).await? {
            Ok(found) => found,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let (campaign, number) = (found.campaign, found.case.number);
        progress.contact = found.case.newest_phone().map(|phone| phone.as_e164().to_owned());
        progress.pending.push(Hit::Case(campaign.clone(), number));
        progress.named_case = Some((campaign, number));
        if progress.contact.is_none() {
            // There is nothing to look for: only the case itself.
            progress.place = Place::InFlight;
        }
        Ok(Ok(progress))
    }

    async fn walk(&mut self) -> Result<Outcome, StoreError> {
        if let Some((at, note)) = self.progress.note.clone() {
            return self.end(at, &note).await;
        }
        if !self.progress.pending.is_empty() {
            // Of a walk that came to an end before it erased them, or the order that is named.
            self.save().await?;
            self.erase_pending().await?;
        }
        loop {
            if self.ctx.drain.is_cancelled() || self.lease.is_lost() {
                self.save().await?;
                return Ok(Outcome::Again);
            }
            if self.began.elapsed() >= WORKS_FOR {
                self.save().await?;
                return Ok(Outcome::Snooze { until: EpochMs(self.ctx.store.now_ms().await?) });
            }
            if self.progress.place == Place::InFlight {
                let waits = self.look_at_flights().await?;
                if waits {
                    self.save().await?;
                    let now = EpochMs(self.ctx.store.now_ms().await?);
                    return Ok(Outcome::Snooze { until: now.plus(LOOK_AGAIN) });
                }
                return self.finish().await;
            }
            self.step().await?;
            self.lease.progressed();
        }
    }

    /// One page: what was found is written down, then erased.
    async fn step(&mut self) -> Result<(), StoreError> {
        let (hits, next) = self.look().await?;
        self.progress.place = next;
        if !hits.is_empty() {
            self.progress.pending = hits;
            self.save().await?;
            self.erase_pending().await?;
        }
        Ok(())
    }

    async fn erase_pending(&mut self) -> Result<(), StoreError> {
        for hit in self.progress.pending.clone() {
            self.erase(&hit).await?;
        }
        // Written with the next page that has something, or when the walk rests.
        self.progress.pending.clear();
        Ok(())
    }

    /// Whether messages that were in flight are still waited for; of those that ended, what is left is erased.
    async fn look_at_flights(&mut self) -> Result<bool, StoreError> {
        let now = self.ctx.store.now_ms().await?;
        for (campaign, number) in std::mem::take(&mut self.progress.in_flight) {
            self.erase_order(&campaign, number, true).await?;
        }
        for (campaign, number) in std::mem::take(&mut self.progress.cases_in_flight) {
            self.erase_case(&campaign, number, true).await?;
        }
        if self.progress.in_flight.is_empty() && self.progress.cases_in_flight.is_empty() {
            return Ok(false);
        }
        let since = *self.progress.waits_since.get_or_insert(now);
        Ok(EpochMs(now).since(EpochMs(since)) < FLIGHT)
    }

    async fn finish(&mut self) -> Result<Outcome, StoreError> {
        let now = self.ctx.store.now_ms().await?;
        if let Some(sought) = &self.sought {
            let channels = self.ctx.config.channel_replies.keys().map(String::as_str);
            self.ctx.store.forget_outbound(&self.ctx.secret, channels, &sought.phone().clone().into()).await?;
        }
        let in_flight = self.progress.in_flight.len() + self.progress.cases_in_flight.len();
        self.progress.left.in_flight = in_flight as u64;
        // What was looked for is not needed any more.
        self.progress.contact = None;
        let note = self.progress.note(self.id.as_str(), &self.ctx.incarnation, now).to_string();
        self.progress.note = Some((now, note.clone()));
        self.save().await?;
        self.end(now, &note).await
    }

    async fn end(&self, at: i64, note: &str) -> Result<Outcome, StoreError> {
        self.ctx.store.note_forgotten(at, note).await?;
        tracing::info!(job = %self.id, "a person was forgotten");
        Ok(Outcome::done(serde_json::from_str(note).unwrap_or_default()))
    }

    async fn save(&self) -> Result<(), StoreError> {
        // Plain values: there is nothing to refuse.
        let text = serde_json::to_string(&self.progress).unwrap_or_default();
        self.ctx.store.save_forget(self.id.as_str(), &text, KEPT).await
    }
}
