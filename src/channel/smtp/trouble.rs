//! The closed table of a mail server's failures (RFC 5321, section 4.2; enhanced codes of RFC 3463).
//!
//! What happened, at which step, and what it means. Before the text nothing can have been taken, so nothing there is
//! ambiguous. A refusal of our greeting, our credentials or our sender is about us and would meet every recipient:
//! *denied*, whatever its number, else a mistyped password would end a whole campaign as failed.

use std::error::Error as _;

use lettre::transport::smtp::Error;

use crate::domain::failure::Failure;
use crate::wire::failure::{self as table, Rules, named};

/// The step at which it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The server's greeting, ours, TLS, credentials.
    Hello,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA`.
    Data,
    /// The text itself, from its first byte on.
    Text,
}

/// How a message ended that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no connection.
    Wire(table::Trouble<'static>),
    /// The server does not offer STARTTLS, and without it nothing is said to it.
    NoStartTls,
    /// The server offers no way to present credentials that we know.
    NoMechanism,
    /// It answered with a refusal.
    Refused {
        /// When.
        stage: Stage,
        /// Its code.
        status: u16,
        /// Its enhanced code, `5.1.1`.
        enhanced: Option<String>,
    },
    /// The connection ended.
    Broken(Stage),
    /// No answer came in time.
    Silent(Stage),
    /// An answer came that is none.
    Unreadable(Stage),
}

/// "Service not available, closing transmission channel" (RFC 5321, section 4.2.3).
const GOODBYE: u16 = 421;
/// Authentication required; credentials invalid (RFC 4954, section 6).
const CREDENTIALS: [u16; 2] = [530, 535];

impl Trouble {
    /// Reads an error of the protocol.
    pub(super) fn of(error: &Error, stage: Stage) -> Self {
        match error.status() {
            Some(status) => {
                let said = error.source().map(ToString::to_string).unwrap_or_default();
                Self::Refused { stage, status: status.into(), enhanced: enhanced(&said).map(str::to_owned) }
            }
            // A connection that ended in the middle of an answer is told as a response that is none, too.
            None if error.is_response() && error.source().is_none_or(|e| e.to_string() != "incomplete response") => {
                Self::Unreadable(stage)
            }
            None => Self::Broken(stage),
        }
    }

    /// Whether the server answered, so that both sides know where they are.
    pub(super) const fn is_answer(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether the connection is of no use any more.
    pub(super) const fn is_goodbye(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Unreadable(_) | Self::Refused { status: GOODBYE, .. })
    }

    /// The table.
    pub(super) fn classify(&self, denied_codes: &[String]) -> Failure {
        match self {
            Self::Wire(trouble) => table::classify(trouble, &Rules::default()),
            Self::NoStartTls => Failure::denied("starttls_missing"),
            Self::NoMechanism => Failure::denied("not_authorised:no_mechanism"),
            Self::Refused { stage, status, enhanced } => refused(*stage, *status, enhanced.as_deref(), denied_codes),
            Self::Broken(Stage::Text) => Failure::ambiguous("answer_lost"),
            Self::Silent(Stage::Text) => Failure::ambiguous("answer_timeout"),
            Self::Unreadable(Stage::Text) => Failure::ambiguous("answer_unreadable"),
            Self::Silent(_) => Failure::transient("dialogue_timeout"),
            Self::Broken(_) | Self::Unreadable(_) => Failure::transient("dialogue_failed"),
        }
    }
}

fn refused(stage: Stage, status: u16, enhanced: Option<&str>, denied_codes: &[String]) -> Failure {
    let number = status.to_string();
    let said = enhanced.map_or_else(|| number.clone(), |enhanced| format!("{number}_{enhanced}"));
    let said = Some(said.as_str());
    if denied_codes.iter().any(|denied| *denied == number || Some(denied.as_str()) == enhanced) {
        return Failure::denied(named("quota_exceeded", said));
    }
    match (stage, status) {
        _ if CREDENTIALS.contains(&status) => Failure::denied(named("not_authorised", said)),
        (Stage::Hello | Stage::Sender, 500..=599) => Failure::denied(named("not_authorised", said)),
        (_, 500..=599) => Failure::permanent(named("refused", said)),
        (_, _) => Failure::transient(named("refused_for_now", said)),
    }
}

/// The enhanced code with which a line may begin: `5.1.1 user unknown`.
fn enhanced(line: &str) -> Option<&str> {
    let first = line.split([' ', '\n']).next()?;
    let mut numbers = first.split('.');
    let number =
        |text: Option<&str>| text.is_some_and(|t| (1..=3).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit()));
    let three = number(numbers.next()) && number(numbers.next()) && number(numbers.next());
    (three && numbers.next().is_none()).then_some(first)
}

/// What looks like the server's own id in the line with which it took a message: Postfix says
/// `2.0.0 Ok: queued as 4F2A91`, Exim `OK id=1qXyz-0000`, Amazon `Ok 0100018a-...`, Sendmail `2.0.0 x1A Message accepted`.
pub(super) fn queue_id(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace().peekable();
    words.next_if(|word| enhanced(word).is_some());
    words.next_if(|word| word.trim_end_matches([':', ',']).eq_ignore_ascii_case("ok"));
    if words.next_if(|word| word.eq_ignore_ascii_case("queued")).is_some() {
        words.next_if(|word| word.eq_ignore_ascii_case("as"));
    }
    let word = words.next()?;
    let word = word.strip_prefix("id=").unwrap_or(word).trim_end_matches([';', ',']);
    (word.len() >= 4 && word.bytes().any(|b| b.is_ascii_digit())).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::failure::CODES;

    fn shown(trouble: &Trouble) -> String {
        let failure = trouble.classify(&["5.4.5".to_owned(), "552".to_owned()]);
        format!("{} {}", failure.class(), failure.code())
    }

    #[test]
    fn every_row_of_the_table_has_its_class_and_code() {
        let refused = |stage, status, enhanced: Option<&str>| Trouble::Refused {
            stage,
            status,
            enhanced: enhanced.map(str::to_owned),
        };
        let table = [
            (Trouble::Wire(table::Trouble::ConnectionRefused), "transient connection_refused"),
            (Trouble::Wire(table::Trouble::Tls), "transient tls_failed"),
            (Trouble::NoStartTls, "denied starttls_missing"),
            (Trouble::NoMechanism, "denied not_authorised:no_mechanism"),
            (refused(Stage::Hello, 554, None), "denied not_authorised:554"),
            (refused(Stage::Hello, 421, None), "transient refused_for_now:421"),
            (refused(Stage::Hello, 535, Some("5.7.8")), "denied not_authorised:535_5.7.8"),
            (refused(Stage::Hello, 454, Some("4.7.0")), "transient refused_for_now:454_4.7.0"),
            (refused(Stage::Sender, 550, Some("5.7.1")), "denied not_authorised:550_5.7.1"),
            (refused(Stage::Sender, 451, None), "transient refused_for_now:451"),
            (refused(Stage::Recipient, 550, Some("5.1.1")), "permanent refused:550_5.1.1"),
            (refused(Stage::Recipient, 530, None), "denied not_authorised:530"),
            (refused(Stage::Recipient, 450, Some("4.2.0")), "transient refused_for_now:450_4.2.0"),
            (refused(Stage::Recipient, 550, Some("5.4.5")), "denied quota_exceeded:550_5.4.5"),
            (refused(Stage::Data, 554, None), "permanent refused:554"),
            (refused(Stage::Text, 554, Some("5.7.1")), "permanent refused:554_5.7.1"),
            (refused(Stage::Text, 552, None), "denied quota_exceeded:552"),
            (refused(Stage::Text, 451, None), "transient refused_for_now:451"),
            (Trouble::Broken(Stage::Recipient), "transient dialogue_failed"),
            (Trouble::Silent(Stage::Data), "transient dialogue_timeout"),
            (Trouble::Unreadable(Stage::Data), "transient dialogue_failed"),
            (Trouble::Broken(Stage::Text), "ambiguous answer_lost"),
            (Trouble::Silent(Stage::Text), "ambiguous answer_timeout"),
            (Trouble::Unreadable(Stage::Text), "ambiguous answer_unreadable"),
        ];
        for (trouble, expected) in table {
            assert_eq!(shown(&trouble), expected, "{trouble:?}");
            let code = expected.split([' ', ':']).nth(1).unwrap();
            assert!(CODES.contains(&code), "{code} is not in CODES");
        }
    }

    #[test]
    fn an_id_is_found_in_the_usual_answers_and_not_made_of_words() {
        for (line, id) in [
            ("2.0.0 Ok: queued as 4F2A91", Some("4F2A91")),
            ("OK id=1qXyz9-0000Ab-2C", Some("1qXyz9-0000Ab-2C")),
            ("Ok 0100018a1b2c-dd-000000", Some("0100018a1b2c-dd-000000")),
            ("2.0.0 OK  1700000000 ab12-gsmtp", Some("1700000000")),
            ("2.0.0 37BNvXyz001234 Message accepted for delivery", Some("37BNvXyz001234")),
            ("Ok: queued", None),
            ("OK", None),
            ("2.6.0 Message accepted", None),
            ("", None),
        ] {
            assert_eq!(queue_id(line), id, "{line}");
        }
    }
}
