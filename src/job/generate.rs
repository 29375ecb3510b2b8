//! The job `generate`: the payment orders of a campaign, and what is sent with them.
//!
//! Everything that the text alone decides is decided here: names, times, currency, country, the message's template and
//! the place of its URL, the bounds of `expires_in`. What needs the configuration, the clock or the source (channels,
//! payment points, `expires_at`, parts, rows) is the handler's.

use serde_json::Value;

use super::codes::RejectionCode;
use super::contact_rules::contact_rules;
use super::fields::{Fields, not_one_of, wrong_type};
use super::rejection::Rejection;
use super::rows_spec::{RowsSpec, rows};
use crate::domain::campaign::Category;
use crate::domain::clock::{ClockError, EpochMs, parse_duration};
use crate::domain::contact::{ContactError, Country};
use crate::domain::contact_rules::ContactRules;
use crate::domain::expiry::Expiry;
use crate::domain::message::{Message, MessageError, UrlPlace};
use crate::domain::money::{Currency, CurrencyError};
use crate::domain::name::Name;

/// Characters of a campaign's shown name.
pub const SHOWN_NAME_MAX_CHARS: usize = 200;
/// Characters of a message's template; whether what comes out fits is the handler's question.
pub const MESSAGE_MAX_CHARS: usize = 5000;

pub(super) const GENERATE_FIELDS: &[&str] = &[
    "campaign",
    "name",
    "country",
    "currency",
    "payment_point",
    "expires_in",
    "expires_at",
    "category",
    "delivery",
    "channel",
    "message",
    "hours",
    "cap",
    "rows",
    "rows_from",
    "append",
    "allow_partial",
];
pub(super) const MESSAGE_FIELDS: [&str; 3] = ["text", "url", "transliterate"];
pub(super) const DELIVERY_FIELDS: [&str; 1] = ["at"];

/// A decoded job of the queue `generate`.
#[derive(Debug)]
pub struct GenerateJob {
    /// The campaign.
    pub campaign: Name,
    /// Its name for people.
    pub name: Option<String>,
    /// The country whose numbers need no prefix.
    pub country: Option<Country>,
    /// The currency of rows that name none.
    pub currency: Option<Currency>,
    /// Who collects; the configured default when absent.
    pub payment_point: Option<Name>,
    /// When the orders expire; the configured default when absent. `In` is within its bounds; `At` is not judged yet.
    pub expiry: Option<Expiry>,
    /// What kind of messages the campaign sends; its own, or `transactional`, when absent (PO-24).
    pub category: Option<Category>,
    /// Whether and when something is sent.
    pub delivery: Delivery,
    /// Where the rows are.
    pub rows: RowsSpec,
    /// Adds to a campaign that has its generate job already.
    pub append: bool,
    /// With `delivery: at`: rows without a valid contact are generated all the same.
    pub allow_partial: bool,
}

/// Whether and when something is sent.
#[derive(Debug)]
pub enum Delivery {
    /// Just generate. A message given all the same was checked and is not used.
    None,
    /// As soon as the orders are there.
    Now(Dispatch),
    /// Generation and sending happen then.
    At(EpochMs, Dispatch),
}

/// What is sent, and over which channel.
#[derive(Debug)]
pub struct Dispatch {
    /// The configured channel.
    pub channel: Name,
    /// The template as written.
    pub text: String,
    /// Where the job says the URL stands; absent, the template says it or it is the end.
    pub url: Option<UrlPlace>,
    /// Whether look-alikes outside GSM-7 are replaced (PO-14).
    pub transliterate: bool,
    /// The template, compiled.
    pub message: Message,
    /// When and how often, beside what the channel says.
    pub rules: ContactRules,
}

impl Delivery {
    /// What is sent, unless nothing is.
    pub fn dispatch(&self) -> Option<&Dispatch> {
        match self {
            Self::None => None,
            Self::Now(dispatch) | Self::At(_, dispatch) => Some(dispatch),
        }
    }

    /// The word of the contract: `none`, `now`, `at`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Now(_) => "now",
            Self::At(..) => "at",
        }
    }
}

impl GenerateJob {
    /// Decodes the fields that the envelope left; `at` is the envelope's.
    pub(super) fn decode(mut fields: Fields, at: Option<EpochMs>) -> Result<Self, Rejection> {
        let campaign = fields.name("campaign")?;
        let campaign = fields.required("campaign", campaign)?;
        let name = shown_name(&mut fields)?;
        let country = fields.parsed("country", Country::parse, ContactError::code)?;
        let currency = fields.parsed("currency", Currency::parse, CurrencyError::code)?;
        let payment_point = fields.name("payment_point")?;
        let expiry = expiry(&mut fields)?;
        let category = category(&mut fields)?;
        let delivery = delivery(&mut fields, at)?;
        let rows = rows(&mut fields)?;
        let append = fields.flag("append")?;
        let allow_partial = fields.flag("allow_partial")?;
        Ok(Self {
            campaign,
            name,
            country,
            currency,
            payment_point,
            expiry,
            category,
            delivery,
            rows,
            append,
            allow_partial,
        })
    }
}

