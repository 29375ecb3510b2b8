//! From a [`Submission`] to an e-mail (RFC 5322), of a text, of HTML, or of both as alternatives.
//!
//! Its id is our reference, so that an answer to it finds its way back. Where the recipient may unsubscribe, the
//! headers of RFC 2369 and RFC 8058 say so. No value can begin a header: addresses are parsed, the subject is one line
//! and encoded, and an address or link with anything but printable characters is refused.

use std::time::SystemTime;

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};

use super::super::settings::SmtpSettings;
use super::super::{ChannelError, Submission};
use crate::domain::reference;

/// Writes the e-mails of one channel.
pub(super) struct Writer {
    from: Mailbox,
    reply_to: Option<Mailbox>,
}

/// An e-mail and its envelope.
pub(super) struct Letter {
    pub(super) from: Address,
    pub(super) to: Address,
    /// Header and body, as they go over the wire but for the dots.
    pub(super) bytes: Vec<u8>,
    /// Our id of it, without brackets.
    pub(super) message_id: String,
}

impl Writer {
    /// Checks the addresses of the settings.
    pub(super) fn new(channel: &str, smtp: &SmtpSettings) -> Result<Self, ChannelError> {
        let mailbox = |key: &'static str, text: &str| {
            let refused = || ChannelError::Mailbox { channel: channel.to_owned(), key };
            if text.chars().any(char::is_control) { Err(refused()) } else { text.parse().map_err(|_| refused()) }
        };
        Ok(Self {
            from: mailbox("from", &smtp.from)?,
            reply_to: match smtp.reply_to.as_str() {
                "" => None,
                text => Some(mailbox("reply_to", text)?),
            },
        })
    }

    /// Writes one e-mail; the error is the code with which its recipient fails.
    pub(super) fn write(&self, submission: &Submission<'_>, now: SystemTime) -> Result<Letter, &'static str> {
        let to: Address = submission.to.parse().map_err(|_| "invalid_address")?;
        if submission.to.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("invalid_address");
        }
        let message_id = reference::as_message_id(submission.reference, self.from.email.domain());
        let mut builder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(submission.subject)
            .date(now)
            .message_id(Some(format!("<{message_id}>")));
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        if !submission.unsubscribe_url.is_empty() {
            let url = submission.unsubscribe_url;
            if !url.bytes().all(|b| b.is_ascii_graphic() && !b"<>".contains(&b)) {
                return Err("unrenderable_request");
            }
            builder = builder
                .raw_header(constant("List-Unsubscribe", format!("<{url}>")))
                .raw_header(constant("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        let message = match (submission.text, submission.html) {
            ("", "") => return Err("unsupported_content"),
            (text, "") => builder.singlepart(SinglePart::plain(text.to_owned())),
            ("", html) => builder.singlepart(SinglePart::html(html.to_owned())),
            (text, html) => builder.multipart(MultiPart::alternative_plain_html(text.to_owned(), html.to_owned())),
        };
        let message = message.map_err(|_| "unrenderable_request")?;
        Ok(Letter { from: self.from.email.clone(), to, bytes: message.formatted(), message_id })
    }
}

/// A header whose value is plain already: folding a link would break it.
fn constant(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.clone(), value)
}
