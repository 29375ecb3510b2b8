//! What a job left behind: orders that are looked at again in the background, until they are settled or expire.

use std::time::{Duration, Instant};

use super::{Creator, Pass, verdict::HANDED_OVER};
use crate::{domain::clock::EpochMs, handler::Context, store::StoreError};

/// One alarm works for so long; it hides for longer.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A platform that refuses us, or a campaign that rests, is looked at again after this.
const LATER: Duration = Duration::from_mins(5);

/// Sets the alarm of a campaign with orders that a platform is to make.
pub async fn arm(ctx: &Context, campaign: &str, after: Duration) -> Result<(), StoreError> {
    let at = EpochMs(ctx.store.now_ms().await?).plus(after);
    ctx.store.arm(&format!("orders|{campaign}|"), at.0).await
}

/// Works off `orders|<C>|`. Returns when it is due again, or nothing when every order is settled.
pub async fn look_again(ctx: &Context, campaign: &str) -> Result<Option<i64>, StoreError> {
    let Some(creator) = Creator::of(ctx, campaign).await? else {
        let unsettled = ctx.store.unsettled_orders(campaign).await?;
        if unsettled == 0 {
            return Ok(None);
        }
        tracing::warn!(campaign, unsettled, "the payment point of this campaign is not configured: its orders wait");
        return Ok(Some(EpochMs(ctx.store.now_ms().await?).plus(LATER).0));
    };
    let generating = ctx.store.campaign_fields(campaign, &["generating"]).await?.into_iter().next().flatten();
    let pass = match generating {
        // The job does it itself.
        Some(_) => Pass::Held { after: HANDED_OVER },
        None => creator.pass(Some(Instant::now() + AT_ONCE)).await?,
    };
    let now = EpochMs(ctx.store.now_ms().await?);
    Ok(match pass {
        Pass::Empty => None,
        Pass::Later { at } => Some(at.0),
        Pass::TimeUp => Some(now.0),
        Pass::Held { after } => Some(now.plus(after.min(LATER)).0),
        Pass::Denied { code } => {
            tracing::error!(campaign, code, "the payment platform refuses us: orders wait");
            Some(now.plus(LATER).0)
        }
        Pass::Stopped { .. } => Some(now.plus(LATER).0),
    })
}
