//! The job `send`: one bulk message over the cases or the orders of a campaign, now or at a time.
//!
//! [`BulkMessage`] is what `send` and `recurring` have in common, decoded by one function. Whatever the job alone decides
//! is decided here: names, words, the filter's columns and operators, whether the texts compile. Whether campaign, channel
//! and template exist is the handler's question.

use serde_json::Value;

use super::codes::RejectionCode;
use super::contact_rules::contact_rules;
use super::content::{check_content, provider_template};
use super::fields::{Fields, not_one_of, wrong_type};
use super::filter::filter;
use super::generate::shown_name;
use super::rejection::Rejection;
use crate::domain::audience::{Audience, Contacts};
use crate::domain::clock::EpochMs;
use crate::domain::contact_rules::ContactRules;
use crate::domain::content::Content;
use crate::domain::filter::Filter;
use crate::domain::name::Name;

/// The fields of a bulk message, whenever it is sent.
pub(super) const BULK_FIELDS: &[&str] = &[
    "name",
    "campaign",
    "channel",
    "template",
    "text",
    "subject",
    "html",
    "provider_template",
    "transliterate",
    "audience",
    "contacts",
    "only_active",
    "close_cases",
    "filter",
    "hours",
    "cap",
    "once_per_address",
];
/// Those that only `send` has.
pub(super) const SEND_FIELDS: &[&str] = &["message", "frequency"];
pub(super) const FREQUENCY_FIELDS: [&str; 1] = ["at"];

/// What a bulk message is, apart from when it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkMessage {
    /// Its name for people.
    pub name: Option<String>,
    /// The campaign.
    pub campaign: Name,
    /// The configured channel.
    pub channel: Name,
    /// What it says.
    pub words: Words,
    /// Whether look-alikes outside GSM-7 are replaced in its text (PO-14).
    pub transliterate: bool,
    /// Cases or orders.
    pub audience: Audience,
    /// Which contacts of a case.
    pub contacts: Contacts,
    /// Whether closed cases are left out (BM-10).
    pub only_active: bool,
    /// Whether a case is closed once a message of it was accepted (BM-14).
    pub close_cases: bool,
    /// Which cases (BM-20); all of them without.
    pub filter: Option<Filter>,
    /// When and how often, beside what its channel says.
    pub rules: ContactRules,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Words {
    /// What the stored template of this name says when the job is accepted (BM-21).
    Template(Name),
    /// A copy, edited or not; it compiles.
    Written(Content),
}

/// When a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frequency {
    /// At once.
    None,
    /// At this time.
    At(EpochMs),
}

/// A decoded job of the queue `send`.
#[derive(Debug, Clone, PartialEq)]
pub struct SendJob {
    /// The message's name in its campaign, and its run's.
    pub message: Name,
    /// What is sent to whom.
    pub bulk: BulkMessage,
    /// When.
    pub frequency: Frequency,
}

impl SendJob {
    /// Decodes the fields that the envelope left; `at` is the envelope's.
    pub(super) fn decode(mut fields: Fields, at: Option<EpochMs>) -> Result<Self, Rejection> {
        let message = fields.name("message")?;
        let message = fields.required("message", message)?;
        let frequency = frequency(&mut fields, at)?;
        Ok(Self { message, bulk: BulkMessage::decode(&mut fields)?, frequency })
    }
}

impl BulkMessage {
    /// Takes the fields of [`BULK_FIELDS`].
    pub(super) fn decode(fields: &mut Fields) -> Result<Self, Rejection> {
        let campaign = fields.name("campaign")?;
        let campaign = fields.required("campaign", campaign)?;
        let name = shown_name(fields)?;
        let channel = fields.name("channel")?;
        let channel = fields.required("channel", channel)?;
        let words = words(fields)?;
        let transliterate = fields.flag("transliterate")?;
        let audience = fields.word("audience", Audience::parse, Audience::ALL)?.unwrap_or_default();
        let contacts = fields.word("contacts", Contacts::parse, Contacts::ALL)?.unwrap_or_default();
        let (only_active, close_cases) = (fields.flag("only_active")?, fields.flag("close_cases")?);
        let filter = filter(fields)?;
        let rules = contact_rules(fields)?;
        let of_cases = [
            ("filter", filter.is_some()),
            ("contacts", contacts != Contacts::default()),
            ("only_active", only_active),
            ("close_cases", close_cases),
        ];
        if audience == Audience::Orders
            && let Some((field, _)) = of_cases.iter().find(|(_, asked)| *asked)
        {
            let rule = "the field is about cases; the audience is \"orders\"";
            return Err(fields.refuse(RejectionCode::ConflictingFields, field, rule));
        }
        Ok(Self {
            name,
            campaign,
            channel,
            words,
            transliterate,
            audience,
            contacts,
            only_active,
            close_cases,
            filter,
            rules,
        })
    }
}