/// A campaign's or a message's name for people.
pub(super) fn shown_name(fields: &mut Fields) -> Result<Option<String>, Rejection> {
    let Some(name) = fields.text("name")? else { return Ok(None) };
    let chars = name.chars().count();
    if (1..=SHOWN_NAME_MAX_CHARS).contains(&chars) && !name.chars().any(char::is_control) {
        return Ok(Some(name));
    }
    let rule = format!("{chars} characters; 1 to {SHOWN_NAME_MAX_CHARS} are wanted, none of them a control character");
    Err(fields.refuse(RejectionCode::InvalidValue, "name", rule))
}

fn expiry(fields: &mut Fields) -> Result<Option<Expiry>, Rejection> {
    let after = fields.parsed("expires_in", parse_duration, ClockError::code)?;
    let instant = fields.instant("expires_at")?;
    let expiry = match (after, instant) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let rule = "at most one of expires_in and expires_at may be given";
            return Err(fields.refuse(RejectionCode::ConflictingFields, "expires_at", rule));
        }
        (None, Some(instant)) => Expiry::At(instant),
        (Some(after), None) => Expiry::In(after),
    };
    if let Expiry::In(_) = expiry {
        // a duration's bounds do not depend on the moment they are judged at
        expiry
            .check(EpochMs(0))
            .map_err(|error| Rejection::of_code(error.code(), Some(&fields.at("expires_in")), &error))?;
    }
    Ok(Some(expiry))
}

/// The category of a campaign's messages (PO-24).
pub(super) fn category(fields: &mut Fields) -> Result<Option<Category>, Rejection> {
    let Some(word) = fields.text("category")? else { return Ok(None) };
    let known = Category::ALL.iter().map(|category| category.as_str()).collect::<Vec<_>>();
    let category = Category::parse(&word);
    category.map(Some).ok_or_else(|| not_one_of(RejectionCode::InvalidValue, "category", &word, &known))
}

fn delivery(fields: &mut Fields, at: Option<EpochMs>) -> Result<Delivery, Rejection> {
    enum Mode {
        None,
        Now,
        At(EpochMs),
    }
    let mode = match fields.take("delivery") {
        None => Mode::None,
        Some(Value::String(word)) => match word.as_str() {
            "none" => Mode::None,
            "now" => Mode::Now,
            other => {
                let rule = format!(
                    "{} is neither \"none\" nor \"now\" nor {{\"at\": time}}",
                    crate::domain::Excerpt::of(other)
                );
                return Err(fields.refuse(RejectionCode::InvalidValue, "delivery", rule));
            }
        },
        Some(value @ Value::Object(_)) => {
            let mut inner = Fields::of_value(value, "delivery".to_owned(), &DELIVERY_FIELDS)?;
            let instant = inner.instant("at")?;
            let instant = inner.required("at", instant)?;
            if at.is_some() {
                let rule = "the job has a time of its own, \"at\"; only one of the two may be given";
                return Err(inner.refuse(RejectionCode::ConflictingTimes, "at", rule));
            }
            Mode::At(instant)
        }
        Some(other) => return Err(wrong_type("delivery", &other, "\"none\", \"now\" or {\"at\": time}")),
    };
    let channel = fields.name("channel")?;
    let message = message(fields)?;
    let rules = contact_rules(fields)?;
    let dispatch = |fields: &Fields| -> Result<Dispatch, Rejection> {
        let rule = "the field is required unless delivery is \"none\"";
        let missing = |name| fields.refuse(RejectionCode::MissingField, name, rule);
        let channel = channel.ok_or_else(|| missing("channel"))?;
        let Written { text, url, transliterate, message } = message.ok_or_else(|| missing("message"))?;
        Ok(Dispatch { channel, text, url, transliterate, message, rules })
    };
    match mode {
        Mode::None => Ok(Delivery::None),
        Mode::Now => Ok(Delivery::Now(dispatch(fields)?)),
        Mode::At(instant) => Ok(Delivery::At(instant, dispatch(fields)?)),
    }
}

/// What stands in `message`.
struct Written {
    text: String,
    url: Option<UrlPlace>,
    transliterate: bool,
    message: Message,
}

fn message(fields: &mut Fields) -> Result<Option<Written>, Rejection> {
    let Some(value) = fields.take("message") else { return Ok(None) };
    let mut inner = Fields::of_value(value, "message".to_owned(), &MESSAGE_FIELDS)?;
    let text = inner.text("text")?;
    let text = inner.required("text", text)?;
    let chars = text.chars().count();
    if chars > MESSAGE_MAX_CHARS {
        let rule = format!("{chars} characters, the maximum is {MESSAGE_MAX_CHARS}");
        return Err(inner.refuse(RejectionCode::TextTooLong, "text", rule));
    }
    let url = match inner.text("url")?.as_deref() {
        None => None,
        Some("start") => Some(UrlPlace::Start),
        Some("end") => Some(UrlPlace::End),
        Some("middle") => {
            let rule = "the URL stands at the \"start\" or at the \"end\" of the text, not in its middle";
            return Err(inner.refuse(RejectionCode::UrlInMiddle, "url", rule));
        }
        Some(other) => return Err(not_one_of(RejectionCode::InvalidValue, "message.url", other, &["start", "end"])),
    };
    let transliterate = inner.flag("transliterate")?;
    let message = Message::compile(&text, url)
        .map_err(|error: MessageError| Rejection::of_code(error.code(), Some("message.text"), &error))?
        .transliterated(transliterate);
    Ok(Some(Written { text, url, transliterate, message }))
}
