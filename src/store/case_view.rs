//! Cases as commands and the look-up show them: one with its deliveries, or pages of those that are like that.
//!
//! Numbers never change, so paging by number stays right while a campaign runs. Memory is one stretch. The JSON is the same
//! wherever it is shown.

use serde_json::{Value, json};

use super::{Store, StoreError, keys::LEDGER_PAGE};
use crate::domain::{
    case::{Case, CaseState},
    clock::EpochMs,
    contact::Address,
    lookup::PersonalData,
    run::RunState,
    standing::Standing,
};

/// Cases read by one round trip.
pub const STRETCH: u64 = 500;

/// Which cases are wanted; everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseFilter {
    /// Where it stands.
    pub state: Option<CaseState>,
    /// Only those that are not closed.
    pub active: bool,
    /// A label of its client.
    pub label: Option<String>,
    /// One of its addresses, gone or not.
    pub contact: Option<Address>,
    /// The number of its payment order.
    pub order: Option<u64>,
}

impl CaseFilter {
    /// Whether a case is wanted.
    pub fn passes(&self, case: &Case) -> bool {
        let has_address = |wanted: &Address| {
            let mut addresses = case.contacts.iter().filter_map(|contact| contact.value.as_ref());
            addresses.any(|address| address.identity() == wanted.identity())
        };
        self.state.is_none_or(|wanted| wanted == case.state)
            && (!self.active || case.state.is_active())
            && self.label.as_ref().is_none_or(|wanted| case.client.labels.contains(wanted))
            && self.contact.as_ref().is_none_or(has_address)
            && self.order.is_none_or(|wanted| case.order == Some(wanted))
    }
}

/// A page of cases that passed a filter.
#[derive(Debug)]
pub struct CasePage {
    /// The cases.
    pub cases: Vec<Case>,
    /// Where the next page begins (`after`); none at the end.
    pub next: Option<u64>,
    /// How many cases the campaign has.
    pub last: u64,
}

/// What one run did with one contact of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseDelivery {
    /// The run.
    pub run: String,
    /// Its channel.
    pub channel: String,
    /// The place of the contact, where the message was not to the newest one; 0 of the first.
    pub contact: u64,
    /// Where it stands.
    pub standing: Standing,
}

impl Store {
    /// Up to `limit` cases that pass, numbered above `after`; at most `most` cases are looked at. None without such a
    /// campaign.
    pub async fn case_page(
        &self,
        campaign: &str,
        filter: &CaseFilter,
        after: u64,
        limit: usize,
        most: u64,
    ) -> Result<Option<CasePage>, StoreError> {
        let found = self.campaign_fields(campaign, &["state", "cases"]).await?;
        let [Some(_), count] = found.as_slice() else { return Ok(None) };
        let last = count.as_deref().and_then(|count| count.parse().ok()).unwrap_or(0);
        let mut page = CasePage { cases: Vec::new(), next: None, last };
        let (mut after, begin) = (after, after);
        while after < last {
            if page.cases.len() >= limit || after.saturating_sub(begin) >= most {
                page.next = Some(after);
                break;
            }
            let upto = last.min(after.saturating_add(STRETCH));
            for (number, text) in (after + 1..=upto).zip(self.cases(campaign, after + 1..=upto).await?) {
                after = number;
                // What does not read as a case is passed over, as everywhere.
                let case = text.and_then(|text| Case::from_json(&text).ok());
                page.cases.extend(case.filter(|case| filter.passes(case)));
                if page.cases.len() == limit {
                    break;
                }
            }
        }
        Ok(Some(page))
    }

    /// What each run did with a case, oldest first: one entry for each contact that it wrote to.
    pub async fn case_deliveries(&self, campaign: &str, case: &Case) -> Result<Vec<CaseDelivery>, StoreError> {
        let n = case.number;
        let names = self.run_names(campaign).await?;
        let mut pipeline = redis::pipe();
        // A further contact of an `all` run has a cell of its own.
        let further = (1..case.contacts.len()).map(|index| format!("{}.{index}", n % LEDGER_PAGE));
        let fields: Vec<String> = std::iter::once((n % LEDGER_PAGE).to_string()).chain(further).collect();
        for run in &names {
            let facts = ["audience", "first", "end", "channel", "state", "finished_at"];
            pipeline.cmd("HMGET").arg(self.keys.run(campaign, run)).arg(&facts);
            pipeline.cmd("HMGET").arg(self.keys.ledger(campaign, run, n)).arg(&fields);
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let found: Vec<Vec<Option<String>>> = self.connection.pipeline(&pipeline).await?;
        let mut deliveries = Vec::new();
        for (run, pair) in names.iter().zip(found.chunks(2)).rev() {
            let [facts, cells] = pair else { continue };
            let fact = |place: usize| facts.get(place).and_then(Option::as_deref);
            let number = |place| fact(place).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            if fact(0) != Some("cases") || !(number(1)..=number(2)).contains(&n) {
                continue;
            }
            let (state, ended_at) = (fact(4).and_then(RunState::parse), fact(5).and_then(|at| at.parse().ok()));
            for (contact, cell) in (0_u64..).zip(cells) {
                if contact == 0 || cell.is_some() {
                    let standing = Standing::of(cell.as_deref(), state, ended_at.map(EpochMs));
                    let channel = fact(3).unwrap_or_default().to_owned();
                    deliveries.push(CaseDelivery { run: run.clone(), channel, contact, standing });
                }
            }
        }
        Ok(deliveries)
    }
}

/// A case as commands and the look-up show it.
pub fn case_json(campaign: &str, case: &Case, personal: PersonalData) -> Value {
    let mut shown = serde_json::to_value(case).unwrap_or_default();
    if let (PersonalData::Masked, Some(fields)) = (personal, shown.as_object_mut()) {
        for personal in ["client", "vars", "replies", "outcome"] {
            fields.remove(personal);
        }
        if !case.client.labels.is_empty() {
            fields.insert("client".to_owned(), json!({ "labels": case.client.labels }));
        }
        let contacts = fields.get_mut("contacts").and_then(Value::as_array_mut).into_iter().flatten();
        for (contact, stored) in contacts.zip(&case.contacts) {
            if let (Some(fields), Some(address)) = (contact.as_object_mut(), &stored.value) {
                fields.insert("value".to_owned(), address.masked().into());
            }
        }
    }
    json!({ "campaign": campaign, "case": shown })
}

/// The same with its deliveries.
pub fn case_with_deliveries(campaign: &str, case: &Case, deliveries: &[CaseDelivery], personal: PersonalData) -> Value {
    let each = deliveries.iter().map(|delivery| {
        let mut told = serde_json::to_value(&delivery.standing).unwrap_or_default();
        if let Some(fields) = told.as_object_mut() {
            fields.insert("run".to_owned(), delivery.run.as_str().into());
            fields.insert("channel".to_owned(), delivery.channel.as_str().into());
            fields.insert("contact".to_owned(), delivery.contact.into());
        }
        told
    });
    let each: Vec<Value> = each.collect();
    let mut shown = case_json(campaign, case, personal);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("deliveries".to_owned(), each.into());
    }
    shown
}