/// Exactly one of a template's name and the words themselves.
fn words(fields: &mut Fields) -> Result<Words, Rejection> {
    let template = fields.name("template")?;
    let (text, subject, html) = (fields.text("text")?, fields.text("subject")?, fields.text("html")?);
    let provider_template = provider_template(fields)?;
    let written = [
        ("text", text.is_some()),
        ("subject", subject.is_some()),
        ("html", html.is_some()),
        ("provider_template", provider_template.is_some()),
    ];
    let first = written.iter().find_map(|(field, there)| there.then_some(*field));
    match (template, first) {
        (Some(template), None) => Ok(Words::Template(template)),
        (Some(_), Some(field)) => {
            let rule = "only one may be given: a template, or the words themselves";
            Err(fields.refuse(RejectionCode::ConflictingFields, field, rule))
        }
        (None, None) => {
            let rule = "a template, or the words themselves (text, html, provider_template) must be given";
            Err(fields.refuse(RejectionCode::MissingField, "template", rule))
        }
        (None, Some(_)) => {
            let content = Content {
                text: text.unwrap_or_default(),
                subject: subject.unwrap_or_default(),
                html: html.unwrap_or_default(),
                provider_template,
            };
            check_content(&content, "")?;
            Ok(Words::Written(content))
        }
    }
}

fn frequency(fields: &mut Fields, at: Option<EpochMs>) -> Result<Frequency, Rejection> {
    match fields.take("frequency") {
        None => Ok(Frequency::None),
        Some(Value::String(word)) if word == "none" => Ok(Frequency::None),
        Some(Value::String(word)) => Err(not_one_of(RejectionCode::InvalidValue, "frequency", &word, &["none"])),
        Some(value @ Value::Object(_)) => {
            let mut inner = Fields::of_value(value, "frequency".to_owned(), &FREQUENCY_FIELDS)?;
            let instant = inner.instant("at")?;
            let instant = inner.required("at", instant)?;
            if at.is_some() {
                let rule = "the job has a time of its own, \"at\"; only one of the two may be given";
                return Err(inner.refuse(RejectionCode::ConflictingTimes, "at", rule));
            }
            Ok(Frequency::At(instant))
        }
        Some(other) => Err(wrong_type("frequency", &other, "\"none\" or {\"at\": time}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Job, QueueName, decode};
    use super::*;
    use serde_json::json;

    fn sent(fields: &Value) -> Result<SendJob, Rejection> {
        let mut job = json!({"message": "reminder-1", "campaign": "nov", "channel": "sms"});
        for (name, value) in fields.as_object().unwrap() {
            job[name] = value.clone();
        }
        decode(QueueName::Send, job.to_string().as_bytes()).map(|(_, job)| {
            let Job::Send(job) = job else { panic!("not a send job") };
            *job
        })
    }

    fn code(fields: &Value) -> &'static str {
        sent(fields).unwrap_err().code.as_str()
    }

    #[test]
    fn what_is_left_out_is_the_unchecked_box() {
        let job = sent(&json!({"text": "Hola"})).unwrap();
        assert_eq!((job.message.as_str(), job.frequency), ("reminder-1", Frequency::None));
        let BulkMessage { audience, contacts, only_active, close_cases, transliterate, .. } = job.bulk;
        assert_eq!((audience, contacts), (Audience::Cases, Contacts::Latest));
        assert!(!only_active && !close_cases && !transliterate);
    }

    #[test]
    fn bm_21_a_message_has_a_template_or_its_own_words_and_never_both() {
        let named = sent(&json!({"template": "reminder"})).unwrap();
        assert!(matches!(named.bulk.words, Words::Template(name) if name.as_str() == "reminder"));
        assert_eq!(code(&json!({})), "missing_field");
        for own in [json!("x"), json!({"name": "n", "language": "es"})] {
            let field = if own.is_string() { "html" } else { "provider_template" };
            assert_eq!(code(&json!({"template": "reminder", (field): own})), "conflicting_fields");
        }
    }

    #[test]
    fn words_that_do_not_compile_are_refused_with_their_field() {
        let refused = sent(&json!({"text": "Hola", "subject": "{{ name"})).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.field.as_deref()), ("template_syntax", Some("subject")));
        assert_eq!(code(&json!({"text": "{{ url }} {{ url }}"})), "url_twice");
        assert_eq!(code(&json!({"text": "x".repeat(5001)})), "text_too_long");
        let parameters = json!({"provider_template": {"name": "n", "language": "es", "parameters": [1]}});
        let refused = sent(&parameters).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("provider_template.parameters[0]"));
    }

    #[test]
    fn what_is_about_cases_does_not_go_with_orders() {
        let vip = json!({"all": [{"column": "labels", "operator": "contains", "value": "vip"}]});
        for field in [
            json!({"contacts": "all"}),
            json!({"only_active": true}),
            json!({"close_cases": true}),
            json!({"filter": vip}),
        ] {
            let mut job = json!({"text": "x", "audience": "orders"});
            job.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
            assert_eq!(code(&job), "conflicting_fields", "{field}");
        }
        let contacts = sent(&json!({"text": "x", "audience": "orders", "contacts": "latest"}));
        assert!(contacts.is_ok(), "what is the default anyway does no harm");
    }

    #[test]
    fn a_message_is_sent_at_once_or_at_one_time() {
        let at = json!({"text": "x", "frequency": {"at": 1_795_942_800_000_i64}});
        assert_eq!(sent(&at).unwrap().frequency, Frequency::At(EpochMs(1_795_942_800_000)));
        assert_eq!(code(&json!({"text": "x", "frequency": "nun"})), "invalid_value");
        assert_eq!(code(&json!({"text": "x", "frequency": 5})), "wrong_type");
        let both = json!({"text": "x", "at": "2030-01-01T00:00:00Z", "frequency": {"at": "2030-01-01T00:00:00Z"}});
        assert_eq!(code(&both), "conflicting_times");
    }
}
