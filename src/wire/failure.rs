//! The closed table of failures: what happened on the wire, and what it means for what was asked.
//!
//! Every end of a call that is not an acceptance is one `Trouble`, and `classify` is the only place that turns it
//! into a [`Failure`]. The question behind every row is the same: can the other side have taken it? If nobody
//! knows, the row is *ambiguous*, never a guess.
//!
//! Codes are stable: `<code>` or `<code>:<what the provider said>`, the second part cut to 40 of `a-z 0-9 . _ -`.
//! Metrics use what stands before the colon; `docs` and `jobs/README.md` list [`CODES`].

use std::borrow::Cow;
use std::time::Duration;

use crate::domain::failure::Failure;

/// Every code that a channel can give, before a colon.
pub const CODES: [&str; 24] = [
    "answer_lost",
    "answer_timeout",
    "answer_unreadable",
    "answer_without_id",
    "connect_timeout",
    "connection_failed",
    "connection_refused",
    "dialogue_failed",
    "dialogue_timeout",
    "invalid_address",
    "name_not_resolved",
    "no_socket",
    "not_authorised",
    "quota_exceeded",
    "rate_limited",
    "redirected",
    "refused",
    "refused_for_now",
    "server_error",
    "starttls_missing",
    "tls_failed",
    "unavailable",
    "unrenderable_request",
    "unsupported_content",
];

/// The longest wait that a provider may impose. A channel that waited longer for a typing error in a header would
/// look dead; after a day it asks again.
pub const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Longest part of a provider's own error code that is kept.
const DETAIL_BYTES: usize = 40;

/// Of how much of it that is made: a number that begins within what is kept may end behind it.
const LOOKED_AT: usize = 80;

/// So many digits are no code but somebody's number (those of E.164 have 7 to 15).
const NUMBER_DIGITS: usize = 7;

/// How a call ended when it did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble<'a> {
    /// The host name has no address.
    NotResolved,
    /// This machine has nothing to connect with. Whoever sends messages waits for it; it is no recipient's failure.
    NoSocket,
    /// Nobody listens there.
    ConnectionRefused,
    /// Any other failure before the connection stood, or a connection that ended before a byte was written.
    ConnectionFailed,
    /// The connection did not stand in time.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// The request left and no whole answer came in time.
    AnswerTimeout,
    /// The request left and the connection ended, or something that is not HTTP came back.
    AnswerLost,
    /// 2xx with a body that is not JSON, or too long.
    AnswerUnreadable,
    /// 2xx without an id and without an error code.
    AnswerWithoutId,
    /// 2xx without an id, but with an error code at the configured place: a refusal in polite clothes.
    RefusedWith200 {
        /// The provider's code.
        code: &'a str,
    },
    /// A status outside 2xx.
    Status {
        /// The HTTP status.
        status: u16,
        /// The provider's code, where its body has one.
        code: Option<&'a str>,
        /// What `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
}

/// What a channel's settings add to the table.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The provider de-duplicates by our key, so a lost answer may be asked for again.
    pub idempotent: bool,
    /// Provider codes that mean: you, not this recipient.
    pub denied_codes: Vec<String>,
    /// Provider codes that mean: slow down.
    pub throttled_codes: Vec<String>,
}

impl Rules {
    fn denies(&self, code: Option<&str>) -> bool {
        code.is_some_and(|code| self.denied_codes.iter().any(|denied| denied == code))
    }

    fn throttles(&self, code: Option<&str>) -> bool {
        code.is_some_and(|code| self.throttled_codes.iter().any(|throttled| throttled == code))
    }
}

/// The table.
pub fn classify(trouble: &Trouble<'_>, rules: &Rules) -> Failure {
    match *trouble {
        Trouble::NotResolved => transient("name_not_resolved", None),
        Trouble::NoSocket => transient("no_socket", None),
        Trouble::ConnectionRefused => transient("connection_refused", None),
        Trouble::ConnectionFailed => transient("connection_failed", None),
        Trouble::ConnectTimeout => transient("connect_timeout", None),
        Trouble::Tls => transient("tls_failed", None),
        Trouble::AnswerTimeout => ambiguous("answer_timeout", None),
        Trouble::AnswerLost => ambiguous("answer_lost", None),
        Trouble::AnswerUnreadable => ambiguous("answer_unreadable", None),
        Trouble::AnswerWithoutId => ambiguous("answer_without_id", None),
        Trouble::RefusedWith200 { code } if rules.denies(Some(code)) => {
            Failure::Denied { code: named("quota_exceeded", Some(code)) }
        }
        Trouble::RefusedWith200 { code } if rules.throttles(Some(code)) => {
            Failure::Throttled { code: named("rate_limited", Some(code)), after: None }
        }
        Trouble::RefusedWith200 { code } => Failure::Permanent { code: named("refused", Some(code)) },
        Trouble::Status { status, code, retry_after } => by_status(status, code, retry_after, rules),
    }
}

