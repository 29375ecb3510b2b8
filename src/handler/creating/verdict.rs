//! What came of one order at the platform, and what its order says then: pure.

use std::{borrow::Cow, time::Duration};

use serde_json::json;

use crate::{
    domain::{
        clock::EpochMs,
        failure::{Attempt, Failure},
        order::{Order, OrderState},
    },
    handler::order_event::order_event,
    job::RowCode,
    orders::{http::Made, settings::PlatformSettings},
    store::creating::{ClaimedOrder, Settled, Waits},
};

/// An order that its job goes on without is tried again no earlier than this.
pub const HANDED_OVER: Duration = Duration::from_mins(1);

/// An order that was certainly not asked for, for a reason of ours, may be taken up again after this.
const SHORTLY: Duration = Duration::from_secs(1);

/// What came of one order.
#[derive(Debug)]
pub(super) enum Came {
    /// The platform has it.
    Made(Made),
    /// It does not read or fit; no platform was asked.
    Refused(Cow<'static, str>),
    /// There was no time to ask. `exists`: an earlier request may have made it.
    NotSent { exists: bool },
    /// The campaign is cancelled, failed or paused, so it was only looked up.
    Stopped { exists: bool, withdrawn: bool },
    /// Its time is over.
    Expired,
    /// Its person was forgotten before any platform was asked.
    Forgotten,
    /// The request failed. `exists`: an earlier one may have made it.
    Failed { failure: Failure, exists: bool },
}

impl Came {
    /// The code, where the platform refuses us.
    pub(super) fn denied(&self) -> Option<&str> {
        if let Self::Failed { failure: failure @ Failure::Denied { .. }, .. } = self {
            return Some(failure.code());
        }
        None
    }

    /// What the governor is told. That we are refused is the job's affair: it ends, and nobody is paused.
    pub(super) fn noted(&self) -> Option<Result<(), &Failure>> {
        match self {
            Self::Made(_) | Self::Failed { failure: Failure::Denied { .. }, .. } => Some(Ok(())),
            Self::Failed { failure, .. } => Some(Err(failure)),
            Self::Refused(_) | Self::NotSent { .. } | Self::Stopped { .. } | Self::Expired | Self::Forgotten => None,
        }
    }
}

/// What the rules need to know beside the answer.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) settings: &'a PlatformSettings,
    pub(super) campaign: &'a str,
    pub(super) link_base: &'a str,
    pub(super) now: EpochMs,
    pub(super) jitter: u64,
}

/// Where the order stands now, and where it waits if that is not the end of it.
pub(super) fn judge(rules: &Rules<'_>, claimed: &ClaimedOrder, order: &Order, came: &Came) -> Settled {
    let mut next = order.clone();
    let mut refused = None;
    let waits = match came {
        Came::Made(made) => rules.made(&mut next, made),
        Came::Expired => {
            next.state = OrderState::Expired;
            Waits::No
        }
        Came::Refused(code) => {
            refused = Some(refuse(&mut next, code));
            Waits::No
        }
        Came::Forgotten => {
            next.state = OrderState::Cancelled;
            "forgotten".clone_into(&mut next.reason);
            Waits::No
        }
        Came::NotSent { exists } => rules.wait(SHORTLY, *exists),
        Came::Stopped { exists: false, withdrawn: true } => {
            next.state = OrderState::Cancelled;
            "campaign_cancelled".clone_into(&mut next.reason);
            Waits::No
        }
        Came::Stopped { exists, .. } => rules.wait(HANDED_OVER, *exists),
        // An idempotent platform that refuses the same key has no order under it; no look-up was needed to know.
        Came::Failed { failure: failure @ Failure::Permanent { .. }, exists }
            if !exists || rules.settings.idempotent =>
        {
            refused = Some(refuse(&mut next, failure.code()));
            Waits::No
        }
        Came::Failed { failure, exists } => rules.again(&mut next, failure, *exists),
    };
    if waits == Waits::No {
        (next.tries, next.origin) = (0, None);
        forget_texts(&mut next);
    } else {
        next.state = if matches!(waits, Waits::Doubt(_)) { OrderState::InDoubt } else { OrderState::Creating };
    }
    Settled {
        number: order.number,
        before: claimed.text.clone(),
        after: next.to_json(),
        states: (order.state.as_str(), next.state.as_str()),
        event: if next.state == order.state { String::new() } else { rules.told(&next) },
        claim: (waits != Waits::No || !matches!(came, Came::Made(_))).then_some(claimed.until_ms),
        waits,
        refused,
    }
}

/// Texts that a forgotten person's order kept only as long as a platform might know it by them.
fn forget_texts(next: &mut Order) {
    if next.forgotten_at.is_some() {
        next.reference.clear();
        next.concept.clear();
    }
}

