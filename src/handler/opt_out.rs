//! `opt_out` and `opt_in`: addresses are put on a list of the whole company, or taken off it.
//!
//! What is so already is done, and says that nothing changed. A message that is on its way leaves; any other is asked
//! about just before it would.

use serde_json::json;

use crate::{
    domain::{
        contact::Address,
        unsubscribe::{Circle, CircleKind},
    },
    job::{OptOutJob, Outcome, Rejection, Whom},
    store::StoreError,
};

use super::{Context, order_event, trouble};

/// Runs the job.
pub async fn run(ctx: &Context, job: &OptOutJob) -> Outcome {
    match change(ctx, job).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(rejection)) => rejection.into(),
        Err(error) => trouble::outcome(&error),
    }
}

async fn change(ctx: &Context, job: &OptOutJob) -> Result<Result<Outcome, Rejection>, StoreError> {
    let change = job.change;
    let (addresses, of) = match &job.whom {
        Whom::Addresses(addresses) => (addresses.clone(), None),
        Whom::OfOrder(order) => match order_event::find(ctx, order).await? {
            Ok(found) => {
                let circle = Circle { kind: CircleKind::Orders, campaign: found.campaign };
                (found.order.contact.map(Address::from).into_iter().collect(), Some((circle, found.order.number)))
            }
            Err(rejection) => return Ok(Err(rejection)),
        },
    };
    let of = of.as_ref().map(|(circle, number)| (circle, *number));
    let changed = ctx.store.change_optouts(change, &addresses, of).await?;
    Ok(Ok(Outcome::done(json!({
        "action": if change.adds { "opt_out" } else { "opt_in" },
        "list": change.list, "contacts": addresses.len(), "changed": changed,
    }))))
}
