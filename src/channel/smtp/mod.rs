//! The `smtp` kind: a mail server takes one e-mail a message, over connections that are kept (RFC 5321).
//!
//! lettre speaks the protocol; here is the order of the steps, which is the guarantee. Everything up to `DATA` is a
//! question that binds nobody, so whatever goes wrong there is certainly not sent. Then the deadline is looked at, and
//! at once the text is handed over; from its first byte on only the server's answer says what became of it, and silence
//! is ambiguous. A kept connection that the server has closed meanwhile shows at its first question, and another one is
//! taken. One connection carries one message at a time; the channel's permits (`in_flight`) bound how many there are.
//!
//! Reading order: `letter` (what is sent), `dial` (how a connection is made), `trouble` (what an end means).

use std::time::{Duration, Instant, SystemTime};

use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::response::Response;
use tokio::time::timeout_at;

use super::settings::{ChannelSettings, SmtpSettings};
use super::{Accepted, ChannelError, DeliverError, Probed, Submission};
use crate::domain::failure::Failure;
use crate::wire::{self, Idle, shortage};

mod dial;
mod letter;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;
mod trouble;

use dial::Dialer;
use letter::{Letter, Writer};
use trouble::{Stage, Trouble};

/// Connections that are tried for one message when the server closes them before the first question is answered: a
/// kept one, the next kept one, a new one. More would hammer a server that wants to be left alone.
const TRIES: usize = 3;

/// The server answers to `DATA` that the text may come (RFC 5321, section 4.2.3).
const START_INPUT: u16 = 354;

/// A mail server.
pub(super) struct SmtpProvider {
    writer: Writer,
    dialer: Dialer,
    idle: Idle<AsyncSmtpConnection>,
    connect_timeout: Duration,
    timeout: Duration,
    denied_codes: Vec<String>,
}

/// How a message ended without an acceptance.
enum Ended {
    /// The deadline passed first.
    NotSent,
    /// The kept connection was not one any more; nothing was asked.
    Worn,
    Trouble(Trouble),
}

impl SmtpProvider {
    /// Checks the settings; opens no connection.
    pub(super) fn build(settings: &ChannelSettings, smtp: &SmtpSettings) -> Result<Self, ChannelError> {
        Ok(Self {
            writer: Writer::new(&settings.name, smtp)?,
            dialer: Dialer::new(settings, smtp)?,
            idle: Idle::new(usize::try_from(settings.in_flight).unwrap_or(usize::MAX), settings.pool_idle),
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
            denied_codes: settings.denied_codes.clone(),
        })
    }

    /// See [`super::Channel::deliver`].
    pub(super) async fn deliver(&self, submission: &Submission<'_>) -> Result<Accepted, DeliverError> {
        let letter = self.writer.write(submission, SystemTime::now()).map_err(Failure::permanent)?;
        for _ in 0..TRIES {
            match self.attempt(&letter, submission.deadline).await {
                Ok(accepted) => return Ok(accepted),
                Err(Ended::Worn) => {}
                Err(Ended::NotSent) => return Err(DeliverError::NotSent),
                Err(Ended::Trouble(trouble)) => return Err(trouble.classify(&self.denied_codes).into()),
            }
        }
        Err(Trouble::Broken(Stage::Sender).classify(&self.denied_codes).into())
    }

    /// See [`super::Channel::probe`].
    pub(super) async fn probe(&self, deadline: Instant) -> Result<Probed, DeliverError> {
        match self.dial(deadline).await {
            Ok(line) => {
                self.idle.put(line);
                Ok(if self.dialer.has_credentials() { Probed::KnowsUs } else { Probed::Reached })
            }
            Err(Ended::Trouble(trouble)) => Err(trouble.classify(&self.denied_codes).into()),
            Err(Ended::NotSent | Ended::Worn) => Err(DeliverError::NotSent),
        }
    }

    /// See [`super::Channel::drop_idle`]. The servers are not told: they count on it.
    pub(super) fn drop_idle(&self) {
        self.idle.drop_old();
    }

