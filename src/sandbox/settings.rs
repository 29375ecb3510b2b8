//! What the simulator is told to do, all of it changeable while it runs.
//!
//! The JSON form (`GET /settings`, `PUT /settings`) has the field names below. `PUT` is a merge patch (RFC 7396): only
//! what is named changes, `null` brings a default back. A setting that cannot work is refused with its name and rule,
//! and nothing changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::payments::PaymentSettings;
use crate::domain::signature;

/// What happens to one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// 202 with an id.
    Accept,
    /// `refuse_status` with `refuse_code`; not accepted.
    Refuse,
    /// 429 with `Retry-After`; not accepted.
    Throttle,
    /// `fail_status`; not accepted.
    Fail,
    /// No answer until the client gives up; not accepted.
    Hang,
    /// Accepted, and the connection is closed without an answer.
    Cut,
    /// The connection is reset before the body is read; not accepted.
    Reset,
}

/// The form of `Retry-After` (RFC 9110, section 10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfterForm {
    /// A number of seconds.
    Seconds,
    /// An HTTP date.
    Date,
    /// No header.
    None,
}

/// The whole behaviour. Shares are per mille of the messages; what they leave over is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxSettings {
    /// Where to listen on 127.0.0.1; 0 = any free port. Not part of the JSON form.
    #[serde(skip)]
    pub port: u16,
    /// Same seed, same order of arrival: same fates. A change starts the sequence anew.
    pub seed: u64,
    /// Shortest wait before an answer.
    pub latency_min_ms: u64,
    /// Longest wait before an answer; waits are spread evenly between the two.
    pub latency_max_ms: u64,
    /// Share refused with `refuse_status`.
    pub refuse_per_mille: u16,
    /// Status of a refusal, 400 to 499.
    pub refuse_status: u16,
    /// `error.code` of a refusal.
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
    /// Share never answered.
    pub hang_per_mille: u16,
    /// Share accepted and then cut off.
    pub cut_per_mille: u16,
    /// Share reset before reading.
    pub reset_per_mille: u16,
    /// The fates of the next messages, in order of arrival, before the shares above apply again.
    pub script: Vec<Fate>,
    /// Recipients with a fate of their own; it wins over everything but a reset.
    pub recipients: BTreeMap<String, Fate>,
    /// Accepted messages are counted, but their answers wait until this is false again.
    pub hold: bool,
    /// A repeated `Idempotency-Key` is answered with the first id and not accepted again.
    pub idempotency: bool,
    /// Messages kept for `GET /inbox`; the oldest leave.
    pub inbox_messages: usize,
    /// Keys kept to tell distinct messages from duplicates, and idempotency keys remembered.
    pub tracked_keys: usize,
    /// Delivery reports.
    pub reports: ReportSettings,
    /// The payment platform.
    pub payments: PaymentSettings,
}

/// When and where delivery reports go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportSettings {
    /// Receives one POST a message; `null` = no reports.
    pub url: Option<String>,
    /// Signs the reports as Standard Webhooks says; `whsec_<base64>` or any text; `null` = unsigned.
    pub secret: Option<String>,
    /// Shortest time from acceptance to the report.
    pub delay_min_ms: u64,
    /// Longest time from acceptance to the report.
    pub delay_max_ms: u64,
    /// Share reported `undelivered`.
    pub undelivered_per_mille: u16,
    /// Share reported `expired`.
    pub expired_per_mille: u16,
    /// Most POSTs of one report; anything but a 2xx is tried again.
    pub attempts: u32,
    /// Wait before the second POST; doubled each time.
    pub retry_ms: u64,
    /// Most POSTs at once.
    pub in_flight: usize,
    /// Most reports waiting; beyond it they are dropped and counted.
    pub waiting: usize,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            port: 0,
            seed: 1,
            latency_min_ms: 0,
            latency_max_ms: 0,
            refuse_per_mille: 0,
            refuse_status: 400,
            refuse_code: "invalid_recipient".to_owned(),
            throttle_per_mille: 0,
            retry_after_seconds: 1,
            retry_after_form: RetryAfterForm::Seconds,
            fail_per_mille: 0,
            fail_status: 500,
            hang_per_mille: 0,
            cut_per_mille: 0,
            reset_per_mille: 0,
            script: Vec::new(),
            recipients: BTreeMap::new(),
            hold: false,
            idempotency: true,
            inbox_messages: 10_000,
            tracked_keys: 2_000_000,
            reports: ReportSettings::default(),
            payments: PaymentSettings::default(),
        }
    }
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self {
            url: None,
            secret: None,
            delay_min_ms: 200,
            delay_max_ms: 2_000,
            undelivered_per_mille: 0,
            expired_per_mille: 0,
            attempts: 5,
            retry_ms: 1_000,
            in_flight: 16,
            waiting: 100_000,
        }
    }
}

