//! Orders of a payment platform: asked for one by one, each of them once.
//!
//! The order is written as `creating` before anybody asks. A claim puts it into our hands; what came of it
//! is settled at once: `available` with the platform's id and link, `in_doubt` where the answer was lost,
//! `cancelled` with the code where the platform does not take it, or `creating` still where it certainly was
//! not asked. A doubt is resolved by the same key, where the platform is idempotent, else by a look-up for
//! the order's marker; only where the platform does not know it is it asked for again (DA-2).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    channel::governor::{Grant, Pace},
    domain::{clock::EpochMs, forget, money::Currency, order::Order},
    orders::http::{Wish, marker},
    store::{
        StoreError,
        channels::Held,
        creating::{ClaimedOrder, Settled},
    },
    wire::DeliverError,
};

use super::{Context, context::ServedPoint};

mod alarm;
mod verdict;

pub use alarm::{arm, look_again};
pub use verdict::HANDED_OVER;
use verdict::{Came, judge};

/// A full rate is waited for in place so long.
const WAIT_IN_PLACE: Duration = Duration::from_millis(500);

/// Orders claimed by one script.
const AT_ONCE: usize = 64;

/// An order that changes under our hands (an erasure) is read again so often.
const TRIES: u32 = 5;

/// How a pass over the orders of a campaign ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pass {
    /// Nothing is left.
    Empty,
    /// What is left may be taken up from this time on.
    Later {
        /// That time.
        at: EpochMs,
    },
    /// The payment point is held for so long: the platform asked for it, or is out of order.
    Held {
        /// So long.
        after: Duration,
    },
    /// The platform refuses us.
    Denied {
        /// Its code.
        code: String,
    },
    /// The campaign takes no orders in this state.
    Stopped {
        /// That state.
        state: String,
    },
    /// The time given was up, or the daemon drains.
    TimeUp,
}

/// What the orders of a campaign share.
#[derive(Debug)]
pub struct Creator<'a> {
    ctx: &'a Context,
    campaign: &'a str,
    point: Arc<ServedPoint>,
    currency: Option<Currency>,
    link_base: String,
}

/// An order that came back from the platform, or did not.
struct Back {
    claimed: ClaimedOrder,
    order: Order,
    came: Came,
    /// Held until it is settled.
    _permit: OwnedSemaphorePermit,
}

impl<'a> Creator<'a> {
    /// Of a campaign whose payment point is a platform; nothing when Remesa itself makes its orders.
    pub async fn of(ctx: &'a Context, campaign: &'a str) -> Result<Option<Self>, StoreError> {
        let found = ctx.store.campaign_fields(campaign, &["payment_point", "currency", "link_base"]).await?;
        let [Some(point), currency, link_base] = found.as_slice() else { return Ok(None) };
        Ok(ctx.points.get(point).map(|point| Self {
            ctx,
            campaign,
            point: Arc::clone(point),
            currency: currency.as_deref().and_then(|code| Currency::parse(code).ok()),
            link_base: link_base.clone().unwrap_or_default(),
        }))
    }

    /// The payment point.
    pub fn point_name(&self) -> &str {
        &self.point.platform.settings.name
    }

    /// Lets what waits for its next look be taken up now. A doubt at a platform that needs time before it shows an
    /// order is looked up no earlier than after that time: seen too early it would be made twice.
    pub async fn hurry(&self) -> Result<(), StoreError> {
        let settings = &self.point.platform.settings;
        let now = EpochMs(self.ctx.store.now_ms().await?);
        let doubt_at = if settings.idempotent { now } else { now.plus(settings.lookup_after) };
        self.ctx.store.hurry_orders(self.campaign, doubt_at).await
    }

    /// Asks for whatever may be asked for now, and settles it; at most until `until`.
    pub async fn pass(&self, until: Option<Instant>) -> Result<Pass, StoreError> {
        let mut pace = Pace::default();
        let mut under_way = FuturesUnordered::new();
        let mut end = None;
        loop {
            while end.is_none() {
                if self.ctx.drain.is_cancelled() || until.is_some_and(|until| Instant::now() >= until) {
                    end = Some(Pass::TimeUp);
                    break;
                }
                let permits = self.permits(under_way.is_empty()).await;
                if permits.is_empty() {
                    break;
                }
                match self.claim(permits, &mut pace).await? {
                    Next::Orders(orders) => under_way.extend(orders.into_iter().map(|order| self.ask(order))),
                    Next::Rate(after) if under_way.is_empty() => tokio::time::sleep(after).await,
                    Next::Rate(_) => break,
                    Next::End(pass) => end = Some(pass),
                }
            }
            let Some(first) = under_way.next().await else { break };
            let mut back = vec![first];
            while let Some(Some(more)) = under_way.next().now_or_never() {
                back.push(more);
            }
            let denied = back.iter().flatten().find_map(|back| back.came.denied().map(str::to_owned));
            self.settle(back).await?;
            if let Some(code) = denied {
                end = Some(Pass::Denied { code });
            }
        }
        Ok(end.unwrap_or(Pass::Empty))
    }

