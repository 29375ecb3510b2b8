//! What a channel is told to be: the resolved settings of one `[channels.<name>]` table.
//!
//! Plain data. `config` builds it (defaults merged, environment expanded, contradictions refused); a channel
//! reads it and never looks at the environment or a file itself. Two settings may be trusted here:
//! [`OnUnknown::Resend`] is only ever found together with `idempotent`, and `timeout` is at most the drain
//! budget of the process. A [`Secret`] does not print itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::case::ContactKind;
use crate::domain::contact_rules::ChannelRules;
pub use crate::wire::Secret;

/// What a channel speaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// Any provider with a JSON API: the request is templated, the reply is mapped by JSON pointers.
    Http,
    /// The built-in simulator: `http` with the request and reply mapping filled in.
    Sandbox,
    /// A provider whose requests and answers are known: `http` with both filled in.
    Known(Provider),
    /// A mail server.
    Smtp(SmtpSettings),
}

/// The providers whose requests and answers are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Twilio's Programmable Messaging.
    Twilio,
    /// Infobip's SMS API, version 3.
    Infobip,
    /// The Cloud API of WhatsApp.
    WhatsappCloud,
}

impl Provider {
    /// The word of the configuration file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::Infobip => "infobip",
            Self::WhatsappCloud => "whatsapp_cloud",
        }
    }

    /// The credentials without which it takes nothing.
    pub const fn credentials(self) -> &'static [&'static str] {
        match self {
            Self::Twilio => &["account_sid", "auth_token"],
            Self::Infobip => &["api_key"],
            Self::WhatsappCloud => &["access_token"],
        }
    }

    /// Where it listens; nothing where every account has an address of its own.
    pub const fn url(self) -> Option<&'static str> {
        match self {
            Self::Twilio => Some("https://api.twilio.com/2010-04-01"),
            Self::Infobip => None,
            Self::WhatsappCloud => Some("https://graph.facebook.com/v24.0"),
        }
    }
}

/// How a mail server is spoken to, beside the user name and password among the credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SmtpSettings {
    /// Its host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// Whose e-mails these are: an address, with or without a name.
    pub from: String,
    /// Where answers go; empty: to `from`.
    pub reply_to: String,
}

/// How the connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Security {
    /// TLS is asked for and must be given (RFC 3207); port 587 as a rule.
    StartTls,
    /// TLS from the first byte (RFC 8314); port 465 as a rule.
    Tls,
    /// None, which is only ever found with a server on this machine.
    None,
}

impl ChannelKind {
    /// The word of the configuration file: the kind, or the provider of a known one.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Sandbox => "sandbox",
            Self::Known(provider) => provider.as_str(),
            Self::Smtp(_) => "smtp",
        }
    }
}

/// What the body of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyFormat {
    /// JSON: values are escaped for the inside of a JSON string.
    Json,
    /// The fields of a form: values are percent-encoded.
    Form,
}

/// What becomes of a recipient of whom nobody knows whether the provider took the message: the answer was lost, or the
/// daemon died (DOMAIN rule DA-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnUnknown {
    /// Stays `unknown` until a receipt or an operator decides. The default, unless the provider de-duplicates.
    Keep,
    /// Asked again with the same idempotency key while attempts last, then `unknown`; only where the provider
    /// de-duplicates, and there the default.
    Resend,
    /// Becomes `failed` at once, with a reason that begins with `unknown:`.
    Fail,
}

/// How the runs of one channel share it (rule BM-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunsOrder {
    /// Batch by batch, so that a small run is not stuck behind a large one.
    Fair,
}

/// One channel, as configured. Keys, units and ranges are described in `config/remesa.toml`.
/// Its `Debug` shows neither query strings, header values nor bodies: people write tokens into them.
#[derive(Clone, PartialEq, Eq)]
pub struct ChannelSettings {
    /// The name that jobs use.
    pub name: String,
    /// What it speaks.
    pub kind: ChannelKind,
    /// Which contacts of a case it writes to.
    pub address: ContactKind,
    /// Where the provider listens; for the sandbox the base address of the simulator.
    pub url: String,
    /// HTTP method, upper case.
    pub method: String,
    /// Header name to template.
    pub headers: BTreeMap<String, String>,
    /// Template of the body. Empty for the sandbox and for known providers, which bring their own.
    pub body: String,
    /// What the body is.
    pub body_format: BodyFormat,
    /// JSON pointer (RFC 6901) to the provider's message id in a successful reply.
    pub id_pointer: String,
    /// JSON pointer to the provider's error code in a refusing reply.
    pub error_pointer: String,
    /// Error codes that mean that the provider refuses us, not the recipient.
    pub denied_codes: Vec<String>,
    /// Error codes that ask us to slow down.
    pub throttled_codes: Vec<String>,
    /// Sender shown on the phone: a number or an alphanumeric name.
    pub sender: String,
    /// Credentials by name, for the templates.
    pub credentials: BTreeMap<String, Secret>,
    /// Longest validity that the provider takes; a message gets the life its order has left, at most this.
    pub max_validity: Duration,
    /// Message parts a second over all daemons; 0 = unlimited.
    pub rate_per_second: u32,
    /// Most requests at once, per daemon.
    pub in_flight: u32,
    /// From the request to the end of the reply.
    pub timeout: Duration,
    /// For the TCP and TLS connection.
    pub connect_timeout: Duration,
    /// Idle connections are closed after this.
    pub pool_idle: Duration,
    /// The provider de-duplicates by our idempotency key.
    pub idempotent: bool,
    /// What becomes of a recipient of whom nobody knows.
    pub on_unknown: OnUnknown,
    /// How runs share the channel.
    pub runs: RunsOrder,
    /// Slots of a run on this channel: how many turns of one run go on at once, over all daemons.
    pub slots: u32,
    /// Most attempts for one recipient, the first one included.
    pub retry_attempts: u32,
    /// Wait before the second attempt, before jitter.
    pub retry_base: Duration,
    /// The longest wait between two attempts.
    pub retry_cap: Duration,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// How long the breaker stays open before one probe is let through.
    pub breaker_cooldown: Duration,
    /// When and how often it may write to people.
    pub contact: ChannelRules,
}
