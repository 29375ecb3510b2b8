//! The inbox: the last messages, each with the whole path it went: order, message, receipt.
//!
//! A message is kept as it came and parsed again only by who reads it. The order behind it is read from the reference,
//! where that is one of Remesa's; the link from the text; the report is noted by who posts it.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::record::Arrival;
use super::reports::ReportState;

/// The message of `POST /messages`. Unknown fields are ignored, as most providers do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Message<'a> {
    /// The recipient, E.164.
    #[serde(borrow, default)]
    pub(super) to: Cow<'a, str>,
    /// The text.
    #[serde(borrow, default)]
    pub(super) text: Cow<'a, str>,
    /// The sender shown.
    #[serde(borrow, default)]
    pub(super) from: Option<Cow<'a, str>>,
    /// The client's reference; comes back in the delivery report.
    #[serde(borrow, default)]
    pub(super) reference: Option<Cow<'a, str>>,
    /// For how long the message may be tried.
    #[serde(default)]
    pub(super) validity_seconds: Option<u64>,
    /// Where this message's report goes, instead of `reports.url`.
    #[serde(borrow, default)]
    pub(super) callback_url: Option<Cow<'a, str>>,
}

/// A message in the inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Its number in order of acceptance, from 1; the cursor of the inbox.
    pub number: u64,
    /// The id that was answered.
    pub id: String,
    /// When it was accepted, in milliseconds since 1970.
    pub at_ms: i64,
    /// The recipient, E.164.
    pub to: String,
    /// The text.
    pub text: String,
    /// The sender shown.
    pub from: Option<String>,
    /// The client's reference.
    pub reference: Option<String>,
    /// For how long the message may be tried.
    pub validity_seconds: Option<u64>,
    /// The `Idempotency-Key` it came with.
    pub idempotency_key: Option<String>,
    /// The link in its text: where the recipient pays.
    pub link: Option<String>,
    /// What its reference says, where it is one of Remesa's.
    pub order: Option<OrderRef>,
    /// Its delivery report, where one was asked for.
    pub report: Option<ReportTrace>,
}

/// The order behind a message, read from Remesa's reference `<campaign>/<run>/<order>.<contact>/<attempt>.<digest>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRef {
    /// The campaign.
    pub campaign: String,
    /// The run.
    pub run: String,
    /// The order's number.
    pub order: u64,
    /// The attempt.
    pub attempt: u32,
}

impl OrderRef {
    fn read(reference: &str) -> Option<Self> {
        let (body, _digest) = reference.rsplit_once('.')?;
        let mut fields = body.split('/');
        let (campaign, run) = (fields.next()?, fields.next()?);
        let (order, _contact) = fields.next()?.split_once('.')?;
        let attempt = fields.next()?.parse().ok()?;
        let order = order.parse().ok().filter(|_| fields.next().is_none())?;
        Some(Self { campaign: campaign.to_owned(), run: run.to_owned(), order, attempt })
    }
}

/// How far the report of a message is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportTrace {
    /// How the message ended on the simulated network.
    pub state: ReportState,
    /// POSTs so far.
    pub tries: u32,
    /// The last answer: a status, or 0 where there was none. Absent before the first POST.
    pub status: Option<u16>,
    /// When a POST was confirmed, in milliseconds since 1970.
    pub confirmed_at_ms: Option<i64>,
    /// Whether no further POST is planned.
    pub ended: bool,
}

/// The first link of a text.
fn link(text: &str) -> Option<String> {
    let is_link = |word: &&str| word.starts_with("https://") || word.starts_with("http://");
    text.split_whitespace().find(is_link).map(str::to_owned)
}

/// An inbox entry as it is kept: the body as it came, parsed again only by who reads it.
#[derive(Debug)]
struct Kept {
    number: u64,
    at_ms: i64,
    idempotency_key: Option<Box<str>>,
    body: Box<[u8]>,
    report: Option<ReportTrace>,
}

/// The last messages, oldest first.
#[derive(Debug, Default)]
pub(super) struct Inbox(VecDeque<Kept>);