    /// Permits of the payment point: several together, so that a script is not run for each order. They are waited
    /// for only where nothing of ours is under way.
    async fn permits(&self, wait: bool) -> Vec<OwnedSemaphorePermit> {
        let in_flight = &self.point.governor.in_flight;
        let company = u32::try_from(self.point.governor.company(AT_ONCE)).unwrap_or(1);
        let mut together = if wait {
            let one = Arc::clone(in_flight).acquire_owned().await;
            let Ok(one) = one else { return Vec::new() };
            one
        } else {
            let several = Arc::clone(in_flight).try_acquire_many_owned(company);
            let Ok(several) = several else { return Vec::new() };
            several
        };
        while together.num_permits() < AT_ONCE
            && let Ok(more) = Arc::clone(in_flight).try_acquire_owned()
        {
            together.merge(more);
        }
        std::iter::from_fn(move || together.split(1)).collect()
    }

    /// Rate first, then exactly that many orders.
    async fn claim(&self, mut permits: Vec<OwnedSemaphorePermit>, pace: &mut Pace) -> Result<Next, StoreError> {
        let (governor, settings) = (&self.point.governor, &self.point.platform.settings);
        let wanted = u32::try_from(permits.len()).unwrap_or(1);
        let granted = match governor.reserve(wanted, pace).await? {
            Grant::Parts(parts) => usize::try_from(parts).unwrap_or(1),
            Grant::Wait { after, why: Held::Rate } if after < WAIT_IN_PLACE => return Ok(Next::Rate(after)),
            Grant::Wait { after, .. } => return Ok(Next::End(Pass::Held { after })),
        };
        permits.truncate(granted);
        // The last request is handed over before the deadline, and over before the claim ends.
        // Whoever takes up what a dead daemon asked for looks as late as for any other lost answer.
        let seen_after = if settings.idempotent { Duration::ZERO } else { settings.lookup_after };
        let lease = settings.longest() + settings.timeout + Duration::from_secs(2) + seen_after;
        let deadline = Instant::now() + settings.longest();
        let claimed = self.ctx.store.claim_orders(self.campaign, permits.len(), lease).await?;
        let rests = matches!(claimed.state.as_str(), "paused" | "failed" | "gone");
        if claimed.orders.is_empty() {
            return Ok(Next::End(match claimed.next_ms {
                None => Pass::Empty,
                Some(at) if at <= claimed.now_ms && rests => Pass::Stopped { state: claimed.state },
                Some(at) => Pass::Later { at: EpochMs(at) },
            }));
        }
        let permission = match claimed.state.as_str() {
            "cancelled" => Leave::Withdrawn,
            _ if rests => Leave::Rests,
            _ => Leave::Given,
        };
        let now = EpochMs(claimed.now_ms);
        let mut orders = Vec::with_capacity(claimed.orders.len());
        for (claimed, permit) in claimed.orders.into_iter().zip(permits) {
            let at = governor.slot(1, pace).await?;
            orders.push(Taken { claimed, permit, at, deadline, now, leave: permission });
        }
        Ok(Next::Orders(orders))
    }

    /// Asks the platform for one order. Never twice, unless it says that it does not know it.
    async fn ask(&self, taken: Taken) -> Result<Back, StoreError> {
        if let Some(at) = taken.at {
            tokio::time::sleep_until(at.into()).await;
        }
        let number = taken.claimed.number;
        let order = Order::from_json(&taken.claimed.text)
            .map_err(|error| StoreError::Refused(format!("order {number} does not read: {error}")))?;
        let began = Instant::now();
        let came = if taken.now >= order.expires_at { Came::Expired } else { self.came(&order, &taken).await };
        if let Some(noted) = came.noted() {
            self.point.governor.note(noted, began).await?;
        }
        Ok(Back { claimed: taken.claimed, order, came, _permit: taken.permit })
    }

