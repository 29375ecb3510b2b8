//! The part of a generate job that has a payment platform make its orders.
//!
//! After each slice whatever may be asked for is asked for. An order whose answer was lost is left for its
//! next look while the following slices go on; at the end the job waits for it a little. What is not settled
//! then is looked at in the background (`orders|<C>|`), and its message waits. A platform that is out of
//! order or asks for time puts the job off; one that refuses us ends it (PO-6), and replaying it goes on.

use std::time::Duration;

use super::{super::intake::Stop, Generation};
use crate::{
    domain::clock::EpochMs,
    handler::creating::{self, Creator, HANDED_OVER, Pass},
    job::{DeadCode, Outcome},
};

/// A wait up to this is spent in place; a longer one puts the job off.
const IN_PLACE: Duration = Duration::from_secs(2);

/// An order that is looked at again later than this is left to the background.
const PATIENCE: Duration = Duration::from_secs(45);

/// A job that was put off looks again after this at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Orders left for their next look that the following slices may add to.
const LEFT: u64 = 2_000;

impl Generation<'_> {
    /// Has the platform make what it may be asked for; at the end of the source, also waits for the rest.
    pub(super) async fn create_orders(&self, creator: &Creator<'_>, at_end: bool) -> Result<(), Stop> {
        let store = &self.ctx.store;
        loop {
            let pass = creator.pass(None).await?;
            self.lease.progressed();
            let now = EpochMs(store.now_ms().await?);
            let wait = match pass {
                Pass::TimeUp => return Err(Outcome::Again.into()),
                Pass::Denied { code } => {
                    let sentence = format!(
                        "the payment platform of \"{}\" refuses us ({code}); nothing is lost: mend its settings and replay this job",
                        creator.point_name()
                    );
                    return Err(Outcome::Dead { code: DeadCode::ProviderDenied, sentence }.into());
                }
                Pass::Stopped { state } if state == "paused" => return Err(self.look_again().await?.into()),
                Pass::Empty | Pass::Stopped { .. } => return Ok(()),
                Pass::Held { after } => after,
                Pass::Later { at } => {
                    let wait = now.until(at);
                    let many = store.unsettled_orders(self.campaign).await? > LEFT;
                    if wait > PATIENCE || (!at_end && !many) {
                        if at_end {
                            creating::arm(self.ctx, self.campaign, wait.min(HANDED_OVER)).await?;
                        }
                        return Ok(());
                    }
                    wait
                }
            };
            if wait > IN_PLACE {
                return Err(Outcome::Snooze { until: now.plus(wait.min(LOOK_AGAIN)) }.into());
            }
            tokio::select! {
                () = self.ctx.drain.cancelled() => return Err(Outcome::Again.into()),
                () = self.lease.lost() => return Err(Outcome::Again.into()),
                () = tokio::time::sleep(wait.max(Duration::from_millis(10))) => {}
            }
        }
    }
}
