//! What became of one recipient, and what the ledger says of it: pure, but for the recovery at the end.
//!
//! The table: accepted is `sent`; certainly not sent is released uncounted; transient is tried again
//! with backoff while attempts and the order's life allow, else `failed`; throttled and denied are
//! released, because they are about us and not about the recipient; permanent is `failed`; ambiguous, and what a dead owner
//! left, is as `on_unknown` says: asked again under the same key while attempts last, `unknown`, or `failed` with a reason
//! that says so. Once an attempt may have been accepted, only an answer under its key ends the doubt.

use std::time::Duration;

use crate::{
    channel::settings::{ChannelSettings, OnUnknown},
    domain::{
        case::Case,
        clock::EpochMs,
        contact::Phone,
        delivery::{Cell, DeliveryId, DeliveryState, UNKNOWN_REASON},
        failure::{Attempt, Failure, Tried},
        order::Order,
        retry::{Next, RetryPolicy},
    },
    job::event::{DELIVERY, DeliveryEvent},
    store::{
        StoreError,
        outbox::Event,
        runs::{InDoubt, Record},
    },
};

use super::{
    prepare::{About, Unsent, Who},
    work::Turn,
};

/// A message whose order the payment platform has not confirmed is looked at again after this.
const UNSETTLED: Duration = Duration::from_secs(15);

/// How one recipient came down.
#[derive(Debug)]
pub enum Landing {
    /// The provider took it.
    Sent {
        /// The provider's id.
        provider_id: String,
    },
    /// Certainly not sent: the deadline passed, or the slot was lost before it left.
    Released,
    /// The provider, or the way to it, failed.
    Failed(Failure),
    /// It was never tried.
    Unsent(Unsent),
}

/// What the rules need to know beside the answer itself.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The channel's settings.
    pub settings: &'a ChannelSettings,
    /// Redis' clock.
    pub now: EpochMs,
    /// An order with less life left is not sent.
    pub min_life: Duration,
}

impl Rules<'_> {
    fn retries(&self) -> RetryPolicy {
        RetryPolicy {
            max_attempts: self.settings.retry_attempts,
            base: self.settings.retry_base,
            cap: self.settings.retry_cap,
        }
    }

    /// Where a recipient stands after its landing: state, reason, provider id, wait.
    fn judge(&self, who: &Who, landing: &Landing, jitter: u64) -> Verdict {
        match landing {
            Landing::Sent { provider_id } => Verdict::end(DeliveryState::Sent, "", provider_id),
            Landing::Released => Verdict::wait(DeliveryState::Queued, "released", Duration::ZERO),
            // Not tried this time; an earlier attempt may have been accepted all the same.
            Landing::Unsent(Unsent::Released) => self.judge(who, &Landing::Released, jitter),
            Landing::Unsent(Unsent::Waits(reason)) => Verdict::wait(DeliveryState::Queued, reason, UNSETTLED),
            Landing::Unsent(Unsent::Held { until, reason }) => {
                Verdict::wait(DeliveryState::Held, reason, self.now.until(*until))
            }
            Landing::Unsent(Unsent::Skipped(reason) | Unsent::Failed(reason)) if who.doubt => self.unknown(reason),
            Landing::Unsent(Unsent::Skipped(reason)) => Verdict::end(DeliveryState::Skipped, reason, ""),
            Landing::Unsent(Unsent::Failed(reason)) => Verdict::end(DeliveryState::Failed, reason, ""),
            Landing::Failed(failure) => self.judge_failure(who, failure, jitter),
        }
    }

    fn judge_failure(&self, who: &Who, failure: &Failure, jitter: u64) -> Verdict {
        let code = failure.code();
        match failure {
            Failure::Permanent { .. } => Verdict::end(DeliveryState::Failed, code, ""),
            // Both are about us: the channel waits or is paused, the recipient keeps its attempts.
            Failure::Throttled { .. } | Failure::Denied { .. } => {
                Verdict::wait(DeliveryState::Queued, code, Duration::ZERO)
            }
            Failure::Transient { .. } => self.again(who, failure, jitter).unwrap_or_else(|| {
                if self.may_be_accepted(who, failure) {
                    self.unknown(code)
                } else {
                    Verdict::end(DeliveryState::Failed, code, "")
                }
            }),
            Failure::Ambiguous { .. } => {
                let again = match self.settings.on_unknown {
                    // The same key again: whatever the provider did the first time, it does not do twice.
                    OnUnknown::Resend => self.again(who, &Failure::transient(code.to_owned()), jitter),
                    OnUnknown::Keep | OnUnknown::Fail => None,
                };
                again.unwrap_or_else(|| self.unknown(code))
            }
        }
    }

    /// Whether this attempt, or an earlier one under the same key, may have been accepted. A 5xx of an
    /// idempotent provider is tried again, but it is no proof that nothing was sent.
    fn may_be_accepted(&self, who: &Who, failure: &Failure) -> bool {
        let server_error = self.settings.idempotent && failure.code().starts_with("server_error");
        who.doubt || server_error || matches!(failure, Failure::Ambiguous { .. })
    }

    fn unknown(&self, code: &str) -> Verdict {
        match self.settings.on_unknown {
            OnUnknown::Fail => Verdict::end(DeliveryState::Failed, &format!("{UNKNOWN_REASON}{code}"), ""),
            OnUnknown::Keep | OnUnknown::Resend => Verdict::end(DeliveryState::Unknown, code, ""),
        }
    }

    fn again(&self, who: &Who, failure: &Failure, jitter: u64) -> Option<Verdict> {
        let attempt = Attempt::new(who.attempt)?;
        let useful_until = who.expires_at.map(|at| at.minus(self.min_life));
        match self.retries().plan_next(failure, attempt, self.now, useful_until, jitter) {
            Next::At(at) => Some(Verdict::wait(DeliveryState::Retry, failure.code(), self.now.until(at))),
            Next::No | Next::Exhausted | Next::TooLate => None,
        }
    }
}

