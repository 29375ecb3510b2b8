//! What the reasons of deliveries and failures mean, and what helps: one sentence each, for a person who must act.
//!
//! The failures are those of [`crate::wire::failure::CODES`], a closed table (a test says that each has its sentence);
//! the reasons of skipped messages are those of `jobs/README.md`. What stands behind a colon is the provider's own code.

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// What happened.
    pub meaning: &'static str,
    /// What helps.
    pub help: &'static str,
}

/// What a failure of the closed table means; none for what is not of it.
pub fn failure(code: &str) -> Option<Meaning> {
    let code = code.strip_prefix("unknown:").unwrap_or(code);
    let (meaning, help) = match code.split(':').next().unwrap_or_default() {
        "answer_lost" => ("the connection ended before its answer came", "a receipt, or the provider's log, tells"),
        "answer_timeout" => ("its answer did not come in time", "a receipt, or the provider's log, tells"),
        "answer_unreadable" => ("its answer is not one of its API", "see whether a proxy answers in its place"),
        "answer_without_id" => ("its answer names no message", "see `id_pointer` of the channel"),
        "connect_timeout" => ("no connection within `connect_timeout`", "see the network and the firewall"),
        "connection_failed" => ("the connection could not be made", "see the network and the firewall"),
        "connection_refused" => {
            ("nobody listens at its address", "see `url` of the channel, and the provider's status")
        }
        "dialogue_failed" => ("the mail server ended the dialogue", "see the log of the mail server"),
        "dialogue_timeout" => ("the mail server stopped answering", "see the log of the mail server"),
        "invalid_address" => ("the address is none for this provider", "mend the contact in its source"),
        "name_not_resolved" => ("its host name has no address", "see DNS and `url` of the channel"),
        "no_socket" => ("this machine has no socket left", "raise LimitNOFILE of the unit"),
        "not_authorised" => ("credentials, account or sender are not accepted", "mend the channel's credentials"),
        "quota_exceeded" => ("the quota or the balance is used up", "top up the account, then resume the channel"),
        "rate_limited" => ("we are too fast for it", "lower `rate_per_second` of the channel"),
        "redirected" => ("it answers with a redirection", "put the address it leads to into `url` of the channel"),
        "refused" => ("the provider refuses this message", "see what its code says of number, sender or text"),
        "refused_for_now" => ("the mail server refuses it for now", "see the log of the mail server"),
        "server_error" => ("the provider failed inside", "see the provider's status"),
        "starttls_missing" => ("the mail server offers no STARTTLS", "see `security` of the channel"),
        "tls_failed" => ("the TLS handshake failed", "see its certificate, and the CA certificates here"),
        "unavailable" => ("the provider is down for a while", "see the provider's status"),
        "unrenderable_request" => {
            ("the channel's template cannot be filled for this message", "mend the channel's body")
        }
        "unsupported_content" => {
            ("the channel cannot carry this content", "give the message a text, or another channel")
        }
        _ => return None,
    };
    Some(Meaning { meaning, help })
}

/// What the reason of a message that was not sent, or failed before it left, means.
pub fn unsent(reason: &str) -> Option<Meaning> {
    let (meaning, help) = match reason.split(':').next().unwrap_or_default() {
        "blocked" => {
            ("the address is on the hard block list", "see `opt_in` with `\"list\": \"blocked\"`, if that is wrong")
        }
        "cancelled" => ("its run was cancelled before its turn", "send it with another message"),
        "case_closed" => ("the case was closed, and only active ones are wanted", "reopen the case, if that is wrong"),
        "case_unreadable" | "order_unreadable" => ("what is stored of it cannot be read", "import it again"),
        "expires_too_soon" => ("its order expires too soon after the message", "make a new order with a longer life"),
        "failed" => ("its run failed before its turn", "mend what the run failed of, and retry the run"),
        "filtered" => ("the filter of the message leaves it out", "see the filter of the job"),
        "forgotten" => ("its person was forgotten", "nothing: the person asked for it"),
        "frequency_cap" => {
            ("its address has had its messages for the period", "see `cap` of the channel and the message")
        }
        "missing_variable" => {
            ("its text names a variable that this recipient has not", "import the value, or give the text a default")
        }
        "no_case" => ("the case is gone", "import it again"),
        "no_contact" => ("the case has no address for this channel", "import one, or use a channel for what it has"),
        "no_content" => ("the run has no words", "send it with another message"),
        "no_order" => ("its text names an order, and there is none", "import the case with its order"),
        "no_valid_contact" => ("its row had no valid SMScontact", "mend the row, and generate it with `append`"),
        "not_sent" => ("its run's time passed while contact hours were closed", "send it with another message"),
        "opened_by_reply" => {
            ("the case was opened by a reply to this message", "nothing: it would be answered by itself")
        }
        "opted_out" => ("its person unsubscribed", "nothing: commercial messages are not wanted"),
        "order_cancelled" => ("its order was cancelled", "nothing, or make a new order"),
        "order_creating" | "order_in_doubt" => {
            ("its order is not confirmed by the payment platform", "wait, or see the platform's status")
        }
        "order_expired" => ("its order has expired", "make a new order"),
        "order_paid" => ("its order is paid", "nothing: it is settled"),
        "order_partially_refunded" | "order_refunded" => ("its order was refunded", "nothing: it is settled"),
        "owner_died" => ("its daemon died while it was being sent", "a receipt, or the provider's log, tells"),
        "previous_unknown" => (
            "an earlier message of the same permanent message may or may not have reached it",
            "retry that run's unknown messages, or wait for its receipt",
        ),
        "same_address" => ("another recipient of the run has its address", "nothing: `once_per_address` wants it so"),
        "text_too_long" => ("its text has more parts than `messages.max_parts`", "shorten the text"),
        _ => return None,
    };
    Some(Meaning { meaning, help })
}

/// What any reason of a delivery means.
pub fn any(reason: &str) -> Option<Meaning> {
    unsent(reason).or_else(|| failure(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::order::OrderState, wire::failure::CODES};

    #[test]
    fn every_failure_of_the_closed_table_has_its_sentence() {
        let without: Vec<_> = CODES.into_iter().filter(|code| failure(code).is_none()).collect();
        assert_eq!(without, [""; 0]);
        assert_eq!(failure("not_authorised:http_401"), failure("not_authorised"));
        assert_eq!(failure("unknown:answer_timeout"), failure("answer_timeout"));
        assert_eq!(failure("cli:ana@desk:00000000000000ff"), None, "a job's id is no failure");
    }

    #[test]
    fn every_reason_for_which_nothing_is_sent_has_its_sentence() {
        let orders = OrderState::ALL.iter().filter(|state| **state != OrderState::Available);
        let orders: Vec<String> = orders.map(|state| format!("order_{state}")).collect();
        let others =
            ["opted_out", "blocked", "missing_variable:name", "no_contact", "frequency_cap", "previous_unknown"];
        for reason in orders.iter().map(String::as_str).chain(others) {
            assert!(unsent(reason).is_some(), "{reason}");
        }
    }
}
