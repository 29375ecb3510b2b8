//! Erasing what a page held: each kind in its way, and harmless when it was done already.

use serde_json::{Map, Value, json};

use crate::{
    domain::{case::Case, clock::EpochMs, contact::sought::Sought, forget, order::Order},
    job::FORGOTTEN_COLUMN,
    source::erase as files,
    store::{
        StoreError,
        forget::{ForgetCase, ForgetOrder, ForgottenOrder},
    },
};

use super::{
    super::blocking,
    Walk,
    looking::{CAMPAIGN_TEXTS, JOB_TEXTS},
    progress::Hit,
};

/// An order that changes under our hands is read again so often.
const TRIES: u32 = 20;

impl Walk<'_> {
    /// Erases one hit, and counts it.
    pub(super) async fn erase(&mut self, hit: &Hit) -> Result<(), StoreError> {
        let store = &self.ctx.store;
        match hit {
            Hit::Order(campaign, number) => return self.erase_order(campaign, *number, false).await,
            Hit::Case(campaign, number) => return self.erase_case(campaign, *number, false).await,
            Hit::Row(campaign, index) => {
                self.erase_row(&store.keys.errors(campaign), *index).await?;
                self.progress.count("refused_rows", 1);
            }
            Hit::Outbox(campaign, id) => {
                self.hide_in_entry(&store.keys.outbox(campaign), id).await?;
                self.progress.count("events", 1);
            }
            Hit::Event(id) => {
                self.hide_in_entry(&store.keys.results(), id).await?;
                self.progress.count("events", 1);
            }
            Hit::Rejected(id) => {
                self.empty_letter(&store.keys.rejected(), id).await?;
                self.progress.count("rejected_jobs", 1);
            }
            Hit::Dead(id) => {
                self.empty_letter(&store.keys.dead(), id).await?;
                self.progress.count("dead_jobs", 1);
            }
            Hit::Fields(campaign) => {
                self.hide_in_campaign(campaign).await?;
                self.progress.count("campaigns", 1);
            }
            Hit::Job(id) => {
                self.erase_from_job(id).await?;
                self.progress.count("jobs", 1);
            }
            Hit::File(name) => {
                self.erase_from_file(name).await;
                self.progress.count("files", 1);
            }
        }
        Ok(())
    }

    /// The order with its deliveries; `landed` when only what was in flight is looked at again.
    pub(super) async fn erase_order(&mut self, campaign: &str, number: u64, landed: bool) -> Result<(), StoreError> {
        let named = self.progress.named.as_ref().is_some_and(|(c, n)| c == campaign && *n == number);
        for _ in 0..TRIES {
            let text = self.ctx.store.orders(campaign, std::iter::once(number)).await?.into_iter().next().flatten();
            let Some((text, order)) = text.and_then(|t| Order::from_json(&t).ok().map(|order| (t, order))) else {
                return Ok(());
            };
            let now = EpochMs(self.ctx.store.now_ms().await?);
            let planned = forget::forget(&order, self.sought.as_ref(), named, now);
            // Forgotten already: its deliveries are looked at all the same.
            let own = planned.as_ref().map_or(order.forgotten_at.is_some(), |planned| planned.own);
            let after = planned.as_ref().map_or_else(|| order.clone(), |planned| planned.order.clone());
            let json = if planned.is_some() { after.to_json() } else { text.clone() };
            // Found by it no more, though an order that a platform may have keeps the text until it is settled.
            let reference = if own || after.reference.is_empty() { order.reference.as_str() } else { "" };
            let (texts, keys) = ((text.as_str(), json.as_str()), (order.key.as_str(), after.key.as_str()));
            let change = ForgetOrder { number, texts, keys, reference, own };
            if let ForgottenOrder::Done { deliveries, skipped, in_flight } =
                self.ctx.store.forget_order(campaign, &change).await?
            {
                if !in_flight.is_empty() {
                    self.progress.in_flight.push((campaign.to_owned(), number));
                }
                if !landed {
                    self.progress.count(if own { "orders" } else { "mentions" }, 1);
                    self.progress.count("deliveries", deliveries);
                    self.progress.count("deliveries_skipped", skipped);
                }
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("the order changes too fast".to_owned()))
    }

    /// The case with its messages; `landed` when only what was in flight is looked at again.
    pub(super) async fn erase_case(&mut self, campaign: &str, number: u64, landed: bool) -> Result<(), StoreError> {
        let named = self.progress.named_case.as_ref().is_some_and(|(c, n)| c == campaign && *n == number);
        for _ in 0..TRIES {
            let text = self.ctx.store.cases(campaign, std::iter::once(number)).await?.into_iter().next().flatten();
            let Some((text, case)) = text.and_then(|t| Case::from_json(&t).ok().map(|case| (t, case))) else {
                return Ok(());
            };
            let now = EpochMs(self.ctx.store.now_ms().await?);
            let planned = case.forget(self.sought.as_ref(), named, now);
            // Forgotten already: its messages are looked at all the same.
            let own = planned.as_ref().map_or(case.forgotten_at.is_some(), |planned| planned.own);
            let json = planned.as_ref().map_or_else(|| text.clone(), |planned| planned.case.to_json());
            let id = planned.as_ref().map_or(case.id.as_str(), |planned| planned.case.id.as_str());
            let (texts, ids) = ((text.as_str(), json.as_str()), (case.id.as_str(), id));
            let change = ForgetCase { number, texts, ids, contacts: case.contacts.len(), own };
            if let ForgottenOrder::Done { deliveries, in_flight, .. } =
                self.ctx.store.forget_case(campaign, &change).await?
            {
                if !in_flight.is_empty() {
                    self.progress.cases_in_flight.push((campaign.to_owned(), number));
                }
                if !landed {
                    self.progress.count(if own { "cases" } else { "mentions" }, 1);
                    self.progress.count("deliveries", deliveries);
                }
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("the case changes too fast".to_owned()))
    }

    /// A refused row keeps its place, its code and no content.
    async fn erase_row(&self, key: &str, index: u64) -> Result<(), StoreError> {
        let (Some(sought), Some(row)) = (&self.sought, self.ctx.store.row(key, index).await?) else { return Ok(()) };
        if !sought.is_in_json(&row) {
            return Ok(());
        }
        let read: Map<String, Value> = serde_json::from_str(&row).unwrap_or_default();
        let mut left: Map<String, Value> = ["row", "line", "code", "job"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), read.get(name)?.clone())))
            .collect();
        left.insert("error".to_owned(), "the person was forgotten".into());
        left.insert("input".to_owned(), "".into());
        left.insert("forgotten".to_owned(), true.into());
        self.ctx.store.replace_row(key, index, &row, &Value::Object(left).to_string()).await.map(|_| ())
    }

    /// An event is told again, at the end of its stream and under its id, with the number hidden.
    async fn hide_in_entry(&self, key: &str, id: &str) -> Result<(), StoreError> {
        let (Some(sought), Some(entry)) = (&self.sought, self.ctx.store.stream_entry(key, id).await?) else {
            return Ok(());
        };
        let hidden = |(name, value): &(String, String)| {
            let person = self.progress.person.as_deref();
            let value = if name == "event" { value.clone() } else { hide_in_events(sought, person, value) };
            (name.clone(), value)
        };
        let fields: Vec<_> = entry.fields.iter().map(hidden).collect();
        self.ctx.store.replace_entry(key, id, &fields).await.map(|_| ())
    }

    /// A refused or dead job keeps its code and sentence. The digest of its payload goes too: of a short payload it
    /// would tell the number to whoever tries all.
    async fn empty_letter(&self, key: &str, id: &str) -> Result<(), StoreError> {
        let (Some(sought), Some(entry)) = (&self.sought, self.ctx.store.stream_entry(key, id).await?) else {
            return Ok(());
        };
        let emptied = |(name, value): &(String, String)| {
            let value = match name.as_str() {
                "job" | "digest" => String::new(),
                _ => sought.hide(value),
            };
            (name.clone(), value)
        };
        let mut fields: Vec<_> = entry.fields.iter().map(emptied).collect();
        fields.push(("forgotten".to_owned(), "1".to_owned()));
        self.ctx.store.replace_entry(key, id, &fields).await.map(|_| ())
    }

    async fn hide_in_campaign(&self, campaign: &str) -> Result<(), StoreError> {
        let Some(sought) = &self.sought else { return Ok(()) };
        let texts = self.ctx.store.campaign_fields(campaign, &CAMPAIGN_TEXTS).await?;
        let found = CAMPAIGN_TEXTS.iter().zip(texts).filter_map(|(field, text)| Some((field, text?)));
        let changes: Vec<_> = found
            .filter(|(_, text)| sought.is_in_json(text))
            .map(|(field, text)| {
                let hidden = sought.hide_in_json(&text);
                ((*field).to_owned(), text, hidden)
            })
            .collect();
        self.ctx.store.replace_fields(&self.ctx.store.keys.campaign(campaign), &changes).await
    }

    async fn erase_from_job(&mut self, id: &str) -> Result<(), StoreError> {
        let Some(sought) = &self.sought else { return Ok(()) };
        let hash = self.ctx.store.job(id).await?;
        let mut changes = Vec::new();
        let mut rows = 0;
        for field in JOB_TEXTS {
            let Some(value) = hash.get(field).filter(|value| sought.is_in_json(value)) else { continue };
            let left = if field == "payload" {
                let (left, erased) = erase_from_payload(sought, value);
                rows += erased;
                left
            } else {
                sought.hide_in_json(value)
            };
            changes.push((field.to_owned(), value.clone(), left));
        }
        self.ctx.store.replace_fields(&self.ctx.store.keys.job(id), &changes).await?;
        self.progress.count("job_rows", rows);
        Ok(())
    }

    async fn erase_from_file(&mut self, name: &str) {
        let Some(sought) = self.sought.clone() else { return };
        let (spool, file) = (self.ctx.config.sources.spool_dir.clone(), name.to_owned());
        match blocking(move || files::erase(&spool, &file, &sought)).await {
            Ok(rows) => self.progress.count("file_rows", rows),
            Err(error) => {
                tracing::warn!(%error, "a file of the spool folder cannot be rewritten");
                self.progress.left.file(name);
            }
        }
    }
}

