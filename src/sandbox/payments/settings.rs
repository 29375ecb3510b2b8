//! How the simulated payment platform behaves.

use serde::{Deserialize, Serialize};

use crate::sandbox::fate::Dice;
use crate::sandbox::settings::RetryAfterForm;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentFate {
    /// Done and answered.
    Accept,
    /// `refuse_status` with `refuse_code`; not done.
    Refuse,
    /// 429 with `Retry-After`; not done.
    Throttle,
    /// `fail_status`; not done.
    Fail,
    /// No answer until the client gives up; not done.
    Hang,
    /// The connection is reset before the body is read; not done.
    Reset,
    /// Done, and the connection is closed without an answer.
    Cut,
    /// Done, and never answered.
    Silent,
    /// Done, and answered with something that is not JSON.
    Unreadable,
    /// Done, and answered with more than any client should read.
    Huge,
}

/// The behaviour of `/payments/v1`. Shares are per mille of the orders asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaymentSettings {
    /// The value of `x-api-key` that is known; any other is answered 401.
    pub api_key: String,
    /// A repeated `Idempotency-Key` is answered with the first order.
    pub idempotency: bool,
    /// Shortest wait before an answer.
    pub latency_min_ms: u64,
    /// Longest wait before an answer.
    pub latency_max_ms: u64,
    /// Share refused with `refuse_status`.
    pub refuse_per_mille: u16,
    /// Status of a refusal, 400 to 499.
    pub refuse_status: u16,
    /// `code` of a refusal.
    pub refuse_code: String,
    /// Share answered 429.
    pub throttle_per_mille: u16,
    /// The wait that a 429 asks for.
    pub retry_after_seconds: u64,
    /// How it asks.
    pub retry_after_form: RetryAfterForm,
    /// Share answered `fail_status`.
    pub fail_per_mille: u16,
    /// Status of a failure, 500 to 599.
    pub fail_status: u16,
    /// Share never answered and not made.
    pub hang_per_mille: u16,
    /// Share reset before reading.
    pub reset_per_mille: u16,
    /// Share made and cut off.
    pub cut_per_mille: u16,
    /// Share made and never answered.
    pub silent_per_mille: u16,
    /// Share made and answered with something that is not JSON.
    pub unreadable_per_mille: u16,
    /// Share made and answered with a body of megabytes.
    pub huge_per_mille: u16,
    /// Fates of the next orders asked for, before the shares apply again.
    pub script: Vec<PaymentFate>,
    /// Fates of the next other calls (list, detail, cancel, pay, refund).
    pub other_script: Vec<PaymentFate>,
    /// Orders are made, their answers wait until this is false again.
    pub hold: bool,
    /// Orders kept; the oldest leave.
    pub kept: usize,
}

impl Default for PaymentSettings {
    fn default() -> Self {
        Self {
            api_key: "sandbox".to_owned(),
            idempotency: true,
            latency_min_ms: 0,
            latency_max_ms: 0,
            refuse_per_mille: 0,
            refuse_status: 400,
            refuse_code: "INVALID_ORDER".to_owned(),
            throttle_per_mille: 0,
            retry_after_seconds: 1,
            retry_after_form: RetryAfterForm::Seconds,
            fail_per_mille: 0,
            fail_status: 500,
            hang_per_mille: 0,
            reset_per_mille: 0,
            cut_per_mille: 0,
            silent_per_mille: 0,
            unreadable_per_mille: 0,
            huge_per_mille: 0,
            script: Vec::new(),
            other_script: Vec::new(),
            hold: false,
            kept: 200_000,
        }
    }
}

impl PaymentSettings {
    fn shares(&self) -> [(u16, PaymentFate); 9] {
        [
            (self.refuse_per_mille, PaymentFate::Refuse),
            (self.throttle_per_mille, PaymentFate::Throttle),
            (self.fail_per_mille, PaymentFate::Fail),
            (self.hang_per_mille, PaymentFate::Hang),
            (self.reset_per_mille, PaymentFate::Reset),
            (self.cut_per_mille, PaymentFate::Cut),
            (self.silent_per_mille, PaymentFate::Silent),
            (self.unreadable_per_mille, PaymentFate::Unreadable),
            (self.huge_per_mille, PaymentFate::Huge),
        ]
    }

    /// The fate that the shares give.
    pub(in crate::sandbox) fn by_shares(&self, dice: &mut Dice) -> PaymentFate {
        dice.share(&self.shares()).unwrap_or(PaymentFate::Accept)
    }

    /// The rules: whether each holds, the setting, and what it must be.
    pub(in crate::sandbox) fn rules(&self) -> [(bool, &'static str, &'static str); 5] {
        let sum: u32 = self.shares().iter().map(|(share, _)| u32::from(*share)).sum();
        [
            (sum <= 1000, "payments.*_per_mille", "add up to more than 1000"),
            (self.latency_min_ms <= self.latency_max_ms, "payments.latency_min_ms", "must not be above latency_max_ms"),
            ((400..=499).contains(&self.refuse_status), "payments.refuse_status", "must be 400 to 499"),
            ((500..=599).contains(&self.fail_status), "payments.fail_status", "must be 500 to 599"),
            (self.kept > 0, "payments.kept", "must be at least 1"),
        ]
    }
}
