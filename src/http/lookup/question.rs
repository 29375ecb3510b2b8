//! What the look-up is asked: the part of an address behind `?`, read field by field.
//!
//! A parameter that nobody knows is refused, as in a job: a typing mistake must not answer another question.

use std::collections::BTreeMap;

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
    response::Response,
};

use super::{Fault, respond};
use crate::{
    domain::{
        campaign::CampaignState,
        case::CaseState,
        clock::EpochMs,
        contact::{Address, Phone},
        delivery::DeliveryState,
        lookup::{Filter, NamePattern},
        order::OrderState,
    },
    store::{case_view::CaseFilter, view::CampaignQuery},
};

/// Records on a page unless asked otherwise, and at most.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 500;

/// The parameters of a request.
#[derive(Debug)]
pub(in crate::http) struct Question(BTreeMap<String, String>);

/// Which orders are wanted.
#[derive(Debug)]
pub(super) struct WantedOrders {
    /// The one with this row key.
    pub(super) key: Option<String>,
    /// What they must be like.
    pub(super) filter: Filter,
    /// Numbered above this.
    pub(super) after: u64,
    /// At most so many.
    pub(super) limit: usize,
}

/// Which cases are wanted.
#[derive(Debug)]
pub(super) struct WantedCases {
    /// The one with this id.
    pub(super) id: Option<String>,
    /// What they must be like.
    pub(super) filter: CaseFilter,
    /// Numbered above this.
    pub(super) after: u64,
    /// At most so many.
    pub(super) limit: usize,
}

impl<S: Send + Sync> FromRequestParts<S> for Question {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let read = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Ok(Query(pairs)) = read else {
            return Err(respond(Err(Fault::invalid("the parameters are not those of an address"))));
        };
        Self::of(pairs).map_err(|fault| respond(Err(fault)))
    }
}

impl Question {
    /// The question of these parameters.
    pub(in crate::http) fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, Fault> {
        let mut found = BTreeMap::new();
        for (name, value) in pairs {
            if found.insert(name.clone(), value).is_some() {
                return Err(Fault::bad("duplicate_field", format!("\"{name}\" stands twice")));
            }
        }
        Ok(Self(found))
    }

    /// A parameter as it was written.
    pub(in crate::http) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// The same, which is done with then.
    pub(in crate::http) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// The question for a list of campaigns.
    pub(in crate::http) fn campaigns(&mut self) -> Result<CampaignQuery, Fault> {
        let query = CampaignQuery {
            state: self.word("state", CampaignState::parse)?,
            since: self.parsed("since", |text| EpochMs::parse(text).map_err(|error| error.to_string()))?,
            name: self.0.remove("name").map(|pattern| NamePattern::new(&pattern)),
            after: self.0.remove("after"),
            offset: self.parsed("offset", whole)?.unwrap_or(0),
            limit: self.limit()?,
            look_at: usize::MAX,
        };
        self.nothing_else("state, since, name, after, offset, limit")?;
        Ok(query)
    }

    /// The question for orders of a campaign.
    pub(super) fn orders(&mut self) -> Result<WantedOrders, Fault> {
        let wanted = WantedOrders {
            key: self.0.remove("key"),
            filter: Filter {
                state: self.word("state", OrderState::parse)?,
                delivery: self.word("delivery", DeliveryState::parse)?,
                reason: self.0.remove("reason"),
                reference: self.0.remove("reference"),
                contact: self.parsed("contact", |text| Phone::parse(text, None).map_err(|error| error.to_string()))?,
            },
            after: self.parsed("after", whole)?.unwrap_or(0),
            limit: self.limit()?,
        };
        self.nothing_else("state, delivery, reason, reference, contact, key, after, limit")?;
        Ok(wanted)
    }

    /// The question for cases of a campaign.
    pub(super) fn cases(&mut self) -> Result<WantedCases, Fault> {
        let wanted = WantedCases {
            id: self.0.remove("id"),
            filter: CaseFilter {
                state: self.word("state", CaseState::parse)?,
                active: self.parsed("active", flag)?.unwrap_or(false),
                label: self.0.remove("label"),
                contact: self
                    .parsed("contact", |text| Address::parse(text, None).map_err(|error| error.to_string()))?,
                order: self.parsed("order", whole)?,
            },
            after: self.parsed("after", whole)?.unwrap_or(0),
            limit: self.limit()?,
        };
        self.nothing_else("state, active, label, contact, order, id, after, limit")?;
        Ok(wanted)
    }

    fn limit(&mut self) -> Result<usize, Fault> {
        match self.parsed("limit", whole)? {
            None => Ok(LIMIT),
            Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
            Some(_) => Err(Fault::invalid(format!("limit: from 1 to {LIMIT_MAX}"))),
        }
    }

    fn parsed<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Fault> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        parse(&text).map(Some).map_err(|rule| Fault::invalid(format!("{name}: {rule}")))
    }

    fn word<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Fault> {
        self.parsed(name, |text| parse(text).ok_or_else(|| "no such state".to_owned()))
    }

    /// Refuses what nobody took.
    pub(in crate::http) fn nothing_else(&self, known: &str) -> Result<(), Fault> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Fault::bad("unknown_field", format!("\"{name}\" is not known: there are {known}"))),
        }
    }
}

fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "true or false".to_owned())
}

fn whole<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "a whole number".to_owned())
}