impl Inbox {
    /// Keeps a message, and no more than `most`.
    pub(super) fn keep(&mut self, number: u64, arrival: &Arrival<'_>, most: usize) {
        while self.0.len() >= most.max(1) {
            self.0.pop_front();
        }
        if most > 0 {
            self.0.push_back(Kept {
                number,
                at_ms: arrival.now_ms,
                idempotency_key: arrival.idempotency_key.map(Box::from),
                body: Box::from(arrival.body),
                report: None,
            });
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// At most `limit` messages with a number above `after`, oldest first, for `to` alone if it is given.
    pub(super) fn page(&self, to: Option<&str>, after: u64, limit: usize, id: impl Fn(u64) -> String) -> Vec<Received> {
        let start = self.0.partition_point(|kept| kept.number <= after);
        self.0
            .range(start..)
            .filter_map(|kept| {
                let message: Message<'_> = serde_json::from_slice(&kept.body).ok()?;
                to.is_none_or(|to| to == message.to).then(|| Received {
                    number: kept.number,
                    id: id(kept.number),
                    at_ms: kept.at_ms,
                    link: link(&message.text),
                    order: message.reference.as_deref().and_then(OrderRef::read),
                    to: message.to.into_owned(),
                    text: message.text.into_owned(),
                    from: message.from.map(Cow::into_owned),
                    reference: message.reference.map(Cow::into_owned),
                    validity_seconds: message.validity_seconds,
                    idempotency_key: kept.idempotency_key.as_deref().map(str::to_owned),
                    report: kept.report.clone(),
                })
            })
            .take(limit)
            .collect()
    }

    /// The number behind which the last `limit` messages begin.
    pub(super) fn before_last(&self, limit: usize) -> u64 {
        let skipped = self.0.len().saturating_sub(limit);
        self.0.get(skipped).map_or(0, |kept| kept.number.saturating_sub(1))
    }

    /// Notes how far the report of a message is, while the message is here.
    pub(super) fn trace(&mut self, number: u64, trace: ReportTrace) {
        let at = self.0.partition_point(|kept| kept.number < number);
        if let Some(kept) = self.0.get_mut(at).filter(|kept| kept.number == number) {
            kept.report = Some(trace);
        }
    }

    /// Forgets them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_read_from_a_reference_of_remesa_and_from_no_other() {
        let order = OrderRef::read("nov-dues/delivery@1/42.0/2.b7Kx02LmQ9").unwrap();
        assert_eq!(
            (order.campaign.as_str(), order.run.as_str(), order.order, order.attempt),
            ("nov-dues", "delivery@1", 42, 2)
        );
        for other in ["A-1", "a/b/c/d.e", "a/b/1.0/1/x.y", "", "a/b/1.0/1"] {
            assert_eq!(OrderRef::read(other), None, "{other}");
        }
        assert_eq!(
            link("Hola Ana: https://pay.example/?p=aB3dE6gH9k gracias").unwrap(),
            "https://pay.example/?p=aB3dE6gH9k"
        );
        assert_eq!(link("no link"), None);
    }

    #[test]
    fn a_report_is_noted_while_its_message_is_kept() {
        let mut inbox = Inbox::default();
        for number in 1..=3 {
            let body = br#"{"to":"+34600123456","text":"t"}"#;
            inbox.keep(number, &Arrival { now_ms: 1, to: "", reference: "", idempotency_key: None, body }, 2);
        }
        let trace = ReportTrace {
            state: ReportState::Delivered,
            tries: 1,
            status: Some(200),
            confirmed_at_ms: Some(2),
            ended: true,
        };
        inbox.trace(1, trace.clone());
        inbox.trace(3, trace.clone());
        let page = inbox.page(None, 0, 10, |n| n.to_string());
        let reports: Vec<_> = page.into_iter().map(|message| (message.number, message.report)).collect();
        assert_eq!(reports, [(2, None), (3, Some(trace))]);
        assert_eq!((inbox.before_last(1), inbox.before_last(9)), (2, 1));
    }
}