/// Where a recipient stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    state: DeliveryState,
    reason: String,
    provider_id: String,
    wait: Option<Duration>,
}

impl Verdict {
    fn end(state: DeliveryState, reason: &str, provider_id: &str) -> Self {
        Self { state, reason: reason.replace(',', ";"), provider_id: provider_id.to_owned(), wait: None }
    }

    fn wait(state: DeliveryState, reason: &str, wait: Duration) -> Self {
        Self { state, reason: reason.replace(',', ";"), provider_id: String::new(), wait: Some(wait) }
    }
}

/// The record of one landing. Events are written for outcomes, not for what will be tried again.
pub fn record(campaign: &str, run: &str, who: &Who, landing: &Landing, rules: &Rules<'_>, jitter: u64) -> Record {
    let verdict = rules.judge(who, landing, jitter);
    let event = verdict.wait.is_none().then(|| {
        let DeliveryId { n, contact } = who.of;
        let id = format!("{campaign}/{run}/{n}.{contact}/{}/{}", who.attempt, verdict.state);
        let About { case_id, order, key, reference } = &who.about;
        let event = DeliveryEvent {
            event: &id,
            r#type: DELIVERY,
            campaign,
            run,
            order: if case_id.is_some() { *order } else { Some(n) },
            case: case_id.as_ref().map(|_| n),
            id: case_id.as_deref(),
            contact_number: Some(contact).filter(|contact| *contact > 0),
            key,
            reference,
            contact: &who.masked,
            state: verdict.state.as_str(),
            reason: &verdict.reason,
            by: None,
            attempt: who.attempt,
            parts: Some(who.parts),
            provider_id: &verdict.provider_id,
            at: rules.now.0,
        };
        // Plain strings and numbers: there is nothing to refuse.
        let json = serde_json::to_string(&event).unwrap_or_default();
        Event { id, kind: DELIVERY.into(), json }
    });
    let doubt = match landing {
        Landing::Failed(failure) => rules.may_be_accepted(who, failure),
        Landing::Sent { .. } | Landing::Released | Landing::Unsent(_) => who.doubt,
    };
    let tried = match landing {
        Landing::Failed(failure) => Tried::of(failure),
        Landing::Sent { .. } => Tried::Answered,
        Landing::Released | Landing::Unsent(_) => Tried::Not,
    };
    Record {
        of: who.of,
        state: verdict.state,
        attempt: who.attempt,
        key_attempt: who.key_attempt,
        doubt,
        cell: who.cell.clone(),
        at_ms: rules.now.0,
        reason: verdict.reason,
        provider_id: verdict.provider_id,
        due_in: verdict.wait,
        event,
        tried,
    }
}

/// Judges what a dead owner left in flight, and records it before anything else is claimed.
pub async fn recover(turn: &Turn, in_doubt: Vec<InDoubt>) -> Result<(), StoreError> {
    let now = EpochMs(turn.ctx.store.now_ms().await?);
    let rules = turn.rules(now);
    let landing = Landing::Failed(Failure::ambiguous("owner_died"));
    let mut records = Vec::with_capacity(in_doubt.len());
    for left in &in_doubt {
        let Ok(cell) = Cell::parse(&left.cell) else { continue };
        let order = Order::from_json(&left.order).ok();
        let case = Case::from_json(&left.case).ok();
        let contact = order.as_ref().and_then(|order| order.contact.as_ref());
        let who = Who {
            of: left.of,
            attempt: cell.attempt,
            // While it was sending, the cell held the attempt of its key in the provider's place.
            key_attempt: cell.provider_id.trim_end_matches('?').parse().unwrap_or(cell.attempt),
            doubt: true,
            cell: left.cell.clone(),
            about: match (&case, &order) {
                (Some(case), _) => About::case(case, None),
                (None, Some(order)) => About::order(order),
                (None, None) => About::default(),
            },
            masked: contact.map(Phone::masked).unwrap_or_default(),
            expires_at: order.as_ref().map(|order| order.expires_at),
            parts: 0,
            reserved: String::new(),
        };
        let judged = record(&turn.slot.campaign, &turn.slot.run, &who, &landing, &rules, 0);
        // That its daemon died says nothing of the provider.
        records.push(Record { tried: Tried::Not, ..judged });
    }
    for chunk in records.chunks_mut(64) {
        turn.judge(chunk, true).await?;
    }
    Ok(())
}
