//! Orders that a payment platform is to make: claimed one by one, settled with what came of it.
//!
//! Three sets of a campaign by the time from which an order may be taken up: `creating` holds those that were
//! certainly not asked for, `doubt` those that may have been, `asked` those in somebody's hands. A claim moves
//! an order to `asked` before anybody asks for it, so a daemon that dies leaves a doubt and never a second
//! request.

use std::time::Duration;

use redis::cmd;

use super::{Answer, Store, StoreError, entries::millis, scripts};
use crate::domain::clock::EpochMs;

/// Orders of each kind that are hurried at once.
const HURRIED: usize = 10_000;

/// An order in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedOrder {
    /// Its number.
    pub number: u64,
    /// Whether the platform may have been asked for it before.
    pub doubt: bool,
    /// When the claim ends, which tells it from another one.
    pub until_ms: i64,
    /// Its JSON.
    pub text: String,
}

/// What a claim brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedOrders {
    /// The campaign's state.
    pub state: String,
    /// Redis' clock.
    pub now_ms: i64,
    /// When the earliest of those that are left may be taken up.
    pub next_ms: Option<i64>,
    /// The orders.
    pub orders: Vec<ClaimedOrder>,
}

/// Where an order that is not settled waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// It is settled.
    No,
    /// It was certainly not asked for; again at this time.
    Fresh(i64),
    /// Nobody knows; again at this time.
    Doubt(i64),
}

/// What came of one order.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Its number.
    pub number: u64,
    /// Its JSON as it was claimed.
    pub before: String,
    /// Its JSON as it is to be.
    pub after: String,
    /// State before and after.
    pub states: (&'static str, &'static str),
    /// The event as JSON, or nothing.
    pub event: String,
    /// Where it waits.
    pub waits: Waits,
    /// Code and JSON of the refused row, if the platform refused it.
    pub refused: Option<(&'static str, String)>,
    /// The claim's end; none for what holds whoever has the order in hand.
    pub claim: Option<i64>,
}

impl Store {
    /// Claims up to `count` orders for `lease`.
    pub async fn claim_orders(
        &self,
        campaign: &str,
        count: usize,
        lease: Duration,
    ) -> Result<ClaimedOrders, StoreError> {
        let call = scripts::CLAIM_ORDERS.call(&[&self.keys.campaign(campaign)]);
        let call = call.arg(count).arg(millis(lease));
        let mut answer = Answer::new(call.run(&self.connection).await?);
        let state = answer.text()?;
        let now_ms: i64 = answer.number()?;
        let next_ms = answer.some_text()?.and_then(|text| text.parse().ok());
        let until_ms = now_ms.saturating_add_unsigned(millis(lease));
        let mut orders = Vec::new();
        while !answer.is_done() {
            let (number, kind, text) = (answer.number()?, answer.text()?, answer.text()?);
            orders.push(ClaimedOrder { number, doubt: kind == "doubt", until_ms, text });
        }
        Ok(ClaimedOrders { state, now_ms, next_ms, orders })
    }

    /// Writes what came of orders. Returns the numbers of those that read otherwise by now. What was found out in a
    /// claim that is not ours any more is dropped.
    pub async fn settle_orders(
        &self,
        campaign: &str,
        errors_kept: u64,
        settled: &[Settled],
    ) -> Result<Vec<u64>, StoreError> {
        if settled.is_empty() {
            return Ok(Vec::new());
        }
        self.announce(campaign).await?;
        let mut call = scripts::SETTLE_ORDERS.call(&[&self.keys.campaign(campaign)]).arg(errors_kept);
        for one in settled {
            call.push(one.number);
            call.push(&one.before);
            call.push(&one.after);
            call.push(one.states.0);
            call.push(one.states.1);
            call.push(&one.event);
            call.push(match one.waits {
                Waits::No => String::new(),
                Waits::Fresh(at) => format!("creating,{at}"),
                Waits::Doubt(at) => format!("doubt,{at}"),
            });
            call.push(one.refused.as_ref().map(|(code, row)| format!("{code},{row}")).unwrap_or_default());
            call.push(one.claim.map(|until| until.to_string()).unwrap_or_default());
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        self.publish_soon(campaign, &answer.text()?).await;
        answer.rest().map(|n| n.parse().map_err(|_| StoreError::Refused(format!("order number {n:?}")))).collect()
    }

    /// Lets the orders of a campaign that wait for their next look be taken up at once, those in doubt at `doubt_at`
    /// at the latest, but for those in somebody's hands; the first `HURRIED` of each kind.
    pub async fn hurry_orders(&self, campaign: &str, doubt_at: EpochMs) -> Result<(), StoreError> {
        for (key, at) in [(self.keys.creating(campaign), 0), (self.keys.doubt(campaign), doubt_at.0)] {
            let numbers: Vec<String> = self.connection.query(cmd("ZRANGE").arg(&key).arg(0).arg(HURRIED - 1)).await?;
            if numbers.is_empty() {
                continue;
            }
            let mut hurry = cmd("ZADD");
            hurry.arg(&key).arg("XX").arg("LT");
            for number in &numbers {
                hurry.arg(at).arg(number);
            }
            self.connection.query::<()>(&hurry).await?;
        }
        Ok(())
    }

    /// How many orders of a campaign a platform has not confirmed.
    pub async fn unsettled_orders(&self, campaign: &str) -> Result<u64, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("ZCARD").arg(self.keys.creating(campaign));
        pipeline.cmd("ZCARD").arg(self.keys.asked(campaign));
        pipeline.cmd("ZCARD").arg(self.keys.doubt(campaign));
        let (creating, asked, doubt): (u64, u64, u64) = self.connection.pipeline(&pipeline).await?;
        Ok(creating + asked + doubt)
    }
}
