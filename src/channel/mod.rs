//! Channels: the way from a rendered message to a provider.
//!
//! A [`Channel`] is built once from its [`settings`] and asked to [`deliver`](Channel::deliver) one [`Submission`] at
//! a time, from any number of tasks. It answers with the provider's id, with a [`Failure`](crate::domain::failure::Failure)
//! of the closed table in [`failure`], or with [`DeliverError::NotSent`], which is a promise: not
//! one byte of the message left this process.
//! It does not retry, does not pace, and does not log: the turn and the governor do.
//!
//! Reading order: `settings`, `http` (the call), `request` and `template` (what is sent), `reply` (what comes back),
//! `sandbox` (the preset of the simulator), `known` (the providers that are known: `twilio`, `infobip`,
//! `whatsapp_cloud`), `smtp` (mail servers); connections and the table of failures stand in [`crate::wire`].

use std::fmt;
use std::time::Instant;

pub mod governor;
mod http;
mod infobip;
mod known;
mod redact;
mod reply;
mod request;
mod sandbox;
#[cfg(test)]
mod scripted;
pub mod settings;
mod smtp;
mod template;
#[cfg(test)]
pub(crate) mod tests;
mod twilio;
mod whatsapp_cloud;

use crate::domain::trace::Trace;
pub use crate::wire::{DeliverError, failure};
pub use sandbox::DEFAULT_URL as SANDBOX_DEFAULT_URL;
use settings::{ChannelKind, ChannelSettings};

/// One message to one contact, as it is handed to a provider.
#[derive(Clone, Copy)]
pub struct Submission<'a> {
    /// The address: E.164, or a mail address where the channel is one for mail.
    pub to: &'a str,
    /// The whole text, link included; may be empty where there is HTML or a template.
    pub text: &'a str,
    /// The subject of an e-mail; empty: none.
    pub subject: &'a str,
    /// The HTML of an e-mail; empty: none.
    pub html: &'a str,
    /// A template that the provider keeps, instead of the text.
    pub template: Option<FilledTemplate<'a>>,
    /// Where its recipient may unsubscribe, in one click (RFC 8058); empty: nowhere.
    pub unsubscribe_url: &'a str,
    /// Our reference; delivery reports find the recipient by it.
    pub reference: &'a str,
    /// The same for every attempt at this message; a provider that de-duplicates does it by this.
    pub idempotency_key: &'a str,
    /// For how long the provider may try, if the message ends.
    pub validity_seconds: Option<u64>,
    /// Parts (SMS segments) of the text.
    pub parts: usize,
    /// Where the provider may report on this message; empty where no public address is configured.
    pub receipt_url: &'a str,
    /// Where this message stands in the trace of whoever asked for it; a provider behind HTTP is told.
    pub trace: Option<Trace>,
    /// After this instant the claim may belong to someone else: nothing is handed over any more.
    pub deadline: Instant,
}

/// A template that the provider keeps, and what stands in its places.
#[derive(Clone, Copy)]
pub struct FilledTemplate<'a> {
    /// Its name at the provider.
    pub name: &'a str,
    /// Its language, as the provider writes it.
    pub language: &'a str,
    /// What stands in its places, in order, each in one line.
    pub parameters: &'a [String],
}

impl fmt::Debug for Submission<'_> {
    /// Ids only: the address and the text are personal data.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Submission")
            .field("reference", &self.reference)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

/// The provider took the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The provider's id of the message, at most 128 bytes and without control characters.
    pub provider_id: String,
}

/// What a provider told without being given a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probed {
    /// It is there and knows our credentials.
    KnowsUs,
    /// It is there; whether it knows us shows with a message only.
    Reached,
}

