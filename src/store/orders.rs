//! Orders of a campaign: read by number, changed only if they still read as planned.

use redis::cmd;

use super::{Answer, Store, StoreError, scripts};

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
