//! The configuration as it is written: one struct a table of `config/remesa.toml`, one field a key.
//!
//! Every field is required, because the compiled-in file holds every key: a key that is missing there fails the
//! first test that loads a configuration. Durations, names and addresses are still text; `resolve` judges them.
//! Numbers and booleans may come as text, since the environment knows nothing else.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) prefix: String,
    pub(super) instance: String,
    pub(super) state_dir: String,
    pub(super) redis: Redis,
    pub(super) queues: Queues,
    pub(super) leases: Leases,
    pub(super) jobs: Jobs,
    pub(super) orders: Orders,
    pub(super) payment_points: BTreeMap<String, PaymentPoint>,
    pub(super) sources: Sources,
    pub(super) messages: Messages,
    pub(super) recurring: Recurring,
    pub(super) channels: BTreeMap<String, Channel>,
    pub(super) results: Capped,
    pub(super) rejected: Capped,
    pub(super) dead: Capped,
    pub(super) audit: Capped,
    pub(super) retention: Retention,
    pub(super) http: Http,
    pub(super) unsubscribe: Unsubscribe,
    pub(super) replies: Replies,
    pub(super) shutdown: Shutdown,
    pub(super) log: Log,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Redis {
    pub(super) url: String,
    pub(super) tls_ca_file: String,
    pub(super) tls_certificate_file: String,
    pub(super) tls_key_file: String,
    pub(super) response_timeout: String,
    pub(super) connect_timeout: String,
    pub(super) wait_replicas: u32,
    pub(super) wait_timeout: String,
    pub(super) embedded_program: String,
    pub(super) embedded_fsync: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names are the keys of the file")]
pub(super) struct Queues {
    pub(super) permits_generate: u32,
    pub(super) permits_control: u32,
    pub(super) permits_batch: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Leases {
    pub(super) renew: String,
    pub(super) lease: String,
    pub(super) sweep: String,
    pub(super) max_deliveries: u32,
    pub(super) claim_deadline: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Jobs {
    pub(super) retention_with_id: String,
    pub(super) retention: String,
    pub(super) max_attempts: u32,
    pub(super) retry_base: String,
    pub(super) retry_cap: String,
    pub(super) max_bytes: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Orders {
    pub(super) max_amount: u64,
    #[serde(deserialize_with = "list")]
    pub(super) currencies: Vec<String>,
    pub(super) expires_in: String,
    pub(super) floor: String,
    pub(super) short_code_length: u32,
    pub(super) link_base: String,
    pub(super) default_payment_point: String,
    pub(super) index_reference: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names are the keys of the file")]
pub(super) struct PaymentPoint {
    pub(super) provider: String,
    pub(super) link_base: String,
    pub(super) url: String,
    pub(super) credentials: BTreeMap<String, String>,
    pub(super) organization_id: String,
    pub(super) payment_point_id: String,
    pub(super) rate_per_second: u32,
    pub(super) in_flight: u32,
    pub(super) timeout: String,
    pub(super) connect_timeout: String,
    pub(super) pool_idle: String,
    pub(super) idempotent: bool,
    pub(super) lookup_after: String,
    pub(super) retry_attempts: u32,
    pub(super) retry_base: String,
    pub(super) retry_cap: String,
    pub(super) breaker_failures: u32,
    pub(super) breaker_cooldown: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sources {
    pub(super) spool_dir: String,
    pub(super) max_rows: u64,
    pub(super) max_line_bytes: u64,
    pub(super) slice_rows: u32,
    pub(super) kept_errors: u64,
    pub(super) seek: String,
    pub(super) max_bytes: u64,
    pub(super) error_file_max_bytes: u64,
    #[serde(deserialize_with = "list")]
    pub(super) url_hosts: Vec<String>,
    pub(super) url_allow_http: bool,
    pub(super) url_allow_private: bool,
    pub(super) url_timeout: String,
    pub(super) url_idle: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recurring {
    pub(super) min_interval: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Messages {
    pub(super) max_parts: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Channel {
    pub(super) kind: String,
    pub(super) provider: String,
    pub(super) address: String,
    pub(super) host: String,
    pub(super) port: u32,
    pub(super) tls: String,
    pub(super) from: String,
    pub(super) reply_to: String,
    pub(super) url: String,
    pub(super) method: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
    pub(super) body_format: String,
    pub(super) id_pointer: String,
    pub(super) error_pointer: String,
    #[serde(deserialize_with = "list")]
    pub(super) denied_codes: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub(super) throttled_codes: Vec<String>,
    pub(super) sender: String,
    pub(super) credentials: BTreeMap<String, String>,
    pub(super) max_validity: String,
    pub(super) rate_per_second: u32,
    pub(super) in_flight: u32,
    pub(super) timeout: String,
    pub(super) connect_timeout: String,
    pub(super) pool_idle: String,
    pub(super) idempotent: bool,
    pub(super) on_unknown: String,
    pub(super) runs: String,
    pub(super) slots: u32,
    pub(super) retry_attempts: u32,
    pub(super) retry_base: String,
    pub(super) retry_cap: String,
    pub(super) breaker_failures: u32,
    pub(super) breaker_cooldown: String,
    pub(super) hours: serde_json::Value,
    pub(super) cap: serde_json::Value,
    #[serde(deserialize_with = "list")]
    pub(super) contact_rules_for: Vec<String>,
    pub(super) receipts: Receipts,
    pub(super) replies: ChannelReplies,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelReplies {
    pub(super) enabled: bool,
    pub(super) unsigned: bool,
    pub(super) list_pointer: String,
    pub(super) from_pointer: String,
    pub(super) text_pointer: String,
    pub(super) id_pointer: String,
    pub(super) time_pointer: String,
    pub(super) reference_pointer: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replies {
    pub(super) within: String,
    pub(super) reopen: bool,
    #[serde(deserialize_with = "list")]
    pub(super) stop_words: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub(super) start_words: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Receipts {
    pub(super) list_pointer: String,
    pub(super) reference_pointer: String,
    pub(super) state_pointer: String,
    pub(super) reason_pointer: String,
    pub(super) id_pointer: String,
    pub(super) time_pointer: String,
    pub(super) states: BTreeMap<String, String>,
    #[serde(deserialize_with = "list")]
    pub(super) secrets: Vec<String>,
    pub(super) signature: String,
    pub(super) signature_header: String,
    pub(super) tolerance: String,
    pub(super) verify_token: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Capped {
    pub(super) max_bytes: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    pub(super) forgotten: String,
    pub(super) campaigns: String,
    pub(super) recurring_runs: String,
    pub(super) exports: String,
    pub(super) source_digests: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    pub(super) listen: String,
    pub(super) public_url: String,
    #[serde(deserialize_with = "list")]
    pub(super) hosts: Vec<String>,
    pub(super) personal_data: String,
    pub(super) session: String,
    pub(super) tokens: BTreeMap<String, Token>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub(super) token: String,
    pub(super) role: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unsubscribe {
    pub(super) url: String,
    pub(super) label: String,
    pub(super) company: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shutdown {
    pub(super) drain: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) format: String,
    pub(super) level: String,
}

/// A list of texts; one text is split at its commas, for the environment.
fn list<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    struct List;

    impl<'de> Visitor<'de> for List {
        type Value = Vec<String>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a list of texts")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut parts = Vec::new();
            while let Some(part) = seq.next_element()? {
                parts.push(part);
            }
            Ok(parts)
        }
    }

    input.deserialize_any(List)
}