/// A setting that cannot work.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not JSON, an unknown name, or a wrong type; the text names it.
    #[error("{0}")]
    Shape(String),
    /// Understood, but against its rule.
    #[error("{name} {rule}")]
    Rule {
        /// Which setting.
        name: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

impl SandboxSettings {
    /// These settings with a merge patch applied, checked.
    ///
    /// # Errors
    /// Names the setting and what is wrong with it.
    pub fn patched(&self, patch: &[u8]) -> Result<Self, SettingsError> {
        let shape = |error: serde_json::Error| SettingsError::Shape(error.to_string());
        let patch: Value = serde_json::from_slice(patch).map_err(shape)?;
        if !patch.is_object() {
            return Err(SettingsError::Shape("settings are a JSON object".to_owned()));
        }
        let mut whole = serde_json::to_value(self).map_err(shape)?;
        merge(&mut whole, patch);
        let mut settings: Self = serde_json::from_value(whole).map_err(shape)?;
        settings.port = self.port;
        settings.check()?;
        Ok(settings)
    }

    /// Whether the settings fit together.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn check(&self) -> Result<(), SettingsError> {
        let shares = [
            self.refuse_per_mille,
            self.throttle_per_mille,
            self.fail_per_mille,
            self.hang_per_mille,
            self.cut_per_mille,
            self.reset_per_mille,
        ];
        let reports = &self.reports;
        let states = [reports.undelivered_per_mille, reports.expired_per_mille];
        let sum = |shares: &[u16]| shares.iter().map(|share| u32::from(*share)).sum::<u32>();
        let rules = [
            (sum(&shares) <= 1000, "*_per_mille", "add up to more than 1000"),
            (sum(&states) <= 1000, "reports.*_per_mille", "add up to more than 1000"),
            (self.latency_min_ms <= self.latency_max_ms, "latency_min_ms", "must not be above latency_max_ms"),
            (reports.delay_min_ms <= reports.delay_max_ms, "reports.delay_min_ms", "must not be above delay_max_ms"),
            ((400..=499).contains(&self.refuse_status), "refuse_status", "must be 400 to 499"),
            ((500..=599).contains(&self.fail_status), "fail_status", "must be 500 to 599"),
            (self.tracked_keys > 0, "tracked_keys", "must be at least 1"),
            ((1..=20).contains(&reports.attempts), "reports.attempts", "must be 1 to 20"),
            ((1..=1000).contains(&reports.in_flight), "reports.in_flight", "must be 1 to 1000"),
            (
                reports.url.as_ref().is_none_or(|url| url.starts_with("http://") || url.starts_with("https://")),
                "reports.url",
                "must begin with http:// or https://",
            ),
            (
                reports.secret.as_deref().is_none_or(|secret| signature::key(secret).is_some()),
                "reports.secret",
                "must not be empty, nor broken base64 behind whsec_",
            ),
        ];
        match rules.into_iter().chain(self.payments.rules()).find(|(holds, ..)| !holds) {
            None => Ok(()),
            Some((_, name, rule)) => Err(SettingsError::Rule { name, rule }),
        }
    }
}

/// RFC 7396; a removed member gets its default when the whole is read again.
fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    target.remove(&name);
                } else {
                    merge(target.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = patch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_null_brings_the_default_back() {
        let port = SandboxSettings { port: 7, ..SandboxSettings::default() };
        let patch = br#"{"cut_per_mille":10,"reports":{"url":"http://x/"},"script":["cut","accept"],"retry_after_form":"date"}"#;
        let changed = port.patched(patch).unwrap();
        assert_eq!((changed.port, changed.cut_per_mille), (7, 10));
        assert_eq!(changed.retry_after_form, RetryAfterForm::Date);
        assert_eq!(changed.script, vec![Fate::Cut, Fate::Accept]);
        assert_eq!((changed.reports.url.as_deref(), changed.reports.attempts), (Some("http://x/"), 5));
        let back = changed.patched(br#"{"cut_per_mille":null,"reports":null,"script":null,"retry_after_form":null}"#);
        assert_eq!(back.unwrap(), port);
    }

    #[test]
    fn a_setting_that_cannot_work_is_refused_by_name() {
        let refused = |patch: &str| SandboxSettings::default().patched(patch.as_bytes()).unwrap_err().to_string();
        assert!(refused(r#"{"cutt_per_mille":1}"#).contains("cutt_per_mille"));
        assert!(refused(r#"{"script":["explode"]}"#).contains("explode"));
        assert_eq!(refused(r#"{"cut_per_mille":600,"fail_per_mille":401}"#), "*_per_mille add up to more than 1000");
        assert_eq!(refused(r#"{"latency_min_ms":1}"#), "latency_min_ms must not be above latency_max_ms");
        assert_eq!(refused(r#"{"refuse_status":200}"#), "refuse_status must be 400 to 499");
        assert_eq!(refused(r#"{"reports":{"url":"x"}}"#), "reports.url must begin with http:// or https://");
        assert_eq!(refused("[]"), "settings are a JSON object");
    }
}
