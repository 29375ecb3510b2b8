//! The sift: ahead of the claims, stretch by stretch, who of the cases is left out and who gets more than one message.
//!
//! One slot of a run does it at a time, because a claim told it so; the next stretch is read while this one is judged where
//! hardly anybody is kept. It stops as soon as there is enough to claim, so that memory is two stretches at any size.

use std::{ops::RangeInclusive, sync::Arc, time::Instant};

use crate::{
    domain::{
        delivery::DeliveryId,
        sift::{Sieve, Sifted},
    },
    store::{
        StoreError,
        sift::{SiftedStretch, Sifting},
    },
};

use super::{super::blocking, work::Turn};

/// Cases read by one command.
const STRETCH: u64 = 2000;

/// Recipients kept ahead of the claims by one sifting.
const ENOUGH: usize = 1000;

type Texts = Vec<Option<String>>;

impl Turn {
    /// Sifts from this case on. What fails is taken up again by whoever claims next.
    pub(super) async fn sift(self: Arc<Self>, first: u64) {
        let Some(sieve) = self.plan.writing.sieve.clone() else { return };
        if let Err(error) = self.sift_stretches(&sieve, first).await {
            tracing::warn!(slot = %self.slot, %error, "sifting stopped");
        }
    }

    async fn sift_stretches(&self, sieve: &Arc<Sieve>, first: u64) -> Result<(), StoreError> {
        let last = self.plan.last;
        let (mut kept, mut seen, mut numbers, mut ahead) = (0, 0, stretch(first, last), None);
        while !numbers.is_empty() {
            let texts = match ahead.take() {
                Some(texts) => texts,
                None => self.read(&numbers).await?,
            };
            let following = stretch(numbers.end() + 1, last);
            let judged = judge(Arc::clone(sieve), numbers.clone(), texts);
            let more = kept < ENOUGH && !following.is_empty() && self.goes_on();
            // Where most are kept, this stretch may well be the last.
            let mut stretch = if more && kept < seen / 2 {
                let (judged, read) = tokio::join!(judged, self.read(&following));
                ahead = Some(read?);
                judged
            } else {
                judged.await
            };
            kept += stretch.kept();
            seen += stretch.seen();
            stretch.goes_on = more && kept < ENOUGH;
            match self.ctx.store.sift(&self.slot, &stretch).await? {
                Sifting::Stale => return Ok(()),
                Sifting::Done(None) => {}
                Sifting::Done(Some((outbox, events))) => self.ctx.publish(&self.slot.campaign, outbox, events),
            }
            self.lease.progressed();
            if !stretch.goes_on {
                return Ok(());
            }
            numbers = following;
        }
        Ok(())
    }

    fn goes_on(&self) -> bool {
        Instant::now() < self.until && !self.ctx.drain.is_cancelled() && !self.lost.is_cancelled()
    }

    async fn read(&self, numbers: &RangeInclusive<u64>) -> Result<Texts, StoreError> {
        self.ctx.store.cases(&self.slot.campaign, numbers.clone()).await
    }
}

/// The numbers of the stretch that begins with `first`; empty behind the last.
fn stretch(first: u64, last: u64) -> RangeInclusive<u64> {
    first..=last.min(first.saturating_add(STRETCH - 1))
}

async fn judge(sieve: Arc<Sieve>, numbers: RangeInclusive<u64>, texts: Texts) -> SiftedStretch {
    blocking(move || {
        let mut judged = SiftedStretch { first: *numbers.start(), last: *numbers.end(), ..SiftedStretch::default() };
        for (number, text) in numbers.zip(texts) {
            // A case that is gone or cannot be read is claimed, and skipped with that reason.
            let Some(Ok(case)) = text.map(|text| sieve.judge(&text)) else { continue };
            match case {
                Sifted::LeftOut(reason) => judged.left_out.push((number, reason)),
                Sifted::Kept { further } => {
                    let contacts = further.into_iter().filter_map(|index| u32::try_from(index).ok());
                    judged.further.extend(contacts.map(|contact| DeliveryId { n: number, contact }));
                }
            }
        }
        judged
    })
    .await
}

impl SiftedStretch {
    fn seen(&self) -> usize {
        (self.first..=self.last).count()
    }

    /// Deliveries that it leaves to be claimed.
    fn kept(&self) -> usize {
        self.seen().saturating_sub(self.left_out.len()) + self.further.len()
    }
}