/// Why a channel cannot be built. None of these texts holds a template or a credential.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The template engine does not understand a template.
    #[error("channel {channel}: the template of {place} has a syntax error in line {line}")]
    Syntax {
        /// Channel name.
        channel: String,
        /// `url`, `body` or `header <name>`.
        place: String,
        /// Line of the template, from 1.
        line: usize,
    },
    /// A placeholder that does not exist.
    #[error("channel {channel}: {place} uses {{{{ {name} }}}}, which is not one of the known variables or credentials")]
    UnknownVariable {
        /// Channel name.
        channel: String,
        /// `url`, `body` or `header <name>`.
        place: String,
        /// The unknown name.
        name: String,
    },
    /// The body does not give JSON for every text.
    #[error(
        "channel {channel}: the body does not render to JSON; texts stand between quotes, as in \"to\": \"{{{{ to }}}}\""
    )]
    BodyNotJson {
        /// Channel name.
        channel: String,
    },
    /// Not an absolute http or https address, or one whose host depends on the message.
    #[error("channel {channel}: url is not an http or https address with a fixed host")]
    Url {
        /// Channel name.
        channel: String,
    },
    /// Not an HTTP method.
    #[error("channel {channel}: method {method:?} is not an HTTP method")]
    Method {
        /// Channel name.
        channel: String,
        /// What was given.
        method: String,
    },
    /// Not the name of a header, or one that the channel writes itself (Host, Content-Length, Connection ...).
    #[error("channel {channel}: {header:?} cannot be set as a header")]
    Header {
        /// Channel name.
        channel: String,
        /// What was given.
        header: String,
    },
    /// Not a JSON pointer of RFC 6901 (empty, or beginning with a slash).
    #[error("channel {channel}: {key} is not a JSON pointer such as \"/id\"")]
    Pointer {
        /// Channel name.
        channel: String,
        /// `id_pointer` or `error_pointer`.
        key: &'static str,
    },
    /// Not a mail address, with or without a name before it.
    #[error("channel {channel}: {key} is not a mail address such as \"Remesa <dues@example.com>\"")]
    Mailbox {
        /// Channel name.
        channel: String,
        /// `from` or `reply_to`.
        key: &'static str,
    },
    /// Not a host to which TLS can be spoken.
    #[error("channel {channel}: host is not a host name or an address")]
    Host {
        /// Channel name.
        channel: String,
    },
    /// TLS cannot be set up, as a rule because the machine has no CA certificates.
    #[error("channel {channel}: TLS cannot be set up; are the CA certificates of the system installed?")]
    Tls {
        /// Channel name.
        channel: String,
    },
}

/// A way to one provider. Cheap to share by reference; holds the connections.
pub struct Channel {
    /// What it was built from.
    pub settings: ChannelSettings,
    provider: Provider,
}

/// The ways of speaking.
enum Provider {
    Http(Box<http::HttpProvider>),
    Smtp(Box<smtp::SmtpProvider>),
}

impl Channel {
    /// Compiles the templates and prepares the connections; opens none. Needs no runtime.
    ///
    /// # Errors
    /// A setting that cannot work, see [`ChannelError`].
    pub fn build(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        let http = |settings: &ChannelSettings, known: &http::Known| {
            http::HttpProvider::build(settings, known).map(|provider| Provider::Http(Box::new(provider)))
        };
        let provider = match &settings.kind {
            ChannelKind::Http => http(settings, &http::Known::default())?,
            ChannelKind::Sandbox => http(&sandbox::preset(settings), &sandbox::KNOWN)?,
            ChannelKind::Known(provider) => Provider::Http(Box::new(known::build(settings, *provider)?)),
            ChannelKind::Smtp(smtp) => Provider::Smtp(Box::new(smtp::SmtpProvider::build(settings, smtp)?)),
        };
        Ok(Self { settings: settings.clone(), provider })
    }

    /// Hands one message to the provider and waits for its answer, at most `connect_timeout` and `timeout`.
    ///
    /// Dropping the future closes its connection; if the request had left, nobody knows what the provider did with
    /// it, so a caller that drops it owes the recipient the state `unknown`.
    ///
    /// # Errors
    /// [`DeliverError::NotSent`] if the deadline passed before anything was handed over, else the classified failure.
    pub async fn deliver(&self, submission: &Submission<'_>) -> Result<Accepted, DeliverError> {
        match &self.provider {
            Provider::Http(http) => http.deliver(submission).await,
            Provider::Smtp(smtp) => smtp.deliver(submission).await,
        }
    }

    /// Asks the provider who we are, as far as it says so without a message; nothing is sent.
    ///
    /// # Errors
    /// As [`Channel::deliver`].
    pub async fn probe(&self, deadline: Instant) -> Result<Probed, DeliverError> {
        match &self.provider {
            Provider::Http(http) => http.probe(deadline).await,
            Provider::Smtp(smtp) => smtp.probe(deadline).await,
        }
    }

    /// Closes the connections that were idle for longer than `pool_idle`. They are never used again anyway; calling
    /// this every few seconds gives the sockets of a channel without traffic back.
    pub fn drop_idle(&self) {
        match &self.provider {
            Provider::Http(http) => http.drop_idle(),
            Provider::Smtp(smtp) => smtp.drop_idle(),
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Channel").field("settings", &self.settings).finish_non_exhaustive()
    }
}
