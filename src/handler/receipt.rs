//! `receipt`: what a provider says of a message, handed on by another program.
//!
//! The same way into the ledger as the webhook's. Old news is no error: the job is done and says what stands.

use serde_json::json;

use crate::{
    domain::{receipt::Receipt, reference},
    job::{Outcome, ReceiptJob, Rejection, RejectionCode},
    metrics::labels::ReceiptResult,
    store::receipts::{Arrived, Received},
};

use super::{Context, trouble};

/// Runs the job.
pub async fn run(ctx: &Context, job: ReceiptJob) -> Outcome {
    let ReceiptJob { reference, state, reason, provider_id, occurred_at } = job;
    let Some(of) = reference::verify(&ctx.secret, &reference) else {
        ctx.metrics.received("", ReceiptResult::Unknown, 1);
        return unknown("the reference is not one that this installation signed");
    };
    let receipt = Receipt { of, state, reason, provider_id, at: occurred_at };
    let arrived = [Arrived { channel: String::new(), receipt }];
    let received = match ctx.store.receive(&arrived, &ctx.publisher).await {
        Ok(received) => received.into_iter().next().unwrap_or(Received::Unknown),
        Err(error) => return trouble::outcome(&error),
    };
    ctx.metrics.received("", received.into(), 1);
    let [Arrived { receipt, .. }] = arrived;
    let of = receipt.of;
    let (applied, state) = match received {
        Received::Applied => (true, receipt.state),
        Received::Old { state } => (false, state),
        Received::Unknown => return unknown("what the reference names is gone"),
    };
    Outcome::done(json!({
        "campaign": of.campaign.as_str(), "run": of.run.as_str(), "order": of.n, "attempt": of.attempt.get(),
        "applied": applied, "state": state.as_str(),
    }))
}

fn unknown(rule: &str) -> Outcome {
    Rejection::of_field(RejectionCode::UnknownReference, "reference", rule.to_owned()).into()
}
