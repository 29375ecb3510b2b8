//! Claiming: permits, then rate, then exactly that many recipients, noted in the journal; then their messages, and the gate.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::OwnedSemaphorePermit;

use crate::{
    channel::governor::{Grant, Pace},
    domain::clock::EpochMs,
    store::{
        ServerIdentity, StoreError,
        channels::Held,
        runs::{ClaimRequest, Claimed, Recipient, Sift},
    },
};

use super::{
    gate::{Prepared, turn_away},
    prepare::{Unsent, prepare},
    work::Turn,
};

/// Recipients claimed by one script.
const CLAIM_AT_ONCE: usize = 128;

/// Company for a permit is waited for so long: a few times what recording a group takes.
const COMPANY_WITHIN: Duration = Duration::from_millis(10);

/// A claim that a full rate makes wait longer ends the turn instead.
const WAIT_IN_TURN: Duration = Duration::from_millis(500);

/// Where another slot sifts, it is asked again after this: a stretch takes some ten milliseconds.
const SIFTED_WITHIN: Duration = Duration::from_millis(10);

/// A recipient with its permit, ready or not to be sent to.
#[derive(Debug)]
pub struct Ready {
    /// The message, or why there is none.
    pub letter: Prepared,
    /// Not before this instant.
    pub at: Option<Instant>,
    /// Nothing leaves after this instant.
    pub deadline: Instant,
    /// Held until the outcome is recorded.
    pub permit: OwnedSemaphorePermit,
}

/// What one claim brought.
#[derive(Debug)]
pub enum Brought {
    /// Recipients.
    Recipients {
        /// Who and what.
        ready: Vec<Ready>,
        /// Redis' clock at the claim.
        now: EpochMs,
        /// The slot is to sift from here on.
        sift: Option<u64>,
    },
    /// Nothing is due now.
    Nothing {
        /// When the next retry is (epoch ms).
        next_retry_ms: Option<i64>,
    },
    /// The channel is held.
    Held {
        /// For so long.
        after: Duration,
    },
    /// The run may not go on.
    Stopped,
    /// The slot is another's.
    Lost,
    /// No permit: the turn's time is up, or the daemon drains.
    TimeUp,
}

impl Turn {
    /// One claim, from permit to message. `floor` is the lowest ordinal not yet recorded.
    pub async fn claim(self: Arc<Self>, floor: u64, pace: &mut Pace) -> Result<Brought, StoreError> {
        let governor = &self.plan.channel.governor;
        let Some(mut permits) = self.permits().await else { return Ok(Brought::TimeUp) };
        if !self.may_claim().await {
            return Ok(Brought::TimeUp);
        }
        let hint = self.plan.parts_hint.load(Ordering::Relaxed).max(1);
        let wanted = u32::try_from(permits.len()).unwrap_or(1).saturating_mul(hint);
        let parts = loop {
            match governor.reserve(wanted, pace).await? {
                Grant::Parts(parts) => break parts,
                Grant::Wait { after, why: Held::Rate } if after < WAIT_IN_TURN => tokio::time::sleep(after).await,
                Grant::Wait { after, .. } => return Ok(Brought::Held { after }),
            }
        };
        let count = usize::try_from(parts / hint).unwrap_or(1).clamp(1, permits.len());
        permits.truncate(count);
        let deadline = Instant::now() + self.ctx.config.leases.claim_deadline;
        let deadline = self.closes.map_or(deadline, |closes| deadline.min(closes));
        let (claimed, server) = self.claim_surely(count, floor).await?;
        let (now_ms, recipients, sift) = match claimed {
            Claimed::Lost => return Ok(Brought::Lost),
            Claimed::Stop => return Ok(Brought::Stopped),
            Claimed::Recipients { next_retry_ms, more: false, recipients, .. } if recipients.is_empty() => {
                return Ok(Brought::Nothing { next_retry_ms });
            }
            Claimed::Recipients { now_ms, recipients, sift, .. } => (now_ms, recipients, sift),
        };
        let sift = match sift {
            Some(Sift::From(first)) => Some(first),
            Some(Sift::Wait) => {
                tokio::time::sleep(SIFTED_WITHIN).await;
                None
            }
            None => None,
        };
        // Noted before anything leaves: should the server lose the claim, it is told again.
        let holds = self.ctx.journal.claimed(&server, &self.origin, &recipients)
            && (recipients.is_empty() || self.is_replicated(&server).await);
        let ready = self.ready(recipients, holds, permits, (deadline, EpochMs(now_ms)), pace).await;
        Ok(Brought::Recipients { ready, now: EpochMs(now_ms), sift })
    }