/// The rows of a status outside 2xx. A quota code of the preset speaks louder than any status.
fn by_status(status: u16, code: Option<&str>, retry_after: Option<Duration>, rules: &Rules) -> Failure {
    let http = format!("http_{status}");
    let said = code.or(Some(&http));
    match status {
        401..=403 => Failure::Denied { code: named("not_authorised", said) },
        _ if rules.denies(code) => Failure::Denied { code: named("quota_exceeded", code) },
        _ if rules.throttles(code) => Failure::Throttled { code: named("rate_limited", code), after: retry_after },
        429 => Failure::Throttled { code: named("rate_limited", code), after: retry_after },
        503 if retry_after.is_some() => Failure::Throttled { code: named("unavailable", code), after: retry_after },
        300..=399 => Failure::Permanent { code: named("redirected", Some(&http)) },
        400..=499 => Failure::Permanent { code: named("refused", said) },
        500..=599 if rules.idempotent => transient("server_error", said),
        500..=599 => ambiguous("server_error", said),
        // 1xx as a last word, or a status that HTTP does not have: whoever answers so may have done anything.
        _ => ambiguous("answer_unreadable", Some(&http)),
    }
}

fn transient(code: &'static str, detail: Option<&str>) -> Failure {
    Failure::Transient { code: named(code, detail) }
}

fn ambiguous(code: &'static str, detail: Option<&str>) -> Failure {
    Failure::Ambiguous { code: named(code, detail) }
}

