//! The expiry sweeper: writes down what the clock decided.
//!
//! Orders of a batch expire in row order, so a cursor in the campaign is enough: no set of due orders.
//! Whether an order can be paid is judged by the clock, not by this sweeper. Each alarm works off one
//! stretch and says when it is due again.

use crate::{
    domain::{
        clock::EpochMs,
        order::{Order, OrderEvent, OrderState},
    },
    store::{StoreError, orders::Change},
};

use super::{
    Context,
    order_event::{Told, plan},
};

/// Orders looked at by one alarm.
const STRETCH: u64 = 500;

/// Works off `expire|<C>|<batch>`. Returns when it is due again, or nothing at the end of the batch.
pub async fn sweep(ctx: &Context, campaign: &str, batch: &str) -> Result<Option<i64>, StoreError> {
    let (cursor_field, last_field) = (format!("expire:{batch}"), format!("last:{batch}"));
    let found = ctx.store.campaign_fields(campaign, &[&cursor_field, &last_field]).await?;
    let mut numbers = found.into_iter().map(|text| text.and_then(|t| t.parse::<u64>().ok()));
    let (Some(Some(cursor)), Some(Some(last))) = (numbers.next(), numbers.next()) else { return Ok(None) };
    let now = EpochMs(ctx.store.now_ms().await?);
    if cursor > last {
        return Ok(None);
    }
    let upto = last.min(cursor + STRETCH - 1);
    let texts = ctx.store.orders(campaign, cursor..=upto).await?;
    let mut changes: Vec<Change> = Vec::new();
    let (mut next, mut due_again) = (upto + 1, Some(now.0));
    for (number, text) in (cursor..=upto).zip(texts) {
        let Some((text, order)) = text.and_then(|t| Order::from_json(&t).ok().map(|o| (t, o))) else { continue };
        // One that a platform has yet to make is settled elsewhere, and must not be left behind before.
        if order.state != OrderState::Available && !order.state.is_unsettled() {
            continue;
        }
        if order.expires_at > now {
            next = number;
            due_again = Some(order.expires_at.0);
            break;
        }
        let told = Told { event: OrderEvent::Expired, amount_minor: None, occurred_at: None };
        if let Ok(Some((change, _))) = plan(campaign, text, &order, told, now) {
            changes.push(change);
        }
    }
    let missed = ctx.store.change_orders(campaign, Some((&cursor_field, next.to_string())), &changes).await?;
    if !missed.is_empty() {
        // Paid or cancelled in this very moment: the stretch is looked at again.
        return Ok(Some(now.0));
    }
    Ok(if next > last { None } else { due_again })
}