    async fn attempt(&self, letter: &Letter, deadline: Instant) -> Result<Accepted, Ended> {
        let (mut line, kept) = match self.idle.youngest() {
            Some(line) => (line, true),
            None => (self.dial(deadline).await?, false),
        };
        let patience = Instant::now() + self.timeout;
        match timeout_at(patience.min(deadline).into(), ask(&mut line, letter)).await {
            Ok(Ok(())) => {}
            Ok(Err((Stage::Sender, trouble))) if kept && trouble.is_goodbye() => return Err(Ended::Worn),
            Ok(Err((stage, trouble))) => {
                // Refusing one recipient is no reason to hang up.
                if stage != Stage::Text && trouble.is_answer() && !trouble.is_goodbye() {
                    self.keep_after_refusal(line, patience.min(deadline)).await;
                }
                return Err(Ended::Trouble(trouble));
            }
            Err(_) if deadline <= patience => return Err(Ended::NotSent),
            Err(_) => return Err(Ended::Trouble(Trouble::Silent(Stage::Recipient))),
        }
        // Without its end no server takes a text: hanging up here sends nothing.
        if Instant::now() >= deadline {
            return Err(Ended::NotSent);
        }
        match timeout_at(patience.into(), line.message(&letter.bytes)).await {
            Ok(Ok(answer)) => {
                self.idle.put(line);
                Ok(Accepted { provider_id: provider_id(&answer, letter) })
            }
            Ok(Err(error)) => {
                let trouble = Trouble::of(&error, Stage::Text);
                if trouble.is_answer() && !trouble.is_goodbye() {
                    self.idle.put(line);
                }
                Err(Ended::Trouble(trouble))
            }
            Err(_) => Err(Ended::Trouble(Trouble::Silent(Stage::Text))),
        }
    }

    /// A new connection, ready for a first message. Never waits past the deadline.
    async fn dial(&self, deadline: Instant) -> Result<AsyncSmtpConnection, Ended> {
        let patience = Instant::now() + self.connect_timeout;
        match timeout_at(patience.min(deadline).into(), self.dialer.dial()).await {
            Ok(Err(Trouble::Wire(wire::Trouble::NoSocket))) => {
                shortage(deadline).await;
                Err(Ended::NotSent)
            }
            Ok(dialled) => dialled.map_err(Ended::Trouble),
            Err(_) if deadline <= patience => Err(Ended::NotSent),
            Err(_) => Err(Ended::Trouble(Trouble::Wire(wire::Trouble::ConnectTimeout))),
        }
    }

    /// Takes the refused message back and keeps the connection for the next one, if the server goes along.
    async fn keep_after_refusal(&self, mut line: AsyncSmtpConnection, until: Instant) {
        if let Ok(Ok(_)) = timeout_at(until.into(), line.command(Rset)).await {
            self.idle.put(line);
        }
    }
}

/// Asks whether the server would take the message: sender, recipient, `DATA`.
async fn ask(line: &mut AsyncSmtpConnection, letter: &Letter) -> Result<(), (Stage, Trouble)> {
    let failed = |stage| move |error: Error| (stage, Trouble::of(&error, stage));
    line.command(Mail::new(Some(letter.from.clone()), Vec::new())).await.map_err(failed(Stage::Sender))?;
    line.command(Rcpt::new(letter.to.clone(), Vec::new())).await.map_err(failed(Stage::Recipient))?;
    let start = line.command(Data).await.map_err(failed(Stage::Data))?;
    // Anything else than "start" is no invitation, however friendly.
    if start.has_code(START_INPUT) { Ok(()) } else { Err((Stage::Text, Trouble::Unreadable(Stage::Data))) }
}

/// What the server calls the message, where its answer holds something like an id, else what we call it.
fn provider_id(answer: &Response, letter: &Letter) -> String {
    let line = answer.first_line().unwrap_or_default();
    let named = trouble::queue_id(line).unwrap_or(&letter.message_id);
    named.chars().filter(|c| !c.is_control()).take(128).collect()
}