/// One event or a list of them, the number hidden, under the ids they had: a reader knows them by these.
fn hide_in_events(sought: &Sought, person: Option<&str>, text: &str) -> String {
    let Ok(mut events) = serde_json::from_str::<Value>(text) else { return sought.hide(text) };
    let hide = |event: &mut Value| {
        let id = event.get("event").cloned();
        sought.hide_in_value(event);
        let is_theirs = person.is_some() && event.get("person").and_then(Value::as_str) == person;
        if let (Some(fields), Some(id)) = (event.as_object_mut(), id) {
            fields.insert("event".to_owned(), id);
            if is_theirs && fields.contains_key("text") {
                // What the person answered goes whole.
                fields.insert("text".to_owned(), "".into());
            }
        }
    };
    match events.as_array_mut() {
        Some(events) => events.iter_mut().for_each(hide),
        None => hide(&mut events),
    }
    events.to_string()
}

/// The payload of a job that waits: a row of the person keeps its place, so that the others keep their numbers, and is
/// refused as forgotten when its time comes.
fn erase_from_payload(sought: &Sought, payload: &str) -> (String, u64) {
    let Ok(mut job) = serde_json::from_str::<Value>(payload) else { return (sought.hide(payload), 0) };
    let mut erased = 0;
    for row in job.get_mut("rows").and_then(Value::as_array_mut).into_iter().flatten() {
        if sought.is_in_value(row) {
            *row = json!({ FORGOTTEN_COLUMN: true });
            erased += 1;
        }
    }
    sought.hide_in_value(&mut job);
    (job.to_string(), erased)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::contact::Phone;

    #[test]
    fn a_row_of_a_waiting_job_is_emptied_in_its_place() {
        let sought = Sought::new(Phone::parse("+34600123456", None).unwrap());
        let payload = r#"{"campaign":"c","rows":[{"amount":1},{"amount":2,"SMScontact":"600 12 34 56"},{"amount":3}]}"#;
        let (left, erased) = erase_from_payload(&sought, payload);
        let left: Value = serde_json::from_str(&left).unwrap();
        assert_eq!(erased, 1);
        assert_eq!(left["rows"], json!([{"amount":1}, {FORGOTTEN_COLUMN: true}, {"amount":3}]));
        assert_eq!(erase_from_payload(&sought, "no json 600123456"), ("no json *********".to_owned(), 0));
    }
}