    async fn came(&self, order: &Order, taken: &Taken) -> Came {
        let (doubt, deadline) = (taken.claimed.doubt, taken.deadline);
        let platform = &self.point.platform;
        let Some(currency) = order.currency.or(self.currency) else { return Came::Refused("currency_missing".into()) };
        let marker = marker(&self.ctx.secret, self.campaign, &order.key, 0);
        let mut exists = doubt;
        let forgotten = order.forgotten_at.is_some();
        if doubt && forgotten && order.key == forget::key(order.number) {
            // The key by which the platform knows it held the person's number and is gone: it is not asked again.
            return Came::Stopped { exists, withdrawn: false };
        }
        if doubt && !platform.settings.idempotent {
            match platform.look_up(&marker, deadline).await {
                Ok(Some(made)) => return Came::Made(made),
                Ok(None) => exists = false,
                Err(DeliverError::NotSent) => return Came::NotSent { exists: true },
                Err(DeliverError::Failure(failure)) => return Came::Failed { failure, exists: true },
            }
        }
        if forgotten && !exists {
            return Came::Forgotten;
        }
        if taken.leave != Leave::Given {
            return Came::Stopped { exists, withdrawn: taken.leave == Leave::Withdrawn };
        }
        match platform.create(&Wish { order, currency, marker: &marker }, deadline).await {
            Ok(made) => Came::Made(made),
            Err(DeliverError::NotSent) => Came::NotSent { exists },
            Err(DeliverError::Failure(failure)) => Came::Failed { failure, exists },
        }
    }

    /// Writes what came of orders.
    async fn settle(&self, back: Vec<Result<Back, StoreError>>) -> Result<(), StoreError> {
        let (mut open, mut failed) = (Vec::with_capacity(back.len()), None);
        for one in back {
            match one {
                Ok(back) => open.push(back),
                // What is known of the others is written all the same.
                Err(error) => failed = Some(error),
            }
        }
        for _ in 0..TRIES {
            let now = EpochMs(self.ctx.store.now_ms().await?);
            let mut settled: Vec<Settled> = Vec::with_capacity(open.len());
            for back in &open {
                if let Came::Made(made) = &back.came {
                    self.link(&made.short_code, back.claimed.number).await?;
                }
                let rules = verdict::Rules {
                    settings: &self.point.platform.settings,
                    campaign: self.campaign,
                    link_base: &self.link_base,
                    now,
                    jitter: rand::random(),
                };
                settled.push(judge(&rules, &back.claimed, &back.order, &back.came));
            }
            let kept = self.ctx.config.sources.kept_errors;
            let missed = self.ctx.store.settle_orders(self.campaign, kept, &settled).await?;
            if missed.is_empty() {
                return failed.map_or(Ok(()), Err);
            }
            open = self.read_again(open, &missed).await?;
        }
        Err(StoreError::Unavailable("orders change too fast".to_owned()))
    }

    /// Those that read otherwise by now (an erasure came in between), as they read now.
    async fn read_again(&self, open: Vec<Back>, missed: &[u64]) -> Result<Vec<Back>, StoreError> {
        let mut again = Vec::new();
        for mut back in open.into_iter().filter(|back| missed.contains(&back.claimed.number)) {
            let number = back.claimed.number;
            let text =
                self.ctx.store.orders(self.campaign, std::iter::once(number)).await?.into_iter().next().flatten();
            let Some((text, order)) = text.and_then(|t| Order::from_json(&t).ok().map(|o| (t, o))) else { continue };
            // Another one settled it: what it says stands.
            if order.state.is_unsettled() {
                (back.claimed.text, back.order) = (text, order);
                again.push(back);
            }
        }
        Ok(again)
    }

    /// Every order that can be read as available has a link that resolves. Platforms may give the same short code;
    /// the second order is then found by its number only.
    async fn link(&self, code: &crate::domain::short_code::ShortCode, number: u64) -> Result<(), StoreError> {
        let target = format!("{}/{number}", self.campaign);
        let holder = self.ctx.store.link_order(code, &target).await?;
        if holder != target {
            tracing::warn!(
                campaign = self.campaign,
                number,
                holder,
                "a short code of the platform is another order's here"
            );
        }
        Ok(())
    }
}

/// Whether an order may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// It may.
    Given,
    /// Not now: the campaign is paused or has failed.
    Rests,
    /// Never: the campaign is cancelled.
    Withdrawn,
}

/// An order in our hands.
struct Taken {
    claimed: ClaimedOrder,
    permit: OwnedSemaphorePermit,
    /// Not before this instant.
    at: Option<Instant>,
    /// Nothing is handed over after this instant.
    deadline: Instant,
    /// Redis' clock at the claim.
    now: EpochMs,
    leave: Leave,
}

/// What a claim brought.
enum Next {
    /// Orders.
    Orders(Vec<Taken>),
    /// The rate is used up for so long.
    Rate(Duration),
    /// Nothing more for now.
    End(Pass),
}
