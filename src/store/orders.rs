//! Orders of a campaign: read by number, changed only if they still read as planned.

use redis::cmd;

use super::{Answer, Store, StoreError, scripts};
use crate::domain::short_code::ShortCode;

/// The orders of a reference, as the index knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct References {
    /// Their numbers, the first ones, ascending.
    pub numbers: Vec<u64>,
    /// Whether there are more than the index keeps.
    pub more: bool,
}

impl References {
    /// Reads `3,17,18+`.
    fn read(text: &str) -> Self {
        let mut numbers: Vec<u64> =
            text.trim_end_matches('+').split(',').filter_map(|number| number.parse().ok()).collect();
        numbers.sort_unstable();
        Self { numbers, more: text.ends_with('+') }
    }
}

/// The field of the index that holds the orders of a reference.
pub(super) fn reference_field(reference: &str) -> String {
    format!("r:{reference}")
}

/// A planned change of one order.
#[derive(Debug, Clone)]
pub struct Change {
    /// The order.
    pub number: u64,
    /// Its JSON as it was read.
    pub before: String,
    /// Its JSON as it is to be.
    pub after: String,
    /// State before and after.
    pub states: (&'static str, &'static str),
    /// The event as JSON.
    pub event: String,
}

impl Store {
    /// Orders by number, as JSON, in that order.
    pub async fn orders(
        &self,
        campaign: &str,
        numbers: impl Iterator<Item = u64>,
    ) -> Result<Vec<Option<String>>, StoreError> {
        let keys: Vec<String> = numbers.map(|n| self.keys.order(campaign, n)).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.connection.query(cmd("MGET").arg(&keys)).await
    }

    /// The number of a row key, if the campaign has it.
    pub async fn order_number(&self, campaign: &str, key: &str) -> Result<Option<u64>, StoreError> {
        let field = format!("o:{key}");
        self.connection.query(cmd("HGET").arg(self.keys.index(campaign, &field)).arg(&field)).await
    }

    /// Whether the references of a campaign's orders can be found; decided when the campaign was made.
    pub async fn is_reference_indexed(&self, campaign: &str) -> Result<bool, StoreError> {
        let found = self.campaign_fields(campaign, &["index_reference"]).await?;
        Ok(found.into_iter().flatten().next().is_some_and(|flag| flag == "1"))
    }

    /// The orders of a reference; none where the campaign has no index of them.
    pub async fn numbers_of_reference(
        &self,
        campaign: &str,
        reference: &str,
    ) -> Result<Option<References>, StoreError> {
        if !self.is_reference_indexed(campaign).await? {
            return Ok(None);
        }
        let field = reference_field(reference);
        let found: Option<String> =
            self.connection.query(cmd("HGET").arg(self.keys.index(campaign, &field)).arg(&field)).await?;
        Ok(Some(References::read(found.as_deref().unwrap_or_default())))
    }

    /// The campaign and number of the order that a short code leads to.
    pub async fn order_of_code(&self, code: &ShortCode) -> Result<Option<(String, u64)>, StoreError> {
        let (first, rest) = code.split();
        let target = self.resolve_link(first, rest).await?;
        let found = target.as_deref().and_then(|target| target.rsplit_once('/'));
        Ok(found.and_then(|(campaign, number)| Some((campaign.to_owned(), number.parse().ok()?))))
    }

    /// Changes orders; `cursor` is a field of the campaign that moves with them when none was
    /// missed. Returns the numbers of those that read otherwise by now.
    pub async fn change_orders(
        &self,
        campaign: &str,
        cursor: Option<(&str, String)>,
        changes: &[Change],
    ) -> Result<Vec<u64>, StoreError> {
        let (field, value) = cursor.unwrap_or(("", String::new()));
        if !changes.is_empty() {
            self.announce(campaign).await?;
        }
        let mut call = scripts::CHANGE_ORDERS.call(&[&self.keys.campaign(campaign)]).arg(field).arg(value);
        for change in changes {
            call.push(change.number);
            call.push(&change.before);
            call.push(&change.after);
            call.push(change.states.0);
            call.push(change.states.1);
            call.push(&change.event);
        }
        let mut answer = Answer::new(call.run(&self.connection).await?);
        self.publish_soon(campaign, &answer.text()?).await;
        answer.rest().map(|n| n.parse().map_err(|_| StoreError::Refused(format!("order number {n:?}")))).collect()
    }

    /// One field of a run's hash.
    pub async fn run_field(&self, campaign: &str, run: &str, field: &str) -> Result<Option<String>, StoreError> {
        self.connection.query(cmd("HGET").arg(self.keys.run(campaign, run)).arg(field)).await
    }

    /// The ledger cells of recipients, in their order.
    pub async fn cells(
        &self,
        campaign: &str,
        run: &str,
        numbers: impl Iterator<Item = u64>,
    ) -> Result<Vec<Option<String>>, StoreError> {
        let mut pipeline = redis::pipe();
        let mut any = false;
        for n in numbers {
            any = true;
            pipeline.cmd("HGET").arg(self.keys.ledger(campaign, run, n)).arg(n % super::keys::LEDGER_PAGE);
        }
        if !any {
            return Ok(Vec::new());
        }
        self.connection.pipeline(&pipeline).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_entry_is_numbers_and_a_sign_that_there_are_more() {
        let read = |text: &str| (References::read(text).numbers, References::read(text).more);
        assert_eq!(read("3"), (vec![3], false));
        assert_eq!(read("17,3+"), (vec![3, 17], true));
        assert_eq!(read(""), (vec![], false));
    }
}
