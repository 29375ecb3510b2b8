//! One order with what was done with it, and how both look to others.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::domain::{
    audience::Audience,
    lookup::{Filter, PersonalData},
    money::Currency,
    order::{Order, OrderState},
    sms,
    standing::Standing,
    text::Words,
    unsubscribe::{Farewell, LinkBase},
};

/// What all orders of a campaign share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The campaign.
    pub campaign: String,
    /// The currency of orders that name none.
    pub currency: Option<Currency>,
    /// Who collects, where an order does not say.
    pub payment_point: String,
    /// What stands before the short code of a link.
    pub link_base: String,
}

impl Shared {
    /// From the fields of its hash.
    pub(super) fn new(
        campaign: &str,
        currency: Option<String>,
        payment_point: Option<String>,
        link_base: Option<String>,
    ) -> Self {
        Self {
            campaign: campaign.to_owned(),
            currency: currency.and_then(|code| Currency::parse(&code).ok()),
            payment_point: payment_point.unwrap_or_default(),
            link_base: link_base.unwrap_or_default(),
        }
    }
}

/// What does not change of a run.
#[derive(Debug)]
pub struct RunFacts {
    /// Its name.
    pub name: String,
    /// Its channel.
    pub channel: String,
    /// Its recipients: the numbers from this one ...
    pub first: u64,
    /// ... to this one.
    pub last: u64,
    words: Option<Words>,
    link_base: String,
    currency: Option<Currency>,
    /// An unsubscribe link of the real length, and what stands before it.
    farewell: Option<(String, String)>,
}

impl RunFacts {
    pub(super) const FIELDS: [&'static str; 12] = [
        "first",
        "end",
        "audience",
        "channel",
        "link_base",
        "currency",
        "content",
        "text",
        "url_place",
        "transliterate",
        "unsubscribe",
        "unsubscribe_label",
    ];

    /// From [`RunFacts::FIELDS`]; none when there is no such run, or it is not for orders.
    pub(super) fn of(name: &str, fields: Vec<Option<String>>) -> Option<Self> {
        let found: BTreeMap<&str, String> =
            Self::FIELDS.into_iter().zip(fields).filter_map(|(field, text)| Some((field, text?))).collect();
        let text = |field: &str| found.get(field).map_or("", String::as_str);
        if Audience::parse(text("audience")) == Some(Audience::Cases) {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            channel: text("channel").to_owned(),
            first: text("first").parse().ok()?,
            last: text("end").parse().ok()?,
            words: Words::compile(text).ok(),
            link_base: text("link_base").to_owned(),
            currency: Currency::parse(text("currency")).ok(),
            farewell: LinkBase::of_run(text("unsubscribe"))
                .map(|base| (base.sample(), text("unsubscribe_label").to_owned())),
        })
    }

    /// SMS parts of its message for an order, as both read now; none where the message cannot be made.
    pub fn parts(&self, order: &Order) -> Option<usize> {
        let farewell = self.farewell.as_ref().map(|(link, label)| Farewell { link, label });
        let message = self.words.as_ref()?.of_order(order, self.currency, &self.link_base, farewell);
        message.ok().map(|message| sms::parts(&message.text))
    }
}

/// What one run did with an order.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The run.
    pub run: Arc<RunFacts>,
    /// Where it stands.
    pub standing: Standing,
}

/// An order with its deliveries.
#[derive(Debug)]
pub struct Record {
    /// The order as it is stored.
    pub text: String,
    /// The same, read.
    pub order: Order,
    /// Its state by the clock.
    pub state: OrderState,
    /// Its deliveries, oldest first.
    pub deliveries: Vec<Delivery>,
}

impl Record {
    /// Whether it is wanted.
    pub fn passes(&self, filter: &Filter) -> bool {
        filter.passes(&self.order, self.state, self.deliveries.iter().map(|delivery| &delivery.standing))
    }

    /// The currency of its amount.
    pub fn currency(&self, shared: &Shared) -> Option<Currency> {
        self.order.currency.or(shared.currency)
    }

    /// Who collects it.
    pub fn payment_point<'a>(&'a self, shared: &'a Shared) -> &'a str {
        self.order.payment_point.as_ref().map_or(shared.payment_point.as_str(), |name| name.as_str())
    }

    /// Its public link.
    pub fn link(&self, shared: &Shared) -> String {
        self.order.link(&shared.link_base)
    }

    /// As commands and the look-up show it: the stored order with its state by the clock and with what its campaign
    /// says for it, its link, its deliveries.
    pub fn to_json(&self, shared: &Shared, personal: PersonalData) -> Value {
        let mut order: Value = serde_json::from_str(&self.text).unwrap_or_default();
        if let Some(fields) = order.as_object_mut() {
            fields.insert("state".to_owned(), self.state.as_str().into());
            if let Some(currency) = self.currency(shared) {
                fields.insert("currency".to_owned(), currency.code().into());
            }
            fields.insert("payment_point".to_owned(), self.payment_point(shared).into());
            if personal == PersonalData::Masked {
                fields.remove("vars");
                if let Some(contact) = &self.order.contact {
                    fields.insert("contact".to_owned(), contact.masked().into());
                }
            }
        }
        let deliveries = self.deliveries.iter().map(|delivery| {
            let mut told = serde_json::to_value(&delivery.standing).unwrap_or_default();
            if let Some(fields) = told.as_object_mut() {
                fields.insert("run".to_owned(), delivery.run.name.as_str().into());
                fields.insert("channel".to_owned(), delivery.run.channel.as_str().into());
            }
            told
        });
        let deliveries: Vec<Value> = deliveries.collect();
        json!({ "campaign": shared.campaign, "order": order, "link": self.link(shared), "deliveries": deliveries })
    }
}