/// Our code, and behind a colon what the provider said, made harmless for logs, ledgers and labels.
pub(crate) fn named(code: &'static str, detail: Option<&str>) -> Cow<'static, str> {
    let kept = without_addresses(detail.unwrap_or_default());
    if kept.is_empty() { Cow::Borrowed(code) } else { Cow::Owned(format!("{code}:{kept}")) }
}

/// A code as far as it is one, in `a-z 0-9 . _ -`. Some providers write sentences there, with whom they are about: mail
/// addresses are left out, and of digits as many as telephone numbers have, whatever stands between them, an `n` is left.
fn without_addresses(said: &str) -> String {
    let without_mail: Vec<&str> = said.split_whitespace().filter(|word| !word.contains('@')).collect();
    let mut kept = String::new();
    // Digits since the last letter, where the first of them stands, and whether something stands behind the last.
    let (mut digits, mut number_from, mut apart) = (0, 0, false);
    for c in without_mail.join(" ").chars().take(LOOKED_AT) {
        match c.to_ascii_lowercase() {
            digit @ '0'..='9' => {
                if digits == 0 {
                    number_from = kept.len();
                }
                digits += 1;
                apart = false;
                if digits < NUMBER_DIGITS {
                    kept.push(digit);
                } else if digits == NUMBER_DIGITS {
                    kept.truncate(number_from);
                    kept.push('n');
                }
            }
            letter @ 'a'..='z' => {
                if digits >= NUMBER_DIGITS && apart {
                    kept.push('_');
                }
                digits = 0;
                kept.push(letter);
            }
            _ if digits >= NUMBER_DIGITS => apart = true,
            mark @ ('.' | '_' | '-') => kept.push(mark),
            _ => kept.push('_'),
        }
    }
    kept.truncate(DETAIL_BYTES);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(trouble: Trouble<'_>, rules: &Rules) -> String {
        match classify(&trouble, rules) {
            Failure::Transient { code } => format!("transient {code}"),
            Failure::Throttled { code, after } => format!("throttled {code} {:?}", after.map(|wait| wait.as_secs())),
            Failure::Denied { code } => format!("denied {code}"),
            Failure::Permanent { code } => format!("permanent {code}"),
            Failure::Ambiguous { code } => format!("ambiguous {code}"),
        }
    }

    fn status(status: u16, code: Option<&str>, seconds: Option<u64>) -> Trouble<'_> {
        Trouble::Status { status, code, retry_after: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn every_row_of_the_table_has_its_class_and_code() {
        let plain = Rules {
            denied_codes: vec!["NO_CREDIT".to_owned()],
            throttled_codes: vec!["SLOWLY".to_owned()],
            ..Rules::default()
        };
        let table = [
            (Trouble::NotResolved, "transient name_not_resolved"),
            (Trouble::NoSocket, "transient no_socket"),
            (Trouble::ConnectionRefused, "transient connection_refused"),
            (Trouble::ConnectionFailed, "transient connection_failed"),
            (Trouble::ConnectTimeout, "transient connect_timeout"),
            (Trouble::Tls, "transient tls_failed"),
            (Trouble::AnswerTimeout, "ambiguous answer_timeout"),
            (Trouble::AnswerLost, "ambiguous answer_lost"),
            (Trouble::AnswerUnreadable, "ambiguous answer_unreadable"),
            (Trouble::AnswerWithoutId, "ambiguous answer_without_id"),
            (Trouble::RefusedWith200 { code: "BAD NUMBER" }, "permanent refused:bad_number"),
            (Trouble::RefusedWith200 { code: "NO_CREDIT" }, "denied quota_exceeded:no_credit"),
            (status(301, None, None), "permanent redirected:http_301"),
            (status(304, None, None), "permanent redirected:http_304"),
            (status(400, Some("bad_to"), None), "permanent refused:bad_to"),
            (status(400, Some("NO_CREDIT"), None), "denied quota_exceeded:no_credit"),
            (status(400, Some("SLOWLY"), Some(7)), "throttled rate_limited:slowly Some(7)"),
            (Trouble::RefusedWith200 { code: "SLOWLY" }, "throttled rate_limited:slowly None"),
            (status(401, None, None), "denied not_authorised:http_401"),
            (status(402, None, None), "denied not_authorised:http_402"),
            (status(403, Some("x"), None), "denied not_authorised:x"),
            (status(404, None, None), "permanent refused:http_404"),
            (status(408, None, None), "permanent refused:http_408"),
            (status(429, None, None), "throttled rate_limited None"),
            (status(429, None, Some(7)), "throttled rate_limited Some(7)"),
            (status(429, Some("NO_CREDIT"), Some(7)), "denied quota_exceeded:no_credit"),
            (status(500, None, None), "ambiguous server_error:http_500"),
            (status(500, None, Some(7)), "ambiguous server_error:http_500"),
            (status(503, None, None), "ambiguous server_error:http_503"),
            (status(503, None, Some(7)), "throttled unavailable Some(7)"),
            (status(101, None, None), "ambiguous answer_unreadable:http_101"),
            (status(999, None, None), "ambiguous answer_unreadable:http_999"),
        ];
        for (trouble, expected) in table {
            let got = shown(trouble, &plain);
            assert_eq!(got, expected, "{trouble:?}");
            let code = got.split([' ', ':']).nth(1).unwrap();
            assert!(CODES.contains(&code), "{code} is not in CODES");
        }
    }

    #[test]
    fn an_idempotent_channel_may_repeat_a_server_error_but_a_lost_answer_stays_ambiguous() {
        let idempotent = Rules { idempotent: true, ..Rules::default() };
        assert_eq!(shown(status(500, None, None), &idempotent), "transient server_error:http_500");
        assert_eq!(shown(status(503, None, None), &idempotent), "transient server_error:http_503");
        assert_eq!(shown(Trouble::AnswerTimeout, &idempotent), "ambiguous answer_timeout");
        assert_eq!(shown(Trouble::AnswerLost, &idempotent), "ambiguous answer_lost");
    }

    #[test]
    fn what_a_provider_says_is_cut_and_made_harmless() {
        let said = "Números, +34 600\r\n".repeat(9);
        let Failure::Permanent { code } = classify(&status(400, Some(&said), None), &Rules::default()) else {
            panic!("not permanent")
        };
        assert_eq!(code, "refused:n_meros___34_600_n_meros___34_600_n_mero");
    }

    #[test]
    fn what_a_provider_says_names_nobody() {
        let table = [
            ("21211", "21211"),
            ("131026: not on WhatsApp", "131026__not_on_whatsapp"),
            ("unknown_number_34600123456", "unknown_number_n"),
            ("+34 600 12 34 56 is no number", "_n_is_no_number"),
            ("no such user <ana.ruiz@example.com>, sorry", "no_such_user_sorry"),
            ("(600) 123-456", "_n"),
            ("5.1.1 600123456 x", "n_x"),
            ("", ""),
        ];
        for (said, kept) in table {
            assert_eq!(without_addresses(said), kept, "{said:?}");
        }
        let cut = format!("{}600123456", "x".repeat(DETAIL_BYTES - 3));
        assert_eq!(without_addresses(&cut), format!("{}n", "x".repeat(DETAIL_BYTES - 3)));
    }
}
