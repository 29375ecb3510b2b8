//! Contact hours, looked at before a turn reserves anything.
//!
//! Outside them the run waits: its hash says until when, its slots go idle, and the alarm clock arms them at the opening;
//! or, with `skip`, the run is over and `not_sent` (BM-1). Inside them nothing leaves after the closing: the turn claims
//! no more, and what it has claimed has the closing as its deadline.

use std::time::Instant;

use crate::{
    domain::{
        clock::EpochMs,
        hours::{Moment, Otherwise},
    },
    store::StoreError,
};

use super::work::{End, Turn};

impl Turn {
    /// Why nothing may leave now, if so; else the turn knows when it must end.
    pub(super) async fn look_at_hours(&mut self) -> Result<Option<End>, StoreError> {
        let hours = &self.plan.bounds.hours;
        if hours.is_empty() {
            return Ok(None);
        }
        let (store, campaign, run) = (&self.ctx.store, self.slot.campaign.as_str(), self.slot.run.as_str());
        let (now, read_at) = (EpochMs(store.now_ms().await?), Instant::now());
        match hours.at(now) {
            Moment::Open { until } => {
                if store.run_field(campaign, run, "held_until").await?.is_some() {
                    store.open_run(campaign, run).await?;
                }
                self.closes = until.map(|until| read_at + now.until(until));
                self.until = self.closes.map_or(self.until, |closes| self.until.min(closes));
                Ok(None)
            }
            Moment::Closed { opens, reason } => Ok(Some(match hours.otherwise() {
                Otherwise::Hold => {
                    store.hold_run(campaign, run, opens, &reason).await?;
                    End::Closed { opens }
                }
                Otherwise::Skip => {
                    tracing::info!(campaign, run, reason, "outside the contact hours: not sent");
                    store.act(campaign, Some(run), "miss", &reason).await?;
                    End::Stopped
                }
            })),
        }
    }
}