/// An order that the platform does not take: it stays, cancelled, with the reason, and its row is refused.
fn refuse(next: &mut Order, code: &str) -> (&'static str, String) {
    next.state = OrderState::Cancelled;
    code.clone_into(&mut next.reason);
    forget_texts(next);
    let (row, line) = next.origin.take().unwrap_or_default();
    let input = json!({
        "key": next.key, "reference": next.reference, "concept": next.concept, "amount": next.amount.minor(),
        "SMScontact": next.contact.as_ref().map_or("", |phone| phone.as_e164()),
    });
    let error = format!("the payment platform does not take order {}: {code}", next.number);
    let code = RowCode::ProviderRefused.as_str();
    let row = json!({ "row": row, "line": line, "code": code, "error": error, "input": input.to_string() });
    (code, row.to_string())
}

impl Rules<'_> {
    fn made(&self, next: &mut Order, made: &Made) -> Waits {
        // A state that is none of ours (pre-authorised) is not available; what becomes of it is seen later.
        let Some(state) = made.state else { return self.wait(HANDED_OVER, true) };
        // Judged by our clock, whether the platform has noticed or not.
        let is_over = state == OrderState::Available && self.now >= next.expires_at;
        next.state = if is_over { OrderState::Expired } else { state };
        next.short_code = Some(made.short_code.clone());
        next.platform_id = Some(made.platform_id.clone());
        if matches!(state, OrderState::Paid | OrderState::PartiallyRefunded | OrderState::Refunded) {
            next.paid_minor = next.amount.minor();
        }
        Waits::No
    }

    /// When a failed order is taken up again, and as what.
    fn again(&self, next: &mut Order, failure: &Failure, exists: bool) -> Waits {
        let lost = matches!(failure, Failure::Ambiguous { .. });
        // A 5xx of an idempotent platform may be asked again, but it is no proof that nothing was made.
        let perhaps = self.settings.idempotent && failure.code().starts_with("server_error");
        let exists = exists || lost || perhaps;
        if matches!(failure, Failure::Throttled { .. } | Failure::Denied { .. }) {
            // About us, not about this order: the payment point waits, or the job ends.
            return self.wait(SHORTLY, exists);
        }
        next.tries = next.tries.saturating_add(1);
        let attempt = Attempt::new(next.tries).unwrap_or(Attempt::FIRST);
        let delay = self.settings.retry.delay(attempt, self.jitter);
        let delay = delay.unwrap_or_else(|| self.settings.retry.cap.max(HANDED_OVER));
        self.wait(if lost && !self.settings.idempotent { delay.max(self.settings.lookup_after) } else { delay }, exists)
    }

    fn wait(&self, wait: Duration, exists: bool) -> Waits {
        let at = self.now.plus(wait).0;
        if exists { Waits::Doubt(at) } else { Waits::Fresh(at) }
    }

    fn told(&self, order: &Order) -> String {
        let mut event = order_event(self.campaign, order, order.state.as_str(), self.now);
        if let Some(fields) = event.as_object_mut() {
            if !order.code().is_empty() {
                fields.insert("short_code".to_owned(), order.code().into());
                fields.insert("link".to_owned(), order.link(self.link_base).into());
            }
            if !order.reason.is_empty() {
                fields.insert("reason".to_owned(), order.reason.as_str().into());
            }
        }
        event.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{order::tests as sample, retry::RetryPolicy, short_code::ShortCode};
    use crate::wire::Secret;

    fn settings(idempotent: bool) -> PlatformSettings {
        PlatformSettings {
            name: "pp".to_owned(),
            url: "http://127.0.0.1:1/".to_owned(),
            api_key: Secret::new("k"),
            organization_id: String::new(),
            payment_point_id: "pp".to_owned(),
            rate_per_second: 0,
            in_flight: 1,
            timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            pool_idle: Duration::from_secs(1),
            idempotent,
            lookup_after: Duration::from_secs(5),
            retry: RetryPolicy { max_attempts: 3, base: Duration::from_secs(1), cap: Duration::from_secs(8) },
            breaker_failures: 1,
            breaker_cooldown: Duration::from_secs(1),
        }
    }

    fn creating(tries: u32) -> Order {
        Order { state: OrderState::Creating, short_code: None, tries, origin: Some((7, 8)), ..sample::order() }
    }

    fn judged(idempotent: bool, order: &Order, came: &Came) -> (Settled, Order) {
        let settings = settings(idempotent);
        let rules =
            Rules { settings: &settings, campaign: "c", link_base: "https://p/", now: EpochMs(1000), jitter: u64::MAX };
        let claimed = ClaimedOrder { number: order.number, doubt: false, until_ms: 77, text: "before".to_owned() };
        let settled = judge(&rules, &claimed, order, came);
        let after = Order::from_json(&settled.after).unwrap();
        (settled, after)
    }

    fn failed(failure: Failure, exists: bool) -> Came {
        Came::Failed { failure, exists }
    }

    #[test]
    fn da_2_every_row_of_the_table_leaves_a_doubt_exactly_where_the_platform_may_have_the_order() {
        let table = [
            (false, failed(Failure::transient("connection_refused"), false), Waits::Fresh(2000)),
            (false, failed(Failure::transient("connection_refused"), true), Waits::Doubt(2000)),
            (true, failed(Failure::transient("server_error:http_500"), false), Waits::Doubt(2000)),
            (false, failed(Failure::ambiguous("answer_timeout"), false), Waits::Doubt(6000)),
            (true, failed(Failure::ambiguous("answer_timeout"), false), Waits::Doubt(2000)),
            (false, failed(Failure::throttled("rate_limited", None), false), Waits::Fresh(2000)),
            (false, failed(Failure::throttled("rate_limited", None), true), Waits::Doubt(2000)),
            (false, failed(Failure::denied("not_authorised"), false), Waits::Fresh(2000)),
            (false, failed(Failure::permanent("refused:x"), true), Waits::Doubt(2000)),
            (true, failed(Failure::permanent("refused:x"), true), Waits::No),
            (false, failed(Failure::permanent("refused:x"), false), Waits::No),
            (false, Came::NotSent { exists: false }, Waits::Fresh(2000)),
            (false, Came::NotSent { exists: true }, Waits::Doubt(2000)),
            (false, Came::Stopped { exists: false, withdrawn: true }, Waits::No),
            (false, Came::Stopped { exists: false, withdrawn: false }, Waits::Fresh(61_000)),
            (false, Came::Stopped { exists: true, withdrawn: true }, Waits::Doubt(61_000)),
            (false, Came::Expired, Waits::No),
        ];
        for (idempotent, came, expected) in table {
            let (settled, after) = judged(idempotent, &creating(0), &came);
            assert_eq!((settled.waits, settled.claim), (expected, Some(77)), "{came:?}");
            let state = match expected {
                Waits::Fresh(_) => OrderState::Creating,
                Waits::Doubt(_) => OrderState::InDoubt,
                Waits::No if matches!(came, Came::Expired) => OrderState::Expired,
                Waits::No => OrderState::Cancelled,
            };
            assert_eq!((after.state, settled.states.1), (state, state.as_str()), "{came:?}");
        }
    }

    #[test]
    fn an_order_that_was_tried_often_is_handed_to_the_background() {
        let (settled, after) = judged(false, &creating(2), &failed(Failure::transient("connection_refused"), false));
        assert_eq!((settled.waits, after.tries), (Waits::Fresh(61_000), 3));
        let (settled, after) = judged(false, &creating(2), &failed(Failure::throttled("rate_limited", None), false));
        assert_eq!((settled.waits, after.tries), (Waits::Fresh(2000), 2), "that is about us, not about the order");
    }

    #[test]
    fn an_order_that_was_made_has_the_platforms_id_and_link_and_nothing_of_the_making() {
        let made = |state| {
            Came::Made(Made { platform_id: "a".repeat(64), short_code: ShortCode::parse("abc123").unwrap(), state })
        };
        let (settled, after) = judged(false, &creating(4), &made(Some(OrderState::Available)));
        assert_eq!(
            (settled.waits, settled.claim, after.state, after.tries, after.origin),
            (Waits::No, None, OrderState::Available, 0, None)
        );
        assert!(settled.event.contains("\"link\":\"https://p/?p=abc123\""), "{}", settled.event);
        // Somebody was quick.
        let (_, after) = judged(false, &creating(0), &made(Some(OrderState::Paid)));
        assert_eq!((after.state, after.paid_minor), (OrderState::Paid, after.amount.minor()));
        let late = Order { expires_at: EpochMs(1000), ..creating(0) };
        let (settled, after) = judged(false, &late, &made(Some(OrderState::Available)));
        assert_eq!((settled.states.1, after.state), ("expired", OrderState::Expired), "po_18: the clock decides");
        // Pre-authorised states are not available.
        let (settled, after) = judged(false, &creating(0), &made(None));
        assert_eq!((settled.waits, after.state), (Waits::Doubt(61_000), OrderState::InDoubt));
    }

    #[test]
    fn da_9_a_forgotten_order_keeps_its_texts_only_until_it_is_settled() {
        let forgotten = Order { forgotten_at: Some(EpochMs(1)), ..creating(0) };
        let (settled, after) = judged(false, &forgotten, &Came::Forgotten);
        assert_eq!(
            (settled.waits, after.state, after.reason.as_str()),
            (Waits::No, OrderState::Cancelled, "forgotten")
        );
        assert_eq!((after.reference.as_str(), after.concept.as_str()), ("", ""));
        let (_, after) = judged(false, &forgotten, &failed(Failure::ambiguous("answer_timeout"), false));
        assert_eq!((after.state, after.reference.as_str()), (OrderState::InDoubt, "A-1"));
    }

    #[test]
    fn a_refused_order_keeps_the_code_and_its_row_is_listed() {
        let (settled, after) = judged(false, &creating(0), &failed(Failure::permanent("refused:bad"), false));
        assert_eq!((after.state, after.reason.as_str()), (OrderState::Cancelled, "refused:bad"));
        let (code, row) = settled.refused.unwrap();
        let row: serde_json::Value = serde_json::from_str(&row).unwrap();
        assert_eq!((code, &row["row"], &row["line"]), ("provider_refused", &json!(7), &json!(8)));
        assert!(row["input"].as_str().unwrap().contains("\"key\":\"gen-nov:1\""), "{row}");
    }
}