    /// Permits of the channel: one at least. Several come together, so that a script is not run for each
    /// message; those that are there are taken, and company is waited for only shortly.
    async fn permits(&self) -> Option<Vec<OwnedSemaphorePermit>> {
        let governor = &self.plan.channel.governor;
        let in_flight = &governor.in_flight;
        let company = u32::try_from(governor.company(CLAIM_AT_ONCE)).unwrap_or(1);
        let several = Arc::clone(in_flight).acquire_many_owned(company);
        let mut together = if let Ok(permits) = tokio::time::timeout(COMPANY_WITHIN, several).await {
            permits.ok()?
        } else {
            tokio::select! {
                () = self.ctx.drain.cancelled() => return None,
                () = self.lost.cancelled() => return None,
                // Another daemon may have permits to spare.
                () = tokio::time::sleep_until(self.until.into()) => return None,
                permit = Arc::clone(in_flight).acquire_owned() => permit.ok()?,
            }
        };
        while together.num_permits() < CLAIM_AT_ONCE
            && let Ok(more) = Arc::clone(in_flight).try_acquire_owned()
        {
            together.merge(more);
        }
        let mut permits = Vec::with_capacity(together.num_permits());
        permits.extend(std::iter::from_fn(|| together.split(1)));
        Some(permits)
    }

    /// Waits until claims may be made on the server that answers now. False: the turn's time is up before.
    async fn may_claim(&self) -> bool {
        self.ctx.barrier.lets_claim()
            || tokio::select! {
                () = self.ctx.drain.cancelled() => false,
                () = self.lost.cancelled() => false,
                () = tokio::time::sleep_until(self.until.into()) => false,
                _ = self.ctx.barrier.to_claim(&self.ctx.store) => true,
            }
    }

    /// Asks until Redis answers: after a lost reply the same nonce brings the same recipients, on the next server, too, if
    /// it knows of them. With the answer comes the server that gave it.
    async fn claim_surely(&self, count: usize, floor: u64) -> Result<(Claimed, Arc<ServerIdentity>), StoreError> {
        let request = ClaimRequest {
            nonce: format!("{:016x}", rand::random::<u64>()),
            count,
            floor,
            lease: self.ctx.config.leases.lease,
            min_life: self.plan.min_life,
        };
        let mut back_off = Duration::from_millis(20);
        loop {
            let (store, server) = self.ctx.barrier.to_claim(&self.ctx.store).await;
            match store.claim(&self.slot, self.fence, &self.ctx.incarnation, &request).await {
                Err(error @ StoreError::Unavailable(_)) => {
                    tracing::warn!(slot = %self.slot, %error, "a claim is asked again");
                    tokio::select! {
                        () = self.lost.cancelled() => return Ok((Claimed::Lost, server)),
                        () = tokio::time::sleep(back_off) => {}
                    }
                    back_off = (back_off * 2).min(Duration::from_secs(1));
                }
                answer => return Ok((answer?, server)),
            }
        }
    }

    /// Whether a claim on `server` outlives that server, where it has to before anything leaves.
    async fn is_replicated(&self, server: &ServerIdentity) -> bool {
        match &self.ctx.replicas {
            Some(replicas) => replicas.have_all_of(server).await,
            None => true,
        }
    }

    /// Messages of what was claimed. Where the server does not hold the claim any more, or could lose it (`holds`), none of them
    /// leaves.
    async fn ready(
        &self,
        recipients: Vec<Recipient>,
        holds: bool,
        permits: Vec<OwnedSemaphorePermit>,
        (deadline, now): (Instant, EpochMs),
        pace: &mut Pace,
    ) -> Vec<Ready> {
        let mut ready = Vec::with_capacity(recipients.len());
        let (mut messages, mut parts) = (0, 0);
        let mut letters: Vec<Prepared> = recipients
            .iter()
            .map(|recipient| prepare(&self.plan.writing, &self.ctx.secret, &self.slot, recipient))
            .collect();
        if !holds {
            tracing::warn!(slot = %self.slot, recipients = letters.len(), "a claim that its server has lost, or may lose, is released");
            (0..letters.len()).for_each(|index| turn_away(&mut letters, index, Unsent::Released));
        }
        self.pass_gate(&mut letters).await;
        self.pass_caps(&mut letters, now).await;
        for (mut letter, permit) in letters.into_iter().zip(permits) {
            let mut at = None;
            if let Ok(made) = &letter {
                messages += 1;
                parts += made.who.parts;
                match self.plan.channel.governor.slot(made.who.parts, pace).await {
                    Ok(slot) => at = slot,
                    // It is claimed: whatever fails from here on, it must be recorded.
                    Err(error) => {
                        tracing::warn!(slot = %self.slot, %error, "a claimed recipient is released");
                        letter = Err(Box::new((made.who.clone(), Unsent::Released)));
                    }
                }
            }
            ready.push(Ready { letter, at, deadline, permit });
        }
        if messages > 0 {
            let hint = u32::try_from(parts.div_ceil(messages)).unwrap_or(1);
            self.plan.parts_hint.store(hint, Ordering::Relaxed);
        }
        ready
    }
}
