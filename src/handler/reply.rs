//! `reply`: what somebody answered, handed on by another program. The same way as the webhook's.

use serde_json::{Value, json};

use crate::{
    domain::{
        reference,
        reply::{Inbound, Outbound},
        unsubscribe::CircleKind,
    },
    job::{Outcome, Rejection, RejectionCode, ReplyJob},
    store::replies::{ReplyRules, Taken},
};

use super::{Context, trouble};

/// Runs the job.
pub async fn run(ctx: &Context, job: &ReplyJob) -> Outcome {
    let of = job.reference.as_deref().map(|written| reference::verify(&ctx.secret, written));
    if of == Some(None) {
        let rule = "the reference is not one that this installation signed";
        return Rejection::of_field(RejectionCode::UnknownReference, "reference", rule).into();
    }
    let inbound = Inbound {
        channel: job.channel.to_string(),
        from: job.from.clone(),
        text: job.text.clone(),
        id: job.provider_id.clone(),
        at: job.occurred_at,
        of: of.flatten(),
    };
    match ctx.store.take_reply(&ctx.secret, &ReplyRules::of(&ctx.config), &inbound).await {
        Ok(taken) => {
            ctx.metrics.replied(&inbound.channel, (&taken).into());
            Outcome::done(result(&taken))
        }
        Err(error) => trouble::outcome(&error),
    }
}

fn result(taken: &Taken) -> Value {
    let Taken { again, answers, case, opened, wish } = taken;
    let number = |kind| {
        let of_kind = answers.as_ref().filter(|answers| answers.circle.kind == kind);
        of_kind.map(|Outbound { number, .. }| *number)
    };
    json!({
        "again": again,
        "campaign": answers.as_ref().map(|answers| answers.circle.campaign.as_str()),
        "run": answers.as_ref().map(|answers| answers.run.as_str()),
        "order": number(CircleKind::Orders), "case": case, "opened": opened, "listed": wish,
    })
}
